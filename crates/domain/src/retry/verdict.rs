//! What an error says about repeating the work that met it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The judgement an error carries about repeating what failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Transient: try again after a jittered delay.
    Retry,
    /// The other side named the earliest moment of a next attempt.
    RetryAfter(Duration),
    /// A person has to mend something first; trying again alone cannot help.
    Park(ParkReason),
    /// Permanent: trying again gives the same answer.
    Fail,
}

/// What happens after a failure, once attempts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again after this time.
    Wait(Duration),
    /// Keep the work until a person has acted.
    Park(ParkReason),
    /// Give up; the work becomes a dead letter.
    Dead,
}

/// Why work waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkReason {
    /// An administrator has to consent to the application.
    Consent,
    /// The application lacks a permission on the resource.
    Permission,
    /// The site is archived or locked.
    Locked,
    /// The credential is wrong or has expired.
    Credential,
    /// The run would delete more than the mass-change limit allows.
    MassChange,
    /// No handler knows this kind or version of job.
    UnknownKind,
    /// The job took its worker down repeatedly.
    CrashLoop,
    /// An operator's switch holds it; it goes on when the switch is back.
    Flag,
}

impl ParkReason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::Consent,
        Self::Permission,
        Self::Locked,
        Self::Credential,
        Self::MassChange,
        Self::UnknownKind,
        Self::CrashLoop,
        Self::Flag,
    ];

    /// The stable name, as stored and as shown by the REST interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Permission => "permission",
            Self::Locked => "locked",
            Self::Credential => "credential",
            Self::MassChange => "mass_change",
            Self::UnknownKind => "unknown_kind",
            Self::CrashLoop => "crash_loop",
            Self::Flag => "flag",
        }
    }
}

impl fmt::Display for ParkReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no park reason.
#[derive(Debug, thiserror::Error)]
#[error("unknown park reason {0:?}")]
pub struct UnknownParkReason(pub String);

impl FromStr for ParkReason {
    type Err = UnknownParkReason;

    fn from_str(text: &str) -> Result<Self, UnknownParkReason> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownParkReason(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for reason in ParkReason::ALL {
            assert_eq!(reason.as_str().parse::<ParkReason>().expect("known"), reason);
            let json = serde_json::to_string(&reason).expect("json");
            assert_eq!(json, format!("\"{reason}\""));
        }
        assert!("tired".parse::<ParkReason>().is_err());
    }
}
