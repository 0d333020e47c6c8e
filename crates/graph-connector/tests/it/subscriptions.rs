//! Ensuring exactly one live subscription.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chassis::time::SystemClock;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::fault::from_status;
use contracts::graph::v1::{
    DeleteSubscriptionRequest, EnsureDriveSubscriptionReply, EnsureDriveSubscriptionRequest, FaultKind,
};
use domain::time::Clock;
use serde_json::{Value, json};

use crate::support::{Asked, World, context, ok};

const HOOK: &str = "https://hooks.example/api/webhooks/onedrive";

/// The provider's table of subscriptions.
#[derive(Default)]
struct Table {
    rows: Vec<Value>,
    created: usize,
    max_minutes: i64,
    lose_next_answer: bool,
}

impl Table {
    fn answer(&mut self, asked: &Asked) -> Response {
        let id = asked.path.strip_prefix("/subscriptions/").unwrap_or_default().to_owned();
        let place = self.rows.iter().position(|row| row["id"] == id.as_str());
        match (&asked.method, place) {
            (&Method::GET, _) if id.is_empty() => ok(json!({"value": self.rows})),
            (&Method::POST, _) => self.create(asked),
            (_, None) => StatusCode::NOT_FOUND.into_response(),
            (&Method::GET, Some(at)) => ok(self.rows[at].clone()),
            (&Method::PATCH, Some(at)) => {
                self.rows[at]["expirationDateTime"] = asked.body["expirationDateTime"].clone();
                ok(self.rows[at].clone())
            }
            (_, Some(at)) => {
                self.rows.remove(at);
                StatusCode::NO_CONTENT.into_response()
            }
        }
    }

