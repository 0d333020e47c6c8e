//! The door while PostgreSQL is away: nothing that was acknowledged is lost, and nothing counts twice.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use chassis::ids::new_id;
use domain::ids::CompanyId;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::Store;
use testkit::{TestDb, eventually, fresh_database};
use tower::ServiceExt;

use crate::ingress_door::{Plan, TestDoor, blind, files};

const STATE: &str = "a clientState";

async fn subscribe(db: &TestDb, company: CompanyId, kind: &str, resource: &str, graph_id: &str) {
    let digest = hex::encode(Sha256::digest(STATE.as_bytes()));
    db.execute(&format!(
        "INSERT INTO microsoft_subscriptions
             (id, company_id, subscription_id, resource_type, resource_id, client_state_sha256, state)
         VALUES ('{}', '{company}', '{graph_id}', '{kind}', '{resource}', decode('{digest}', 'hex'), 'active')",
        new_id()
    ))
    .await;
}

fn change(subscription: &str, client_state: &str, resource: &str) -> Value {
    json!({
        "subscriptionId": subscription, "clientState": client_state, "changeType": "updated", "resource": resource,
    })
}

async fn post(door: &Router, address: &str, items: Value) -> StatusCode {
    let body = json!({ "value": items }).to_string();
    let request = Request::post("/api/webhooks/microsoft").header("x-forwarded-for", address);
    let request = request.body(Body::from(body)).expect("a request");
    let response = door.clone().oneshot(request).await.expect("routers do not fail");
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        assert!(response.headers().contains_key("retry-after"));
    }
    response.status()
}

async fn count(db: &TestDb, what: &str) -> i64 {
    db.number(&format!("SELECT count(*) FROM {what}")).await
}

