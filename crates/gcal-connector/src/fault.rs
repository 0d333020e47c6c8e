//! From Google's errors to gRPC status with a `ProviderFault` in its details.

use std::time::Duration;

use contracts::fault::to_status;
use contracts::graph::v1::{FaultKind, ProviderFault};
use gcal_client::{GcalError, GcalErrorKind};
use outbound::token::TokenError;
use prost::Message;
use store::StoreError;
use tonic::{Code, Status};

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A fault of one kind.
pub(crate) fn fault(kind: FaultKind, code: &str, message: impl Into<String>) -> ProviderFault {
    ProviderFault {
        kind: kind.into(),
        code: code.to_owned(),
        message: message.into(),
        ..ProviderFault::default()
    }
}

/// A status of one kind.
pub(crate) fn status_of(kind: FaultKind, code: &str, message: impl Into<String>) -> Status {
    to_status(&fault(kind, code, message))
}

/// The account takes no writes.
pub(crate) fn parked(wait: Duration) -> Status {
    let message = "Google limits this account's use of calendars; writes wait";
    to_status(&ProviderFault {
        retry_after_ms: millis(wait),
        http_status: 403,
        ..fault(FaultKind::Quota, "quotaExceeded", message)
    })
}

/// The status of a failed call.
pub(crate) fn status(error: &GcalError) -> Status {
    let fault = read(error);
    // Not a refusal by Google: this service itself lacks what the call needs.
    if matches!(error.kind, GcalErrorKind::NotConfigured { .. }) {
        let details = fault.encode_to_vec().into();
        return Status::with_details(Code::FailedPrecondition, fault.message, details);
    }
    to_status(&fault)
}

/// The status of an exchange with the identity endpoints.
pub(crate) fn token_status(operation: &'static str, error: TokenError) -> Status {
    let error = outbound::provider::CallError::Token(error);
    status(&GcalError::from_call(operation, gcal_client::Asked::Read, error))
}

/// The database did not do it.
pub(crate) fn store_status(error: &StoreError) -> Status {
    tracing::warn!(error = chassis::telemetry::chain(error), "the database did not do it");
    let kind = if error.is_transient() { FaultKind::Unavailable } else { FaultKind::Unspecified };
    status_of(kind, "database", "the connector's database did not do it")
}

fn read(error: &GcalError) -> ProviderFault {
    let mut fault = ProviderFault {
        code: error.reason.to_string(),
        message: error.message.clone(),
        http_status: i32::from(error.status.unwrap_or_default()),
        body: error.body.to_string(),
        ..ProviderFault::default()
    };
    let kind = match &error.kind {
        GcalErrorKind::Throttled { retry_after } => {
            fault.retry_after_ms = millis(*retry_after);
            FaultKind::Throttled
        }
        GcalErrorKind::BreakerOpen { retry_after } => {
            fault.retry_after_ms = millis(*retry_after);
            FaultKind::BreakerOpen
        }
        GcalErrorKind::QuotaExceeded => FaultKind::Quota,
        GcalErrorKind::Ambiguous => FaultKind::Ambiguous,
        GcalErrorKind::FullSync => FaultKind::Resync,
        GcalErrorKind::Deleted => FaultKind::Deleted,
        GcalErrorKind::NotFound => FaultKind::NotFound,
        GcalErrorKind::Duplicate => FaultKind::Duplicate,
        GcalErrorKind::Precondition => FaultKind::Precondition,
        GcalErrorKind::TryLater => FaultKind::TryLater,
        GcalErrorKind::Forbidden => FaultKind::Forbidden,
        GcalErrorKind::InsufficientScopes
        | GcalErrorKind::GrantEnded
        | GcalErrorKind::Credential
        | GcalErrorKind::NotConfigured { .. } => FaultKind::Credential,
        GcalErrorKind::PushNotSupported => FaultKind::NotSupported,
        GcalErrorKind::Unavailable => FaultKind::Unavailable,
        _ => FaultKind::Refused,
    };
    fault.kind = kind.into();
    fault
}
