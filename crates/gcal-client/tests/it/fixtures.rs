//! Each documented error body, and each observed one, is classified.

use std::path::PathBuf;

use gcal_client::{Asked, GcalErrorKind as Kind, classify, parse_error};
use serde_json::Value;

fn errors() -> Option<Value> {
    let root = std::env::var_os("SYNCLINE_FIXTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let file = root.join("gcal/google-errors.json");
    let Ok(bytes) = std::fs::read(&file) else {
        eprintln!("skipped: no {}", file.display());
        return None;
    };
    Some(serde_json::from_slice(&bytes).expect("a fixture is JSON"))
}

fn expected(name: &str) -> Option<(Asked, Kind)> {
    let throttled = Kind::Throttled { retry_after: std::time::Duration::from_secs(1) };
    Some(match name {
        "timeRangeEmpty" | "eventTypeRestriction" | "birthday_private_props" | "oauth_invalid_grant" => {
            (Asked::Read, Kind::Refused)
        }
        "invalid_resource_id" => (Asked::Write, Kind::Refused),
        "authError" => (Asked::Read, Kind::Credential),
        "userRateLimitExceeded" | "rateLimitExceeded403" | "rateLimitExceeded429" => {
            (Asked::Write, throttled)
        }
        "quotaExceeded" => (Asked::Write, Kind::QuotaExceeded),
        "forbiddenForNonOrganizer" | "data_owner" => (Asked::Write, Kind::Forbidden),
        "notFound" => (Asked::Read, Kind::NotFound),
        "duplicate" => (Asked::Write, Kind::Duplicate),
        "conflict_batch" => (Asked::Write, Kind::TryLater),
        "fullSyncRequired" | "invalid_sync_token" => (Asked::Cursor, Kind::FullSync),
        "updatedMinTooLongAgo" => (Asked::Cursor, Kind::UpdatedMinTooOld),
        "deleted" => (Asked::Write, Kind::Deleted),
        "conditionNotMet" | "invalid_sequence" => (Asked::Write, Kind::Precondition),
        "backendError" => (Asked::Write, Kind::Ambiguous),
        "channelIdNotUnique" => (Asked::Write, Kind::ChannelIdTaken),
        "webhookUrlNotHttps" | "webhookUrlUnauthorized" => (Asked::Write, Kind::WebhookRefused),
        "pushNotSupported" => (Asked::Write, Kind::PushNotSupported),
        _ => return None,
    })
}

#[test]
fn every_published_body_has_its_class() {
    let Some(errors) = errors() else { return };
    let mut seen = 0;
    for group in ["documented", "observed_in_the_field"] {
        for (name, error) in errors[group].as_object().expect("a group of bodies") {
            let (asked, kind) = expected(name).unwrap_or_else(|| panic!("{name} is new: classify it here"));
            let status = u16::try_from(error["http_status"].as_u64().expect("a status")).expect("a status");
            let body = parse_error(error["body"].to_string().as_bytes());
            assert!(body.reason().is_some(), "{name} has a reason");
            assert_eq!(classify(status, &body, asked), kind, "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 26, "only {seen} bodies");
}
