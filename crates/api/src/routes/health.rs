//! `GET /health`, `GET /api/health`

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::time::deadline;
use http::StatusCode;
use serde::Serialize;
use store::Store;
use store::flags::Board;
use utoipa::ToSchema;
use web::json::Json;

use crate::state::ApiState;

const PATIENCE: Duration = Duration::from_secs(2);
/// A bell that waits longer says that the relay or the broker is away.
const BELL_SECONDS: f64 = 30.0;

/// What the API depends on.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthBody {
    /// `healthy`, `degraded` (something soft is away), `unhealthy` (the database is away).
    status: &'static str,
    services: Services,
    /// Operators' switches that are away from normal in any organization.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Services {
    database: ServiceState,
    /// Seen through the outbox: bells leave it when the broker confirms them.
    broker: ServiceState,
    cache: ServiceState,
    #[serde(rename = "graph-connector")]
    connector: ServiceState,
}

#[derive(Debug, Serialize, ToSchema)]
struct ServiceState {
    /// `up`, `down` or `unknown`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl ServiceState {
    fn up() -> Self {
        Self { status: "up", reason: None }
    }

    fn down(reason: impl Into<String>) -> Self {
        Self { status: "down", reason: Some(reason.into()) }
    }

    fn unknown(reason: impl Into<String>) -> Self {
        Self { status: "unknown", reason: Some(reason.into()) }
    }
}

/// State of the API's dependencies; 503 when the database is away
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, description = "In working order, or degraded", body = HealthBody),
    (status = 503, description = "The database is away", body = HealthBody),
))]
pub async fn health(State(state): State<ApiState>) -> Response {
    let (base, status, flags) =
        tokio::join!(database(&state.store), state.connector.status(), active(&state.flags));
    let (database, broker) = base;
    let (connector, cache) = match status {
        Ok(status) => {
            let cache = if status.cache_connected {
                ServiceState::up()
            } else {
                ServiceState::down(format!("{} is not connected", status.cache_provider))
            };
            (ServiceState::up(), cache)
        }
        Err(error) => (
            ServiceState::down(error.to_string()),
            ServiceState::unknown("graph-connector, which uses it, is away"),
        ),
    };
    let services = Services { database, broker, cache, connector };
    let hard = services.database.status == "up";
    let soft = [&services.broker, &services.cache, &services.connector].iter().all(|s| s.status == "up");
    let (code, status) = match (hard, soft) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
        (true, false) => (StatusCode::OK, "degraded"),
        (true, true) => (StatusCode::OK, "healthy"),
    };
    (code, Json(HealthBody { status, services, flags })).into_response()
}

/// The same as `GET /health`
#[utoipa::path(get, path = "/api/health", tag = "health", responses(
    (status = 200, description = "In working order, or degraded", body = HealthBody),
    (status = 503, description = "The database is away", body = HealthBody),
))]
pub async fn api_health(state: State<ApiState>) -> Response {
    health(state).await
}

/// Names alone: why and for whom is for those who have a token.
async fn active(board: &Board) -> Vec<&'static str> {
    let Ok(Ok(sight)) = deadline("the switches", PATIENCE, Box::pin(board.sight())).await else {
        return Vec::new();
    };
    let counts = sight.standing.counts(sight.now);
    counts.into_iter().filter(|(_, companies)| *companies > 0).map(|(flag, _)| flag.as_str()).collect()
}

/// The database, and through it the broker.
async fn database(store: &Store) -> (ServiceState, ServiceState) {
    let asked = deadline("the database", PATIENCE, async {
        let mut tx = store.dispatch().await?;
        store::jobs::backlog(&mut tx).await
    });
    match asked.await {
        Ok(Ok((_, age))) if age > BELL_SECONDS => (
            ServiceState::up(),
            ServiceState::down(format!("a queued job has waited {age:.0} s for the relay")),
        ),
        Ok(Ok(_)) => (ServiceState::up(), ServiceState::up()),
        Ok(Err(error)) => {
            tracing::warn!(error = chassis::telemetry::chain(&error), "health: the database did not answer");
            (ServiceState::down(error.to_string()), ServiceState::unknown("the database is away"))
        }
        Err(elapsed) => {
            (ServiceState::down(elapsed.to_string()), ServiceState::unknown("the database is away"))
        }
    }
}
