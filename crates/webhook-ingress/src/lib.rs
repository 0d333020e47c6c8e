//! The public door: Microsoft Graph's validation handshake, notifications and lifecycle events, and the messages of
//! Google's push channels.
//!
//! A notification is a hint that something changed. It is judged, and what it causes is committed, before the
//! answer goes out; what changed is read later, from the provider.

mod arrival;
mod commit;
mod config;
mod door;
mod google;
mod handshake;
mod intake;
mod judge;
mod memory;
mod metrics;
mod notification;
pub mod parse;
mod proof;
mod replay;
mod rich;
mod sources;
mod spool;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use chassis::health::Need;
use chassis::lifecycle::Shutdown;
use chassis::service::{BoxError, Service, ServiceInfo};
use chassis::time::pause;
use outbound::http::HttpClient;
use outbound::jwks::SigningKeys;
use store::Store;
use tokio::net::TcpListener;
use web::kit::{KitConfig, layers};

use arrival::Source;
pub use config::IngressConfig;
pub use door::{Door, Parts};
pub use metrics::METRICS;
pub use rich::Rich;
pub use spool::{Spool, SpoolFault};

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

/// How often the signing keys are looked at; they are fetched when they are old.
const FRESHEN: Duration = Duration::from_mins(5);
/// Largest set of signing keys.
const MAX_KEYS: usize = 256 * 1024;

async fn start(service: Service<IngressConfig>) -> Result<(), BoxError> {
    let Service { config, tasks, shutdown, health, clock } = service;
    let listener = TcpListener::bind(config.http_addr)
        .await
        .map_err(|source| Bind { address: config.http_addr, source })?;
    let store = Store::new(&config.database, INFO.name)?;
    let (folder, max) = (config.spool_dir, config.spool_max_bytes);
    let spool = tokio::task::spawn_blocking(move || Spool::open(&folder, max)).await??;
    // Without the database deliveries wait in the spool: it is the spool that has to have room.
    let database = health.dependency("database", Need::Soft);
    let room = health.dependency("spool", Need::Hard);
    tasks.spawn("watch database", store::watch::database(store.clone(), database, shutdown.clone()));
    let http = Arc::new(HttpClient::builder().body_limit(MAX_KEYS).idle_connections(1).build()?);
    let signing = SigningKeys::new(http, &config.login_base, Arc::clone(&clock));
    let rich = Rich::new(config.notification_keys, signing, config.applications);
    if rich.expected() {
        tasks.spawn("fetch signing keys", freshen(rich.clone(), shutdown.clone()));
    }
    let (realtime, proxy_hops) = (config.realtime, config.proxy_hops);
    let parts = Parts { store, realtime, spool, rich, proxy_hops, clock, room };
    let router = router(&Door::open(parts, &tasks, &shutdown), config.kit);
    tasks.spawn_critical("http", async move { web::serve(listener, router, &shutdown).await });
    Ok(())
}

/// Keeps the signing keys fresh, so that no notification waits for them.
async fn freshen(rich: Rich, shutdown: Shutdown) {
    let draining = shutdown.draining();
    loop {
        rich.freshen().await;
        tokio::select! {
            () = draining.cancelled() => return,
            () = pause(FRESHEN) => {}
        }
    }
}

/// APIs-Google respects it: a Disallow would end every push channel.
const ROBOTS: &str = "User-agent: *\nAllow: /\n";

/// The paths of CONTRACT, with the layers of the kit around them.
pub fn router(door: &Door, kit: KitConfig) -> Router {
    chassis::metrics::describe(&metrics::METRICS);
    let mut router = Router::new();
    for (path, source) in [
        ("/api/webhooks/microsoft", Source::Microsoft),
        ("/api/webhooks/onedrive", Source::Onedrive),
        ("/api/webhooks/teams", Source::Teams),
        ("/api/webhooks/outlook", Source::Outlook),
        ("/api/webhooks/microsoft/lifecycle", Source::Lifecycle),
    ] {
        let door = door.clone();
        let at_door = move |request: Request| {
            let door = door.clone();
            async move { door.knock(source, request).await }
        };
        router = router.route(path, post(at_door.clone()).get(at_door));
    }
    let door = door.clone();
    let at_google = move |request: Request| {
        let door = door.clone();
        async move { door.google(request.headers(), request.extensions()).await }
    };
    router = router
        .route("/api/webhooks/google-calendar", post(at_google))
        .route("/robots.txt", get(async || ROBOTS));
    layers(router, kit)
}
