//! Requests and answers of our own, so that nobody else names the HTTP library.

use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use bytes::Bytes;
use chassis::secret::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::HttpError;
use crate::redact::place;

/// Which connection a request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connection {
    /// One from the pool, or a new one.
    #[default]
    Pooled,
    /// Always a new one, as Microsoft asks for after a 503 (Graph best practices).
    New,
}

/// A request. `Debug` shows neither query nor headers nor body.
#[derive(Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Absolute address.
    pub url: Url,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, empty when there is none.
    pub body: Bytes,
    /// Deadline of the whole exchange, body included; the client's default when absent.
    pub deadline: Option<Duration>,
    /// Which connection it may use.
    pub connection: Connection,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, place(&self.url))
    }
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            deadline: None,
            connection: Connection::Pooled,
        }
    }

    /// A GET.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the deadline of the whole exchange.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// Sets `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] when the token has characters that no header may carry.
    pub fn bearer(mut self, token: &Secret) -> Result<Self, HttpError> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| HttpError::Invalid {
                place: place(&self.url),
                reason: "the token has characters that a header cannot carry".into(),
            })?;
        value.set_sensitive(true);
        self.headers.insert(header::AUTHORIZATION, value);
        Ok(self)
    }

    /// Sets a JSON body.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] when the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Result<Self, HttpError> {
        let bytes = serde_json::to_vec(body).map_err(|e| HttpError::Invalid {
            place: place(&self.url),
            reason: format!("body is not JSON: {e}"),
        })?;
        self.body = bytes.into();
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    /// Sets an `application/x-www-form-urlencoded` body.
    #[must_use]
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body = body.into();
        self.headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self
    }
}

/// A complete answer.
#[derive(Clone)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body within the client's limit.
    pub body: Bytes,
    /// Redacted address that answered, for messages.
    pub place: String,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} from {} ({} bytes)", self.status, self.place, self.body.len())
    }
}

impl Response {
    /// A header's text, when it is there and visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// Decodes the body as JSON, whatever the status.
    ///
    /// # Errors
    /// [`HttpError::NotJson`] when it is not what `T` needs.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|source| HttpError::NotJson {
            place: self.place.clone(),
            status: self.status.as_u16(),
            source,
        })
    }
}
