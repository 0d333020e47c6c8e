//! Readiness of the connectors.

use std::time::Duration;

use chassis::health::Dependency;
use chassis::lifecycle::Shutdown;
use chassis::time::pause;
use chassis::wait::until_up;

use crate::connector::Connector;
use crate::google::GoogleConnector;

const EVERY: Duration = Duration::from_secs(2);

/// Tells `dependency` every 2 s whether the connector answers; ends when a shutdown begins.
pub async fn connector(connector: Connector, dependency: Dependency, shutdown: Shutdown) {
    let draining = shutdown.draining();
    let check = || async { connector.status().await };
    while until_up("graph-connector", &dependency, &shutdown, check).await.is_some() {
        tokio::select! {
            () = draining.cancelled() => return,
            () = pause(EVERY) => {}
        }
    }
}

/// As [`connector`], for Google's.
pub async fn google(connector: GoogleConnector, dependency: Dependency, shutdown: Shutdown) {
    let draining = shutdown.draining();
    let check = || async { connector.status(None).await };
    while until_up("gcal-connector", &dependency, &shutdown, check).await.is_some() {
        tokio::select! {
            () = draining.cancelled() => return,
            () = pause(EVERY) => {}
        }
    }
}
