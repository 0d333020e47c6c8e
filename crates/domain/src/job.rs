//! The states of a job, the ways between them, and the fingerprint that groups failures.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod fingerprint;

pub use fingerprint::error_fingerprint;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its time.
    Scheduled,
    /// Ready; a message is on its way or about to be.
    Queued,
    /// A worker holds its lease.
    Running,
    /// Failed and waits for its next attempt.
    Retrying,
    /// Waits for a person.
    Parked,
    /// Done.
    Succeeded,
    /// Given up; a dead letter.
    Dead,
    /// Called off by a person.
    Cancelled,
}

impl JobState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Retrying,
        Self::Parked,
        Self::Succeeded,
        Self::Dead,
        Self::Cancelled,
    ];

    /// The stable name, as stored and as shown by the REST interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Parked => "parked",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the job may still run without anyone retrying it: it belongs to the hot table.
    pub const fn is_live(self) -> bool {
        !self.is_finished()
    }

    /// Whether the job has ended. A dead job can be brought back by a person.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled)
    }

    /// Whether a job may go from this state to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Scheduled => matches!(next, Self::Queued | Self::Cancelled),
            // Parked and dead without a run: an unknown kind, or a message that kills its consumer.
            Self::Queued => matches!(next, Self::Running | Self::Parked | Self::Dead | Self::Cancelled),
            // Back to queued: handed back at shutdown, or taken back when the lease expired.
            Self::Running => matches!(
                next,
                Self::Succeeded | Self::Retrying | Self::Queued | Self::Parked | Self::Dead | Self::Cancelled
            ),
            Self::Retrying => matches!(next, Self::Queued | Self::Dead | Self::Cancelled),
            Self::Parked => matches!(next, Self::Queued | Self::Dead | Self::Cancelled),
            Self::Dead => matches!(next, Self::Queued | Self::Cancelled),
            Self::Succeeded | Self::Cancelled => false,
        }
    }

    /// This state's successor `next`.
    ///
    /// # Errors
    /// [`IllegalTransition`] when there is no way from here to there.
    pub fn become_state(self, next: Self) -> Result<Self, IllegalTransition> {
        if self.may_become(next) { Ok(next) } else { Err(IllegalTransition { from: self, to: next }) }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change of state that no rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} cannot become {to}")]
pub struct IllegalTransition {
    /// The state the job is in.
    pub from: JobState,
    /// The state that was asked for.
    pub to: JobState,
}

/// A text that names no job state.
#[derive(Debug, thiserror::Error)]
#[error("unknown job state {0:?}")]
pub struct UnknownJobState(pub String);

impl FromStr for JobState {
    type Err = UnknownJobState;

    fn from_str(text: &str) -> Result<Self, UnknownJobState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownJobState(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse::<JobState>().expect("known"), state);
            assert_eq!(serde_json::to_string(&state).expect("json"), format!("\"{state}\""));
        }
        assert!("asleep".parse::<JobState>().is_err());
    }

    #[test]
    fn every_live_state_can_end_and_every_state_is_reachable() {
        let mut reached = vec![JobState::Scheduled];
        while let Some(next) = JobState::ALL
            .into_iter()
            .find(|next| !reached.contains(next) && reached.iter().any(|from| from.may_become(*next)))
        {
            reached.push(next);
        }
        assert_eq!(reached.len(), JobState::ALL.len());
        for state in JobState::ALL {
            assert!(!state.may_become(state), "{state} is no successor of itself");
            assert_eq!(state.is_live(), state.may_become(JobState::Cancelled) && state != JobState::Dead);
        }
    }

    #[test]
    fn what_is_done_stays_done() {
        let fault = JobState::Succeeded.become_state(JobState::Queued).expect_err("illegal");
        assert_eq!(fault.to_string(), "a job that is succeeded cannot become queued");
        assert_eq!(JobState::Dead.become_state(JobState::Queued), Ok(JobState::Queued));
    }
}