    fn create(&mut self, asked: &Asked) -> Response {
        let until = asked.body["expirationDateTime"].as_str().expect("an end");
        let until: DateTime<Utc> = until.parse().expect("an end");
        if until - SystemClock.now() > TimeDelta::minutes(self.max_minutes) {
            let message =
                format!("Subscription expiration can only be {} minutes in the future.", self.max_minutes);
            let body = json!({"error": {"code": "ExtensionError", "message": message}});
            return (StatusCode::FORBIDDEN, Json(body)).into_response();
        }
        self.created += 1;
        let mut row = asked.body.clone();
        row["id"] = json!(format!("s{}", self.created));
        row["clientState"] = Value::Null;
        self.rows.push(row.clone());
        if std::mem::take(&mut self.lose_next_answer) {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        (StatusCode::CREATED, Json(row)).into_response()
    }
}

async fn world(table: &Arc<Mutex<Table>>) -> World {
    let table = Arc::clone(table);
    World::start(&[], move |asked| table.lock().expect("lock").answer(&asked)).await
}

fn table(max_minutes: i64) -> Arc<Mutex<Table>> {
    Arc::new(Mutex::new(Table { max_minutes, ..Table::default() }))
}

async fn ensure(world: &mut World, known: &str, renew_before_seconds: i64) -> EnsureDriveSubscriptionReply {
    let request = EnsureDriveSubscriptionRequest {
        context: Some(context("", false)),
        drive_id: "b!Drive".into(),
        client_state: "state".into(),
        known_subscription_id: known.into(),
        renew_before_seconds,
    };
    world.client.ensure_drive_subscription(request).await.expect("ensured").into_inner()
}

#[tokio::test]
async fn created_kept_renewed_and_deleted() {
    let table = table(4_230);
    let mut world = world(&table).await;
    let created = ensure(&mut world, "", 60).await;
    assert_eq!((created.action.as_str(), created.notification_url.as_str()), ("created", HOOK));
    let life = created.expires_at_us - SystemClock.now().timestamp_micros();
    let minutes = life / 60_000_000;
    assert!((4_220..=4_225).contains(&minutes), "the ceiling is learnt and a margin kept: {minutes}");
    let row = table.lock().expect("lock").rows[0].clone();
    assert_eq!(
        (row["resource"].as_str(), row["changeType"].as_str()),
        (Some("/drives/b!Drive/root"), Some("updated"))
    );
    assert_eq!(ensure(&mut world, "s1", 60).await.action, "kept");
    let renewed = ensure(&mut world, "s1", 10_000_000).await;
    assert_eq!((renewed.action.as_str(), renewed.subscription_id.as_str()), ("renewed", "s1"));
    // A subscription that we have no record of cannot be trusted to carry our secret.
    let replaced = ensure(&mut world, "lost", 60).await;
    assert_eq!((replaced.action.as_str(), replaced.subscription_id.as_str()), ("created", "s2"));
    assert_eq!(table.lock().expect("lock").rows.len(), 1);
    for existed in [true, false] {
        let request =
            DeleteSubscriptionRequest { context: Some(context("", false)), subscription_id: "s2".into() };
        let reply = world.client.delete_subscription(request).await.expect("a reply").into_inner();
        assert_eq!(reply.existed, existed);
    }
}

#[tokio::test]
async fn a_lost_answer_creates_no_double() {
    let table = table(42_300);
    table.lock().expect("lock").lose_next_answer = true;
    let mut world = world(&table).await;
    let ensured = ensure(&mut world, "", 60).await;
    assert_eq!((ensured.action.as_str(), ensured.subscription_id.as_str()), ("adopted", "s1"));
    assert_eq!(table.lock().expect("lock").created, 1);
}

#[tokio::test]
async fn doubles_and_foreign_secrets_go_and_others_stay() {
    let table = table(42_300);
    let until = |days: i64| (SystemClock.now() + TimeDelta::days(days)).to_rfc3339();
    let row = |id: &str, url: &str, state: Value, days: i64| {
        json!({"id": id, "resource": "drives/B!drive/root", "changeType": "updated", "notificationUrl": url,
               "clientState": state, "expirationDateTime": until(days)})
    };
    table.lock().expect("lock").rows = vec![
        row("elsewhere", "https://other.example/x", Value::Null, 9),
        row("expired", HOOK, Value::Null, -1),
        row("foreign", HOOK, json!("another secret"), 8),
        row("short", HOOK, Value::Null, 2),
        row("long", HOOK, json!("state"), 5),
    ];
    let mut world = world(&table).await;
    let ensured = ensure(&mut world, "", 60).await;
    assert_eq!((ensured.action.as_str(), ensured.subscription_id.as_str()), ("adopted", "long"));
    let left: Vec<Value> = table.lock().expect("lock").rows.iter().map(|r| r["id"].clone()).collect();
    assert_eq!(left, ["elsewhere", "expired", "long"]);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let mut world = World::start(&[("WEBHOOK_BASE_URL", "")], |_| ok(json!({"value": []}))).await;
    let request = |state: &str| EnsureDriveSubscriptionRequest {
        drive_id: "d".into(),
        client_state: state.into(),
        ..EnsureDriveSubscriptionRequest::default()
    };
    let refusal = world.client.ensure_drive_subscription(request("s")).await.expect_err("no address");
    assert!(refusal.message().contains("WEBHOOK_BASE_URL"));
    let refusal =
        world.client.ensure_drive_subscription(request(&"x".repeat(129))).await.expect_err("too long");
    assert_eq!(from_status(&refusal).code, "invalidRequest");

    let mut world = World::start(&[], |asked| {
        if asked.method == Method::POST {
            let body = json!({"error": {"code": "ExtensionError", "message": "Access denied"}});
            return (StatusCode::FORBIDDEN, Json(body)).into_response();
        }
        ok(json!({"value": []}))
    })
    .await;
    let refusal = world.client.ensure_drive_subscription(request("s")).await.expect_err("forbidden");
    assert_eq!(from_status(&refusal).kind(), FaultKind::Forbidden);
    assert!(refusal.message().contains("Files.ReadWrite.All"), "{}", refusal.message());
}
