//! What operators are told.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use contracts::fault::from_status;
use contracts::graph::v1::{FaultKind, GetDriveRequest, GetStatusRequest, RefreshTokenRequest};
use serde_json::json;
use tonic::Code;

use crate::support::{World, context, ok};

fn drive(id: &str) -> GetDriveRequest {
    GetDriveRequest { context: Some(context("", false)), drive_id: id.into() }
}

#[tokio::test]
async fn configured_and_authenticated() {
    let mut world = World::start(&[], |_| ok(json!({"id": "d", "value": [], "@odata.deltaLink": "x"}))).await;
    let status = world.client.get_status(GetStatusRequest {}).await.expect("a reply").into_inner();
    assert!(status.configured && status.authenticated && status.missing.is_empty(), "{status:?}");
    assert_eq!((status.retry_max_attempts, status.retry_max_ms), (4, 15_000));
    assert_eq!(
        (status.breaker_failure_threshold, status.breaker_timeout_ms, status.breaker_reset_ms),
        (4, 90_000, 60_000)
    );
    assert_eq!((status.cache_provider.as_str(), status.cache_connected), ("memory", true));
    assert_eq!((status.active_secret.as_str(), status.breaker_state), ("current", 0));
    world.client.get_drive(drive("d")).await.expect("a drive");
    let refreshed = world.client.refresh_token(RefreshTokenRequest {}).await.expect("a reply").into_inner();
    assert!(refreshed.expires_at_us >= status.token_expires_at_us.expect("a time"));
}

#[tokio::test]
async fn without_credentials_it_says_what_to_set() {
    let unset = [("AZURE_CLIENT_ID", ""), ("AZURE_CLIENT_SECRET", "")];
    let mut world = World::start(&unset, |_| ok(json!({}))).await;
    let status = world.client.get_status(GetStatusRequest {}).await.expect("a reply").into_inner();
    assert!(!status.configured && !status.authenticated);
    assert_eq!(status.missing, ["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"]);
    let refusal = world.client.get_drive(drive("d")).await.expect_err("no credential");
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert!(refusal.message().contains("AZURE_CLIENT_SECRET"), "{}", refusal.message());
    assert_eq!(from_status(&refusal).kind(), FaultKind::Credential);
    assert!(world.seen().is_empty());
}

#[tokio::test]
async fn missing_permissions_and_an_open_breaker_show() {
    let mut world = World::start(&[], |asked| {
        let status = if asked.path.starts_with("/drives/forbidden") {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::BAD_GATEWAY
        };
        status.into_response()
    })
    .await;
    world.client.get_drive(drive("forbidden")).await.expect_err("forbidden");
    let status = world.client.get_status(GetStatusRequest {}).await.expect("a reply").into_inner();
    assert_eq!(status.missing_permissions, ["Files.Read.All"]);
    world.client.get_drive(drive("down")).await.expect_err("down");
    let refusal = world.client.get_drive(drive("down")).await.expect_err("open");
    let fault = from_status(&refusal);
    assert_eq!(fault.kind(), FaultKind::BreakerOpen);
    assert!(fault.retry_after_ms > 50_000);
    let status = world.client.get_status(GetStatusRequest {}).await.expect("a reply").into_inner();
    assert_eq!(status.breaker_state, 2);
    assert!(status.breaker_retry_at_us.is_some());
}
