//! HTTP with JSON, for tests: REST with a token, the stand-in's control side, Graph itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chassis::secret::Secret;
use outbound::http::{HttpClient, Request, Response};
use outbound::{HeaderName, HeaderValue, Method, Url, header};
use serde_json::{Value, json};

/// Deadline of one call.
const LIMIT: Duration = Duration::from_mins(1);
/// Largest answer: the dump of a drive with a million items.
const BODY: usize = 1024 * 1024 * 1024;

/// A client for plain calls.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http() -> Result<Arc<HttpClient>> {
    Ok(Arc::new(HttpClient::builder().deadline(LIMIT).body_limit(BODY).build()?))
}

/// A base address, with a bearer token or without.
#[derive(Debug, Clone)]
pub struct Caller {
    http: Arc<HttpClient>,
    base: Url,
    token: Option<Secret>,
}

impl Caller {
    /// Calls `base`, a URL that ends without a slash.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn new(http: Arc<HttpClient>, base: &str, token: Option<Secret>) -> Result<Self> {
        Ok(Self { http, base: Url::parse(base)?, token })
    }

    /// One call, whatever the status. `path` is encoded as it must be sent.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response> {
        self.call_in_trace(method, path, body, None).await
    }

    /// As [`Caller::call`], as part of a trace (`traceparent`).
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call_in_trace(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        traceparent: Option<&str>,
    ) -> Result<Response> {
        let base = self.base.as_str().trim_end_matches('/');
        let mut request = Request::new(method, Url::parse(&format!("{base}{path}"))?);
        if let Some(token) = &self.token {
            request = request.bearer(token)?;
        }
        if let Some(body) = body {
            request = request.json(body)?;
        }
        if let Some(traceparent) = traceparent {
            let value = HeaderValue::from_str(traceparent)?;
            request = request.header(HeaderName::from_static("traceparent"), value);
        }
        Ok(self.http.send(request).await?)
    }

    /// One call that must succeed; the body, `null` when there is none.
    ///
    /// # Errors
    /// When there is no answer, or its status is not 2xx.
    pub async fn expect(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let what = format!("{method} {path}");
        let answer = self.call(method, path, body).await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status.is_success(), "{what}: {} {text}", answer.status);
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("{what}: {text:.300}"))
    }

    /// A write that names the version that it changes (`If-Match`) and must succeed.
    ///
    /// # Errors
    /// As [`Caller::expect`].
    pub async fn matching(&self, method: Method, path: &str, etag: &str, body: &Value) -> Result<Value> {
        let base = self.base.as_str().trim_end_matches('/');
        let mut request = Request::new(method, Url::parse(&format!("{base}{path}"))?).json(body)?;
        if let Some(token) = &self.token {
            request = request.bearer(token)?;
        }
        let request = request.header(header::IF_MATCH, HeaderValue::from_str(etag)?);
        let answer = self.http.send(request).await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status.is_success(), "{path}: {} {text}", answer.status);
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// `GET`
    ///
    /// # Errors
    /// As [`Caller::expect`].
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.expect(Method::GET, path, None).await
    }

    /// `POST`
    ///
    /// # Errors
    /// As [`Caller::expect`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.expect(Method::POST, path, Some(body)).await
    }

    /// `PUT`
    ///
    /// # Errors
    /// As [`Caller::expect`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.expect(Method::PUT, path, Some(body)).await
    }

    /// `DELETE`
    ///
    /// # Errors
    /// As [`Caller::expect`].
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.expect(Method::DELETE, path, None).await
    }

    /// A file's content (Graph: `PUT /drives/{id}/root:/path:/content`); returns the item.
    ///
    /// # Errors
    /// As [`Caller::expect`].
    pub async fn upload(&self, drive: &str, path: &str, content: &[u8]) -> Result<Value> {
        let base = self.base.as_str().trim_end_matches('/');
        let url =
            Url::parse(&format!("{base}/drives/{}/root:/{}:/content", encode(drive), encode_path(path)))?;
        let mut request = Request::new(Method::PUT, url);
        request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        request.body = content.to_vec().into();
        if let Some(token) = &self.token {
            request = request.bearer(token)?;
        }
        let answer = self.http.send(request).await?;
        ensure!(answer.status.is_success(), "PUT {path}: {} {:?}", answer.status, answer.json::<Value>());
        Ok(answer.json()?)
    }

    /// The item at a path from the root (Graph).
    ///
    /// # Errors
    /// As [`Caller::expect`].
    pub async fn item(&self, drive: &str, path: &str) -> Result<Value> {
        self.get(&format!("/drives/{}/root:/{}", encode(drive), encode_path(path))).await
    }

    /// Renames an item, or moves it into the folder at `parent` (Graph).
    ///
    /// # Errors
    /// As [`Caller::expect`].
    pub async fn relocate(&self, drive: &str, path: &str, parent: Option<&str>, name: &str) -> Result<Value> {
        let item = self.item(drive, path).await?;
        let mut change = json!({"name": name});
        if let Some(parent) = parent {
            change["parentReference"] = json!({"id": self.item(drive, parent).await?["id"]});
        }
        let id = item["id"].as_str().context("an item without an id")?;
        self.expect(Method::PATCH, &format!("/drives/{}/items/{id}", encode(drive)), Some(&change)).await
    }

    /// Deletes the item at a path (Graph).
    ///
    /// # Errors
    /// As [`Caller::expect`].
    pub async fn remove(&self, drive: &str, path: &str) -> Result<Value> {
        let item = self.item(drive, path).await?;
        let id = item["id"].as_str().context("an item without an id")?;
        self.delete(&format!("/drives/{}/items/{id}", encode(drive))).await
    }

    /// Makes a folder (Graph).
    ///
    /// # Errors
    /// As [`Caller::expect`].
    pub async fn folder(&self, drive: &str, parent: &str, name: &str) -> Result<Value> {
        let body = json!({"name": name, "folder": {}, "@microsoft.graph.conflictBehavior": "fail"});
        let path = match parent {
            "" => format!("/drives/{}/root/children", encode(drive)),
            _ => format!("/drives/{}/root:/{}:/children", encode(drive), encode_path(parent)),
        };
        self.post(&path, &body).await
    }
}

/// Encodes one path segment.
pub fn encode(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Encodes the segments of a path.
pub fn encode_path(path: &str) -> String {
    path.split('/').map(encode).collect::<Vec<_>>().join("/")
}
