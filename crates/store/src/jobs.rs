//! The job ledger (DESIGN section 5): enqueue, relay, claim, finish, retry, park, bury.

mod claim;
mod enqueue;
mod expire;
mod finish;
mod outbox;
mod read;
mod timers;

pub use claim::{Claim, ClaimOutcome, Fence, Heartbeat, checkpoint, claim, heartbeat, hold};
pub use enqueue::{Enqueued, NewJob, enqueue, enqueue_many};
pub use expire::bury_expired;
pub use finish::{Failure, bury, cancel_claimed, hand_back, park, request_cancel, retry, succeed};
pub use outbox::{OutboxRow, backlog, claim_bells, confirm_bells, refuse_bells};
pub use read::{JobFilter, JobView, KindCounts, QueueCounts, counts, find, list, live_with_dedupe};
pub use timers::{
    DeadMessage, Reaped, archive_broker_dead_letter, next_due, promote_due, reap_expired, ring_lost,
};
