//! The door for notifications, in process, over a fresh database.

use axum::Router;
use axum::body::Body;
use domain::ids::CompanyId;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::Store;
use store::subscriptions::{activate, begin_pending};
use testkit::{TestDb, fresh_database};
use tower::ServiceExt;
use uuid::Uuid;

use crate::ingress_door::{Plan, TestDoor, blind};

const STATE: &str = "a clientState";

struct World {
    db: TestDb,
    company: CompanyId,
    door: TestDoor,
}

impl World {
    async fn new() -> Self {
        let db = fresh_database().await;
        let company = db.company().await;
        let door = door(&db.store, true);
        Self { db, company, door }
    }

    async fn pending(&self, drive: &str, client_state: &str) -> Uuid {
        let digest = Sha256::digest(client_state.as_bytes());
        let mut tx = self.db.store.tenant(self.company).await.expect("a transaction");
        let id = begin_pending(&mut tx, self.company, "drive", drive, &digest).await.expect("a row");
        tx.commit().await.expect("a commit");
        id
    }

    async fn subscription(&self, drive: &str, graph_id: &str) {
        let id = self.pending(drive, STATE).await;
        let mut tx = self.db.store.tenant(self.company).await.expect("a transaction");
        let expires = "2030-01-01T00:00:00Z".parse().expect("a time");
        let known =
            activate(&mut tx, self.company, id, graph_id, "https://x/", expires).await.expect("an update");
        assert!(known);
        tx.commit().await.expect("a commit");
    }

    async fn notify(&self, items: Value) -> StatusCode {
        post(&self.door, "/api/webhooks/onedrive", &json!({ "value": items })).await.status()
    }

    async fn count(&self, what: &str) -> i64 {
        self.db.number(&format!("SELECT count(*) FROM {what}")).await
    }
}

fn door(store: &Store, realtime: bool) -> TestDoor {
    Plan { realtime, ..Plan::new(store) }.open()
}

async fn post(door: &Router, path: &str, body: &Value) -> Response<Body> {
    let request =
        Request::post(path).header("content-type", "application/json").body(Body::from(body.to_string()));
    door.clone().oneshot(request.expect("a request")).await.expect("routers do not fail")
}

async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn change(subscription: &str, client_state: &str) -> Value {
    json!({
        "subscriptionId": subscription, "clientState": client_state, "changeType": "updated",
        "resource": "drives/b!d/root", "subscriptionExpirationDateTime": "2030-01-01T00:00:00.0000000Z",
    })
}

#[tokio::test]
async fn the_handshake_needs_no_database() {
    let door = door(&blind(), true);
    for path in ["microsoft", "onedrive", "teams", "outlook", "microsoft/lifecycle"] {
        let uri = format!("/api/webhooks/{path}?validationToken=Validation%3A+a%2Bb%20%C3%A9");
        for method in ["POST", "GET"] {
            let request = Request::builder().method(method).uri(&uri).body(Body::from("{not json"));
            let response = door.clone().oneshot(request.expect("a request")).await.expect("an answer");
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
            assert_eq!(text(response).await, "Validation: a+b é", "{method} {path}");
        }
    }
    let in_body = post(&door, "/api/webhooks/microsoft", &json!({ "validationToken": "t" })).await;
    assert_eq!((in_body.status(), text(in_body).await.as_str()), (StatusCode::OK, "t"));
}

#[tokio::test]
async fn a_burst_becomes_one_job_and_one_receipt() {
    let world = World::new().await;
    world.subscription("b!d", "s1").await;
    world.subscription("b!e", "s2").await;
    let items = json!([change("s1", STATE), change("s1", STATE), change("s2", STATE)]);
    assert_eq!(world.notify(items).await, StatusCode::ACCEPTED);
    assert_eq!(world.count("jobs").await, 2, "one per drive");
    assert_eq!(world.count("outbox").await, 2);
    assert_eq!(world.count("webhook_receipts WHERE result = 'accepted'").await, 2);
    for _ in 0..20 {
        assert_eq!(world.notify(json!([change("s1", STATE)])).await, StatusCode::ACCEPTED);
    }
    assert_eq!((world.count("jobs").await, world.count("webhook_receipts").await), (2, 2));
    let rows = world.db.rows("SELECT payload, dedupe_key, resource_key FROM jobs ORDER BY dedupe_key").await;
    assert_eq!(rows[0]["payload"]["trigger"], "webhook", "{rows:?}");
    assert_eq!(
        (&rows[0]["dedupe_key"], &rows[0]["resource_key"]),
        (&json!("drive:b!d"), &json!("drive:b!d"))
    );
    let stored = world.db.rows("SELECT body FROM webhook_receipts").await;
    assert!(!format!("{stored:?}").contains(STATE), "the clientState is not stored");
    assert_eq!(world.count("microsoft_subscriptions WHERE last_notification_at IS NOT NULL").await, 2);

    // While the first job runs, the next notification gets a follow-up of its own, once.
    world.db.execute("UPDATE jobs_live SET state = 'running' WHERE dedupe_key = 'drive:b!d'").await;
    for _ in 0..3 {
        world.notify(json!([change("s1", STATE)])).await;
    }
    assert_eq!(world.count("jobs").await, 3);
}

