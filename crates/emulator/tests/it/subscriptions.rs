use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::{TimeDelta, Utc};
use domain::time::Clock as _;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::model::mutate;
use crate::support::{DEADLINE, Stage};

pub struct Receiver {
    pub url: String,
    notifications: UnboundedReceiver<Value>,
    /// Status of answers to notifications.
    pub status: Arc<AtomicU16>,
    task: tokio_util::task::TaskTracker,
    stop: tokio_util::sync::CancellationToken,
}

type Shared = (UnboundedSender<Value>, Arc<AtomicU16>);

async fn receive(
    State((sender, status)): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    body: String,
) -> Response {
    if let Some(token) = query.get("validationToken") {
        assert!(body.is_empty());
        return match query.get("mode").map(String::as_str) {
            Some("encoded") => token.replace(' ', "%20").into_response(),
            Some("json") => axum::Json(json!(token)).into_response(),
            Some("refuse") => StatusCode::FORBIDDEN.into_response(),
            _ => token.clone().into_response(),
        };
    }
    sender.send(serde_json::from_str(&body).unwrap()).unwrap();
    StatusCode::from_u16(status.load(Ordering::Relaxed)).unwrap().into_response()
}

impl Receiver {
    pub async fn start() -> Self {
        let (sender, notifications) = unbounded_channel();
        let status = Arc::new(AtomicU16::new(202));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state((sender, status.clone()));
        let (task, stop) = (tokio_util::task::TaskTracker::new(), tokio_util::sync::CancellationToken::new());
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        task.spawn(async move { serving.await.unwrap() });
        Self { url, notifications, status, task, stop }
    }

    pub async fn next(&mut self) -> Value {
        tokio::time::timeout(DEADLINE, self.notifications.recv())
            .await
            .expect("a notification in time")
            .unwrap()
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.task.close();
        self.task.wait().await;
    }
}

pub fn request(url: &str, minutes: i64) -> Value {
    let expires = chassis::time::SystemClock.now() + TimeDelta::minutes(minutes);
    json!({
        "changeType": "updated", "notificationUrl": url, "resource": "drives/d/root",
        "expirationDateTime": expires.to_rfc3339(), "clientState": "secret",
    })
}

pub async fn subscribe(stage: &Stage, body: &Value) -> crate::support::Answer {
    stage.send(Method::POST, "/subscriptions", body.to_string()).await
}

#[tokio::test]
async fn the_handshake_comes_before_the_answer() {
    let stage = Stage::generated(10).await;
    let receiver = Receiver::start().await;
    let created = subscribe(&stage, &request(&receiver.url, 60)).await.expect(201).json();
    assert_eq!(created["clientState"], "secret");
    for mode in ["encoded", "json", "refuse"] {
        let url = format!("{}?mode={mode}", receiver.url);
        let refused = subscribe(&stage, &request(&url, 60)).await.expect(400);
        assert!(
            refused.json()["error"]["message"]
                .as_str()
                .unwrap()
                .starts_with("Subscription validation request failed")
        );
    }
    subscribe(&stage, &request("http://127.0.0.1:1/hook", 60)).await.expect(400);
    let too_long = subscribe(&stage, &request(&receiver.url, 42_301)).await.expect(400).json();
    assert_eq!(too_long["error"]["code"], "ExtensionError");
    assert_eq!(
        too_long["error"]["message"],
        "Subscription expiration can only be 42300 minutes in the future."
    );
    for (field, value) in [
        ("changeType", json!("created")),
        ("resource", json!("drives/d/items/x")),
        ("clientState", json!("s".repeat(129))),
        ("expirationDateTime", json!("2020-01-01T00:00:00Z")),
        ("notificationUrl", json!(null)),
    ] {
        let mut body = request(&receiver.url, 60);
        body[field] = value;
        subscribe(&stage, &body).await.expect(400);
    }
    let mut body = request(&receiver.url, 60);
    body["resource"] = json!("drives/none/root");
    subscribe(&stage, &body).await.expect(404);

    let at = format!("/subscriptions/{}", created["id"].as_str().unwrap());
    let later = (Utc::now_like() + TimeDelta::minutes(4000)).to_rfc3339();
    let renewed = stage
        .send(Method::PATCH, &at, json!({"expirationDateTime": later}).to_string())
        .await
        .expect(200)
        .json();
    assert_ne!(renewed["expirationDateTime"], created["expirationDateTime"]);
    let shown = stage.get(&at).await.expect(200).json();
    assert_eq!(shown["clientState"], Value::Null);
    assert_eq!(stage.get("/subscriptions").await.expect(200).json()["value"].as_array().unwrap().len(), 1);
    stage.send(Method::DELETE, &at, "").await.expect(204);
    stage.get(&at).await.expect(404);
    receiver.end().await;
    stage.emulator.stop().await;
}

