//! The public door: Microsoft Graph's validation handshake, notifications and lifecycle events, and the messages of
//! Google's push channels.
//!
//! A notification is a hint that something changed. It is judged, and what it causes is committed, before the
//! answer goes out; what changed is read later, from the provider.

mod accept;
mod config;
mod door;
mod google;
mod handshake;
mod judge;
mod metrics;
mod notification;

use std::net::SocketAddr;
use std::process::ExitCode;

use axum::Router;
use axum::routing::{get, post};
use chassis::health::Need;
use chassis::service::{BoxError, Service, ServiceInfo};
use http::HeaderMap;
use store::Store;
use tokio::net::TcpListener;
use web::kit::{KitConfig, layers};

pub use config::IngressConfig;
pub use door::Door;
pub use metrics::METRICS;

/// Name and admin port (CONTRACT, ports).
pub const INFO: ServiceInfo = ServiceInfo { name: "webhook-ingress", admin_default_port: 9101 };

/// Runs the service.
pub fn main() -> ExitCode {
    chassis::service::main(INFO, start)
}

#[derive(Debug, thiserror::Error)]
#[error("WEBHOOK_INGRESS_HTTP_ADDR {address} cannot be listened on")]
struct Bind {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

async fn start(service: Service<IngressConfig>) -> Result<(), BoxError> {
    let Service { config, tasks, shutdown, health, .. } = service;
    let listener = TcpListener::bind(config.http_addr)
        .await
        .map_err(|source| Bind { address: config.http_addr, source })?;
    let store = Store::new(&config.database, INFO.name)?;
    let database = health.dependency("database", Need::Hard);
    tasks.spawn("watch database", store::watch::database(store.clone(), database, shutdown.clone()));
    let router = router(&Door::new(store, config.realtime), config.kit);
    tasks.spawn_critical("http", async move { web::serve(listener, router, &shutdown).await });
    Ok(())
}

/// APIs-Google respects it: a Disallow would end every push channel.
const ROBOTS: &str = "User-agent: *\nAllow: /\n";

/// The paths of CONTRACT, with the layers of the kit around them.
pub fn router(door: &Door, kit: KitConfig) -> Router {
    chassis::metrics::describe(&metrics::METRICS);
    let mut router = Router::new();
    for (path, source) in [
        ("/api/webhooks/microsoft", "microsoft"),
        ("/api/webhooks/onedrive", "onedrive"),
        ("/api/webhooks/teams", "teams"),
        ("/api/webhooks/outlook", "outlook"),
        ("/api/webhooks/microsoft/lifecycle", "lifecycle"),
    ] {
        let door = door.clone();
        let at_door = move |request| {
            let door = door.clone();
            async move { door.knock(source, request).await }
        };
        router = router.route(path, post(at_door.clone()).get(at_door));
    }
    let door = door.clone();
    let at_google = move |headers: HeaderMap| {
        let door = door.clone();
        async move { door.google.knock(&headers).await }
    };
    router = router
        .route("/api/webhooks/google-calendar", post(at_google))
        .route("/robots.txt", get(async || ROBOTS));
    layers(router, kit)
}
