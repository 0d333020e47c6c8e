//! Provider faults inside gRPC status details.

use prost::Message;
use tonic::{Code, Status};

use crate::graph::v1::{FaultKind, ProviderFault};

/// Packs a fault into a status whose gRPC code fits its kind.
pub fn to_status(fault: &ProviderFault) -> Status {
    let code = match fault.kind() {
        FaultKind::Throttled | FaultKind::Quota => Code::ResourceExhausted,
        FaultKind::Duplicate => Code::AlreadyExists,
        FaultKind::Precondition => Code::Aborted,
        FaultKind::Ambiguous => Code::DataLoss,
        FaultKind::NotSupported => Code::Unimplemented,
        FaultKind::Unavailable | FaultKind::BreakerOpen | FaultKind::TryLater => Code::Unavailable,
        FaultKind::Resync => Code::OutOfRange,
        FaultKind::BadLink => Code::InvalidArgument,
        FaultKind::NotFound | FaultKind::Deleted => Code::NotFound,
        FaultKind::Forbidden | FaultKind::Locked => Code::PermissionDenied,
        FaultKind::Credential => Code::Unauthenticated,
        FaultKind::Refused => Code::FailedPrecondition,
        FaultKind::Unspecified => Code::Unknown,
    };
    Status::with_details(code, fault.message.clone(), fault.encode_to_vec().into())
}

/// Reads the fault of a status; a status without one (connector away, deadline) is `Unavailable`.
pub fn from_status(status: &Status) -> ProviderFault {
    if !status.details().is_empty()
        && let Ok(fault) = ProviderFault::decode(status.details())
    {
        return fault;
    }
    let kind = match status.code() {
        Code::InvalidArgument | Code::Unimplemented | Code::FailedPrecondition => FaultKind::Refused,
        _ => FaultKind::Unavailable,
    };
    ProviderFault {
        kind: kind.into(),
        code: format!("{:?}", status.code()),
        message: status.message().to_owned(),
        ..ProviderFault::default()
    }
}

/// A call that cannot be made as asked.
pub fn refused(code: &str, message: impl Into<String>) -> Status {
    let fault = ProviderFault {
        kind: FaultKind::Refused.into(),
        code: code.to_owned(),
        message: message.into(),
        ..ProviderFault::default()
    };
    to_status(&fault)
}

/// Too many calls in work.
pub fn busy() -> Status {
    let fault = ProviderFault {
        kind: FaultKind::Throttled.into(),
        code: "connectorBusy".to_owned(),
        message: "too many calls in work, come back shortly".to_owned(),
        retry_after_ms: 1_000,
        ..ProviderFault::default()
    };
    to_status(&fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_status() {
        for kind in 1..=17 {
            let kind = FaultKind::try_from(kind).expect("kinds 1 to 17 exist");
            let fault = ProviderFault {
                kind: kind.into(),
                code: "c".into(),
                message: "m".into(),
                http_status: 429,
                retry_after_ms: 2128,
                ..ProviderFault::default()
            };
            assert_eq!(from_status(&to_status(&fault)), fault);
        }
    }

    #[test]
    fn a_bare_status_is_unavailable() {
        let fault = from_status(&Status::unavailable("connection refused"));
        assert_eq!(fault.kind(), FaultKind::Unavailable);
    }
}
