//! A gRPC server that ends with the process, with a span and a duration for each call.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::{Layer, Service};
use tracing::Instrument;
use tracing::field::Empty;

use super::{method_of, service_of};
use crate::lifecycle::Shutdown;
use crate::trace::TraceContext;

/// Longest time until a call is answered; the caller's `grpc-timeout` may be shorter.
const CALL: Duration = Duration::from_mins(2);
/// How often an idle connection is probed, and how long the answer may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// Calls in flight on one connection.
const MAX_STREAMS: u32 = 256;
/// Size of all metadata of a call.
const MAX_METADATA: u32 = 16 * 1024;

/// Why the server ended early.
#[derive(Debug, thiserror::Error)]
#[error("the gRPC server on {address} stopped")]
pub struct ServeError {
    /// Where it listened.
    pub address: String,
    /// What went wrong.
    #[source]
    pub source: tonic::transport::Error,
}

/// Serves `routes` until the shutdown begins; calls in flight are finished, until its second stage.
///
/// # Errors
/// [`ServeError`] when the listener fails.
pub async fn serve(listener: TcpListener, routes: Routes, shutdown: &Shutdown) -> Result<(), ServeError> {
    let address = listener.local_addr().map_or_else(|_| "unknown".to_owned(), |address| address.to_string());
    tracing::info!(address, "gRPC listens");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = Server::builder()
        .timeout(CALL)
        .http2_keepalive_interval(Some(KEEP_ALIVE.0))
        .http2_keepalive_timeout(Some(KEEP_ALIVE.1))
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_METADATA)
        .layer(Traced)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.draining().cancelled_owned());
    tokio::select! {
        served = serving => served.map_err(|source| ServeError { address, source }),
        () = shutdown.stopping().cancelled_owned() => Ok(()),
    }
}

#[derive(Clone)]
struct Traced;

impl<S> Layer<S> for Traced {
    type Service = TracedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TracedService { inner }
    }
}

#[derive(Clone)]
struct TracedService<S> {
    inner: S,
}

impl<S> Service<http::Request<Body>> for TracedService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let span = tracing::info_span!(
            "grpc",
            otel.name = method,
            otel.kind = "server",
            rpc.system = "grpc",
            rpc.service = service_of(&method),
            rpc.method = method_of(&method),
            rpc.grpc.status_code = Empty,
            otel.status_code = Empty,
            error.type = Empty,
        );
        TraceContext::from_headers(request.headers()).set_as_parent_of(&span);
        let started = Instant::now();
        let call = {
            let _entered = span.enter();
            AssertUnwindSafe(self.inner.call(request)).catch_unwind()
        };
        let answered = async move {
            let response = call.await.unwrap_or_else(|panic| Ok(internal(&*panic)))?;
            super::record_status(&tracing::Span::current(), &response);
            observe(method, &response, started.elapsed());
            Ok(response)
        };
        Box::pin(answered.instrument(span))
    }
}

/// A panic is a defect of this server: the caller learns no more than that.
fn internal(_panic: &(dyn Any + Send)) -> http::Response<Body> {
    tonic::Status::internal("the call failed inside the server").into_http()
}

/// The status of an error stands in the headers; without one the call was (so far) a success.
fn observe(method: String, response: &http::Response<Body>, took: Duration) {
    let code =
        response.headers().get("grpc-status").and_then(|code| code.to_str().ok()).unwrap_or("0").to_owned();
    let known = code != "12"; // an unimplemented method's name is the caller's to choose
    let method = if known { method } else { "unknown".to_owned() };
    metrics::histogram!("grpc_server_duration_seconds", "method" => method, "code" => code).record(took);
}
