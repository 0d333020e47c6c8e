//! The job ledger (DESIGN section 5): enqueue, relay, claim, finish, retry, park, bury.

mod claim;
mod deaths;
mod enqueue;
mod expire;
mod finish;
mod heartbeat;
mod lost;
mod outbox;
mod outcome;
mod read;
mod timers;

pub use claim::{Claim, ClaimOutcome, Claimed, Fence, checkpoint, claim, claim_many, hold};
pub use deaths::{AfterDeath, DeadMessage, after_death, archive_broker_dead_letter, still_waiting};
pub use enqueue::{Enqueued, NewJob, enqueue, enqueue_many};
pub use expire::bury_expired;
pub use finish::{
    Failure, bury, cancel_claimed, hand_back, park, request_cancel, retry, succeed, succeed_and_commit,
    succeed_many,
};
pub use heartbeat::{Heartbeat, heartbeat, heartbeat_many};
pub use lost::{Rung, RungLook, ring_again, rung};
pub use outbox::{
    LanePick, OutboxRow, WaitingLane, backlog, backlog_from, park_unroutable, put_back_bells, remove_bells,
    ring, take_bells, take_from_lanes, waiting_lanes,
};
pub use read::{JobFilter, JobView, KindCounts, QueueCounts, counts, find, list, live_with_dedupe};
pub use timers::{EARLIEST, Reaped, next_due, promote_due, reap_expired, reap_expired_since};
