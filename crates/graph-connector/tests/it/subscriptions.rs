//! Ensuring exactly one live subscription.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chassis::time::SystemClock;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::fault::from_status;
use contracts::graph::v1::{
    DeleteSubscriptionRequest, EnsureDriveSubscriptionReply, EnsureDriveSubscriptionRequest,
    EnsureSubscriptionRequest, FaultKind, ListSubscriptionsRequest, ProbePermissionsRequest,
    ReauthorizeSubscriptionRequest, SubscribedResource, TestNotificationUrlRequest,
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

fn wanted(resource: SubscribedResource, id: &str) -> EnsureSubscriptionRequest {
    EnsureSubscriptionRequest {
        resource: resource.into(),
        resource_id: id.into(),
        client_state: "state".into(),
        ..EnsureSubscriptionRequest::default()
    }
}

#[tokio::test]
async fn every_resource_has_its_door_and_its_ceiling() {
    let table = table(1_440);
    let mut world = world(&table).await;
    let cases = [
        (SubscribedResource::Mailbox, "u@x", "/users/u@x/messages", "outlook"),
        (SubscribedResource::Events, "u@x", "/users/u@x/events", "outlook"),
        (
            SubscribedResource::Channel,
            "t/19:c@thread.tacv2",
            "/teams/t/channels/19:c@thread.tacv2/messages",
            "teams",
        ),
        (SubscribedResource::Chat, "19:a@thread.v2", "/chats/19:a@thread.v2/messages", "teams"),
        (SubscribedResource::Drive, "b!d", "/drives/b!d/root", "onedrive"),
    ];
    for (at, (resource, id, path, door)) in cases.into_iter().enumerate() {
        let reply =
            world.subscriptions.ensure_subscription(wanted(resource, id)).await.expect(id).into_inner();
        let (now, minute) = (SystemClock.now().timestamp_micros(), 60_000_000);
        let life = (reply.expires_at_us - now) / minute;
        assert!((1_430..=1_435).contains(&life), "{id}: the ceiling is learnt for each kind: {life}");
        let renew = (reply.renew_at_us - now) / minute;
        assert!(
            (570..=720).contains(&renew),
            "{id}: at half of the life, a tenth of it earlier at most: {renew}"
        );
        assert_eq!(reply.notification_url, format!("https://hooks.example/api/webhooks/{door}"));
        let row = table.lock().expect("lock").rows[at].clone();
        assert_eq!(row["resource"], path);
        assert_eq!(row["lifecycleNotificationUrl"], "https://hooks.example/api/webhooks/microsoft/lifecycle");
        let known = EnsureSubscriptionRequest {
            known_subscription_id: reply.subscription_id.clone(),
            ..wanted(resource, id)
        };
        let kept = world.subscriptions.ensure_subscription(known).await.expect(id).into_inner();
        assert_eq!(
            (kept.action.as_str(), kept.renew_at_us),
            ("kept", reply.renew_at_us),
            "the time does not wander"
        );
    }
    let listed = world.subscriptions.list_subscriptions(ListSubscriptionsRequest::default()).await;
    let listed = listed.expect("a list").into_inner().subscriptions;
    assert!(listed.len() == 5 && listed.iter().all(|s| s.points_at_us));
    let refusal = world.subscriptions.ensure_subscription(wanted(SubscribedResource::Chat, "a/../b")).await;
    assert_eq!(from_status(&refusal.expect_err("no id")).code, "invalidRequest");
}

#[tokio::test]
async fn rich_notifications_carry_their_certificate_and_a_stranger_is_replaced() {
    let table = table(4_230);
    let mut world = world(&table).await;
    let plain = world.subscriptions.ensure_subscription(wanted(SubscribedResource::Mailbox, "u")).await;
    let known = plain.expect("plain").into_inner().subscription_id;
    let rich = |certificate: &str, known: &str| EnsureSubscriptionRequest {
        known_subscription_id: known.into(),
        encryption_certificate: "TUlJ".into(),
        encryption_certificate_id: certificate.into(),
        ..wanted(SubscribedResource::Mailbox, "u")
    };
    table.lock().expect("lock").rows[0]["includeResourceData"] = json!(false);
    let first =
        world.subscriptions.ensure_subscription(rich("one", &known)).await.expect("rich").into_inner();
    assert_eq!(first.action, "created");
    let row = table.lock().expect("lock").rows.last().cloned().expect("a row");
    assert_eq!(
        (row["includeResourceData"].as_bool(), row["encryptionCertificateId"].as_str()),
        (Some(true), Some("one"))
    );
    assert!(row["resource"].as_str().is_some_and(|r| r.contains("$select=")), "{row}");
    let same =
        world.subscriptions.ensure_subscription(rich("one", &first.subscription_id)).await.expect("rich");
    assert_eq!(same.into_inner().action, "kept");
    let other =
        world.subscriptions.ensure_subscription(rich("two", &first.subscription_id)).await.expect("rich");
    assert_eq!(other.into_inner().action, "renewed", "another certificate is told at once");
}

#[tokio::test]
async fn the_self_test_says_what_is_wrong_before_graph_does() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let app = axum::Router::new().fallback(|uri: axum::http::Uri| async move {
        let query = uri.query().unwrap_or_default().trim_start_matches("validationToken=").to_owned();
        let url = outbound::Url::parse(&format!("http://x/?t={query}")).expect("a url");
        let decoded = url.query_pairs().next().map(|(_, v)| v.into_owned()).unwrap_or_default();
        match uri.path() {
            "/api/webhooks/outlook" => query.into_response(),
            "/api/webhooks/teams" => StatusCode::FORBIDDEN.into_response(),
            _ => decoded.into_response(),
        }
    });
    let tasks = chassis::lifecycle::Tasks::new();
    tasks.spawn("door", async move { axum::serve(listener, app).await.expect("serving") });
    let settings = [("WEBHOOK_BASE_URL", base.as_str()), ("WEBHOOK_SELF_TEST", "require")];
    let shared = table(42_300);
    let own = Arc::clone(&shared);
    let mut world = World::start(&settings, move |asked| own.lock().expect("lock").answer(&asked)).await;
    let tests = world.subscriptions.test_notification_url(TestNotificationUrlRequest {}).await;
    let tests = tests.expect("tests").into_inner().tests;
    let detail =
        |end: &str| tests.iter().find(|t| t.url.ends_with(end)).map(|t| t.detail.clone()).expect(end);
    assert!(detail("onedrive").is_empty() && detail("lifecycle").is_empty(), "{tests:?}");
    assert!(detail("outlook").contains("encoded"), "{tests:?}");
    assert!(detail("teams").contains("403"), "{tests:?}");
    world.subscriptions.ensure_subscription(wanted(SubscribedResource::Drive, "d")).await.expect("passes");
    let refusal = world.subscriptions.ensure_subscription(wanted(SubscribedResource::Mailbox, "u")).await;
    let fault = from_status(&refusal.expect_err("the self-test fails"));
    assert_eq!(fault.code, "selfTestFailed");
    assert_eq!(shared.lock().expect("lock").created, 1, "Graph was not asked");
}

