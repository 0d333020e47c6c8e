//! A channel that reconnects by itself and carries the trace of the caller.

use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::Service;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::{method_of, record_status, service_of};
use crate::trace::TraceContext;

/// Longest time of a connection attempt.
const CONNECT: Duration = Duration::from_secs(2);
/// Longest time until a call is answered, unless the request sets a shorter `grpc-timeout`. Above
/// the longest deadline of a provider call (90 s), so that the callee's own verdict arrives.
const CALL: Duration = Duration::from_mins(2);
/// How often an idle connection is probed, and how long the answer may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(5));

/// An address that cannot be called.
#[derive(Debug, thiserror::Error)]
#[error("`{url}` is not the address of a gRPC server; write http://host:port")]
pub struct ChannelError {
    /// The address as given.
    pub url: String,
    /// Why it was refused.
    #[source]
    pub source: tonic::transport::Error,
}

/// A channel for generated clients. Cheap to clone; each call is a client span whose context
/// travels in the metadata.
#[derive(Debug, Clone)]
pub struct TracedChannel {
    inner: Channel,
}

/// A channel to `url` (`http://host:port`). Connects at the first call and again after a loss;
/// must be called inside a runtime.
///
/// # Errors
/// [`ChannelError`] when `url` is not an address.
pub fn channel(url: &str) -> Result<TracedChannel, ChannelError> {
    let refused = |source| ChannelError { url: crate::secret::redact_url(url), source };
    let inner = Endpoint::from_str(url)
        .map_err(refused)?
        .connect_timeout(CONNECT)
        .timeout(CALL)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1)
        .keep_alive_while_idle(true)
        .connect_lazy();
    Ok(TracedChannel { inner })
}

impl Service<http::Request<Body>> for TracedChannel {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().trim_start_matches('/');
        let span = tracing::info_span!(
            "grpc call",
            otel.name = method,
            otel.kind = "client",
            rpc.system = "grpc",
            rpc.service = service_of(method),
            rpc.method = method_of(method),
            rpc.grpc.status_code = Empty,
            otel.status_code = Empty,
            error.type = Empty,
        );
        TraceContext::of(&span).inject(request.headers_mut());
        let call = {
            let _entered = span.enter();
            self.inner.call(request)
        };
        let answered = async move {
            let answer = call.await;
            if let Ok(response) = &answer {
                record_status(&Span::current(), response);
            } else {
                Span::current().record("error.type", "transport");
                Span::current().record("otel.status_code", "ERROR");
            }
            answer
        };
        Box::pin(answered.instrument(span))
    }
}
