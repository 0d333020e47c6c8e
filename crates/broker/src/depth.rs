//! How many messages wait in a queue, asked of the queue itself.
//!
//! A passive declaration is answered by the leader of a quorum queue from its state, so it counts every
//! message that was confirmed before; the numbers of the management tools lag by seconds.

use std::sync::Arc;
use std::time::Duration;

use contracts::jobs::Queue;
use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::sync::Mutex;

use crate::error::{BrokerError, Result, call, reply_code};
use crate::link::Link;
use crate::topology::Topology;

/// Deadline of one question.
const ASK: Duration = Duration::from_secs(5);
/// Reply code for a queue that is not there.
const NOT_FOUND: u16 = 404;

/// What a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Messages that wait for a consumer; those delivered and not yet acknowledged are not counted.
    pub ready: usize,
    /// Consumers of all processes.
    pub consumers: usize,
}

/// Asks queues over a channel of its own on the connection that consumes, which the server does not block.
#[derive(Debug)]
pub struct Depths {
    link: Arc<Link>,
    topology: Topology,
    channel: Mutex<Option<Channel>>,
}

impl Depths {
    pub(crate) fn new(link: Arc<Link>, topology: Topology) -> Self {
        Self { link, topology, channel: Mutex::default() }
    }

    /// What the queue holds now. One that was deleted is declared again and is empty.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn of(&self, queue: Queue) -> Result<Depth> {
        let mut slot = self.channel.lock().await;
        let channel = match slot.take().filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => self.link.channel().await?,
        };
        match look(&channel, &self.topology.queue(queue)).await {
            Ok(depth) => {
                *slot = Some(channel);
                Ok(depth)
            }
            Err(BrokerError::Amqp { source, .. }) if reply_code(&source) == Some(NOT_FOUND) => {
                tracing::warn!(queue = queue.name(), "the queue is gone, declaring the topology again");
                metrics::counter!("broker_queue_missing_total", "queue" => queue.name()).increment(1);
                self.link.declare().await?;
                Ok(Depth::default())
            }
            Err(error) => Err(error),
        }
    }
}

/// Asks over this channel; an error closes it.
pub(crate) async fn look(channel: &Channel, queue: &str) -> Result<Depth> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asked = channel.queue_declare(queue.into(), options, FieldTable::default());
    let queue = call("looking at a queue", ASK, asked).await?;
    let number = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Ok(Depth { ready: number(queue.message_count()), consumers: number(queue.consumer_count()) })
}
