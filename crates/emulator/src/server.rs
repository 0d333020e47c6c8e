//! Both sides on the wire: faults, the ledger, and the connection itself.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::http_date;
use crate::faults::{Outcome, Verdict};
use crate::google;
use crate::http::{Body, Call, MAX_BODY, PageFault, Reply};
use crate::ledger::{Entry, redact};
use crate::microsoft;
use crate::microsoft::errors::GraphError;
use crate::world::World;

/// Longest time for a request body to arrive.
const BODY_DEADLINE: Duration = Duration::from_mins(2);

/// Which provider a listener stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Microsoft,
    Google,
}

type WireBody = UnsyncBoxBody<Bytes, io::Error>;

/// A connection that can be torn down with a TCP reset.
struct Wire {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.cut.load(Ordering::Relaxed) {
            // Zero linger turns the close into a reset.
            let _ = self.stream.set_zero_linger();
        }
    }
}

/// Accepts connections until the world stops.
pub(crate) async fn run(world: Arc<World>, side: Side, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(fault) => {
                tracing::warn!(%fault, "a connection was not accepted");
                chassis::time::pause(Duration::from_millis(20)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        world.tasks.spawn(connection(world.clone(), side, stream));
    }
}

async fn connection(world: Arc<World>, side: Side, stream: TcpStream) {
    let cut = Arc::new(AtomicBool::new(false));
    let wire = TokioIo::new(Wire { stream, cut: cut.clone() });
    let served = world.clone();
    let service = service_fn(move |request| {
        let (world, cut) = (served.clone(), cut.clone());
        async move { handle(&world, side, request, &cut).await }
    });
    let mut serving =
        std::pin::pin!(hyper::server::conn::http1::Builder::new().serve_connection(wire, service));
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = world.stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(fault) = outcome {
        tracing::debug!(%fault, "a connection ended early");
    }
}

/// The caller breaks the connection off.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
struct Cut;

/// Scheme and authority under which the caller reached us; a proxy in front may speak https for us.
fn origin(headers: &http::HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = if text("x-forwarded-proto") == Some("https") { "https" } else { "http" };
    format!("{scheme}://{}", text("host").unwrap_or("127.0.0.1"))
}

async fn handle(
    world: &Arc<World>,
    side: Side,
    request: Request<Incoming>,
    cut: &Arc<AtomicBool>,
) -> Result<Response<WireBody>, Cut> {
    let (parts, body) = request.into_parts();
    let mut call = Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        origin: origin(&parts.headers),
        headers: parts.headers,
        body: Bytes::new(),
        account: None,
        page_fault: None,
    };
    let reading = Limited::new(body, MAX_BODY).collect();
    let Ok(Ok(body)) = tokio::time::timeout(BODY_DEADLINE, reading).await else {
        return Ok(finish(
            world,
            side,
            &call,
            Reply::error(GraphError::of_status(413)),
            Delivery::Plain,
            cut,
        ));
    };
    call.body = body.to_bytes();
    let verdict = side.judge(world, &call);
    if !verdict.delay.is_zero() {
        chassis::time::pause(verdict.delay).await;
    }
    let Verdict { outcome, inside_window, fault, .. } = verdict;
    let (reply, delivery) = match outcome {
        Outcome::ResetBefore => (None, Delivery::Plain),
        Outcome::Answer(reply) => (Some(reply), Delivery::Plain),
        Outcome::ResetAfterCommit => {
            side.serve(world, &mut call).await;
            (None, Delivery::Plain)
        }
        Outcome::AnswerAfterCommit(reply) => {
            side.serve(world, &mut call).await;
            (Some(reply), Delivery::Plain)
        }
        Outcome::Proceed => (Some(side.serve(world, &mut call).await), Delivery::Plain),
        Outcome::ResetMidBody => (Some(side.serve(world, &mut call).await), Delivery::Half),
        Outcome::SlowBody(rate) => (Some(side.serve(world, &mut call).await), Delivery::Slow(rate)),
        Outcome::MalformedJson => (Some(side.serve(world, &mut call).await.malformed()), Delivery::Plain),
        Outcome::NextLinkLoop => {
            call.page_fault = Some(PageFault::Loop);
            (Some(side.serve(world, &mut call).await), Delivery::Plain)
        }
        Outcome::EmptyPage => {
            call.page_fault = Some(PageFault::Empty);
            (Some(side.serve(world, &mut call).await), Delivery::Plain)
        }
    };
    note(world, side, &call, reply.as_ref(), inside_window, fault, false);
    let Some(reply) = reply else {
        cut.store(true, Ordering::Relaxed);
        return Err(Cut);
    };
    Ok(finish(world, side, &call, reply, delivery, cut))
}

impl Side {
    fn judge(self, world: &World, call: &Call) -> Verdict {
        match self {
            Self::Microsoft => microsoft::serve::judge(world, call),
            Self::Google => google::judge(world, call),
        }
    }

