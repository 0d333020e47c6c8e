//! One of the two connections: made when first used, made anew when it broke.

use std::str::FromStr;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use chassis::config::SecretSource;
use chassis::health::{Dependency, Health, Need};
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::wait::until_up;
use futures::StreamExt;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::sync::{Mutex, Notify};

use crate::error::{BrokerError, Result, call, is_soft};
use crate::topology::Topology;

/// Deadline of TCP, TLS and AMQP handshakes together.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of a frame, unless the URL says otherwise. lapin keeps room for 64 frames a connection: at the default of
/// 128 KiB that is 8 MiB for bells of 150 bytes.
const FRAME_MAX: u32 = 16 * 1024;
/// Deadline for opening a channel.
const OPEN: Duration = Duration::from_secs(5);
/// Heartbeat asked of the server, in seconds: a silent peer is noticed after twice that.
const HEARTBEAT_SECONDS: u16 = 10;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Publish,
    Consume,
}

impl Purpose {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Purpose::Publish => "publish",
            Purpose::Consume => "consume",
        }
    }
}

/// The state of both connections, shown as one dependency: up when each that was ever used is up.
#[derive(Debug)]
pub(crate) struct Standing {
    dependency: Dependency,
    /// The server takes messages.
    room: Dependency,
    links: SyncMutex<[State; 2]>,
    /// What the server said when it blocked each connection.
    blocked: SyncMutex<[Option<String>; 2]>,
}

/// What is known of one connection.
#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Unused,
    Up,
    Down(String),
}

impl Standing {
    pub(crate) fn new(dependency: Dependency, room: Dependency) -> Self {
        room.up();
        Self { dependency, room, links: SyncMutex::default(), blocked: SyncMutex::default() }
    }

    /// Notes that the server blocks a connection, for this reason, or no longer.
    fn block(&self, purpose: Purpose, reason: Option<String>) {
        metrics::gauge!("broker_blocked", "connection" => purpose.as_str()).set(if reason.is_some() {
            1.0
        } else {
            0.0
        });
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        blocked[purpose as usize] = reason;
        match blocked.iter().flatten().next() {
            Some(reason) => self.room.down(format!("RabbitMQ blocks publishing: {reason}")),
            None => self.room.up(),
        }
    }

    /// Why the server blocks the connection now.
    pub(crate) fn blocked(&self, purpose: Purpose) -> Option<String> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)[purpose as usize].clone()
    }

    pub(crate) fn dependency(&self) -> &Dependency {
        &self.dependency
    }

    pub(crate) fn up(&self, purpose: Purpose) {
        self.set(purpose, State::Up);
    }

    pub(crate) fn down(&self, purpose: Purpose, reason: &str) {
        self.set(purpose, State::Down(format!("{}: {reason}", purpose.as_str())));
    }

    fn set(&self, purpose: Purpose, state: State) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links[purpose as usize] = state;
        drop(links);
        self.show();
    }

    /// Tells the dependency again, after someone else has told it about one connection only.
    pub(crate) fn show(&self) {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let down = links.iter().find_map(|link| match link {
            State::Down(reason) => Some(reason),
            _ => None,
        });
        match down {
            Some(reason) => self.dependency.down(reason.as_str()),
            None if links.iter().any(|link| matches!(link, State::Up)) => self.dependency.up(),
            None => {}
        }
    }
}

/// What a connection gets from its process.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) tasks: Tasks,
    pub(crate) shutdown: Shutdown,
    pub(crate) health: Health,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) purpose: Purpose,
    name: String,
    url: SecretSource,
    topology: Topology,
    standing: Arc<Standing>,
    life: Life,
    slot: Mutex<Option<Arc<Connection>>>,
    /// Tells whoever waits in a back-off that there is a connection again.
    made: Notify,
}

impl Link {
    pub(crate) fn new(
        purpose: Purpose,
        service: &str,
        url: SecretSource,
        topology: Topology,
        standing: Arc<Standing>,
        life: Life,
    ) -> Self {
        let name = format!("{service}:{}", purpose.as_str());
        Self { purpose, name, url, topology, standing, life, slot: Mutex::default(), made: Notify::new() }
    }

