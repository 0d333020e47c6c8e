//! The job ledger (DESIGN section 5): enqueue, relay, claim, finish, retry, park, bury.

mod claim;
mod enqueue;
mod expire;
mod finish;
mod outbox;
mod read;
mod timers;

pub use claim::{Claim, ClaimOutcome, Fence, Heartbeat, checkpoint, claim, hold, heartbeat};
pub use enqueue::{Enqueued, NewJob, enqueue, enqueue_many};
pub use expire::bury_expired;
pub use finish::{Failure, bury, cancel_claimed, hand_back, park, request_cancel, retry, succeed};
pub use outbox::{OutboxRow, backlog, claim_bells, confirm_bells, refuse_bells};
pub use read::{JobFilter, JobView, counts, find, list, live_with_dedupe, QueueCounts, KindCounts};
pub use timers::{DeadMessage, Reaped, archive_broker_dead_letter, promote_due, reap_expired, ring_lost, next_due};
