//! A small HTTP client for handshakes and notifications; plain `http` only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// Why a call had no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The URL cannot be called from here.
    #[error("the emulator calls http URLs only, not {0}")]
    Url(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection failed.
    #[error("the connection failed")]
    Connect(#[source] std::io::Error),
    /// The exchange failed.
    #[error("the exchange failed")]
    Http(#[from] hyper::Error),
    /// The answer is too large or broken.
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// POSTs a body and waits for the whole answer.
pub(crate) async fn post(
    url: &Url,
    content_type: &'static str,
    body: Bytes,
    limit: Duration,
) -> Result<Answer, ClientError> {
    let headers = [(CONTENT_TYPE.as_str(), content_type.to_owned())];
    post_with(url, &headers, body, limit).await
}

/// POSTs a body with these headers and waits for the whole answer; a connection that ends after an interim answer
/// (1xx) has answered with that.
pub(crate) async fn post_with(
    url: &Url,
    headers: &[(&str, String)],
    body: Bytes,
    limit: Duration,
) -> Result<Answer, ClientError> {
    tokio::time::timeout(limit, exchange(url, headers, body))
        .await
        .map_err(|_| ClientError::Timeout(limit))?
}

async fn exchange(url: &Url, headers: &[(&str, String)], body: Bytes) -> Result<Answer, ClientError> {
    let host = url.host_str().filter(|_| url.scheme() == "http").ok_or_else(|| {
        ClientError::Url(format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()))
    })?;
    let port = url.port_or_known_default().unwrap_or(80);
    let stream =
        TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(ClientError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut request =
        Request::builder().method(Method::POST).uri(target).header(HOST, format!("{host}:{port}"));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let mut request = request.body(Full::new(body)).map_err(|fault| ClientError::Body(Box::new(fault)))?;
    // An interim answer is all that some servers give.
    let interim = Arc::new(AtomicU16::new(0));
    let seen = Arc::clone(&interim);
    hyper::ext::on_informational(&mut request, move |answer| {
        seen.store(answer.status().as_u16(), Ordering::Relaxed);
    });
    let talk = async {
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(ClientError::Body)?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    };
    let mut talk = std::pin::pin!(talk);
    // The connection is driven here, not by a task of its own; it ends with the exchange.
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        answer = &mut talk => answer,
        outcome = &mut connection => match outcome {
            Ok(()) => talk.await,
            Err(error) => Err(error.into()),
        },
    };
    match interim.load(Ordering::Relaxed) {
        0 => outcome,
        status => outcome.or(Ok(Answer { status, headers: HeaderMap::new(), body: Bytes::new() })),
    }
}
