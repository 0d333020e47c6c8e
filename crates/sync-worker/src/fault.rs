//! What a provider's fault means for the job that met it.

use std::time::Duration;

use contracts::graph::v1::{FaultKind, ProviderFault};
use domain::retry::ParkReason;
use job_runtime::JobError;

/// A call that the connector answered with a fault.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Microsoft Graph: {} ({}){}", .0.message, .0.code, request_id(.0))]
pub struct ProviderError(pub Box<ProviderFault>);

fn request_id(fault: &ProviderFault) -> String {
    if fault.request_id.is_empty() { String::new() } else { format!(", request-id {}", fault.request_id) }
}

impl ProviderError {
    /// The kind of fault.
    pub fn kind(&self) -> FaultKind {
        self.0.kind()
    }

    /// Whether the call was refused because too much was asked, or the breaker is open: the walk is not to
    /// blame.
    pub fn is_backpressure(&self) -> bool {
        matches!(self.kind(), FaultKind::Throttled | FaultKind::BreakerOpen)
    }
}

impl From<ProviderError> for JobError {
    fn from(error: ProviderError) -> Self {
        let message = error.to_string();
        job_error(&error.0, message)
    }
}

/// What a fault means for the job.
pub(crate) fn job_error(fault: &ProviderFault, message: String) -> JobError {
    let code = if fault.code.is_empty() { fault.kind().as_str_name().to_owned() } else { fault.code.clone() };
    match fault.kind() {
        FaultKind::Throttled | FaultKind::BreakerOpen | FaultKind::Quota if fault.retry_after_ms > 0 => {
            JobError::retry_after(Duration::from_millis(fault.retry_after_ms), code, message)
        }
        FaultKind::Forbidden => JobError::park(ParkReason::Permission, code, message),
        FaultKind::Locked => JobError::park(ParkReason::Locked, code, message),
        FaultKind::Credential => JobError::park(ParkReason::Credential, code, message),
        FaultKind::Refused | FaultKind::NotFound => JobError::fail(code, message),
        _ => JobError::retry(code, message),
    }
}
