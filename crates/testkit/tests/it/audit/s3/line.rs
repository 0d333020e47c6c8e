//! A line to an HTTP server that fails one kind of request in one way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chassis::lifecycle::{Shutdown, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Writing an object is answered with 500.
    Refuses,
    /// Writing an object is never answered.
    Hangs,
    /// Writing an object is answered with 200, and nothing is there.
    Loses,
    /// An object that is read ends in its middle.
    Truncates,
}

impl Fault {
    /// The requests about archives that it strikes.
    fn strikes(self, head: &str) -> bool {
        let method = if self == Fault::Truncates { "GET " } else { "PUT " };
        head.starts_with(method) && head.lines().next().is_some_and(|line| line.contains("/archives/0"))
    }
}

/// Forwards requests, one per connection.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    struck: Arc<AtomicUsize>,
    shutdown: Shutdown,
}

impl Line {
    /// A line to a server that lets `skip` objects pass and fails from then on.
    pub async fn start(server: SocketAddr, fault: Fault, skip: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let (struck, passed, shutdown) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Shutdown::new());
        let tasks = Tasks::new();
        let (spawner, counted, over) = (tasks.clone(), struck.clone(), shutdown.clone());
        tasks.spawn("line", async move {
            let stopping = over.stopping();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = stopping.cancelled() => return,
                };
                let Ok((client, _)) = accepted else { return };
                let (counted, passed, over) = (counted.clone(), passed.clone(), over.clone());
                spawner.spawn("request", async move {
                    let stopping = over.stopping();
                    tokio::select! {
                        _ = carry(client, server, fault, skip, &counted, &passed) => {}
                        () = stopping.cancelled() => {}
                    }
                });
            }
        });
        Self { address, struck, shutdown }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that failed.
    pub fn struck(&self) -> usize {
        self.struck.load(Ordering::SeqCst)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    fault: Fault,
    skip: usize,
    struck: &AtomicUsize,
    passed: &AtomicUsize,
) -> std::io::Result<()> {
    let (head, body) = request(&mut client).await?;
    let strikes = fault.strikes(&head) && passed.fetch_add(1, Ordering::SeqCst) >= skip;
    if strikes {
        struck.fetch_add(1, Ordering::SeqCst);
        match fault {
            Fault::Refuses => {
                let answer =
                    "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                return client.write_all(answer.as_bytes()).await;
            }
            Fault::Hangs => return std::future::pending().await,
            Fault::Loses => {
                let answer =
                    "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                return client.write_all(answer.as_bytes()).await;
            }
            Fault::Truncates => {}
        }
    }
    let mut upstream = TcpStream::connect(server).await?;
    upstream.write_all(head.as_bytes()).await?;
    upstream.write_all(&body).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    let whole = answer.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
    let length = if strikes { whole + (answer.len() - whole) / 2 } else { answer.len() };
    client.write_all(&answer[..length]).await?;
    client.shutdown().await
}

/// The head, asking the server to close afterwards, and the body.
async fn request(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break at;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut body = bytes.split_off(end + 4);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    while body.len() < length.unwrap_or(0) {
        if client.read_buf(&mut body).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let kept: Vec<&str> =
        head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:")).collect();
    Ok((kept.join("\r\n") + "\r\nconnection: close\r\n\r\n", body))
}
