//! Who acts, and why: the caller of a request that changes something, for the audit record.

use axum::extract::FromRequestParts;
use domain::ids::CompanyId;
use http::HeaderMap;
use http::request::Parts;
use serde_json::Value;
use store::Tx;
use store::audit::{AuditEntry, record};
use web::auth::{Claims, Operator};
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
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Operator(claims) = Operator::from_request_parts(parts, state).await?;
        let ids = match RequestIds::from_request_parts(parts, state).await {
            Ok(ids) => ids,
            Err(never) => match never {},
        };
        Ok(Self { claims, ids, header: header(&parts.headers)? })
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
        record(tx, Some(company), &entry).await.map(drop)
    }
}
