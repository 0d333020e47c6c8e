//! The handle that services hold.

use std::sync::Arc;
use std::time::Duration;

use chassis::health::{Health, Need};
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::time::pause;
use contracts::jobs::Queue;
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions, QueuePurgeOptions};

use crate::config::BrokerConfig;
use crate::consumer::Consumer;
use crate::depth::Depths;
use crate::error::{BrokerError, Result, call};
use crate::link::{Life, Link, Purpose, Standing};
use crate::publisher::Publisher;
use crate::repair::Kept;
use crate::topology::Topology;

/// How often the watchdog looks at the connections.
const WATCH: Duration = Duration::from_secs(2);
/// Every how many looks it asks the server for an answer.
const PROBE_EVERY: u32 = 8;
/// Deadline of an administrative call.
const ADMIN: Duration = Duration::from_secs(10);

/// RabbitMQ, over one connection to publish and one to consume. Clones share both.
#[derive(Debug, Clone)]
pub struct Broker {
    publish: Arc<Link>,
    consume: Arc<Link>,
    topology: Topology,
}

impl Broker {
    /// A broker that connects when it is first used, and from then on stays connected: a watchdog task makes
    /// broken connections anew and gives up silent ones. Its state is the hard dependency `broker`; that the
    /// server takes messages (no memory or disk alarm) is the soft dependency `broker_room`.
    pub fn new(
        config: &BrokerConfig,
        service: &str,
        health: &Health,
        tasks: &Tasks,
        shutdown: &Shutdown,
    ) -> Self {
        chassis::metrics::describe(&crate::metrics::METRICS);
        let topology = Topology::new(&config.prefix);
        // Blocked, a process still consumes: it is degraded, and restarting it would not help.
        let room = health.dependency("broker_room", Need::Soft);
        let standing = Arc::new(Standing::new(health.dependency("broker", Need::Hard), room));
        let link = |purpose| {
            let life = Life { tasks: tasks.clone(), shutdown: shutdown.clone(), health: health.clone() };
            Arc::new(Link::new(
                purpose,
                service,
                config.url.clone(),
                topology.clone(),
                standing.clone(),
                life,
            ))
        };
        let broker = Self {
            publish: link(Purpose::Publish),
            consume: link(Purpose::Consume),
            topology: topology.clone(),
        };
        tasks.spawn("broker-watchdog", broker.clone().watch(shutdown.clone()));
        broker
    }

    /// Names of exchanges and queues.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// A publisher with a channel of its own.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.publish.clone(), self.topology.exchange())
    }

    /// A consumer of a class of work, with at most `prefetch` unacknowledged deliveries.
    pub fn consumer(&self, queue: Queue, prefetch: u16) -> Consumer {
        Consumer::new(
            self.consume.clone(),
            self.topology.queue(queue),
            queue.name(),
            prefetch,
            Kept::InLedger,
        )
    }

    /// Asks how much waits in the queues.
    pub fn depths(&self) -> Depths {
        Depths::new(self.consume.clone(), self.topology.clone())
    }

    /// A consumer of the dead-letter queue.
    pub fn dead_letters(&self, prefetch: u16) -> Consumer {
        let queue = self.topology.dead_letter_queue();
        let label = contracts::bell::DEAD_LETTER_QUEUE;
        Consumer::new(self.consume.clone(), queue, label, prefetch, Kept::Nowhere)
    }

    /// Makes sure that the server answers and has our topology.
    ///
    /// # Errors
    /// As the connection attempt.
    pub async fn ping(&self) -> Result<()> {
        self.publish.channel().await.map(drop)
    }

    /// Waits until the server answers a publisher; `None` when the process drains first.
    pub async fn until_up(&self) -> Option<()> {
        let link = &self.publish;
        link.until_up(|| async { link.channel().await.map(drop) }).await
    }

    /// Declares the topology again, after something of it was found missing.
    ///
    /// # Errors
    /// As the server says.
    pub async fn declare(&self) -> Result<()> {
        self.publish.declare().await
    }

    /// Drops every message of a queue; the ledger rings the jobs again.
    ///
    /// # Errors
    /// As the server says.
    pub async fn purge(&self, queue: Queue) -> Result<u32> {
        let channel = self.publish.channel().await?;
        let purged = channel.queue_purge(self.topology.queue(queue).into(), QueuePurgeOptions::default());
        call("purging a queue", ADMIN, purged).await
    }

    /// Deletes exchanges and queues of a prefixed topology.
    ///
    /// # Errors
    /// [`BrokerError::NotPrefixed`] for the topology without a prefix, otherwise as the server says.
    pub async fn delete_topology(&self) -> Result<()> {
        if !self.topology.is_prefixed() {
            return Err(BrokerError::NotPrefixed);
        }
        let channel = self.publish.channel().await?;
        let queues = Queue::ALL.into_iter().map(|queue| self.topology.queue(queue));
        for queue in queues.chain([self.topology.dead_letter_queue()]) {
            let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
            call("deleting a queue", ADMIN, deleted).await?;
        }
        for exchange in [self.topology.exchange(), self.topology.dead_letter_exchange()] {
            let deleted = channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default());
            call("deleting an exchange", ADMIN, deleted).await?;
        }
        Ok(())
    }

    /// Closes both connections; unacknowledged deliveries go back to their queues.
    pub async fn close(&self) {
        self.publish.close().await;
        self.consume.close().await;
    }

    async fn watch(self, shutdown: Shutdown) {
        let draining = shutdown.draining();
        let mut looks = 0_u32;
        loop {
            tokio::select! {
                () = draining.cancelled() => return,
                () = pause(WATCH) => {}
            }
            looks = looks.wrapping_add(1);
            let probe = looks.is_multiple_of(PROBE_EVERY);
            tokio::select! {
                () = draining.cancelled() => return,
                ((), ()) = async { tokio::join!(self.publish.check(probe), self.consume.check(probe)) } => {}
            }
            self.publish.standing().show();
        }
    }
}
