//! The client: addresses, and answers that are the JSON that was asked for.

use std::sync::Arc;

use domain::names::encode_segment;
use outbound::http::{Connection, Request, Response};
use outbound::provider::{Call, ProviderClient};
use outbound::token::TokenSource;
use outbound::{Method, Url};

use crate::error::{Asked, GcalError, GcalErrorKind};

/// How often a broken body is asked for again at once.
const MALFORMED_RETRIES: u32 = 2;

/// A client of Google Calendar v3 on behalf of one account. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GcalClient {
    provider: Arc<ProviderClient<dyn TokenSource>>,
    base: Url,
}

/// A call that reads.
pub(crate) const fn reads(operation: &'static str) -> Call {
    Call { operation, cost: 1, idempotent: true, patience: Call::PATIENCE }
}

/// A call that changes something.
pub(crate) const fn writes(operation: &'static str) -> Call {
    Call { operation, cost: 1, idempotent: false, patience: Call::PATIENCE }
}

impl GcalClient {
    /// A client of the Calendar API at `base`, such as `https://www.googleapis.com/calendar/v3`.
    pub fn new(provider: Arc<ProviderClient<dyn TokenSource>>, base: Url) -> Self {
        Self { provider, base }
    }

    /// Fence and breaker behind this client.
    pub fn provider(&self) -> &ProviderClient<dyn TokenSource> {
        &self.provider
    }

    /// An address below the base, of segments that are encoded here.
    pub(crate) fn url(
        &self,
        operation: &'static str,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Url, GcalError> {
        let mut text = self.base.as_str().trim_end_matches('/').to_owned();
        for segment in segments {
            text.push('/');
            text.push_str(&encode_segment(segment));
        }
        // A dot segment would leave the place that was meant.
        let url = Url::parse(&text).ok().filter(|url| url.as_str() == text);
        let mut url = url.filter(|_| segments.iter().all(|s| !s.is_empty())).ok_or_else(|| {
            let message = "an id cannot be part of an address".to_owned();
            GcalError::own(operation, GcalErrorKind::Refused, "invalidId", message)
        })?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    pub(crate) async fn send(
        &self,
        call: &Call,
        asked: Asked,
        request: Request,
    ) -> Result<Response, GcalError> {
        let answer = self.provider.call(call, request).await;
        let response = answer.map_err(|error| GcalError::from_call(call.operation, asked, error))?;
        if response.status.is_success() {
            return Ok(response);
        }
        Err(GcalError::from_response(call.operation, asked, &response))
    }

    /// GETs and decodes. A body that does not decode is asked for again on a new connection.
    pub(crate) async fn read<T>(
        &self,
        call: &Call,
        asked: Asked,
        url: Url,
        decode: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, GcalError> {
        let mut request = Request::get(url);
        let mut broken = 0;
        loop {
            let response = self.send(call, asked, request.clone()).await?;
            let fault = match decode(&response.body) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            tracing::warn!(operation = call.operation, place = response.place, %fault, "answer is malformed");
            if broken == MALFORMED_RETRIES {
                let message = format!("the answer is malformed: {fault}");
                return Err(GcalError::own(
                    call.operation,
                    GcalErrorKind::Unavailable,
                    "malformedAnswer",
                    message,
                ));
            }
            broken += 1;
            request.connection = Connection::New;
        }
    }

    /// Sends a change and decodes its answer. One that does not decode was carried out all the same.
    pub(crate) async fn write<T>(
        &self,
        call: &Call,
        request: Request,
        decode: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, GcalError> {
        let response = self.send(call, Asked::Write, request).await?;
        decode(&response.body).map_err(|fault| {
            let message = format!("carried out, but the answer is malformed: {fault}");
            GcalError::own(call.operation, GcalErrorKind::Ambiguous, "malformedAnswer", message)
        })
    }

    pub(crate) fn post(url: Url) -> Request {
        Request::new(Method::POST, url)
    }
}
