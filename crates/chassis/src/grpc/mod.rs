//! gRPC with traces and deadlines on both sides.

mod client;
mod server;

pub use client::{ChannelError, TracedChannel, channel};
pub use server::{ServeError, serve};

/// The service of `package.Service/Method`.
fn service_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(service, _)| service)
}

/// The method of `package.Service/Method`.
fn method_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, method)| method)
}

/// Writes the status that stands in the headers into the span; without one the call is (so far) a success.
fn record_status<B>(span: &tracing::Span, response: &http::Response<B>) {
    let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok()).unwrap_or("0");
    span.record("rpc.grpc.status_code", code.parse::<i64>().unwrap_or(2));
    if code != "0" {
        span.record("error.type", code);
        span.record("otel.status_code", "ERROR");
    }
}
