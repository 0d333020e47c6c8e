//! Deliveries with encrypted resources: the documented vectors through the door.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use chassis::ids::new_id;
use http::{Request, StatusCode};
use outbound::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{TestDb, fresh_database};
use tower::ServiceExt;

use crate::ingress_door::{Plan, TestDoor};

const SUBSCRIPTION: &str = "76222963-cc7b-42d2-882d-8aaa69cb2ba3";
const APP: &str = "8e460676-ae3f-4b1e-8790-ee0fb5d6148f";

fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../outbound/tests/vectors").join(name);
    std::fs::read_to_string(path).expect("a vector")
}

fn body(name: &str) -> Value {
    serde_json::from_str(&vector(name)).expect("JSON")
}

struct World {
    db: TestDb,
    door: TestDoor,
    keys_up: Arc<AtomicBool>,
}

impl World {
    async fn new(keys_up: bool) -> Self {
        let db = fresh_database().await;
        let company = db.company().await;
        let digest = hex::encode(Sha256::digest(b"s3cr3t"));
        db.execute(&format!(
            "INSERT INTO microsoft_subscriptions
                 (id, company_id, subscription_id, resource_type, resource_id, client_state_sha256, state)
             VALUES ('{}', '{company}', '{SUBSCRIPTION}', 'chat', '19:x@thread.v2', decode('{digest}', 'hex'), 'active')",
            new_id()
        ))
        .await;
        let keys_up = Arc::new(AtomicBool::new(keys_up));
        let switch = Arc::clone(&keys_up);
        let authority = Router::new().route(
            "/common/discovery/v2.0/keys",
            get(async move || {
                if switch.load(Ordering::SeqCst) {
                    Ok(vector("jwks.json"))
                } else {
                    Err(StatusCode::BAD_GATEWAY)
                }
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let keys = format!("id: test-cert-1\n{}", vector("encryption_private_key.pem"));
        let rich = Some((keys, Url::parse(&url).expect("an address"), APP.to_owned()));
        let door = Plan { rich, ..Plan::new(&db.store) }.open();
        door.process
            .tasks
            .spawn("authority", async move { axum::serve(listener, authority).await.expect("serving") });
        Self { db, door, keys_up }
    }

    async fn send(&self, body: &Value) -> StatusCode {
        let request =
            Request::post("/api/webhooks/teams").body(Body::from(body.to_string())).expect("a request");
        (*self.door).clone().oneshot(request).await.expect("routers do not fail").status()
    }

    async fn count(&self, what: &str) -> i64 {
        self.db.number(&format!("SELECT count(*) FROM {what}")).await
    }
}

#[tokio::test]
async fn what_is_proven_causes_a_run_and_leaves_no_content() {
    let world = World::new(true).await;
    let mut valid = body("rich_valid.json");
    // The path names nobody: what was opened does.
    valid["value"][0]["resource"] = json!("chats/NA");
    assert_eq!(world.send(&valid).await, StatusCode::ACCEPTED);
    assert_eq!(world.count("jobs WHERE kind = 'messages.sync_chat'").await, 1);
    assert_eq!(world.count("webhook_receipts WHERE result = 'accepted'").await, 1);
    let hints = world.db.rows("SELECT hint FROM notification_hints").await;
    assert_eq!(hints, [json!({ "hint": "1612289992105" })]);
    let stored = format!("{:?}", world.db.rows("SELECT * FROM webhook_receipts").await);
    assert!(
        !stored.contains("Robin") && !stored.contains("dataKey") && !stored.contains("s3cr3t"),
        "{stored}"
    );
}

#[tokio::test]
async fn what_is_not_proven_is_acknowledged_counted_and_changes_nothing() {
    let world = World::new(true).await;
    let tokens = body("validation_tokens.json");
    let mut cases = vec![
        ("tampered data", body("rich_tampered_data.json"), "its signature is wrong"),
        ("unknown certificate", body("rich_unknown_cert.json"), "no key of that certificate"),
        ("uncovered tenant", body("rich_second_tenant_without_token.json"), "no validation token covers"),
    ];
    for (name, token) in tokens.as_object().expect("tokens") {
        if !matches!(name.as_str(), "valid" | "v2_azp_form") {
            let mut case = body("rich_valid.json");
            case["validationTokens"] = json!([token]);
            cases.push((name.as_str(), case, "validation token: "));
        }
    }
    let mut without = body("rich_valid.json");
    without["validationTokens"] = json!([]);
    cases.push(("no token", without, "no validation token"));
    let mut strange = body("rich_valid.json");
    strange["value"][0]["encryptedContent"] = json!({ "data": 1 });
    cases.push(("strange content", strange, "documented shape"));
    assert_eq!(cases.len(), 11);
    for (name, case, reason) in cases {
        world.db.execute("DELETE FROM webhook_receipts").await;
        assert_eq!(world.send(&case).await, StatusCode::ACCEPTED, "{name}");
        let receipts = world.db.rows("SELECT result, body FROM webhook_receipts").await;
        assert!(
            !receipts.is_empty() && receipts.iter().all(|row| row["result"] == "refused"),
            "{name}: {receipts:?}"
        );
        let told = receipts[0]["body"]["refused"].as_str().unwrap_or_default();
        assert!(told.contains(reason), "{name}: {told}");
        assert_eq!((world.count("jobs").await, world.count("notification_hints").await), (0, 0), "{name}");
    }
    // The subscription is not spoiled by what others sent in its name.
    let mut second = body("rich_valid.json");
    second["validationTokens"] = json!([tokens["tampered"], tokens["v2_azp_form"]]);
    assert_eq!(world.send(&second).await, StatusCode::ACCEPTED);
    assert_eq!(world.count("jobs").await, 1);
}

#[tokio::test]
async fn while_the_signing_keys_are_unknown_the_provider_has_to_come_again() {
    let world = World::new(false).await;
    assert_eq!(world.send(&body("rich_valid.json")).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.count("webhook_receipts").await, 0);
    assert!(!world.keys_up.load(Ordering::SeqCst));
    // Without encrypted content the clientState alone decides.
    let mut basic = body("rich_valid.json");
    basic["value"][0]["encryptedContent"] = Value::Null;
    assert_eq!(world.send(&basic).await, StatusCode::ACCEPTED);
    assert_eq!(world.count("jobs").await, 1);
}

/// The bodies of the documentation, from the folder that `SYNCLINE_FIXTURES` names.
#[tokio::test]
async fn every_documented_body_is_taken() {
    let Some(folder) = std::env::var_os("SYNCLINE_FIXTURES").map(PathBuf::from) else {
        eprintln!("skipped: SYNCLINE_FIXTURES is not set");
        return;
    };
    let Ok(entries) = std::fs::read_dir(folder.join("graph/examples/notification")) else {
        eprintln!("skipped: no documented notifications in {}", folder.display());
        return;
    };
    let world = World::new(true).await;
    let mut taken = 0;
    for entry in entries.flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a body");
        let body: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(world.send(&body).await, StatusCode::ACCEPTED, "{}", entry.path().display());
        taken += 1;
    }
    assert_eq!(taken, 19);
    assert_eq!(world.count("jobs").await, 0);
    assert_eq!(world.count("webhook_receipts WHERE result = 'accepted'").await, 0);
}
