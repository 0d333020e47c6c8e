//! A TCP proxy whose connections can be cut.

use std::net::SocketAddr;

use chassis::lifecycle::Tasks;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections on a port of its own to a server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// Number of cuts so far; connections of an earlier number end.
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// Listens on a free port of the loopback interface.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (cuts, seen) = watch::channel(0);
        let tasks = Tasks::new();
        let spawner = tasks.clone();
        tasks.spawn("proxy", async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut seen) = (server.clone(), seen.clone());
                seen.mark_unchanged();
                spawner.spawn("proxied connection", async move {
                    let Ok(mut upstream) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = seen.changed() => {}
                        _ = copy_bidirectional(&mut client, &mut upstream) => {}
                    }
                });
            }
        });
        Self { address, cuts }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection; new ones are accepted.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}
