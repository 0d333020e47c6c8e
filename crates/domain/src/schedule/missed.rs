//! Occurrences that have come due, and which of them run.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::CronExpr;
use crate::time::elapsed;

/// The most decisions that one call lists. After a longer outage the oldest occurrences are counted only;
/// the latest, the only one that may run, is always listed.
pub const MAX_LISTED: usize = 100;
/// The most occurrences that are counted beyond the listed ones.
pub const MAX_COUNTED: usize = 10_000;

/// An occurrence later than this was missed, not merely noticed by a poll a little after its time.
const ON_TIME: Duration = Duration::from_mins(1);

/// What to do about occurrences that passed while no scheduler ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Run the latest of them once.
    RunOnce,
    /// Run none of them; wait for the next.
    Skip,
}

impl Missed {
    /// The stable name, as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunOnce => "run_once",
            Self::Skip => "skip",
        }
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no policy for missed runs.
#[derive(Debug, thiserror::Error)]
#[error("unknown missed-run policy {0:?}, expected run_once or skip")]
pub struct UnknownMissedPolicy(pub String);

impl FromStr for Missed {
    type Err = UnknownMissedPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownMissedPolicy> {
        [Self::RunOnce, Self::Skip]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| UnknownMissedPolicy(text.to_owned()))
    }
}

/// Why an occurrence runs or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionReason {
    /// It is due now.
    Due,
    /// It was missed and is made up for.
    CatchUp,
    /// It was missed and a later one runs in its place.
    Superseded,
    /// It was missed and the schedule does not make up for missed runs.
    Missed,
}

impl DecisionReason {
    /// The stable name, as stored with the occurrence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::CatchUp => "catch_up",
            Self::Superseded => "superseded",
            Self::Missed => "missed",
        }
    }
}

/// What is decided about one occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The instant the schedule names; with the schedule's id it is the key of the decision.
    pub occurrence: DateTime<Utc>,
    /// Whether it runs.
    pub run: bool,
    /// Why, or why not.
    pub reason: DecisionReason,
}

/// Missed occurrences that are too many to be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Omitted {
    /// How many; there may be more when it is [`MAX_COUNTED`].
    pub count: usize,
    /// The first.
    pub first: DateTime<Utc>,
    /// The last; the listed ones follow.
    pub last: DateTime<Utc>,
    /// Why none of them runs.
    pub reason: DecisionReason,
}

/// What is decided about the occurrences of a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Due {
    /// The oldest, when they are too many.
    pub omitted: Option<Omitted>,
    /// The others, the earliest first.
    pub decisions: Vec<Decision>,
}

impl CronExpr {
    /// Decides about the occurrences later than `last` (the last one decided, or the moment the
    /// schedule was switched on) up to `now`, the earliest first. At most one runs: the latest.
    pub fn due(&self, last: DateTime<Utc>, now: DateTime<Utc>, policy: Missed) -> Due {
        let mut occurrences = self.latest(last, now);
        let too_many = occurrences.len() > MAX_LISTED;
        let before = too_many.then(|| occurrences.remove(0));
        let Some((latest, earlier)) = occurrences.split_last() else { return Due::default() };
        let on_time = elapsed(*latest, now) <= ON_TIME;
        let (run, reason) = match policy {
            _ if on_time => (true, DecisionReason::Due),
            Missed::RunOnce => (true, DecisionReason::CatchUp),
            Missed::Skip => (false, DecisionReason::Missed),
        };
        let passed_over = if run && policy == Missed::RunOnce {
            DecisionReason::Superseded
        } else {
            DecisionReason::Missed
        };
        let omitted = before.and_then(|before| {
            let counted = self.occurrences(last, before, MAX_COUNTED);
            let first = *counted.first()?;
            Some(Omitted { count: counted.len(), first, last: before, reason: passed_over })
        });
        let decisions = earlier
            .iter()
            .map(|occurrence| Decision { occurrence: *occurrence, run: false, reason: passed_over })
            .chain([Decision { occurrence: *latest, run, reason }])
            .collect();
        Due { omitted, decisions }
    }

    /// The latest `MAX_LISTED + 1` occurrences in `(last, now]`. Looks back through windows that
    /// double, so that a minute schedule after a year costs no more than after a day.
    fn latest(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        const KEPT: usize = MAX_LISTED + 1;
        const SCAN: usize = KEPT * 20;
        let (mut window, mut too_small) = (Duration::from_mins(1), Duration::ZERO);
        let mut too_large: Option<Duration> = None;
        let mut best = Vec::new();
        loop {
            let reaches_last = elapsed(last, now) <= window;
            let from = if reaches_last { last } else { now - window };
            let mut found = self.occurrences(from, now, SCAN);
            if found.len() == SCAN {
                // Stopped short of now: the dense time lies far back, its end has to be looked for.
                too_large = Some(window);
            } else {
                too_small = window;
                let full = found.len() >= KEPT;
                found.drain(..found.len().saturating_sub(KEPT));
                best = found;
                if full || reaches_last {
                    return best;
                }
            }
            window = match too_large {
                Some(_) if !best.is_empty() => return best,
                Some(too_large) => too_small + too_large.saturating_sub(too_small) / 2,
                None => window.saturating_mul(2),
            };
        }
    }
}