    async fn serve(self, world: &Arc<World>, call: &mut Call) -> Reply {
        match self {
            Self::Microsoft => microsoft::serve::serve(world, call).await,
            Self::Google => google::serve(world, call).await,
        }
    }

    fn provider(self) -> &'static str {
        match self {
            Self::Microsoft => "microsoft",
            Self::Google => "google",
        }
    }
}

/// Writes a call into the ledger.
pub(crate) fn note(
    world: &World,
    side: Side,
    call: &Call,
    reply: Option<&Reply>,
    inside_window: bool,
    fault: Option<String>,
    in_batch: bool,
) {
    if side == Side::Google && google::by_hand(&call.path) {
        return;
    }
    let preauthenticated = call.path.starts_with("/_");
    world.ledger.record(Entry {
        seq: 0,
        time_ms: world.clock.now_ms(),
        provider: side.provider(),
        method: call.method.to_string(),
        path: redact(&call.target()),
        status: reply.map_or(0, |reply| reply.status),
        account: call.account.clone(),
        inside_throttle_window: inside_window,
        bytes: reply.map_or(0, |reply| reply.body.len()),
        in_batch,
        bearer_leaked: preauthenticated && call.headers.contains_key("authorization"),
        fault,
        client_request_id: call.header("client-request-id").map(ToOwned::to_owned),
        user_agent: call.header("user-agent").map(ToOwned::to_owned),
    });
}

/// How the body leaves.
#[derive(Debug, Clone, Copy)]
enum Delivery {
    Plain,
    Half,
    Slow(u64),
}

fn finish(
    world: &World,
    side: Side,
    call: &Call,
    reply: Reply,
    delivery: Delivery,
    cut: &Arc<AtomicBool>,
) -> Response<WireBody> {
    let now = world.clock.now();
    let request_id = chassis::ids::new_id().to_string();
    let client_id = call.header("client-request-id").unwrap_or(&request_id).to_owned();
    let reply = reply.seal(&request_id, &client_id, &now.format("%Y-%m-%dT%H:%M:%S").to_string());
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = reply.headers;
    let headers = response.headers_mut();
    let set = |headers: &mut http::HeaderMap, name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(headers, DATE, &http_date(now));
    if side == Side::Microsoft {
        set(headers, HeaderName::from_static("request-id"), &request_id);
        set(headers, HeaderName::from_static("client-request-id"), &client_id);
        set(
            headers,
            HeaderName::from_static("x-ms-ags-diagnostic"),
            "{\"ServerInfo\":{\"DataCenter\":\"Emulator\",\"Slice\":\"E\",\"Ring\":\"0\"}}",
        );
    }
    let length = reply.body.len();
    if !matches!(reply.status, 204 | 304) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|()| wire_body(reply.body, delivery, cut))
}

fn wire_body(body: Body, delivery: Delivery, cut: &Arc<AtomicBool>) -> WireBody {
    let length = body.len();
    let pieces: BoxStream<'static, io::Result<Bytes>> = match delivery {
        Delivery::Plain => match body {
            Body::Bytes(bytes) => {
                return http_body_util::Full::new(bytes)
                    .map_err(|never: Infallible| match never {})
                    .boxed_unsync();
            }
            range @ Body::Range { .. } => range.default_pieces(),
        },
        Delivery::Half => half(body, length / 2, cut.clone()),
        Delivery::Slow(rate) => {
            let piece = (rate / 10).clamp(1, 64 * 1024);
            let wait = Duration::from_secs_f64(piece as f64 / rate as f64);
            body.pieces(piece as usize)
                .then(move |bytes| async move {
                    chassis::time::pause(wait).await;
                    bytes
                })
                .boxed()
        }
    };
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

/// The first half of a body, then a broken connection.
fn half(body: Body, mut left: u64, cut: Arc<AtomicBool>) -> BoxStream<'static, io::Result<Bytes>> {
    let first = body.default_pieces().map(move |piece| {
        piece.map(|bytes| {
            let keep = bytes.len().min(left as usize);
            left -= keep as u64;
            bytes.slice(..keep)
        })
    });
    let end = stream::once(async move {
        // Time for the half to leave, so that the reader sees it before the reset.
        chassis::time::pause(Duration::from_millis(30)).await;
        cut.store(true, Ordering::Relaxed);
        Err(io::ErrorKind::ConnectionReset.into())
    });
    first
        .filter(|piece| futures::future::ready(piece.as_ref().map_or(true, |bytes| !bytes.is_empty())))
        .chain(end)
        .boxed()
}

impl Reply {
    /// The same answer, cut in the middle so that it is no JSON any more.
    fn malformed(mut self) -> Self {
        let cut = self.bytes().map(|bytes| bytes.slice(..bytes.len() * 2 / 3));
        if let Some(bytes) = cut {
            self.error = None;
            self.body = Body::Bytes(bytes);
        }
        self
    }
}
