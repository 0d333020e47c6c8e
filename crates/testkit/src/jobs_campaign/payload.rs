//! The jobs of the campaign: what each does, and how it must end.

use contracts::jobs::{JobPayload, Queue};
use serde::{Deserialize, Serialize};

/// What a handler does with a job before (or instead of) appending its effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "does", rename_all = "snake_case")]
pub enum Behaviour {
    /// Appends its effect at once.
    Plain,
    /// Holds this long first.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// Writes its effect, holds the transaction open this long, and commits on a task of its own that nobody
    /// cancels: after a lost lease that is a zombie's write, which only the fence can refuse.
    Stubborn {
        /// Milliseconds.
        ms: u64,
    },
    /// Fails this many attempts, then succeeds.
    Fails {
        /// Attempts.
        times: i32,
    },
    /// Panics this many attempts, then succeeds.
    Panics {
        /// Attempts.
        times: i32,
    },
    /// The first attempt takes longer than its time, the next one does not.
    Overruns,
    /// Never succeeds: must end as a dead letter after its last attempt.
    NeverSucceeds,
    /// Fails for good at the first attempt.
    Refuses,
    /// Works in steps with a checkpoint after each; no step may be done twice.
    Steps {
        /// Steps.
        count: i64,
        /// Milliseconds of each.
        ms: u64,
    },
    /// Enqueues follow-up jobs in the transaction of its effect, all on one resource.
    Spawns {
        /// Jobs.
        count: u32,
    },
    /// Kills its process: must end as a crash loop, and its neighbours must not suffer.
    Kills,
}

/// A job whose effect is a row in `chaos_effects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChaosEffect {
    /// What it does.
    pub behaviour: Behaviour,
    /// Key in `chaos_documents` whose wish it fulfils.
    pub document: Option<String>,
}

impl JobPayload for ChaosEffect {
    const KIND: &'static str = "maintenance.chaos_effect";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
    const MAX_ATTEMPTS: i32 = 8;
    const DEADLINE_SECONDS: i32 = 20;
}

/// The same job on another queue, so that two queues share one worker's places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChaosMessage(pub ChaosEffect);

impl JobPayload for ChaosMessage {
    const KIND: &'static str = "messages.chaos_effect";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Messages;
    const MAX_ATTEMPTS: i32 = 8;
    const DEADLINE_SECONDS: i32 = 20;
}

/// A job that no worker knows: must be parked with that as its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChaosUnknown {}

impl JobPayload for ChaosUnknown {
    const KIND: &'static str = "maintenance.chaos_unknown";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
}

/// How a job must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// Its effect is there once.
    Effect,
    /// A dead letter after the last attempt.
    Dead,
    /// A dead letter as a crash loop.
    CrashLoop,
    /// An effect, or a dead letter because its deadline passed before it started.
    EffectOrDeadline,
    /// Parked, because no worker knows its kind.
    Parked,
    /// Not due within the campaign.
    Waits,
}

impl Expect {
    /// As in `chaos_asked.expect`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Expect::Effect => "effect",
            Expect::Dead => "dead",
            Expect::CrashLoop => "crash_loop",
            Expect::EffectOrDeadline => "effect_or_deadline",
            Expect::Parked => "parked",
            Expect::Waits => "waits",
        }
    }
}
