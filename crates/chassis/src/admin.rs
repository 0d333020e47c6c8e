//! The admin port: `/livez`, `/readyz`, `/metrics`, `/log-level`, on a thread of its own, so that it
//! answers however busy or stuck the service is.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::lifecycle::Tasks;
use crate::time::pause;

/// How often the main runtime shows that it makes progress.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// How old the last beat may be before `/livez` says that the runtime is stuck.
const STUCK: Duration = Duration::from_secs(10);
/// How often buffered metrics are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);
/// A filter directive is short.
const MAX_BODY: usize = 4 * 1024;

/// Set by the main runtime, read by `/livez`.
#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    started: Instant,
    last_millis: Arc<AtomicU64>,
}

impl Heartbeat {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), last_millis: Arc::default() }
    }

    pub(crate) fn beat(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    fn age(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.last_millis.load(Ordering::Relaxed)))
    }
}

#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) health: Health,
    pub(crate) tasks: Tasks,
    pub(crate) heartbeat: Heartbeat,
}

/// A running admin server; it ends when this is dropped.
pub(crate) struct Running {
    end: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves the port on a thread of its own until the result is dropped.
pub(crate) fn start(listener: TcpListener, admin: Admin) -> std::io::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = CancellationToken::new();
    let ended = end.clone();
    let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        runtime.block_on(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = serve(listener, admin) => {}
                () = keep_metrics_small() => {}
            }
        });
    })?;
    Ok(Running { end, thread: Some(thread) })
}

async fn serve(listener: TcpListener, admin: Admin) {
    let served = async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router(admin)).await };
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin port stopped");
    }
}

async fn keep_metrics_small() {
    loop {
        pause(UPKEEP).await;
        crate::metrics::upkeep();
    }
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/log-level", get(log_level).put(set_log_level))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(admin)
}

async fn livez(State(admin): State<Admin>) -> impl IntoResponse {
    let age = admin.heartbeat.age();
    let (status, reason) = if let Some(failure) = admin.tasks.failure() {
        (StatusCode::SERVICE_UNAVAILABLE, Some(failure.to_string()))
    } else if age > STUCK {
        let reason = format!("the runtime made no progress for {} s", age.as_secs());
        (StatusCode::SERVICE_UNAVAILABLE, Some(reason))
    } else {
        (StatusCode::OK, None)
    };
    (status, Json(json!({ "live": reason.is_none(), "reason": reason })))
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let snapshot = admin.health.snapshot();
    let status = if snapshot.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(snapshot))
}

async fn metrics() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], crate::metrics::render())
}

async fn log_level() -> String {
    crate::telemetry::log_level().unwrap_or_default() + "\n"
}

async fn set_log_level(directives: String) -> Result<String, (StatusCode, String)> {
    crate::telemetry::set_log_level(&directives).map_err(|why| (StatusCode::BAD_REQUEST, why + "\n"))?;
    Ok(log_level().await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Need;
    use crate::lifecycle::Shutdown;
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    async fn ask(admin: &Admin, path: &str) -> (u16, String) {
        let request = http::Request::get(path).body(Body::empty()).expect("a request");
        let response = router(admin.clone()).oneshot(request).await.expect("infallible");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 64 * 1024).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    fn admin() -> Admin {
        let heartbeat = Heartbeat::new();
        heartbeat.beat();
        Admin { health: Health::watching(&Shutdown::new()), tasks: Tasks::new(), heartbeat }
    }

    #[tokio::test]
    async fn a_stuck_runtime_and_a_dead_critical_task_are_not_alive() {
        let mut stuck = admin();
        assert_eq!(ask(&stuck, "/livez").await.0, 200);
        let long_ago = Instant::now().checked_sub(STUCK + BEAT).expect("the machine is up for longer");
        stuck.heartbeat.started = long_ago;
        let (status, body) = ask(&stuck, "/livez").await;
        assert!(status == 503 && body.contains("no progress for 11 s"), "{status} {body}");

        let dead = admin();
        dead.tasks.spawn_critical("reaper", async { Err("the lease table is gone") });
        crate::time::deadline("failure", BEAT * 5, dead.tasks.failed()).await.expect("it fails");
        let (status, body) = ask(&dead, "/livez").await;
        assert!(status == 503 && body.contains("reaper failed: the lease table is gone"), "{status} {body}");
    }

    #[tokio::test]
    async fn readyz_names_each_dependency_and_its_reason() {
        let admin = admin();
        let database = admin.health.dependency("database", Need::Hard);
        admin.health.dependency("cache", Need::Soft).down("timed out");
        let (status, body) = ask(&admin, "/readyz").await;
        assert!(status == 503 && body.contains("starting") && body.contains("timed out"), "{status} {body}");
        database.up();
        let (status, body) = ask(&admin, "/readyz").await;
        assert!(status == 200 && body.contains(r#""status":"degraded""#), "{status} {body}");
    }
}
