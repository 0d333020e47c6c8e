//! The door for messages of Google's push channels, in process, over a fresh database.

use axum::Router;
use axum::body::Body;
use domain::ids::CompanyId;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::Store;
use testkit::{TestDb, fresh_database};
use tower::ServiceExt;
use uuid::Uuid;

use crate::ingress_door::{Plan, TestDoor};

const TOKEN: &str = "a channel's token";
const PATH: &str = "/api/webhooks/google-calendar";

struct World {
    db: TestDb,
    company: CompanyId,
    connection: Uuid,
    door: TestDoor,
}

fn door(store: &Store, realtime: bool) -> TestDoor {
    Plan { realtime, ..Plan::new(store) }.open()
}

async fn send(door: &Router, headers: &[(&str, &str)]) -> StatusCode {
    let mut request = Request::post(PATH).header("user-agent", "APIs-Google").header("content-length", "0");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    door.clone().oneshot(request).await.expect("routers do not fail").status()
}

/// A message as Google sends it.
async fn message(door: &Router, channel: &str, token: &str, resource: &str, state: &str) -> StatusCode {
    let uri = "https://www.googleapis.com/calendar/v3/calendars/a@example.com/events?alt=json";
    let headers = [
        ("X-Goog-Channel-ID", channel),
        ("X-Goog-Channel-Token", token),
        ("X-Goog-Channel-Expiration", "Tue, 19 Nov 2030 01:13:52 GMT"),
        ("X-Goog-Resource-ID", resource),
        ("X-Goog-Resource-URI", uri),
        ("X-Goog-Resource-State", state),
        ("X-Goog-Message-Number", if state == "sync" { "1" } else { "24" }),
    ];
    send(door, &headers).await
}

impl World {
    async fn new() -> Self {
        let db = fresh_database().await;
        let company = db.company().await;
        let (account, connection) = (chassis::ids::new_id(), chassis::ids::new_id());
        db.execute(&format!(
            "INSERT INTO calendar_accounts (id, company_id, subject) VALUES ('{account}', '{company}', '117');
             INSERT INTO google_calendar_connections (id, company_id, account_id, calendar_id)
                 VALUES ('{connection}', '{company}', '{account}', 'a@example.com')"
        ))
        .await;
        let door = door(&db.store, true);
        Self { db, company, connection, door }
    }

    /// A channel of the calendar with [`TOKEN`].
    async fn channel(&self, id: &str, state: &str, resource: Option<&str>) {
        let digest = Sha256::digest(TOKEN.as_bytes());
        let (mut tx, company) =
            (self.db.store.tenant(self.company).await.expect("a transaction"), self.company);
        let row =
            store::calendar::webhooks::register(&mut tx, company, self.connection, id, &digest, "https://x/");
        row.await.expect("a row");
        tx.commit().await.expect("a commit");
        let resource = resource.map_or("NULL".to_owned(), |resource| format!("'{resource}'"));
        self.db
            .execute(&format!(
                "UPDATE google_calendar_webhooks SET state = '{state}', resource_id = {resource}
                 WHERE channel_id = '{id}'"
            ))
            .await;
    }

    async fn says(&self, channel: &str, token: &str, resource: &str, state: &str) -> StatusCode {
        message(&self.door, channel, token, resource, state).await
    }

    async fn count(&self, what: &str) -> i64 {
        self.db.number(&format!("SELECT count(*) FROM {what}")).await
    }
}

#[tokio::test]
async fn a_message_becomes_a_pull_and_a_flood_of_them_one() {
    let world = World::new().await;
    world.channel("ch", "active", Some("res")).await;
    assert_eq!(world.says("ch", TOKEN, "res", "exists").await, StatusCode::NO_CONTENT);
    let job = &world.db.rows("SELECT kind, payload, dedupe_key, resource_key FROM jobs").await[0];
    let connection = world.connection;
    assert_eq!(
        *job,
        json!({
            "kind": "calendar.pull",
            "payload": { "connection_id": connection, "trigger": "webhook", "full": false },
            "dedupe_key": format!("calendar.pull:{connection}"), "resource_key": format!("calendar:{connection}"),
        })
    );
    // Duplicates, and numbers that go back.
    for _ in 0..20 {
        assert_eq!(world.says("ch", TOKEN, "res", "exists").await, StatusCode::NO_CONTENT);
    }
    assert_eq!(world.says("ch", TOKEN, "res", "not_exists").await, StatusCode::NO_CONTENT);
    assert_eq!((world.count("jobs").await, world.count("outbox").await), (1, 1));
    assert_eq!(world.count("webhook_receipts").await, 1);
    let receipt = &world.db.rows("SELECT * FROM webhook_receipts").await[0];
    assert_eq!((&receipt["provider"], &receipt["change_type"]), (&json!("google"), &json!("exists")));
    assert!(receipt["job_id"].is_string(), "{receipt}");
    assert!(!receipt.to_string().contains(TOKEN), "the token is not stored");
    let row = &world.db.rows("SELECT * FROM google_calendar_webhooks").await[0];
    assert_eq!(row["last_message_number"], 24);
    assert!(row["last_notification_at"].is_string());
    // While the pull runs, what comes gets one follow-up.
    world.db.execute("UPDATE jobs_live SET state = 'running'").await;
    for _ in 0..3 {
        world.says("ch", TOKEN, "res", "exists").await;
    }
    assert_eq!(world.count("jobs").await, 2);
}