    /// Another connection to the same server, for one queue that had the server close this one. It is shown as a soft
    /// dependency of the queue's name.
    pub(crate) fn apart(&self, queue: &'static str) -> Self {
        let health = &self.life.health;
        let room = health.dependency("broker_room", Need::Soft);
        let standing = Standing::new(health.dependency(queue, Need::Soft), room);
        Self {
            purpose: self.purpose,
            name: format!("{}:{queue}", self.name),
            url: self.url.clone(),
            topology: self.topology.clone(),
            standing: Arc::new(standing),
            life: self.life.clone(),
            slot: Mutex::default(),
            made: Notify::new(),
        }
    }

    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.life.shutdown
    }

    /// Why the server blocks this connection now.
    pub(crate) fn blocked(&self) -> Option<String> {
        self.standing.blocked(self.purpose)
    }

    /// The connection, made and given its topology when there is none that works.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.status().connected()) {
            return Ok(connection.clone());
        }
        *slot = None;
        match self.connect().await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *slot = Some(connection.clone());
                self.standing.up(self.purpose);
                self.made.notify_waiters();
                Ok(connection)
            }
            Err(error) => {
                metrics::counter!("broker_connect_failures_total", "connection" => self.purpose.as_str())
                    .increment(1);
                self.standing.down(self.purpose, &chassis::telemetry::chain(&error));
                Err(error)
            }
        }
    }

    /// Runs `attempt` until it succeeds, with back-off, and at once when the watchdog has made the connection
    /// anew; `None` when the process drains.
    pub(crate) async fn until_up<T, Fut>(&self, mut attempt: impl FnMut() -> Fut) -> Option<T>
    where
        Fut: Future<Output = Result<T>>,
    {
        loop {
            let made = self.made.notified();
            let trying = until_up("broker", self.standing.dependency(), &self.life.shutdown, || {
                let attempt = attempt();
                async move { attempt.await.map_err(|error| chassis::telemetry::chain(&error)) }
            });
            tokio::select! {
                biased;
                done = trying => return done,
                // Also when this attempt has made it; the next one finds it made.
                () = made => {}
            }
        }
    }

    /// A new channel on it.
    pub(crate) async fn channel(&self) -> Result<Channel> {
        let connection = self.connection().await?;
        call("opening a channel", OPEN, connection.create_channel()).await
    }

    /// Declares the topology again, after something of it was found missing.
    pub(crate) async fn declare(&self) -> Result<()> {
        let channel = self.channel().await?;
        self.topology.declare(&channel).await
    }

    async fn connect(&self) -> Result<Connection> {
        let mut uri = AMQPUri::from_str(self.url.current().expose()).map_err(|_| BrokerError::Url)?;
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let connection = call("connecting", CONNECT, Connection::connect_uri(uri, properties)).await?;
        metrics::counter!("broker_connections_total", "connection" => self.purpose.as_str()).increment(1);
        self.watch_events(&connection);
        let channel = call("opening a channel", OPEN, connection.create_channel()).await?;
        self.topology.declare(&channel).await?;
        tracing::info!(connection = self.purpose.as_str(), "connected to RabbitMQ, topology declared");
        Ok(connection)
    }

    /// Follows what the server says about the connection itself.
    fn watch_events(&self, connection: &Connection) {
        let mut events = connection.events_listener();
        let (purpose, standing) = (self.purpose, self.standing.clone());
        let draining = self.life.shutdown.draining();
        self.life.tasks.spawn("broker-events", async move {
            standing.block(purpose, None);
            loop {
                let event = tokio::select! {
                    () = draining.cancelled() => return,
                    event = events.next() => event,
                };
                match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(
                            connection = purpose.as_str(),
                            reason,
                            "RabbitMQ blocks the connection"
                        );
                        standing.block(purpose, Some(reason));
                    }
                    Some(Event::ConnectionUnblocked) => {
                        standing.block(purpose, None);
                        tracing::info!(connection = purpose.as_str(), "RabbitMQ unblocked the connection");
                    }
                    // A fault of one channel, which its user mends, is none of the connection.
                    Some(Event::Error(error)) if is_soft(&error) => {}
                    Some(Event::Error(error)) => standing.down(purpose, &error.to_string()),
                    Some(_) => {}
                    None => {
                        standing.block(purpose, None);
                        return;
                    }
                }
            }
        });
    }

    /// Makes the connection again when it is down, and gives it up when it no longer answers. Links that
    /// were never used stay unused.
    pub(crate) async fn check(&self, probe: bool) {
        let current = self.slot.lock().await.clone();
        let Some(connection) = current else {
            return self.remake_if_down().await;
        };
        if !connection.status().connected() {
            return self.remake_if_down().await;
        }
        // A blocked connection answers nothing, and a new one would be blocked as well.
        if !probe || connection.status().blocked() {
            return;
        }
        let probed = call("probing the connection", OPEN, connection.create_channel()).await;
        if probed.is_ok() {
            self.standing.up(self.purpose);
        }
        if let Err(error) = probed {
            let cause = chassis::telemetry::chain(&error);
            tracing::warn!(
                connection = self.purpose.as_str(),
                cause,
                "the connection does not answer, giving it up"
            );
            metrics::counter!("broker_connection_faults_total", "connection" => self.purpose.as_str(), "cause" => "probe")
                .increment(1);
            self.give_up(&connection).await;
        }
    }

    async fn remake_if_down(&self) {
        let down = {
            let links = self.standing.links.lock().unwrap_or_else(PoisonError::into_inner);
            !matches!(links[self.purpose as usize], State::Unused)
        };
        if down && let Err(error) = self.connection().await {
            tracing::debug!(connection = self.purpose.as_str(), error = %error, "RabbitMQ is still away");
        }
    }

    /// Takes this connection out of use, so that the next call makes another one.
    async fn give_up(&self, connection: &Arc<Connection>) {
        let mut slot = self.slot.lock().await;
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            *slot = None;
            self.standing.down(self.purpose, "the connection did not answer");
        }
    }

    /// Says goodbye to the server.
    pub(crate) async fn close(&self) {
        let Some(connection) = self.slot.lock().await.take() else { return };
        if let Err(error) = call("closing the connection", OPEN, connection.close(200, "OK".into())).await {
            tracing::debug!(connection = self.purpose.as_str(), error = %error, "the connection closed roughly");
        }
    }
}
