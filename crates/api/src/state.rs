//! What handlers work with.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::time::SharedClock;
use store::{Store, Tx};
use web::auth::Claims;

use crate::connector::Connector;
use crate::google::GoogleConnector;

/// Shared by all handlers; cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub(crate) store: Store,
    pub(crate) connector: Connector,
    pub(crate) google: GoogleConnector,
    pub(crate) clock: SharedClock,
}

impl ApiState {
    /// State over a database and the connectors.
    pub fn new(store: Store, connector: Connector, google: GoogleConnector, clock: SharedClock) -> Self {
        Self { store, connector, google, clock }
    }

    /// A transaction that sees the caller's organization alone.
    pub(crate) async fn tenant(&self, claims: &Claims) -> store::Result<(Tx, CompanyId)> {
        Ok((self.store.tenant(claims.org).await?, claims.org))
    }

    /// As [`ApiState::tenant`], on behalf of the caller: row-level security leaves what is theirs.
    pub(crate) async fn tenant_user(&self, claims: &Claims) -> store::Result<(Tx, CompanyId)> {
        Ok((self.store.tenant_user(claims.org, &claims.sub).await?, claims.org))
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