#[tokio::test]
async fn a_company_without_realtime_is_not_woken() {
    let world = World::new().await;
    world.subscription("b!d", "s1").await;
    crate::switches::throw(&world.db.store, world.company, domain::flags::Flag::RealtimeSync, None).await;
    assert_eq!(world.notify(json!([change("s1", STATE)])).await, StatusCode::ACCEPTED);
    assert_eq!(world.count("jobs").await, 0);
    world.db.execute("DELETE FROM operator_flags").await;
    // A door of its own: its view of the switches begins now.
    let door = door(&world.db.store, true);
    let items = json!({ "value": [change("s1", STATE)] });
    assert_eq!(post(&door, "/api/webhooks/onedrive", &items).await.status(), StatusCode::ACCEPTED);
    assert_eq!(world.count("jobs").await, 1);
}

#[tokio::test]
async fn strangers_cause_nothing() {
    let world = World::new().await;
    world.subscription("b!d", "s1").await;
    let items = json!([change("s1", "guess"), { "subscriptionId": "s1", "changeType": "updated" },
                       change("s9", STATE), "rubbish", { "subscriptionId": null }]);
    assert_eq!(world.notify(items).await, StatusCode::ACCEPTED);
    assert_eq!(world.count("jobs").await, 0);
    assert_eq!(world.count("webhook_receipts WHERE result = 'refused'").await, 2);
    assert_eq!(world.count("webhook_receipts WHERE result = 'unknown' AND company_id IS NULL").await, 1);

    for (body, status) in [
        (json!({ "values": [] }), StatusCode::BAD_REQUEST),
        (json!([]), StatusCode::BAD_REQUEST),
        (json!({ "value": [] }), StatusCode::ACCEPTED),
        (json!({ "value": vec![change("s9", "x"); 1001] }), StatusCode::PAYLOAD_TOO_LARGE),
        (
            json!({ "value": [{ "subscriptionId": "s9", "x": "y".repeat(1 << 20) }] }),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ] {
        let response = post(&world.door, "/api/webhooks/microsoft", &body).await;
        assert_eq!(response.status(), status, "{}", text(response).await);
    }
}

#[tokio::test]
async fn a_notification_may_overtake_the_answer_to_our_post() {
    let world = World::new().await;
    world.pending("b!d", "fresh state").await;
    assert_eq!(world.notify(json!([change("graph-id", "fresh state")])).await, StatusCode::ACCEPTED);
    assert_eq!(world.count("jobs WHERE resource_key = 'drive:b!d'").await, 1);
    assert_eq!(world.count("webhook_receipts WHERE result = 'accepted'").await, 1);

    // One that comes before even the pending row is kept, and adopted when the subscription is known.
    world.notify(json!([change("other-id", "later")])).await;
    let mut tx = world.db.store.dispatch().await.expect("a transaction");
    assert_eq!(
        store::receipts::adopt_unknown(&mut tx, "other-id", world.company).await.expect("an update"),
        1
    );
    tx.commit().await.expect("a commit");
}

#[tokio::test]
async fn lifecycle_events_look_after_the_subscription() {
    let world = World::new().await;
    world.subscription("b!d", "s1").await;
    for (event, state) in
        [("missed", "active"), ("reauthorizationRequired", "active"), ("subscriptionRemoved", "removed")]
    {
        world.db.execute("DELETE FROM jobs; DELETE FROM outbox").await;
        let body =
            json!({ "value": [{ "subscriptionId": "s1", "clientState": STATE, "lifecycleEvent": event }] });
        let response = post(&world.door, "/api/webhooks/microsoft/lifecycle", &body).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        assert_eq!(world.count("jobs").await, 2, "{event}");
        let rows = world.db.rows("SELECT state FROM microsoft_subscriptions").await;
        assert_eq!(rows[0]["state"], state, "{event}");
    }
    assert_eq!(world.count("webhook_receipts WHERE change_type = 'missed'").await, 1);
}

#[tokio::test]
async fn realtime_can_be_switched_off() {
    let world = World::new().await;
    world.subscription("b!d", "s1").await;
    let quiet = door(&world.db.store, false);
    let response = post(&quiet, "/api/webhooks/onedrive", &json!({ "value": [change("s1", STATE)] })).await;
    assert_eq!((response.status(), world.count("jobs").await), (StatusCode::ACCEPTED, 0));
}
