//! The API's router in process, over a fresh database.

mod calendar;
mod calendar_conflicts;
mod calendar_split;
mod connections;
mod data;
mod flags;
mod jobs;
mod provider;
pub mod queue;
mod repair;
mod schedules;
mod sync;

use std::sync::Arc;
use std::time::Duration;

use ::api::{ApiState, Connector, GoogleConnector};
use axum::Router;
use axum::body::Body;
use chassis::config::SecretSource;
use chassis::secret::Secret;
use chassis::time::SystemClock;
use domain::ids::CompanyId;
use domain::schedule::Missed;
use domain::time::Clock;
use http::{HeaderMap, Method, Request, StatusCode};
use outbound::audit_subjects::SubjectKeys;
use serde_json::{Value, json};
use store::schedules::{DefaultSchedule, ensure};
use testkit::{TestDb, fresh_database};
use tower::ServiceExt;
use web::auth::{Authenticator, Claims, Role, mint};
use web::kit::KitConfig;

use crate::fake_connector::Fake;

const SECRET: &str = "a secret of the tests, long enough";
/// Nobody listens there.
pub const NOWHERE: &str = "http://127.0.0.1:9";

/// A router over a fresh database with one company.
pub struct World {
    pub db: TestDb,
    pub company: CompanyId,
    pub connector: Fake,
    router: Router,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl World {
    pub async fn new() -> Self {
        let db = fresh_database().await;
        let company = db.company().await;
        let (connector, url) = Fake::start().await;
        let router = router(&db.store, &url);
        Self { db, company, connector, router }
    }

    /// A request of the company's user with a role.
    pub async fn call(&self, role: Role, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send(request(Some(&token(self.company, role)), method, path, body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Role::Admin, Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Option<Value>) -> Answer {
        self.call(Role::Admin, Method::POST, path, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Role::Admin, Method::PUT, path, Some(body)).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    /// Registers a drive as if it had been there for long: no jobs.
    pub async fn drive(&self, id: &str) {
        let mut tx = self.db.store.tenant(self.company).await.expect("a transaction");
        store::drives::register(&mut tx, self.company, id, "Drive").await.expect("a drive");
        tx.commit().await.expect("a commit");
    }

    /// Writes the schedules as the scheduler does.
    pub async fn schedules(&self) {
        let mut tx = self.db.store.tenant(self.company).await.expect("a transaction");
        for (name, expression) in [("onedrive-sync", "0 */6 * * *"), ("sweep-drives", "*/15 * * * *")] {
            let schedule = DefaultSchedule {
                jobname: name.to_owned(),
                schedule: expression.to_owned(),
                time_zone: "UTC".to_owned(),
                command: "maintenance.sweep_drives".to_owned(),
                payload: json!({ "trigger": "schedule" }),
                active: true,
                missed_policy: Missed::RunOnce,
                jitter_seconds: 0,
                description: String::new(),
            };
            ensure(&mut tx, self.company, &schedule).await.expect("a schedule");
        }
        tx.commit().await.expect("a commit");
    }
}

pub fn router(store: &store::Store, connector: &str) -> Router {
    router_with(store, connector, NOWHERE)
}

/// As [`router`], with a connector to Google.
pub fn router_with(store: &store::Store, connector: &str, google: &str) -> Router {
    let clock = Arc::new(SystemClock);
    let secret = SecretSource::fixed(Secret::from(SECRET));
    let authenticator = Authenticator::with_secret(secret, "syncline", "syncline", clock.clone());
    let connector = Connector::new(connector).expect("an address");
    let google = GoogleConnector::new(google).expect("an address");
    let state =
        ApiState::new(store.clone(), connector, google, clock).with_subjects(SubjectKeys::development());
    let kit = KitConfig { per_minute: 10_000, ..KitConfig::default() };
    ::api::router(state, kit.authenticated(authenticator))
}

pub fn token(company: CompanyId, role: Role) -> String {
    let claims = Claims::new("user-1", company, role, "syncline", "syncline");
    let token = mint(&Secret::from(SECRET), claims, SystemClock.now(), Duration::from_mins(1));
    token.expect("a token").expose().to_owned()
}

pub fn request(token: Option<&str>, method: Method, path: &str, body: Option<Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    request.body(body).expect("a request")
}

pub async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("routers do not fail");
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 4 << 20).await.expect("a body");
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status: parts.status, headers: parts.headers, body }
}
