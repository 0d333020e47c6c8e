//! A TCP proxy that does to connections what networks do: cuts, silence, slowness, ends that vanish.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use chassis::lifecycle::Tasks;
use chassis::time::pause;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Bytes that are carried at a time.
const CHUNK: usize = 16 * 1024;

/// What the network between client and server is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Clear,
    /// The server is away: connections end, new ones end at once.
    Closed,
    /// A black hole: nothing passes and nobody is told; what was sent arrives once it clears.
    Stalled,
    /// Every chunk (at most 16 KiB) waits this long, and then for the line to carry it.
    Slow {
        /// Delay of each chunk.
        latency: Duration,
        /// Width of the line, in bytes per second.
        bytes_per_second: u64,
    },
    /// Half open: the server's end is gone, the client is not told until it clears.
    ServerVanished,
    /// Half open: the client's end is gone, the server is not told until it clears.
    ClientVanished,
}

/// Forwards connections on a port of its own to a server, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// A changed number of cuts ends the connections that there are.
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    cuts: u64,
    weather: Weather,
}

impl Proxy {
    /// Listens on a free port of the loopback interface.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (state, seen) = watch::channel(State { cuts: 0, weather: Weather::Clear });
        let tasks = Tasks::new();
        let spawner = tasks.clone();
        tasks.spawn("proxy", async move {
            let mut ended = seen.clone();
            loop {
                let client = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = dropped(&mut ended) => return,
                };
                let Ok((client, _)) = client else { return };
                spawner.spawn("proxied connection", carry(client, server.clone(), seen.clone()));
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
        self.set(Weather::Closed);
    }

    /// Forwards again.
    pub fn open(&self) {
        self.set(Weather::Clear);
    }

    /// Changes the weather for connections that there are and for new ones.
    pub fn set(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }
}

/// Until the proxy is dropped.
async fn dropped(seen: &mut watch::Receiver<State>) {
    while seen.changed().await.is_ok() {}
}

/// Until what is seen is something else; at once when the proxy is gone.
async fn until(seen: &mut watch::Receiver<State>, holds: impl Fn(&State) -> bool) {
    let _ = seen.wait_for(holds).await;
}

/// How a connection is ended by the weather.
enum End {
    Both,
    Server,
    Client,
}

/// Until the weather ends a connection that was opened after `cuts`.
async fn ended(seen: &mut watch::Receiver<State>, cuts: u64) -> End {
    let ends = |state: &State| {
        state.cuts != cuts
            || matches!(state.weather, Weather::Closed | Weather::ServerVanished | Weather::ClientVanished)
    };
    match seen.wait_for(ends).await {
        Ok(state) if state.cuts == cuts && state.weather == Weather::ServerVanished => End::Server,
        Ok(state) if state.cuts == cuts && state.weather == Weather::ClientVanished => End::Client,
        _ => End::Both,
    }
}

async fn carry(mut client: TcpStream, server: String, mut seen: watch::Receiver<State>) {
    let state = *seen.borrow_and_update();
    match state.weather {
        Weather::Closed => return,
        // There is nobody: the caller finds out when the weather changes.
        Weather::ServerVanished | Weather::Stalled | Weather::ClientVanished => {
            until(&mut seen, |now| now.weather != state.weather).await;
            if state.weather != Weather::Stalled || seen.has_changed().is_err() {
                return;
            }
        }
        Weather::Clear | Weather::Slow { .. } => {}
    }
    let Ok(mut upstream) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let (cuts, weather) = { (seen.borrow().cuts, seen.clone()) };
    let end = {
        let (client_reads, client_writes) = client.split();
        let (server_reads, server_writes) = upstream.split();
        let there = pump(client_reads, server_writes, weather.clone());
        let back = pump(server_reads, client_writes, weather);
        tokio::select! {
            end = ended(&mut seen, cuts) => end,
            _ = async { tokio::try_join!(there, back) } => End::Both,
        }
    };
    let gone = seen.borrow().weather;
    match end {
        End::Both => {}
        End::Server => {
            drop(upstream);
            until(&mut seen, |now| now.weather != gone || now.cuts != cuts).await;
        }
        End::Client => {
            drop(client);
            until(&mut seen, |now| now.weather != gone || now.cuts != cuts).await;
        }
    }
}

/// Carries one direction until its source ends.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<State>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        until(&mut weather, |state| state.weather != Weather::Stalled).await;
        let now = weather.borrow().weather;
        if let Weather::Slow { latency, bytes_per_second } = now {
            let line = Duration::from_micros(read as u64 * 1_000_000 / bytes_per_second.max(1));
            pause(latency + line).await;
        }
        to.write_all(&chunk[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::within;

    /// A proxy before a server that says everything back.
    async fn echo() -> (Proxy, Tasks) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let server = listener.local_addr().expect("an address");
        let tasks = Tasks::new();
        let spawner = tasks.clone();
        tasks.spawn("echo", async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                spawner.spawn("echo of one", async move {
                    let (mut reads, mut writes) = peer.split();
                    let _ = tokio::io::copy(&mut reads, &mut writes).await;
                });
            }
        });
        (Proxy::start(server.to_string()).await, tasks)
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(proxy.address()).await.expect("the proxy accepts")
    }

    /// What comes back for one byte; `None` when the connection has ended.
    async fn said(peer: &mut TcpStream) -> Option<u8> {
        let mut byte = [0];
        let answer = async {
            peer.write_all(b"x").await.ok()?;
            peer.read_exact(&mut byte).await.ok().map(|_| byte[0])
        };
        within("an answer or the end", answer).await
    }

    /// Whether nothing at all comes for a while.
    async fn silent(peer: &mut TcpStream) -> bool {
        let mut byte = [0];
        chassis::time::deadline("silence", Duration::from_millis(80), peer.read(&mut byte)).await.is_err()
    }

    #[tokio::test]
    async fn clear_weather_passes_and_a_cut_ends_what_there_is() {
        let (proxy, _tasks) = echo().await;
        let mut peer = connect(&proxy).await;
        assert_eq!(said(&mut peer).await, Some(b'x'));
        proxy.cut();
        assert_eq!(said(&mut peer).await, None);
        assert_eq!(said(&mut connect(&proxy).await).await, Some(b'x'));
        proxy.close();
        assert_eq!(said(&mut connect(&proxy).await).await, None);
        proxy.open();
        assert_eq!(said(&mut connect(&proxy).await).await, Some(b'x'));
    }

    #[tokio::test]
    async fn a_black_hole_keeps_what_was_sent_until_it_clears() {
        let (proxy, _tasks) = echo().await;
        let mut before = connect(&proxy).await;
        assert_eq!(said(&mut before).await, Some(b'x'));
        proxy.set(Weather::Stalled);
        let mut within_it = connect(&proxy).await;
        for peer in [&mut before, &mut within_it] {
            peer.write_all(b"y").await.expect("it is taken");
            assert!(silent(peer).await);
        }
        proxy.open();
        for peer in [&mut before, &mut within_it] {
            let mut byte = [0];
            within("what was held back", peer.read_exact(&mut byte)).await.expect("a byte");
            assert_eq!(&byte, b"y");
        }
    }

    #[tokio::test]
    async fn a_vanished_end_is_noticed_by_the_other_only_when_it_clears() {
        let (proxy, _tasks) = echo().await;
        let mut peer = connect(&proxy).await;
        assert_eq!(said(&mut peer).await, Some(b'x'));
        proxy.set(Weather::ServerVanished);
        peer.write_all(b"y").await.expect("nobody says that there is no one");
        assert!(silent(&mut peer).await);
        proxy.open();
        assert_eq!(said(&mut peer).await, None);
        let mut peer = connect(&proxy).await;
        assert_eq!(said(&mut peer).await, Some(b'x'));
        proxy.set(Weather::ClientVanished);
        assert_eq!(said(&mut peer).await, None);
    }

    #[tokio::test]
    async fn a_slow_network_is_slow_both_ways() {
        let (proxy, _tasks) = echo().await;
        let mut peer = connect(&proxy).await;
        assert_eq!(said(&mut peer).await, Some(b'x'));
        let latency = Duration::from_millis(40);
        proxy.set(Weather::Slow { latency, bytes_per_second: 1_000 });
        let began = std::time::Instant::now();
        assert_eq!(said(&mut peer).await, Some(b'x'));
        assert!(began.elapsed() >= latency * 2, "{:?}", began.elapsed());
    }
}
