//! The listener: limits, keep-alive, and an end that finishes what is under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::time::deadline;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    tasks: Tasks,
    entered: Arc<Notify>,
    release: Arc<Notify>,
}

async fn server() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (shutdown, tasks) = (Shutdown::new(), Tasks::new());
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (in_entered, in_release) = (entered.clone(), release.clone());
    let router = Router::new()
        .route(
            "/peer",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }),
        )
        .route(
            "/gate",
            get(move || async move {
                in_entered.notify_one();
                in_release.notified().await;
                "finished"
            }),
        );
    let serving = shutdown.clone();
    tasks.spawn_critical("http", async move { web::serve(listener, router, &serving).await });
    Server { address, shutdown, tasks, entered, release }
}

async fn send(address: SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = deadline("the answer", PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time");
    assert!(read.is_ok() || !answer.is_empty(), "{read:?}");
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn a_request_under_way_is_finished_and_idle_connections_are_closed() {
    let server = server().await;
    let mut idle = send(server.address, "GET /peer HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut first = [0; 15];
    deadline("the status", PATIENCE, idle.read_exact(&mut first)).await.expect("in time").expect("read");
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let mut gate = send(server.address, "GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    deadline("the handler", PATIENCE, server.entered.notified()).await.expect("entered");
    server.shutdown.begin();
    assert!(rest(&mut idle).await.ends_with("127.0.0.1"), "closed after its answer");
    server.release.notify_one();
    assert!(rest(&mut gate).await.ends_with("finished"));
    deadline("the end", PATIENCE, server.tasks.wait()).await.expect("it ends");
    assert_eq!(server.tasks.failure(), None);
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn the_second_stage_cuts_off_and_large_heads_are_refused() {
    let server = server().await;
    let huge = format!("GET /peer HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "a".repeat(64 * 1024));
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(huge.as_bytes()).await;
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431"));
    let many: String =
        (0..100).flat_map(|n| ["x-".to_owned(), n.to_string(), ": 1\r\n".to_owned()]).collect();
    let mut stream = send(server.address, &format!("GET /peer HTTP/1.1\r\nhost: x\r\n{many}\r\n")).await;
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431"));
    let _hanging = send(server.address, "GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    deadline("the handler", PATIENCE, server.entered.notified()).await.expect("entered");
    server.shutdown.begin();
    server.shutdown.stop();
    deadline("the end", PATIENCE, server.tasks.wait()).await.expect("it ends");
}
