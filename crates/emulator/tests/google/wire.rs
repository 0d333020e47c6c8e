//! A caller of the Google side over its sockets, and a receiver of its messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use emulator::{Config, DEMO_GOOGLE_CLIENT, DEMO_GOOGLE_SECRET, Emulator};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{Answer, DEADLINE, exchange};

pub struct Wire {
    pub emulator: Emulator,
    pub token: String,
    pub refresh: String,
}

impl Wire {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        let emulator = Emulator::start(config).await.unwrap();
        let mut wire = Self { emulator, token: String::new(), refresh: String::new() };
        let minted = wire.mint(&json!({"provider": "google"})).await;
        minted["access_token"].as_str().unwrap().clone_into(&mut wire.token);
        minted["refresh_token"].as_str().unwrap().clone_into(&mut wire.refresh);
        wire
    }

    pub async fn mint(&self, body: &Value) -> Value {
        self.control(Method::POST, "/tokens", body).await.expect(200).json()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.emulator.google_addr())
    }

    pub async fn control(&self, method: Method, path: &str, body: &Value) -> Answer {
        let url = format!("{}{path}", self.emulator.control_url());
        let text = if body.is_null() { String::new() } else { body.to_string() };
        exchange(method, &url, &[("content-type", "application/json")], text).await.unwrap()
    }

    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer, String> {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        let url = format!("{}{path}", self.emulator.google_calendar_base_url());
        let text = if body.is_null() { String::new() } else { body.to_string() };
        exchange(method, &url, &all, text).await
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.try_call(method, path, &[], body).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &Value::Null).await
    }

    pub async fn insert(&self, body: &Value) -> Answer {
        self.call(Method::POST, "/calendars/primary/events", body).await
    }

    pub async fn fault(&self, spec: Value) {
        self.control(Method::POST, "/faults", &spec).await.expect(201);
    }

    pub async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(pairs);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        exchange(Method::POST, &self.url(path), &kind, body.finish()).await.unwrap()
    }

    /// The token endpoint with the demo application's secret.
    pub async fn token_endpoint(&self, pairs: &[(&str, &str)]) -> Answer {
        let mut all = vec![("client_id", DEMO_GOOGLE_CLIENT), ("client_secret", DEMO_GOOGLE_SECRET)];
        all.extend_from_slice(pairs);
        self.form("/token", &all).await
    }
}

/// Reason of an error body of the old shape.
pub fn reason(answer: &Answer) -> String {
    answer.json()["error"]["errors"][0]["reason"].as_str().unwrap_or_default().to_owned()
}

/// A push receiver; it answers with the status it is told to.
pub struct Receiver {
    pub url: String,
    pub status: Arc<AtomicU16>,
    messages: UnboundedReceiver<BTreeMap<String, String>>,
    tasks: tokio_util::task::TaskTracker,
    stop: tokio_util::sync::CancellationToken,
}

type Shared = (UnboundedSender<BTreeMap<String, String>>, Arc<AtomicU16>);

async fn receive(State((sender, status)): State<Shared>, headers: HeaderMap, body: String) -> StatusCode {
    assert!(body.is_empty(), "a message has no body");
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let _ = sender.send(headers);
    StatusCode::from_u16(status.load(Ordering::Relaxed)).unwrap()
}

impl Receiver {
    pub async fn start() -> Self {
        let (sender, messages) = unbounded_channel();
        let status = Arc::new(AtomicU16::new(200));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state((sender, status.clone()));
        let (tasks, stop) =
            (tokio_util::task::TaskTracker::new(), tokio_util::sync::CancellationToken::new());
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move { serving.await.unwrap() });
        Self { url, status, messages, tasks, stop }
    }

    pub fn channel(&self, id: &str) -> Value {
        json!({"id": id, "type": "web_hook", "address": self.url, "token": "secret"})
    }

    pub async fn next(&mut self) -> BTreeMap<String, String> {
        tokio::time::timeout(DEADLINE, self.messages.recv()).await.expect("a message in time").unwrap()
    }

    /// A message that is here already.
    pub fn waiting(&mut self) -> Option<BTreeMap<String, String>> {
        self.messages.try_recv().ok()
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
