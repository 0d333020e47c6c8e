//! The real program, killed while it fills its spool: what it acknowledged is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::ids::new_id;
use outbound::Url;
use outbound::http::{HttpClient, Request};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use testkit::e2e::caller::http;
use testkit::e2e::ports::Ports;
use testkit::e2e::process::{Launch, Process};
use testkit::proxy::Proxy;
use testkit::{TestDb, eventually, fresh_database};

use crate::ingress_door::files;

const START: Duration = Duration::from_mins(1);
const ROUNDS: usize = 4;
const CONNECTIONS: usize = 8;

/// Sends messages one after the other until the door is gone; returns the numbers that were acknowledged.
async fn send(client: Arc<HttpClient>, door: Url, name: String, acknowledged: Arc<Mutex<BTreeSet<String>>>) {
    for n in 0.. {
        let message = format!("{name}-{n}");
        let item = json!({
            "subscriptionId": "s", "clientState": "state", "changeType": "created",
            "resource": format!("chats('19:x')/messages('{message}')"),
        });
        let request = Request::new(outbound::Method::POST, door.clone());
        let request = request.json(&json!({ "value": [item] })).expect("JSON");
        match client.send(request).await {
            Ok(answer) if answer.status == 202 => acknowledged.lock().expect("not poisoned").insert(message),
            _ => return,
        };
    }
}

async fn hints(db: &TestDb) -> BTreeSet<String> {
    let rows = db.rows("SELECT hint FROM notification_hints").await;
    rows.iter().filter_map(|row| row["hint"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn what_a_killed_door_acknowledged_is_not_lost() {
    let seed = u64::from_be_bytes(chassis::ids::random_bytes());
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let db = fresh_database().await;
    let company = db.company().await;
    db.execute(&format!(
        "INSERT INTO microsoft_subscriptions
             (id, company_id, subscription_id, resource_type, resource_id, client_state_sha256, state)
         VALUES ('{}', '{company}', 's', 'chat', '19:x', sha256('state'), 'active')",
        new_id()
    ))
    .await;
    let (proxy, url) = Proxy::before(&db.app_url, 5432).await;
    let folder = std::env::temp_dir().join(format!("killed-{}", new_id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let spool = folder.join("spool");
    let mut ports = Ports::take().expect("ports");
    let (address, admin) = (ports.address().expect("a port"), ports.address().expect("a port"));
    let door = Url::parse(&format!("http://{address}/api/webhooks/teams")).expect("an address");
    let mut process = Process::new(Launch {
        program: "webhook-ingress".to_owned(),
        label: "webhook-ingress".to_owned(),
        args: Vec::new(),
        env: BTreeMap::from([
            ("DATABASE_URL".to_owned(), url),
            ("WEBHOOK_INGRESS_HTTP_ADDR".to_owned(), address.to_string()),
            ("WEBHOOK_INGRESS_ADMIN_ADDR".to_owned(), admin.to_string()),
            ("SPOOL_DIR".to_owned(), spool.display().to_string()),
        ]),
        ready: Some(format!("http://{admin}/readyz")),
        logs: folder.clone(),
    });
    let client = http().expect("a client");
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..ROUNDS {
        process.start().expect("the program, built with `cargo build --bins`");
        process.ready(&client, START).await.expect("a ready door");
        // It knows the sender before the database goes away.
        let first = Request::new(outbound::Method::POST, door.clone());
        let body = json!({ "value": [{ "subscriptionId": "s", "clientState": "state" }] });
        let answer = client.send(first.json(&body).expect("JSON")).await.expect("an answer");
        assert_eq!(answer.status, 202);
        proxy.close();
        let senders = (0..CONNECTIONS).map(|n| {
            send(Arc::clone(&client), door.clone(), format!("{round}-{n}"), Arc::clone(&acknowledged))
        });
        let before = acknowledged.lock().expect("not poisoned").len();
        let kill = async {
            // Sooner or later, and never so late that the resource has more hints than it keeps.
            let wanted = before + rng.random_range(1..200);
            eventually("acknowledgements", async || {
                (acknowledged.lock().expect("not poisoned").len() >= wanted).then_some(())
            })
            .await;
            process.kill().await.expect("a killed process");
        };
        tokio::join!(futures::future::join_all(senders), kill);
        proxy.open();
    }
    assert!(files(&spool) > 0);
    process.start().expect("the program");
    process.ready(&client, START).await.expect("a ready door");
    eventually("an empty spool", async || (files(&spool) == 0).then_some(())).await;
    let (found, wanted) = (hints(&db).await, acknowledged.lock().expect("not poisoned").clone());
    let lost: Vec<&String> = wanted.difference(&found).collect();
    assert!(lost.is_empty(), "seed {seed}: of {} acknowledged, lost {lost:?}", wanted.len());
    assert!(wanted.len() > ROUNDS && found.len() < 1000, "{} of {}", wanted.len(), found.len());
    let jobs: Vec<Value> = db.rows("SELECT DISTINCT kind FROM jobs").await;
    assert_eq!(jobs, [json!({ "kind": "messages.sync_chat" })]);
    process.kill().await.expect("a killed process");
    std::fs::remove_dir_all(&folder).expect("the folder is there");
}
