//! Classification of bodies and statuses that were seen.

use super::*;
use outbound::{HeaderMap, HeaderValue};

fn answer(status: u16, body: &str, headers: &[(&'static str, &'static str)]) -> Response {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_static(value));
    }
    Response {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: map,
        body: body.as_bytes().to_vec().into(),
        place: String::new(),
    }
}

fn kind(status: u16, body: &str, on_link: bool) -> GraphErrorKind {
    GraphError::from_response("delta", &answer(status, body, &[]), on_link).kind
}

#[test]
fn both_spellings_and_the_deepest_known_code() {
    let body = parse_error(
        br#"{"error":{"code":"activityLimitReached","innererror":{"code":"throttledRequest","innerError":{"code":"x9","requestId":"r","date":"2020-01-01T00:00:00"}},"message":"m"}}"#,
    );
    assert_eq!(body.code(), Some("throttledRequest"));
    assert_eq!(body.request_id.as_deref(), Some("r"));
    assert_eq!(
        parse_error(br#"{"error":{"code":"brandNew","innerError":{"code":"newer"}}}"#).code(),
        Some("brandNew")
    );
    assert_eq!(
        parse_error(br#"{"error":"invalid_client","error_description":"d"}"#).code(),
        Some("invalid_client")
    );
    for broken in ["", "<html>", "null", "[]", r#"{"error":null}"#, r#"{"error":{"innerError":7}}"#] {
        assert_eq!(parse_error(broken.as_bytes()).code(), None, "{broken}");
    }
}

#[test]
fn gone_says_where_and_how() {
    let body = r#"{"error":{"code":"resyncChangesApplyDifferences","message":"Resync required."}}"#;
    let response =
        answer(410, body, &[("location", "https://graph.microsoft.com/v1.0/x"), ("request-id", "rid")]);
    let error = GraphError::from_response("delta", &response, true);
    assert_eq!(
        error.kind,
        GraphErrorKind::Resync {
            instruction: Some("resyncChangesApplyDifferences"),
            location: Some("https://graph.microsoft.com/v1.0/x".into())
        }
    );
    assert_eq!(error.support.request_id.as_deref(), Some("rid"));
    let bare = GraphErrorKind::Resync { instruction: None, location: None };
    assert_eq!(kind(410, "", true), bare);
    assert_eq!(kind(400, r#"{"error":{"code":"resyncRequired"}}"#, true), bare);
}

#[test]
fn statuses() {
    assert_eq!(kind(400, "", true), GraphErrorKind::BadLink);
    assert_eq!(kind(400, "", false), GraphErrorKind::Refused);
    assert_eq!(kind(401, "", false), GraphErrorKind::Credential);
    assert_eq!(kind(403, "", false), GraphErrorKind::Forbidden);
    assert_eq!(kind(404, "", true), GraphErrorKind::NotFound);
    assert_eq!(kind(409, "", false), GraphErrorKind::TryLater);
    assert_eq!(kind(423, "", false), GraphErrorKind::Locked);
    assert_eq!(kind(503, "", false), GraphErrorKind::Unavailable);
    assert_eq!(kind(507, "", false), GraphErrorKind::Refused);
    assert_eq!(kind(409, r#"{"error":{"code":"cannotSnapshotTree"}}"#, true), GraphErrorKind::TryLater);
    assert!(matches!(
        kind(503, r#"{"error":{"code":"activityLimitReached"}}"#, false),
        GraphErrorKind::Throttled { .. }
    ));
}