#[tokio::test]
async fn the_first_message_may_overtake_the_answer() {
    let world = World::new().await;
    world.channel("ch", "registering", None).await;
    assert_eq!(world.says("ch", TOKEN, "res", "sync").await, StatusCode::NO_CONTENT);
    assert_eq!(world.count("jobs").await, 0, "nothing changed yet");
    let row = &world.db.rows("SELECT * FROM google_calendar_webhooks").await[0];
    assert_eq!((&row["resource_id"], &row["state"]), (&json!("res"), &json!("registering")));
    // From now on another resource is none of this channel.
    assert_eq!(world.says("ch", TOKEN, "other", "exists").await, StatusCode::FORBIDDEN);
    assert_eq!(world.says("ch", TOKEN, "res", "exists").await, StatusCode::NO_CONTENT);
    assert_eq!(world.count("jobs").await, 1);
    // The channel that it replaces overlaps; both serve.
    world.channel("old", "replaced", Some("res")).await;
    assert_eq!(world.says("old", TOKEN, "res", "exists").await, StatusCode::NO_CONTENT);
    assert_eq!(world.count("jobs").await, 1);
}

#[tokio::test]
async fn strangers_and_zombies_cause_nothing_and_cost_little() {
    let world = World::new().await;
    world.channel("ch", "active", Some("res")).await;
    for (token, resource) in [("guess", "res"), ("", "res"), (TOKEN, "other")] {
        assert_eq!(world.says("ch", token, resource, "exists").await, StatusCode::FORBIDDEN);
    }
    assert_eq!(world.count("webhook_receipts WHERE result = 'refused'").await, 3);
    for _ in 0..50 {
        assert_eq!(world.says("nobody", TOKEN, "res", "exists").await, StatusCode::NO_CONTENT);
        assert_eq!(world.says("ch", "guess", "res", "exists").await, StatusCode::FORBIDDEN);
    }
    assert_eq!(world.count("webhook_receipts WHERE result = 'unknown' AND company_id IS NULL").await, 1);
    assert_eq!(world.count("webhook_receipts WHERE result = 'refused'").await, 3, "answered from memory");
    for state in ["stopped", "orphaned"] {
        world.channel(state, state, Some("res")).await;
        assert_eq!(world.says(state, TOKEN, "res", "exists").await, StatusCode::NO_CONTENT);
    }
    assert_eq!(world.count("jobs").await, 0);
    assert_eq!(world.count("google_calendar_webhooks WHERE last_notification_at IS NOT NULL").await, 0);
    assert_eq!(world.says("ch", TOKEN, "res", "exists").await, StatusCode::NO_CONTENT, "the right one works");
    assert_eq!(world.count("jobs").await, 1);
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_robots_are_welcome() {
    let world = World::new().await;
    assert_eq!(send(&world.door, &[]).await, StatusCode::BAD_REQUEST);
    let long = "c".repeat(65);
    assert_eq!(world.says(&long, TOKEN, "res", "exists").await, StatusCode::BAD_REQUEST);
    assert_eq!(world.says("ch", &"t".repeat(257), "res", "exists").await, StatusCode::BAD_REQUEST);
    assert_eq!(world.says("ch", TOKEN, "res", "add").await, StatusCode::BAD_REQUEST);
    let get = Request::get(PATH).body(Body::empty()).expect("a request");
    let status = world.door.clone().oneshot(get).await.expect("an answer").status();
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let large =
        Request::post(PATH).header("content-length", "2000000").body(Body::from(vec![b'x'; 2_000_000]));
    let status = world.door.clone().oneshot(large.expect("a request")).await.expect("an answer").status();
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);

    let robots = Request::get("/robots.txt").body(Body::empty()).expect("a request");
    let response = world.door.clone().oneshot(robots).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), 1 << 10).await.expect("a body");
    assert_eq!(body, "User-agent: *\nAllow: /\n");
}

#[tokio::test]
async fn realtime_can_be_switched_off() {
    let world = World::new().await;
    world.channel("ch", "active", Some("res")).await;
    let quiet = door(&world.db.store, false);
    assert_eq!(message(&quiet, "ch", TOKEN, "res", "exists").await, StatusCode::NO_CONTENT);
    assert_eq!(world.count("jobs").await, 0);
    let none: Vec<Value> = world.db.rows("SELECT id FROM webhook_receipts").await;
    assert!(none.is_empty());
}
