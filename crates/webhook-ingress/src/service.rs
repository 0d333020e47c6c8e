//! Wiring: configuration in, open door out.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::health::{Dependency, Need};
use chassis::lifecycle::Shutdown;
use chassis::service::Service;
use store::Store;
use tokio::net::TcpListener;
use web::kit::{KitConfig, layers};

use crate::config::IngressConfig;
use crate::graph::receive;

/// How often the database is looked at.
const WATCH: Duration = Duration::from_secs(5);

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Door {
    /// Where notifications are written down.
    pub store: Store,
}

/// The public routes.
pub fn router(store: Store, kit: KitConfig) -> Router {
    let mut router = Router::new();
    for path in [
        "/api/webhooks/microsoft",
        "/api/webhooks/microsoft/lifecycle",
        "/api/webhooks/onedrive",
        "/api/webhooks/outlook",
        "/api/webhooks/teams",
    ] {
        router = router.route(path, get(receive).post(receive));
    }
    layers(router.with_state(Door { store }), kit)
}

/// Opens the door.
///
/// # Errors
/// When the address cannot be bound or a setting that was accepted cannot be used.
pub async fn start(service: Service<IngressConfig>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Service { config, tasks, shutdown, health, .. } = service;
    chassis::metrics::describe(&crate::metrics::METRICS);
    let store = Store::new(&config.database, "webhook-ingress")?;
    let address = config.http_addr;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| format!("cannot listen on WEBHOOK_INGRESS_HTTP_ADDR={address}: {e}"))?;
    tracing::info!(%address, "listening");
    let router = router(store.clone(), config.kit);
    let until = shutdown.clone();
    tasks.spawn_critical("http", async move { web::serve(listener, router, &until).await });
    tasks.spawn("database-watch", watch(store, health.dependency("postgres", Need::Hard), shutdown));
    Ok(())
}

async fn watch(store: Store, database: Dependency, shutdown: Shutdown) {
    let draining = shutdown.draining();
    loop {
        match chassis::time::deadline("postgres ping", WATCH, store.ping()).await {
            Ok(Ok(())) => database.up(),
            Ok(Err(error)) => database.down(error.to_string()),
            Err(elapsed) => database.down(elapsed.to_string()),
        }
        tokio::select! {
            () = draining.cancelled() => return,
            () = chassis::time::pause(WATCH) => {}
        }
    }
}
