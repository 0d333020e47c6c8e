//! A queue that the server cannot serve: asked to consume from it, it closes the whole connection with the internal
//! error 541. Seen after a server was killed and emptied: the queue's record was there, the Raft process behind it was
//! not.

use std::sync::Arc;
use std::time::Duration;

use chassis::time::pause;
use lapin::options::QueueDeleteOptions;

use crate::error::{BrokerError, Result, call};
use crate::link::Link;

/// Failures after which the queue is deleted and declared again. The first may have been another queue's.
const PATIENCE: u32 = 3;
/// First and longest pause after a failure; doubled in between.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Deadline of deleting a queue: the server looks for its Raft members first.
const DELETE: Duration = Duration::from_secs(15);

/// Where the messages of a queue are, should the queue be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The ledger rings each of them again: the queue may be deleted.
    InLedger,
    /// Nowhere else: only a person may delete it.
    Nowhere,
}

/// How a consumer goes on when its queue has the server close connections.
#[derive(Debug)]
pub(crate) struct Repair {
    label: &'static str,
    messages: Kept,
    /// Failures since it last worked.
    failures: u32,
    /// A connection for this queue alone, from its first failure on.
    apart: Option<Arc<Link>>,
}

impl Repair {
    pub(crate) fn new(label: &'static str, messages: Kept) -> Self {
        Self { label, messages, failures: 0, apart: None }
    }

    /// The queue can be consumed from.
    pub(crate) fn works(&mut self) {
        self.failures = 0;
    }

    /// Waits after a failure, and replaces the queue when it fails again and again. Answers the connection to go on
    /// with, which no other queue shares; `None` when the process drains.
    pub(crate) async fn after(
        &mut self,
        shared: &Arc<Link>,
        queue: &str,
        error: &BrokerError,
    ) -> Option<Arc<Link>> {
        self.failures += 1;
        let (label, failures) = (self.label, self.failures);
        let link = self.apart.get_or_insert_with(|| Arc::new(shared.apart(label))).clone();
        let reason = chassis::telemetry::chain(error);
        tracing::error!(queue = label, failures, error = reason, "RabbitMQ cannot serve the queue");
        metrics::counter!("broker_queue_faults_total", "queue" => label).increment(1);
        link.standing().dependency().down(format!("RabbitMQ cannot serve {label}: {reason}"));
        let draining = link.shutdown().draining();
        tokio::select! {
            () = draining.cancelled() => return None,
            () = pause(PAUSE.0.saturating_mul(1 << (failures - 1).min(5)).min(PAUSE.1)) => {}
        }
        if failures < PATIENCE {
            return Some(link);
        }
        match self.messages {
            Kept::InLedger => match replace(&link, queue, label).await {
                Ok(()) => tracing::warn!(queue = label, "the queue was deleted and declared again"),
                Err(error) => {
                    let error = chassis::telemetry::chain(&error);
                    tracing::error!(queue = label, error, "the queue cannot be replaced");
                }
            },
            Kept::Nowhere => tracing::error!(
                queue = label,
                "what the queue holds is nowhere else: restart the RabbitMQ node, or delete the queue by hand \
                 (rabbitmqctl delete_queue) to give its messages up"
            ),
        }
        Some(link)
    }
}

/// Deletes the queue with all that is in it, and declares the topology.
async fn replace(link: &Link, queue: &str, label: &'static str) -> Result<()> {
    let channel = link.channel().await?;
    call("deleting a queue", DELETE, channel.queue_delete(queue.into(), QueueDeleteOptions::default()))
        .await?;
    metrics::counter!("broker_queues_replaced_total", "queue" => label).increment(1);
    link.declare().await
}