async fn replayed(door: &TestDoor) {
    eventually("an empty spool", async || (door.spooled() == 0).then_some(())).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[tokio::test]
async fn what_came_while_the_database_was_away_is_replayed() {
    let db = fresh_database().await;
    let company = db.company().await;
    for n in 0..3 {
        subscribe(&db, company, "drive", &format!("b!{n}"), &format!("s{n}")).await;
    }
    let (proxy, config) = db.proxied().await;
    let store = Store::new(&config, "test").expect("a URL");
    let door = Plan::new(&store).open();
    assert_eq!(post(&door, "a", json!([change("s0", STATE, "drives/b!0/root")])).await, StatusCode::ACCEPTED);
    assert_eq!(count(&db, "jobs").await, 1);
    proxy.close();
    for n in 0..60 {
        let items = json!([change(&format!("s{}", n % 3), STATE, "root"), change("s0", "guess", "root")]);
        assert_eq!(post(&door, "a", items).await, StatusCode::ACCEPTED, "number {n}");
    }
    assert!(door.spooled() > 0);
    assert_eq!(count(&db, "jobs").await, 1, "nobody was asked");
    let text: String = std::fs::read_dir(&door.folder)
        .expect("a folder")
        .flatten()
        .map(|entry| String::from_utf8_lossy(&std::fs::read(entry.path()).expect("a file")).into_owned())
        .collect();
    assert!(
        text.contains("s2") && !text.contains(STATE) && !text.contains("guess"),
        "no secret is in the spool"
    );
    proxy.open();
    replayed(&door).await;
    assert_eq!(count(&db, "jobs").await, 3, "one for each drive");
    assert_eq!(count(&db, "webhook_receipts WHERE result = 'refused'").await, 1);
    assert_eq!(count(&db, "webhook_receipts WHERE result = 'accepted'").await, 3);
    eventually("the door to use the database again", async || {
        db.execute("DELETE FROM jobs; DELETE FROM outbox").await;
        post(&door, "a", json!([change("s1", STATE, "root")])).await;
        (count(&db, "jobs").await == 1 && door.spooled() == 0).then_some(())
    })
    .await;
}

/// A process dies between the commit of a replay and the removal from its spool, at the worst moment.
#[tokio::test]
async fn an_entry_is_replayed_once_whatever_dies() {
    let db = fresh_database().await;
    let company = db.company().await;
    subscribe(&db, company, "chat", "19:x", "s").await;
    let door = Plan::new(&blind()).open();
    for n in 0..20 {
        let path = format!("chats('19:x')/messages('{n}')");
        assert_eq!(post(&door, "a", json!([change("s", STATE, &path)])).await, StatusCode::ACCEPTED);
    }
    let folder = door.end().await;
    assert!(files(&folder) > 0);
    let before = folder.with_extension("copy");
    copy(&folder, &before);

    let door = Plan { folder, ..Plan::new(&db.store) }.open();
    replayed(&door).await;
    assert_eq!((count(&db, "jobs").await, count(&db, "notification_hints").await), (1, 20));
    drop(door);
    // The run was done meanwhile: a second replay would cause another one.
    db.execute("DELETE FROM jobs; DELETE FROM outbox; DELETE FROM notification_hints").await;
    let again = Plan { folder: before, ..Plan::new(&db.store) }.open();
    replayed(&again).await;
    assert_eq!((count(&db, "jobs").await, count(&db, "notification_hints").await), (0, 0));
    assert_eq!(count(&db, "door_spools").await, 1);
}

#[tokio::test]
async fn strangers_cannot_fill_the_spool_and_friends_still_can() {
    let db = fresh_database().await;
    let company = db.company().await;
    subscribe(&db, company, "drive", "b!d", "s").await;
    let (proxy, config) = db.proxied().await;
    let door = Plan::new(&Store::new(&config, "test").expect("a URL")).open();
    assert_eq!(post(&door, "friend", json!([change("s", STATE, "root")])).await, StatusCode::ACCEPTED);
    proxy.close();
    let (mut taken, mut refused) = (0, 0);
    for n in 0..200 {
        match post(&door, "stranger", json!([change(&format!("x{n}"), "guess", "root")])).await {
            StatusCode::ACCEPTED => taken += 1,
            StatusCode::SERVICE_UNAVAILABLE => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused > 50 && taken < 150, "{taken} taken, {refused} refused");
    // The same address, with a proof that was right before.
    for _ in 0..50 {
        assert_eq!(post(&door, "stranger", json!([change("s", STATE, "root")])).await, StatusCode::ACCEPTED);
    }
}

#[tokio::test]
async fn a_full_spool_acknowledges_nothing() {
    let plan = Plan { spool_bytes: 40_000, ..Plan::new(&blind()) };
    let door = plan.open();
    let large = "y".repeat(5000);
    let mut taken = 0;
    loop {
        let status = post(&door, "a", json!([change("s", STATE, &large[..4000])])).await;
        if status != StatusCode::ACCEPTED {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            break;
        }
        taken += 1;
        assert!(taken < 20, "40,000 bytes hold less than that");
    }
    assert!(taken > 1);
    let health = door.process.health.clone();
    eventually("the door to be unready", async || (!health.ready()).then_some(())).await;
}

#[tokio::test]
async fn an_entry_that_the_database_does_not_take_stops_nobody() {
    let db = fresh_database().await;
    let company = db.company().await;
    subscribe(&db, company, "drive", "b!d", "s").await;
    // What stands for any row that PostgreSQL refuses for what it says.
    db.execute("ALTER TABLE webhook_receipts ADD CHECK (resource <> 'poison')").await;
    let door = Plan::new(&db.store).open();
    assert_eq!(post(&door, "a", json!([change("s", STATE, "poison")])).await, StatusCode::ACCEPTED);
    replayed(&door).await;
    let kept = std::fs::read_to_string(door.folder.join("set-aside")).expect("a file");
    assert!(kept.contains("poison") && kept.lines().count() == 1, "{kept}");
    assert_eq!(count(&db, "jobs").await, 0);
    assert_eq!(post(&door, "a", json!([change("s", STATE, "root")])).await, StatusCode::ACCEPTED);
    eventually("the next one", async || (count(&db, "jobs").await == 1).then_some(())).await;
}