/// The present, without naming the banned clock.
trait NowLike {
    fn now_like() -> chrono::DateTime<Utc>;
}

impl NowLike for Utc {
    fn now_like() -> chrono::DateTime<Utc> {
        chassis::time::SystemClock.now()
    }
}

#[tokio::test]
async fn a_change_rings_the_bell_until_someone_answers() {
    let stage = Stage::generated(10).await;
    let mut receiver = Receiver::start().await;
    let created = subscribe(&stage, &request(&receiver.url, 60)).await.expect(201).json();
    stage.put("/drives/d/root:/a.txt:/content", "x").await.expect(201);
    let item = receiver.next().await["value"][0].clone();
    assert_eq!(item["subscriptionId"], created["id"]);
    assert_eq!(item["clientState"], "secret");
    assert_eq!(item["resource"], "drives/d/root");
    assert_eq!(item["changeType"], "updated");

    // Many changes at once make one notification; a refused one comes again.
    receiver.status.store(503, Ordering::Relaxed);
    mutate(&stage, 1, 50).await;
    receiver.next().await;
    receiver.status.store(202, Ordering::Relaxed);
    receiver.next().await;
    stage.control(Method::POST, "/clock", r#"{"advance_seconds":7200}"#).await.expect(200);
    let left = stage.control(Method::GET, "/subscriptions", "").await.json();
    assert_eq!(left["items"], json!([]), "subscriptions expire");
    receiver.end().await;
    stage.emulator.stop().await;
}

#[tokio::test]
async fn deliveries_can_be_disturbed() {
    let stage = Stage::generated(10).await;
    let mut receiver = Receiver::start().await;
    subscribe(&stage, &request(&receiver.url, 60)).await.expect(201);
    let disturb = async |action: &str| {
        stage.control(Method::DELETE, "/faults", "").await.expect(204);
        stage
            .fault(&format!(
                r#"{{"times":1,"fault":{{"kind":"notification","action":"{action}","share":1.0,"ms":50}}}}"#
            ))
            .await;
    };
    disturb("forge").await;
    mutate(&stage, 1, 1).await;
    assert_ne!(receiver.next().await["value"][0]["clientState"], "secret");
    assert_eq!(receiver.next().await["value"][0]["clientState"], "secret");
    disturb("duplicate").await;
    mutate(&stage, 2, 1).await;
    assert_eq!(receiver.next().await, receiver.next().await);
    disturb("delay").await;
    mutate(&stage, 3, 1).await;
    receiver.next().await;
    disturb("drop").await;
    mutate(&stage, 4, 1).await;
    crate::support::eventually("the drop", async || {
        let answer = stage.control(Method::GET, "/notifications", "").await.json();
        answer["items"].as_array().unwrap().iter().any(|one| one["action"] == "drop").then_some(())
    })
    .await;
    disturb("reorder").await;
    mutate(&stage, 5, 1).await;
    crate::support::eventually("the held one", async || {
        let list = stage.control(Method::GET, "/faults", "").await.json();
        (list["items"][0]["hits"] == 1).then_some(())
    })
    .await;
    mutate(&stage, 6, 1).await;
    receiver.next().await;
    receiver.next().await;
    receiver.end().await;
    stage.emulator.stop().await;
}
