//! POST requests: their body, their `Idempotency-Key`, and one transaction for effect and answer.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::ids::CompanyId;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::Tx;
use store::idempotency::{self, Remembered};
use web::auth::Claims;
use web::idempotency::IdempotencyKey;
use web::problem::{FieldError, Problem};

use crate::error::{Answer, ApiError};
use crate::state::ApiState;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A POST request as it came.
#[derive(Debug)]
pub struct Call {
    key: Option<String>,
    hash: Vec<u8>,
    body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(&mut parts, state).await?;
        let kind =
            parts.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let mut hash = Sha256::new();
        hash.update(parts.method.as_str());
        hash.update([0]);
        hash.update(parts.uri.path_and_query().map_or("", |p| p.as_str()));
        hash.update([0]);
        let body =
            Bytes::from_request(Request::from_parts(parts, body), state).await.map_err(|rejection| {
                Problem::new(rejection.status(), "body_unreadable", rejection.body_text())
            })?;
        if !body.is_empty() && !kind.contains("json") {
            let detail = "the body must be sent as application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        hash.update(&body);
        Ok(Self { key, hash: hash.finalize().to_vec(), body })
    }
}

impl Call {
    /// The JSON body; an absent one is `{}`.
    ///
    /// # Errors
    /// 400 or 422 as [`web::json::parse`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        web::json::parse(if self.body.is_empty() { b"{}" } else { &self.body })
    }
}

/// A POST under way: its effect and its remembered answer commit together.
#[derive(Debug)]
pub struct Operation {
    /// The caller's organization.
    pub company: CompanyId,
    tx: Tx,
    call: Call,
}

impl Operation {
    /// Begins the transaction. A request that was answered before under the same key ends here.
    ///
    /// # Errors
    /// [`ApiError::Replayed`], 422 when the key was used for another request, 503 without a database.
    pub async fn begin(state: &ApiState, claims: &Claims, call: Call) -> Answer<Self> {
        let (mut tx, company) = state.tenant(claims).await?;
        if let Some(key) = &call.key
            && let Some(known) = idempotency::lock_and_get(&mut tx, company, key).await?
        {
            if known.request_hash != call.hash {
                let message = "was used for another request; choose a new key";
                return Err(Problem::unprocessable(vec![FieldError::new("Idempotency-Key", message)]).into());
            }
            let mut response = respond(known.status, known.body["location"].as_str(), &known.body["body"]);
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            return Err(ApiError::Replayed(Box::new(response)));
        }
        Ok(Self { company, tx, call })
    }

    /// The transaction.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Commits and answers.
    ///
    /// # Errors
    /// As every statement.
    pub async fn answer<T: Serialize>(
        mut self,
        status: StatusCode,
        location: Option<&str>,
        body: &T,
    ) -> Answer<Response> {
        let body = serde_json::to_value(body).map_err(|error| Problem::internal(&error))?;
        if let Some(key) = &self.call.key {
            let answer = Remembered {
                request_hash: std::mem::take(&mut self.call.hash),
                status: status.as_u16(),
                body: json!({ "location": location, "body": body }),
            };
            idempotency::put(&mut self.tx, self.company, key, &answer).await?;
        }
        self.tx.commit().await?;
        Ok(respond(status.as_u16(), location, &body))
    }

    /// As [`Operation::answer`] with 202.
    ///
    /// # Errors
    /// As every statement.
    pub async fn accepted<T: Serialize>(self, location: Option<&str>, body: &T) -> Answer<Response> {
        self.answer(StatusCode::ACCEPTED, location, body).await
    }
}

fn respond(status: u16, location: Option<&str>, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = (status, web::json::Json(body)).into_response();
    if let Some(location) = location.and_then(|l| HeaderValue::from_str(l).ok()) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
