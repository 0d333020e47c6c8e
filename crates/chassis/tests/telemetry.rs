//! Trace ids exist without an exporter, and the current span's context travels.

use std::time::Duration;

use chassis::lifecycle::Shutdown;
use chassis::telemetry::init_for_tests;
use chassis::time::deadline;
use chassis::trace::TraceContext;
use http::HeaderMap;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Service, ServiceExt};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn incoming() -> TraceContext {
    TraceContext { traceparent: Some(PARENT.to_owned()), tracestate: None }
}

#[test]
fn a_span_without_a_parent_begins_a_trace_and_one_with_a_parent_continues_it() {
    init_for_tests();
    let root = tracing::info_span!("root");
    let own = root.in_scope(TraceContext::current);
    assert!(own.trace_id().is_some(), "{own:?}");

    let child = tracing::info_span!("child");
    incoming().set_as_parent_of(&child);
    let context = child.in_scope(TraceContext::current);
    assert_eq!(context.trace_id(), incoming().trace_id());
    assert_ne!(context.traceparent.as_deref(), Some(PARENT), "the parent id is the child's own");
    assert!(
        context.traceparent.is_some_and(|parent| parent.ends_with("-01")),
        "the caller's decision is kept"
    );

    let linked = tracing::info_span!("linked");
    incoming().link_to(&linked);
    assert_ne!(linked.in_scope(TraceContext::current).trace_id(), incoming().trace_id());
}

/// Answers with the trace id that it runs in, as a header.
async fn echo(request: http::Request<axum::body::Body>) -> http::Response<axum::body::Body> {
    assert!(request.headers().contains_key("traceparent"));
    assert!(request.uri().path() != "/demo.Echo/Panic", "on purpose");
    let context = TraceContext::current();
    let mut response = http::Response::new(axum::body::Body::empty());
    response.headers_mut().insert("x-trace", context.trace_id().expect("a trace").parse().expect("hex"));
    response.headers_mut().insert("grpc-status", http::HeaderValue::from_static("0"));
    response
}

#[tokio::test]
async fn a_call_carries_the_trace_a_panic_is_internal_and_the_end_is_graceful() {
    init_for_tests();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let shutdown = Shutdown::new();
    let routes = Routes::from(axum::Router::new().route("/demo.Echo/{call}", axum::routing::any(echo)));
    let client = async {
        let mut channel = chassis::grpc::channel(&url).expect("an address");
        let mut statuses = Vec::new();
        for path in ["/demo.Echo/Say", "/demo.Echo/Panic"] {
            let span = tracing::info_span!("caller");
            incoming().set_as_parent_of(&span);
            let request = http::Request::post(path).body(Body::empty()).expect("a request");
            let called = channel.ready().await.expect("connected");
            let call = span.in_scope(|| called.call(request));
            let headers: HeaderMap = call.await.expect("answered").headers().clone();
            statuses.push((
                headers.get("grpc-status").and_then(|code| code.to_str().ok()).map(str::to_owned),
                headers.get("x-trace").and_then(|id| id.to_str().ok()).map(str::to_owned),
            ));
        }
        shutdown.begin();
        statuses
    };
    let both = async { tokio::join!(chassis::grpc::serve(listener, routes, &shutdown), client) };
    let (served, statuses) =
        deadline("server and client", Duration::from_secs(20), both).await.expect("in time");
    served.expect("a graceful end");
    let trace = incoming().trace_id().map(str::to_owned);
    assert_eq!(statuses, [(Some("0".to_owned()), trace), (Some("13".to_owned()), None)]);
    assert!(chassis::grpc::channel("not an address").is_err());
}
