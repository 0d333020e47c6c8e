//! A TCP proxy whose connections can be cut, and which can be closed.

use std::net::SocketAddr;

use chassis::lifecycle::Tasks;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Forwards connections on a port of its own to a server, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// Any change ends the connections that there are.
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    cuts: u64,
    open: bool,
}

impl Proxy {
    /// Listens on a free port of the loopback interface.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (state, seen) = watch::channel(State { cuts: 0, open: true });
        let tasks = Tasks::new();
        let spawner = tasks.clone();
        tasks.spawn("proxy", async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut seen) = (server.clone(), seen.clone());
                if !seen.borrow_and_update().open {
                    continue;
                }
                spawner.spawn("proxied connection", async move {
                    let Ok(mut upstream) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = seen.changed() => {}
                        _ = copy_bidirectional(&mut client, &mut upstream) => {}
                    }
                });
            }
        });
        Self { address, state }
    }

    /// A proxy before the server of a URL, and the URL that leads through it.
    ///
    /// # Panics
    /// When the URL is none, or no port can be had.
    pub async fn before(url: &str, default_port: u16) -> (Self, String) {
        let mut url = Url::parse(url).expect("a URL");
        let server =
            format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(default_port));
        let proxy = Self::start(server).await;
        url.set_host(Some("127.0.0.1")).expect("a host can be set");
        url.set_port(Some(proxy.address.port())).expect("a port can be set");
        (proxy, url.into())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection; new ones are accepted.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Ends every connection and every new one, as if the server were away.
    pub fn close(&self) {
        self.state.send_modify(|state| state.open = false);
    }

    /// Forwards again.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }
}
