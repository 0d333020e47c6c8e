//! HTTP/1.1 over a listener, with limits on what a client may make us hold.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use chassis::lifecycle::Shutdown;
use chassis::time::pause;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Longest time for a request's head to arrive, and for a kept-alive connection to stay idle.
const HEAD: Duration = Duration::from_secs(30);
/// Size of a request's head.
const MAX_HEAD: usize = 32 * 1024;
/// Header lines of a request.
const MAX_HEADERS: usize = 64;
/// Connections at once; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 4096;
/// Pause after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Why the server could not go on.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP listener has no address")]
pub struct ServeError(#[from] std::io::Error);

/// Serves `router` until the shutdown begins: then no connection is accepted, idle ones are closed
/// and requests in flight are finished, until the shutdown's second stage. Handlers find the
/// client's address as [`ConnectInfo<SocketAddr>`].
///
/// # Errors
/// [`ServeError`] when the listener is not usable.
pub async fn serve(listener: TcpListener, router: Router, shutdown: &Shutdown) -> Result<(), ServeError> {
    tracing::info!(address = %listener.local_addr()?, "HTTP listens");
    let (draining, stopping) = (shutdown.draining(), shutdown.stopping());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = draining.cancelled() => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, router.clone(), shutdown.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    pause(ACCEPT_AGAIN).await;
                }
            },
        }
    }
    drop(listener);
    loop {
        tokio::select! {
            ended = connections.join_next() => if ended.is_none() { return Ok(()) },
            () = stopping.cancelled() => {
                tracing::warn!(open = connections.len(), "requests are cut off");
                return Ok(()); // dropping the set ends its connections
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, shutdown: Shutdown) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let draining = shutdown.draining();
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = draining.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
    }
}
