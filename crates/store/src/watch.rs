//! Readiness of the database, for every service that needs it.

use std::time::Duration;

use chassis::health::Dependency;
use chassis::lifecycle::Shutdown;
use chassis::time::{deadline, pause};
use chassis::wait::until_up;

use crate::migrate;
use crate::pool::Store;

const EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells `dependency` every 2 s whether the database answers and is migrated as far as this build needs;
/// ends when a shutdown begins.
pub async fn database(store: Store, dependency: Dependency, shutdown: Shutdown) {
    let draining = shutdown.draining();
    let check = || probe(&store);
    while until_up("database", &dependency, &shutdown, check).await.is_some() {
        tokio::select! {
            () = draining.cancelled() => return,
            () = pause(EVERY) => {}
        }
    }
}

/// Waits until the database answers and is migrated as far as this build needs; `None` when a shutdown
/// begins first.
pub async fn until_ready(store: &Store, dependency: &Dependency, shutdown: &Shutdown) -> Option<()> {
    until_up("database", dependency, shutdown, || probe(store)).await
}

async fn probe(store: &Store) -> Result<(), String> {
    let needed = migrate::newest();
    let version = deadline("the database", PATIENCE, store.schema_version())
        .await
        .map_err(|elapsed| elapsed.to_string())?
        .map_err(|error| chassis::telemetry::chain(&error))?;
    if version < needed {
        return Err(format!("schema version {version}, this build needs {needed}: run `syncctl migrate`"));
    }
    Ok(())
}
