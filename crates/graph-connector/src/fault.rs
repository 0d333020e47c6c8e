//! From Graph's errors to gRPC status with a `ProviderFault` in its details.

use std::time::Duration;

use contracts::fault::to_status;
use contracts::graph::v1::{FaultKind, ProviderFault};
use graph_client::{GraphError, GraphErrorKind};
use prost::Message;
use tonic::{Code, Status};

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The status of a failed call.
pub(crate) fn status(error: &GraphError) -> Status {
    let fault = fault(error);
    // Not a refusal by Microsoft: this service itself lacks what the call needs.
    if matches!(error.kind, GraphErrorKind::NotConfigured { .. }) {
        return Status::with_details(
            Code::FailedPrecondition,
            fault.message.clone(),
            fault.encode_to_vec().into(),
        );
    }
    to_status(&fault)
}

fn fault(error: &GraphError) -> ProviderFault {
    let mut fault = ProviderFault {
        code: error.code.to_string(),
        message: error.message.clone(),
        http_status: i32::from(error.status.unwrap_or_default()),
        request_id: error.support.request_id.clone().unwrap_or_default(),
        ..ProviderFault::default()
    };
    let kind = match &error.kind {
        GraphErrorKind::Throttled { retry_after } => {
            fault.retry_after_ms = millis(*retry_after);
            FaultKind::Throttled
        }
        GraphErrorKind::BreakerOpen { retry_after } => {
            fault.retry_after_ms = millis(*retry_after);
            FaultKind::BreakerOpen
        }
        GraphErrorKind::Resync { instruction, location } => {
            instruction.unwrap_or_default().clone_into(&mut fault.resync_instruction);
            location.as_deref().unwrap_or_default().clone_into(&mut fault.resync_location);
            FaultKind::Resync
        }
        GraphErrorKind::BadLink => FaultKind::BadLink,
        GraphErrorKind::NotFound => FaultKind::NotFound,
        GraphErrorKind::Forbidden => FaultKind::Forbidden,
        GraphErrorKind::Locked => FaultKind::Locked,
        GraphErrorKind::Credential | GraphErrorKind::NotConfigured { .. } => FaultKind::Credential,
        GraphErrorKind::TryLater => FaultKind::TryLater,
        GraphErrorKind::Refused if error.status == Some(412) => FaultKind::Precondition,
        GraphErrorKind::Refused => FaultKind::Refused,
        GraphErrorKind::Ambiguous => FaultKind::Ambiguous,
        _ => FaultKind::Unavailable,
    };
    fault.kind = kind.into();
    fault
}
