//! The client: addresses, and answers that are the JSON that was asked for.

use std::sync::Arc;

use domain::throttle::Priority;
use outbound::http::{Connection, Request, Response};
use outbound::provider::{Call, ProviderClient};
use outbound::{Method, Url};

use crate::error::{GraphError, GraphErrorKind};
use crate::link::{LinkFault, follow};

/// How often a broken body is asked for again at once.
const MALFORMED_RETRIES: u32 = 2;

/// A client of Microsoft Graph v1.0. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GraphClient {
    provider: Arc<ProviderClient>,
    base: Url,
    priority: Priority,
}

/// A read that costs one request: Outlook, Teams and subscriptions count requests, not resource units.
pub(crate) const fn reads(operation: &'static str) -> Call {
    Call { operation, cost: 1, idempotent: true, patience: Call::PATIENCE }
}

/// A write that costs one request.
pub(crate) const fn writes(operation: &'static str) -> Call {
    Call { operation, cost: 1, idempotent: false, patience: Call::PATIENCE }
}

impl GraphClient {
    /// A client of the Graph at `base`, such as `https://graph.microsoft.com/v1.0`.
    pub fn new(provider: Arc<ProviderClient>, base: Url) -> Self {
        Self { provider, base, priority: Priority::Background }
    }

    /// The same client, whose calls go before or behind those of others at the gates.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    pub(crate) fn priority(&self) -> Priority {
        self.priority
    }

    /// The configured Graph.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// Token source, fence and breaker behind this client.
    pub fn provider(&self) -> &ProviderClient {
        &self.provider
    }

    /// An address below the base; `path` is already encoded.
    pub(crate) fn url(&self, operation: &'static str, path: &str) -> Result<Url, GraphError> {
        let text = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        // A dot segment would leave the place that was meant.
        let url = Url::parse(&text).ok().filter(|url| url.as_str() == text);
        url.ok_or_else(|| {
            let message = "the path cannot be addressed".to_owned();
            GraphError::own(operation, GraphErrorKind::Refused, "invalidPath", message, None)
        })
    }

    /// An address that the provider gave; only the configured host passes.
    pub(crate) fn link(&self, operation: &'static str, link: &str) -> Result<Url, GraphError> {
        follow(&self.base, link).map_err(|fault| {
            let code = match fault {
                LinkFault::NotAnAddress => "malformedLink",
                LinkFault::ForeignHost { .. } => "foreignHost",
            };
            GraphError::own(operation, GraphErrorKind::BadLink, code, fault.to_string(), None)
        })
    }

    pub(crate) async fn send(
        &self,
        call: &Call,
        request: Request,
        on_link: bool,
    ) -> Result<Response, GraphError> {
        let answer = self.provider.call_as(self.priority, call, request).await;
        let response = answer.map_err(|error| GraphError::from_call(call.operation, error))?;
        if response.status.is_success() {
            return Ok(response);
        }
        Err(GraphError::from_response(call.operation, &response, on_link))
    }

    /// GETs and decodes. A body that does not decode is asked for again on a new connection: bodies are cut under
    /// load, and a read costs nothing but the call.
    pub(crate) async fn read<T>(
        &self,
        call: &Call,
        url: Url,
        on_link: bool,
        decode: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, GraphError> {
        self.fetch(call, Request::get(url), on_link, decode).await
    }

    /// [`GraphClient::read`] with headers of its own.
    pub(crate) async fn fetch<T>(
        &self,
        call: &Call,
        mut request: Request,
        on_link: bool,
        decode: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, GraphError> {
        let mut broken = 0;
        loop {
            let response = self.send(call, request.clone(), on_link).await?;
            let fault = match decode(&response.body) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            tracing::warn!(operation = call.operation, place = response.place, %fault, "answer is malformed");
            if broken == MALFORMED_RETRIES {
                let message = format!("the answer is malformed: {fault}");
                let kind = GraphErrorKind::Unavailable;
                return Err(GraphError::own(call.operation, kind, "malformedAnswer", message, None));
            }
            broken += 1;
            request.connection = Connection::New;
        }
    }

    pub(crate) fn request(method: Method, url: Url) -> Request {
        Request::new(method, url)
    }
}

/// `None` instead of a 404.
pub(crate) fn found<T>(outcome: Result<T, GraphError>) -> Result<Option<T>, GraphError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == GraphErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