#[tokio::test]
async fn missing_permissions_are_named_by_what_needs_them() {
    let mut world = World::start(&[], |asked| match asked.path.split('?').next().unwrap_or_default() {
        "/users" => ok(json!({"value": [{"id": "u"}]})),
        "/teams" => ok(json!({"value": [{"id": "t"}]})),
        "/teams/t/channels" => ok(json!({"value": [{"id": "c"}]})),
        "/users/u/mailFolders/inbox" | "/users/u/chats" => StatusCode::FORBIDDEN.into_response(),
        "/users/u/events" => ok(json!({"value": []})),
        "/subscriptions/s/reauthorize" => StatusCode::NO_CONTENT.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let probes = world.subscriptions.probe_permissions(ProbePermissionsRequest::default()).await;
    let probes = probes.expect("probes").into_inner().probes;
    let of = |name: &str| probes.iter().find(|p| p.permission == name).cloned().expect(name);
    for granted in [
        "User.Read.All",
        "Calendars.Read",
        "Team.ReadBasic.All",
        "Channel.ReadBasic.All",
        "ChannelMessage.Read.All",
    ] {
        assert!(of(granted).granted, "{granted}: {probes:?}");
    }
    for missing in ["Mail.Read", "Chat.Read.All"] {
        assert!(!of(missing).granted && of(missing).untried.is_empty(), "{missing}: {probes:?}");
    }
    assert!(!of("Mail.Send").untried.is_empty() && !of("Files.Read.All").untried.is_empty());
    for (id, existed) in [("s", true), ("gone", false)] {
        let request = ReauthorizeSubscriptionRequest { context: None, subscription_id: id.into() };
        let reply =
            world.subscriptions.reauthorize_subscription(request).await.expect("a reply").into_inner();
        assert_eq!(reply.existed, existed);
    }
}
