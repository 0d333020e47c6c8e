//! Spans reach a collector before the process ends.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use chassis::lifecycle::Shutdown;
use chassis::time::deadline;
use tonic::service::Routes;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_spans_are_exported() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let received: Arc<Mutex<Vec<u8>>> = Arc::default();
    let sink = received.clone();
    let export = move |body: Body| {
        let sink = sink.clone();
        async move {
            let bytes = to_bytes(body, 1024 * 1024).await.expect("a body");
            sink.lock().expect("not poisoned").extend_from_slice(&bytes);
            // An answer without a message: the exporter has sent what it had all the same.
            http::Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "0")
                .body(Body::empty())
                .expect("an answer")
        }
    };
    let routes = Routes::from(axum::Router::new().route(EXPORT, axum::routing::post(export)));
    let shutdown = Shutdown::new();
    let test = std::env::current_exe().expect("the test has a path");
    let example = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/<profile>/deps")
        .join("examples/lifecycle");
    let ended = shutdown.clone();
    let child = std::thread::spawn(move || {
        let vars = [
            ("LIFECYCLE_MODE", "refuse"),
            ("LIFECYCLE_ADMIN_ADDR", "127.0.0.1:0"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ];
        let output = Command::new(example).env_clear().envs(vars).output();
        ended.begin();
        output.expect("the example runs")
    });
    deadline("the process", Duration::from_secs(20), chassis::grpc::serve(listener, routes, &shutdown))
        .await
        .expect("in time")
        .expect("served");
    let output = child.join().expect("no panic");
    let received = String::from_utf8_lossy(&received.lock().expect("not poisoned")).into_owned();
    assert!(received.contains("lifecycle") && received.contains("job"), "{received:?} {output:?}");
}
