//! Every type of resource: its run, its hints, its lifecycle.

use axum::body::Body;
use chassis::ids::new_id;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{TestDb, fresh_database};
use tower::ServiceExt;

use crate::ingress_door::{Plan, TestDoor};

const STATE: &str = "a clientState";

async fn world(resources: &[(&str, &str)]) -> (TestDb, TestDoor) {
    let db = fresh_database().await;
    let company = db.company().await;
    let digest = hex::encode(Sha256::digest(STATE.as_bytes()));
    for (kind, resource) in resources {
        db.execute(&format!(
            "INSERT INTO microsoft_subscriptions
                 (id, company_id, subscription_id, resource_type, resource_id, client_state_sha256, state)
             VALUES ('{}', '{company}', '{kind}', '{kind}', '{resource}', decode('{digest}', 'hex'), 'active')",
            new_id()
        ))
        .await;
    }
    let door = Plan::new(&db.store).open();
    (db, door)
}

async fn notify(door: &TestDoor, path: &str, items: Vec<Value>) {
    let body = Body::from(json!({ "value": items }).to_string());
    let request = Request::post(format!("/api/webhooks/{path}")).body(body).expect("a request");
    let response = (**door).clone().oneshot(request).await.expect("routers do not fail");
    assert_eq!(response.status(), StatusCode::ACCEPTED);
}

fn change(kind: &str, resource: &str, change: &str) -> Value {
    json!({ "subscriptionId": kind, "clientState": STATE, "changeType": change, "resource": resource })
}

const ALL: [(&str, &str); 4] =
    [("mailbox", "u-1"), ("channel", "t-1/19:c@thread.tacv2"), ("chat", "19:x"), ("events", "u-1")];

#[tokio::test]
async fn each_type_gets_one_run_and_its_hints() {
    let (db, door) = world(&ALL).await;
    let mail = change("mailbox", "Users/u-1/Messages/AAMk=", "created");
    notify(&door, "outlook", vec![mail.clone(), mail]).await;
    let root = "teams('t-1')/channels('19:c@thread.tacv2')/messages('1')";
    let reply = format!("{root}/replies('2')");
    notify(&door, "teams", vec![change("channel", root, "Updated"), change("channel", &reply, "created")])
        .await;
    notify(&door, "teams", vec![change("chat", "chats('19:x')/messages('9')", "deleted")]).await;
    notify(&door, "outlook", vec![change("events", "Users/u-1/Events/e", "updated")]).await;

    let jobs = db.rows("SELECT kind, payload, dedupe_key, resource_key FROM jobs ORDER BY kind").await;
    let key = "channel:t-1/19:c@thread.tacv2";
    assert_eq!(
        jobs,
        [
            json!({ "kind": "messages.sync_channel", "dedupe_key": key, "resource_key": key, "payload": {
                "team_id": "t-1", "channel_id": "19:c@thread.tacv2", "mode": "delta", "trigger": "webhook" } }),
            json!({ "kind": "messages.sync_chat", "dedupe_key": "chat:19:x", "resource_key": "chat:19:x", "payload": {
                "chat_id": "19:x", "mode": "delta", "trigger": "webhook" } }),
            json!({ "kind": "messages.sync_mailbox", "dedupe_key": "mailbox:u-1", "resource_key": "mailbox:u-1",
                "payload": { "user_id": "u-1", "mode": "delta", "trigger": "webhook" } }),
        ]
    );
    let hints = db.rows("SELECT resource_key, hint, change_type FROM notification_hints ORDER BY 1, 2").await;
    let hint = |key: &str, hint: &str, change: &str| json!({ "resource_key": key, "hint": hint, "change_type": change });
    assert_eq!(
        hints,
        [
            hint(key, "1", "updated"),
            hint(key, "1/2", "created"),
            hint("chat:19:x", "9", "deleted"),
            hint("mailbox:u-1", "AAMk=", "created"),
        ]
    );
    assert_eq!(db.number("SELECT count(*) FROM webhook_receipts WHERE result = 'accepted'").await, 5);
    // A message that is named while a run waits is hinted too, although no other run is needed.
    notify(&door, "teams", vec![change("chat", "chats('19:x')/messages('10')", "created")]).await;
    assert_eq!(
        db.number("SELECT count(*) FROM notification_hints WHERE resource_key = 'chat:19:x'").await,
        2
    );
    assert_eq!(db.number("SELECT count(*) FROM jobs").await, 3);
}

#[tokio::test]
async fn hints_of_one_resource_are_bounded() {
    let (db, door) = world(&ALL).await;
    let message = |n: usize| change("chat", &format!("chats('19:x')/messages('{n:05}')"), "created");
    for part in 0..3 {
        notify(&door, "teams", (part * 600..(part + 1) * 600).map(message).collect()).await;
    }
    notify(&door, "outlook", vec![change("mailbox", "Users/u-1/Messages/m", "created")]).await;
    assert_eq!(
        db.number("SELECT count(*) FROM notification_hints WHERE resource_key = 'chat:19:x'").await,
        1000
    );
    assert_eq!(db.number("SELECT count(*) FROM notification_hints").await, 1001, "others have room");
    // One that waits is named again although there is no room for another.
    db.execute("UPDATE notification_hints SET received_at = '2020-01-01'").await;
    notify(&door, "teams", vec![message(0), message(9999)]).await;
    let named = "SELECT count(*) FROM notification_hints WHERE received_at > '2021-01-01'";
    assert_eq!(db.number(named).await, 1);
}

#[tokio::test]
async fn lifecycle_events_ask_for_what_is_documented() {
    let (db, door) = world(&ALL).await;
    for (event, intent, state) in [
        ("reauthorizationRequired", "reauthorize", "active"),
        ("missed", "ensure", "active"),
        ("subscriptionRemoved", "recreate", "removed"),
    ] {
        for (kind, resource) in ALL {
            db.execute("DELETE FROM jobs; DELETE FROM outbox").await;
            let item = json!({ "subscriptionId": kind, "clientState": STATE, "lifecycleEvent": event });
            notify(&door, "microsoft/lifecycle", vec![item.clone(), item]).await;
            let looks =
                db.rows("SELECT payload FROM jobs WHERE kind = 'maintenance.ensure_subscription'").await;
            let payload = json!({ "resource_type": kind, "resource_id": resource, "intent": intent });
            assert_eq!(looks, [json!({ "payload": payload })], "{event} {kind}");
            let runs = db.number("SELECT count(*) FROM jobs WHERE kind LIKE 'messages.%'").await;
            assert_eq!(runs, i64::from(kind != "events"), "{event} {kind}: followed by a delta");
            let states = db
                .rows(&format!("SELECT state FROM microsoft_subscriptions WHERE resource_type = '{kind}'"))
                .await;
            assert_eq!(states, [json!({ "state": state })], "{event} {kind}");
        }
    }
    // Forged ones change nothing.
    db.execute("DELETE FROM jobs; UPDATE microsoft_subscriptions SET state = 'active'").await;
    let forged =
        json!({ "subscriptionId": "chat", "clientState": "guess", "lifecycleEvent": "subscriptionRemoved" });
    notify(&door, "microsoft/lifecycle", vec![forged]).await;
    assert_eq!(db.number("SELECT count(*) FROM jobs").await, 0);
    assert_eq!(db.number("SELECT count(*) FROM microsoft_subscriptions WHERE state = 'removed'").await, 0);
}
