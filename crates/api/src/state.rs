//! What handlers work with.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::flags::Flag;
use domain::ids::CompanyId;
use domain::time::SharedClock;
use http::StatusCode;
use outbound::audit_subjects::SubjectKeys;
use store::flags::Board;
use store::{Store, Tx};
use web::auth::Claims;
use web::problem::Problem;

use crate::connector::Connector;
use crate::error::Answer;
use crate::google::GoogleConnector;

/// Shared by all handlers; cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub(crate) store: Store,
    pub(crate) connector: Connector,
    pub(crate) google: GoogleConnector,
    pub(crate) clock: SharedClock,
    subjects: Option<Arc<SubjectKeys>>,
    pub(crate) flags: Board,
}

impl ApiState {
    /// State over a database and the connectors.
    pub fn new(store: Store, connector: Connector, google: GoogleConnector, clock: SharedClock) -> Self {
        Self { flags: Board::new(store.clone()), store, connector, google, clock, subjects: None }
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
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_subject_keys", detail)
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

    /// Refuses what an operator's switch stops for the caller's organization.
    ///
    /// # Errors
    /// 503 with the code `switched_off`, the switch and why; as every statement.
    pub(crate) async fn unless_switched(&self, claims: &Claims, flag: Flag) -> Answer<()> {
        let Some(away) = self.flags.away(claims.org, flag).await? else { return Ok(()) };
        let detail = format!("the switch {flag} is away from normal: {}; {}", away.reason, flag.effect());
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "switched_off", detail);
        Err(problem.with("flag", flag.as_str()).with("until", away.until).into())
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
