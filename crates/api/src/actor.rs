//! Who acts, and why: the caller of a request that changes something, for the audit record.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use domain::ids::CompanyId;
use http::HeaderMap;
use http::request::Parts;
use serde_json::Value;
use store::Tx;
use store::audit::{AuditEntry, Circumstances, record_with};
use web::auth::{Claims, Operator, Role};
use web::kit::RequestIds;
use web::problem::{FieldError, Problem};

/// Longest reason, in characters.
const MAX_REASON: usize = 1_000;

/// An operator who acts. The reason comes with the header `X-Reason`, or as a field of the body.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The caller.
    pub claims: Claims,
    ids: RequestIds,
    header: Option<String>,
    address: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Operator(claims) = Operator::from_request_parts(parts, state).await?;
        let ids = match RequestIds::from_request_parts(parts, state).await {
            Ok(ids) => ids,
            Err(never) => match never {},
        };
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_string());
        Ok(Self { claims, ids, header: header(&parts.headers)?, address })
    }
}

fn header(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("x-reason") else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| Problem::unprocessable(vec![FieldError::new("X-Reason", "is not UTF-8")]))?;
    clean("X-Reason", text)
}

fn clean(field: &str, text: &str) -> Result<Option<String>, Problem> {
    let text = text.trim();
    if text.chars().count() > MAX_REASON {
        let message = format!("is longer than {MAX_REASON} characters");
        return Err(Problem::unprocessable(vec![FieldError::new(field, message)]));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

impl Actor {
    /// Why: what the body says, else the header.
    ///
    /// # Errors
    /// 422 when it is too long.
    pub fn reason(&self, body: Option<&str>) -> Result<Option<String>, Problem> {
        match body {
            Some(text) => Ok(clean("reason", text)?.or_else(|| self.header.clone())),
            None => Ok(self.header.clone()),
        }
    }

    /// Refuses who is below administrator, and who asks for another organization than their own: that one is not
    /// there for them.
    ///
    /// # Errors
    /// 403 for a lower role, 404 for another organization.
    pub fn administers(&self, organization: CompanyId) -> Result<(), Problem> {
        if self.claims.role < Role::Admin {
            let detail = format!("this needs the role {}, the token has {}", Role::Admin, self.claims.role);
            return Err(Problem::forbidden(detail));
        }
        if self.claims.org != organization {
            return Err(Problem::not_found(format!("there is no organization {organization}")));
        }
        Ok(())
    }

    /// Records the action in its transaction.
    ///
    /// # Errors
    /// As every statement.
    pub async fn record(
        &self,
        tx: &mut Tx,
        company: CompanyId,
        action: &str,
        resource: String,
        reason: Option<String>,
        details: Value,
    ) -> store::Result<()> {
        self.record_change(tx, company, (action, resource), reason, (details, None)).await
    }

    /// As [`Actor::record`], with what changed member by member ([`domain::audit::changes`]).
    ///
    /// # Errors
    /// As every statement.
    pub async fn record_change(
        &self,
        tx: &mut Tx,
        company: CompanyId,
        (action, resource): (&str, String),
        reason: Option<String>,
        (details, changes): (Value, Option<Value>),
    ) -> store::Result<()> {
        let job_id = details["job_id"].as_str().and_then(|id| id.parse().ok());
        let entry = AuditEntry {
            actor: self.claims.sub.clone(),
            role: self.claims.role.as_str().to_owned(),
            action: action.to_owned(),
            resource,
            reason,
            request_id: Some(self.ids.request_id.clone()),
            trace_id: Some(self.ids.trace_id.clone()),
            details,
        };
        let circumstances = Circumstances { address: self.address.clone(), job_id, changes };
        record_with(tx, Some(company), &entry, &circumstances).await.map(drop)
    }
}
