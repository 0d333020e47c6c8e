//! What handlers work with.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::time::SharedClock;
use outbound::audit_subjects::SubjectKeys;
use store::{Store, Tx};
use web::auth::Claims;
use web::problem::Problem;

use crate::connector::Connector;
use crate::google::GoogleConnector;

/// Shared by all handlers; cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub(crate) store: Store,
    pub(crate) connector: Connector,
    pub(crate) google: GoogleConnector,
    pub(crate) clock: SharedClock,
    subjects: Option<Arc<SubjectKeys>>,
}

impl ApiState {
    /// State over a database and the connectors.
    pub fn new(store: Store, connector: Connector, google: GoogleConnector, clock: SharedClock) -> Self {
        Self { store, connector, google, clock, subjects: None }
    }

    /// With the keys of the people in audit records.
    #[must_use]
    pub fn with_subjects(self, keys: SubjectKeys) -> Self {
        Self { subjects: Some(Arc::new(keys)), ..self }
    }

    /// The keys of the people in audit records.
    ///
    /// # Errors
    /// 503 without them.
    pub(crate) fn subjects(&self) -> Result<&SubjectKeys, Problem> {
        self.subjects.as_deref().ok_or_else(|| {
            let detail = "this server has no AUDIT_SUBJECT_KEYS";
            Problem::new(http::StatusCode::SERVICE_UNAVAILABLE, "no_subject_keys", detail)
        })
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
