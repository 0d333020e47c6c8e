//! Circuit breaker: after repeated failures nobody calls until one probe has succeeded.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::time::{after, elapsed};

/// The figures of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerConfig {
    /// Consecutive failures that open the breaker.
    pub failure_threshold: u32,
    /// Time after which the caller gives a call up as failed; also the life of a probe.
    pub call_timeout: Duration,
    /// Time from opening to the first probe.
    pub reset_timeout: Duration,
}

impl BreakerConfig {
    /// The OneDrive runbook's figures: 4 failures, 90 s, 60 s.
    pub const ONEDRIVE: Self = Self {
        failure_threshold: 4,
        call_timeout: Duration::from_secs(90),
        reset_timeout: Duration::from_mins(1),
    };
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum BreakerState {
    /// Calls pass.
    Closed {
        /// Failures in a row up to now.
        failures: u32,
    },
    /// Calls are refused.
    Open {
        /// The first probe is allowed from here on.
        until: DateTime<Utc>,
    },
    /// One probe is on its way, all others are refused.
    HalfOpen {
        /// The probe counts as lost from here on, and the next caller becomes the probe.
        probe_expires: DateTime<Utc>,
    },
}

/// The right to make one call. Hand it back with [`Breaker::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    era: u64,
}

/// The breaker refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("circuit breaker is open, next probe in {} s", .retry_after.as_secs())]
pub struct Rejected {
    /// The earliest moment that is worth asking again.
    pub retry_after: Duration,
}

/// How a permitted call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered, also with a refusal that is about the request (404, 409, 412).
    Success,
    /// No answer in time, a broken connection, or a 5xx.
    Failure,
    /// 429, or 503 with `Retry-After`: the service lives and the throttle window deals with it.
    /// Neither a failure nor a reason to forget earlier ones.
    Throttled,
    /// The caller stopped waiting for reasons of its own.
    Abandoned,
}

/// A circuit breaker as a state machine on a clock that is passed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    config: BreakerConfig,
    state: BreakerState,
    // Grows with each change of state: the outcome of a call of an earlier state is no news.
    era: u64,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(config: BreakerConfig) -> Self {
        Self { config, state: BreakerState::Closed { failures: 0 }, era: 0 }
    }

    /// The figures of this breaker.
    pub fn config(&self) -> BreakerConfig {
        self.config
    }

    /// Where the breaker stands.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// The value of the metric `circuit_breaker_state`: 0 closed, 1 half-open, 2 open.
    pub fn state_code(&self) -> u8 {
        match self.state {
            BreakerState::Closed { .. } => 0,
            BreakerState::HalfOpen { .. } => 1,
            BreakerState::Open { .. } => 2,
        }
    }

    /// The state's name for people and JSON: `closed`, `half_open`, `open`.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            BreakerState::Closed { .. } => "closed",
            BreakerState::HalfOpen { .. } => "half_open",
            BreakerState::Open { .. } => "open",
        }
    }

    /// Asks to make a call.
    ///
    /// # Errors
    /// [`Rejected`] while the breaker is open, or half-open with its probe on the way.
    pub fn try_acquire(&mut self, now: DateTime<Utc>) -> Result<Permit, Rejected> {
        let until = match self.state {
            BreakerState::Closed { .. } => return Ok(Permit { era: self.era }),
            BreakerState::Open { until } => until,
            BreakerState::HalfOpen { probe_expires } => probe_expires,
        };
        if now < until {
            return Err(Rejected { retry_after: elapsed(now, until) });
        }
        // A probe that was never recorded has expired; its late outcome is of an earlier era.
        self.enter(BreakerState::HalfOpen { probe_expires: after(now, self.config.call_timeout) });
        Ok(Permit { era: self.era })
    }

    /// Records how the call of `permit` ended. Outcomes of an earlier state are ignored.
    pub fn record(&mut self, now: DateTime<Utc>, permit: Permit, outcome: Outcome) {
        if permit.era != self.era {
            return;
        }
        match (self.state, outcome) {
            (BreakerState::Closed { .. }, Outcome::Success) => {
                self.state = BreakerState::Closed { failures: 0 };
            }
            (BreakerState::Closed { failures }, Outcome::Failure) => {
                let failures = failures.saturating_add(1);
                if failures >= self.config.failure_threshold {
                    self.open(now);
                } else {
                    self.state = BreakerState::Closed { failures };
                }
            }
            (BreakerState::HalfOpen { .. }, Outcome::Success | Outcome::Throttled) => {
                self.enter(BreakerState::Closed { failures: 0 });
            }
            (BreakerState::HalfOpen { .. }, Outcome::Failure) => self.open(now),
            // The place of the probe is free at once.
            (BreakerState::HalfOpen { .. }, Outcome::Abandoned) => {
                self.enter(BreakerState::Open { until: now });
            }
            (BreakerState::Closed { .. }, Outcome::Throttled | Outcome::Abandoned)
            | (BreakerState::Open { .. }, _) => {}
        }
    }

    fn open(&mut self, now: DateTime<Utc>) {
        self.enter(BreakerState::Open { until: after(now, self.config.reset_timeout) });
    }

    fn enter(&mut self, state: BreakerState) {
        self.state = state;
        self.era = self.era.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests;
