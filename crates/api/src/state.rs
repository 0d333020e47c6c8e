//! What handlers work with.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::time::SharedClock;
use store::{Store, Tx};
use web::auth::Claims;

use crate::connector::Connector;

/// Shared by all handlers; cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub(crate) store: Store,
    pub(crate) connector: Connector,
    pub(crate) clock: SharedClock,
}

impl ApiState {
    /// State over a database and a connector.
    pub fn new(store: Store, connector: Connector, clock: SharedClock) -> Self {
        Self { store, connector, clock }
    }

    /// A transaction that sees the caller's organization alone.
    pub(crate) async fn tenant(&self, claims: &Claims) -> store::Result<(Tx, CompanyId)> {
        Ok((self.store.tenant(claims.org).await?, claims.org))
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
