//! The client: rustls, no redirects, no proxy from the environment, bounded bodies, a deadline on every exchange.

use std::sync::OnceLock;
use std::time::Duration;

use ::http::{HeaderValue, header};
use bytes::{Bytes, BytesMut};
use chassis::time::deadline;
use serde::de::DeserializeOwned;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use url::Url;

use super::{Connection, HttpError, Request, Response};
use crate::redact::place;

/// How Microsoft wants traffic decorated, so that it is prioritised over undecorated traffic (SharePoint
/// "how to avoid getting throttled", provider facts A8).
pub const USER_AGENT: &str = "NONISV|Syncline|Syncline/1.0";

/// Settings of an [`HttpClient`].
#[derive(Debug, Clone)]
pub struct HttpClientBuilder {
    connect_timeout: Duration,
    deadline: Duration,
    body_limit: usize,
    idle_connections: usize,
}

impl Default for HttpClientBuilder {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(90),
            body_limit: 16 * 1024 * 1024,
            idle_connections: 16,
        }
    }
}

impl HttpClientBuilder {
    /// Limit for setting up a connection (default 5 s).
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Default deadline of a whole exchange (default 90 s).
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = limit;
        self
    }

    /// Largest accepted body in bytes, after decompression (default 16 MiB).
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Idle connections kept for each host (default 16).
    #[must_use]
    pub fn idle_connections(mut self, count: usize) -> Self {
        self.idle_connections = count;
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    /// [`HttpError::Build`] when TLS cannot be set up at all.
    pub fn build(self) -> Result<HttpClient, HttpError> {
        let pooled = self.transport(self.idle_connections)?;
        Ok(HttpClient { settings: self, pooled, unpooled: OnceLock::new() })
    }

    fn transport(&self, idle: usize) -> Result<reqwest::Client, HttpError> {
        let make = || {
            reqwest::Client::builder()
                .user_agent(HeaderValue::from_static(USER_AGENT))
                .connect_timeout(self.connect_timeout)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .pool_max_idle_per_host(idle)
                .pool_idle_timeout(Duration::from_mins(1))
                .tcp_keepalive(Duration::from_secs(30))
                .referer(false)
        };
        match make().build() {
            Ok(client) => Ok(client),
            // A machine without CA certificates must still reach plain-HTTP stand-ins.
            Err(error) => {
                tracing::warn!(%error, "TLS set-up failed, https calls will fail; install the package ca-certificates");
                make().tls_certs_only(Vec::new()).build().map_err(|e| HttpError::Build(Box::new(e)))
            }
        }
    }
}

/// An HTTP client without policy: one request, one answer.
#[derive(Debug)]
pub struct HttpClient {
    settings: HttpClientBuilder,
    pooled: reqwest::Client,
    unpooled: OnceLock<reqwest::Client>,
}

impl HttpClient {
    /// Default settings to change.
    pub fn builder() -> HttpClientBuilder {
        HttpClientBuilder::default()
    }

    /// Sends one request and reads the whole answer. Any status is an answer.
    ///
    /// # Errors
    /// [`HttpError`] when there is no complete answer within the deadline and the body limit.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let place = place(&request.url);
        let limit = request.deadline.unwrap_or(self.settings.deadline);
        let span = span(&request, &place);
        let exchange = self.exchange(request, &place).instrument(span.clone());
        let outcome = match deadline("http exchange", limit, exchange).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(HttpError::Timeout { place, limit }),
        };
        record(&span, &outcome);
        outcome
    }

    /// GETs an address and decodes its JSON; any status but 2xx is an error.
    ///
    /// # Errors
    /// [`HttpError`] of [`HttpClient::send`], [`HttpError::Status`] or [`HttpError::NotJson`].
    pub async fn get_json<T: DeserializeOwned>(&self, url: Url) -> Result<T, HttpError> {
        self.json(Request::get(url)).await
    }

    /// Sends a request and decodes the JSON of its answer; any status but 2xx is an error.
    ///
    /// # Errors
    /// [`HttpError`] of [`HttpClient::send`], [`HttpError::Status`] or [`HttpError::NotJson`].
    pub async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T, HttpError> {
        let response = self.send(request).await?;
        if !response.status.is_success() {
            return Err(HttpError::Status { place: response.place, status: response.status.as_u16() });
        }
        response.json()
    }

    async fn exchange(&self, request: Request, place: &str) -> Result<Response, HttpError> {
        let client = match request.connection {
            Connection::Pooled => &self.pooled,
            Connection::New => self.unpooled()?,
        };
        let sent = client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .send()
            .await;
        let mut answer = sent.map_err(|error| transport_fault(error, place))?;
        let body = self.body(&mut answer, place).await?;
        Ok(Response {
            status: answer.status(),
            headers: std::mem::take(answer.headers_mut()),
            body,
            place: place.to_owned(),
        })
    }

    async fn body(&self, answer: &mut reqwest::Response, place: &str) -> Result<Bytes, HttpError> {
        let limit = self.settings.body_limit;
        let too_large = || HttpError::TooLarge { place: place.to_owned(), limit };
        let announced = answer
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<usize>().ok())
            .unwrap_or(0);
        if announced > limit {
            return Err(too_large());
        }
        let mut body = BytesMut::with_capacity(announced.min(256 * 1024));
        while let Some(chunk) = answer.chunk().await.map_err(|e| transport_fault(e, place))? {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Built when first needed: most processes never see a 503.
    fn unpooled(&self) -> Result<&reqwest::Client, HttpError> {
        if let Some(client) = self.unpooled.get() {
            return Ok(client);
        }
        let client = self.settings.transport(0)?;
        Ok(self.unpooled.get_or_init(|| client))
    }
}

/// The span of an exchange, without anything secret. The trace goes no further: a provider is not ours to trace.
fn span(request: &Request, place: &str) -> Span {
    tracing::info_span!(
        "http",
        otel.name = request.method.as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = request.method.as_str(),
        http.request.body.size = request.body.len(),
        http.response.status_code = Empty,
        url.full = place,
        server.address = request.url.host_str(),
        server.port = request.url.port_or_known_default(),
        error.type = Empty,
    )
}

/// An answer of 4xx or 5xx is an error of the call, with the status as its type.
fn record(span: &Span, outcome: &Result<Response, HttpError>) {
    match outcome {
        Ok(response) => {
            let status = response.status;
            span.record("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                span.record("error.type", status.as_str());
                span.record("otel.status_code", "ERROR");
            }
        }
        Err(error) => {
            span.record("error.type", error.kind());
            span.record("otel.status_code", "ERROR");
        }
    }
}

fn transport_fault(error: reqwest::Error, place: &str) -> HttpError {
    let place = place.to_owned();
    let source = Box::new(error.without_url());
    if source.is_connect() {
        HttpError::Connect { place, source }
    } else if source.is_builder() {
        HttpError::Invalid { place, reason: source.to_string() }
    } else {
        HttpError::Broken { place, source }
    }
}
