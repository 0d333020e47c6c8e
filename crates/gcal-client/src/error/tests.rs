use super::*;

fn of(status: u16, body: &str, asked: Asked) -> GcalErrorKind {
    classify(status, &parse_error(body.as_bytes()), asked)
}

fn legacy(reason: &str) -> String {
    format!(
        r#"{{"error":{{"errors":[{{"domain":"x","reason":"{reason}","message":"m"}}],"code":1,"message":"m"}}}}"#
    )
}

#[test]
fn both_shapes_are_read() {
    let newer = r#"{"error":{"code":403,"message":"m","status":"PERMISSION_DENIED","details":[
        {"@type":"t","reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}}"#;
    assert_eq!(of(403, newer, Asked::Read), GcalErrorKind::InsufficientScopes);
    assert_eq!(parse_error(newer.as_bytes()).reason(), Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT"));
    let rate = r#"{"error":{"code":403,"status":"RESOURCE_EXHAUSTED","details":[{"reason":"RATE_LIMIT_EXCEEDED"}]}}"#;
    assert!(matches!(of(403, rate, Asked::Write), GcalErrorKind::Throttled { .. }));
    assert_eq!(of(403, "<html>", Asked::Read), GcalErrorKind::Forbidden);
}

#[test]
fn one_status_three_meanings() {
    assert_eq!(of(410, &legacy("fullSyncRequired"), Asked::Cursor), GcalErrorKind::FullSync);
    assert_eq!(of(410, &legacy("updatedMinTooLongAgo"), Asked::Cursor), GcalErrorKind::UpdatedMinTooOld);
    assert_eq!(of(410, &legacy("deleted"), Asked::Write), GcalErrorKind::Deleted);
    // A body that was lost on the way.
    assert_eq!(of(410, "", Asked::Cursor), GcalErrorKind::FullSync);
    assert_eq!(of(410, "", Asked::Write), GcalErrorKind::Deleted);
}

#[test]
fn a_write_that_may_have_landed_is_never_merely_unavailable() {
    for status in [408, 500, 502, 503, 504] {
        assert_eq!(of(status, "", Asked::Write), GcalErrorKind::Ambiguous, "{status}");
        assert_eq!(of(status, "", Asked::Read), GcalErrorKind::Unavailable, "{status}");
    }
}
