//! How a call of the engine ended, from either connector.

use std::time::Duration;

use contracts::gcal::v1::PoisonEvent;
use contracts::graph::v1::{FaultKind, ProviderFault};
use domain::calendar::cursor::Listed;
use domain::calendar::engine::Answer;
use domain::calendar::outlook::Window;
use domain::calendar::quota::Problem;
use serde_json::Value;

/// A page of events.
#[derive(Debug)]
pub(super) struct EventPage {
    /// Their JSON, as far as it is JSON.
    pub(super) events: Vec<Value>,
    /// Those that could not be read.
    pub(super) poison: Vec<PoisonEvent>,
    /// What the page says of the round.
    pub(super) listed: Listed,
    /// Series that were read as a whole, by the provider's id.
    pub(super) series: Vec<String>,
    /// The span of time that the round enumerates; everything when there is none.
    pub(super) window: Option<Window>,
}

impl EventPage {
    /// A page without events.
    pub(super) fn empty(listed: Listed) -> Self {
        Self { events: Vec::new(), poison: Vec::new(), listed, series: Vec::new(), window: None }
    }
}

/// How a call of the engine ended, and what the provider said beside it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) answer: Answer,
    /// Not before that.
    pub(super) retry_after: Duration,
    /// What it said, when it refused.
    pub(super) refusal: Option<Box<ProviderFault>>,
}

impl Told {
    pub(super) fn plain(answer: Answer) -> Self {
        Self { answer, retry_after: Duration::ZERO, refusal: None }
    }

    pub(super) fn refused(fault: Box<ProviderFault>) -> Self {
        let (reason, message) = (fault.code.clone(), fault.message.clone());
        let problem = match fault.kind() {
            FaultKind::Quota => Some(Problem::QuotaExceeded),
            FaultKind::Credential => Some(Problem::Reauthorize),
            FaultKind::NotFound => Some(Problem::NotFound),
            FaultKind::Deleted => Some(Problem::Deleted),
            FaultKind::Precondition => Some(Problem::ConditionNotMet),
            FaultKind::Duplicate => Some(Problem::Duplicate),
            FaultKind::Forbidden | FaultKind::Locked => Some(Problem::Forbidden { reason, message }),
            FaultKind::Refused if reason == "eventTypeRestriction" => Some(Problem::EventType { message }),
            FaultKind::Refused => Some(Problem::Invalid {
                status: u16::try_from(fault.http_status).unwrap_or_default(),
                reason,
                message,
            }),
            // The call was not made, or will be welcome later.
            FaultKind::Throttled | FaultKind::BreakerOpen | FaultKind::TryLater | FaultKind::Unavailable => {
                Some(Problem::RateLimited)
            }
            // Ambiguous among them: it may have taken effect.
            _ => None,
        };
        let retry_after = Duration::from_millis(fault.retry_after_ms);
        let answer = problem.map_or(Answer::Unknown, Answer::Refused);
        Self { answer, retry_after, refusal: Some(fault) }
    }
}
