//! Exchanges, queues and bindings, declared at every connect.
//!
//! Limits belong into policies, which an operator can change while messages flow. But a policy needs the
//! management tools, and a broker without ours must still lose nothing; so what no loss depends on stays out
//! of the arguments, and what it depends on is in them: dead-lettering at least once (which needs
//! `overflow=reject-publish`) and a delivery limit (none by default before RabbitMQ 4.0).

use std::time::Duration;

use contracts::bell::{DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, EXCHANGE};
use contracts::jobs::Queue;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use crate::error::{BrokerError, Result, call, reply_code};

/// Deadline of each declaration.
const DECLARE: Duration = Duration::from_secs(10);
/// Deliveries of one message before it is dead-lettered: above what restarts of workers can cause.
const DELIVERY_LIMIT: i32 = 20;
/// The dead-letter queue keeps a message however often its archivist restarts.
const DEAD_DELIVERY_LIMIT: i32 = 1_000_000;
/// Reply code of a declaration with other arguments.
const PRECONDITION_FAILED: u16 = 406;

/// Names of the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    prefix: String,
}

impl Topology {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(crate) fn is_prefixed(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// Exchange that carries bells.
    pub fn exchange(&self) -> String {
        self.name(EXCHANGE)
    }

    /// Exchange that takes what no worker could claim.
    pub fn dead_letter_exchange(&self) -> String {
        self.name(DEAD_LETTER_EXCHANGE)
    }

    /// Queue behind it.
    pub fn dead_letter_queue(&self) -> String {
        self.name(DEAD_LETTER_QUEUE)
    }

    /// Queue of a class of work.
    pub fn queue(&self, queue: Queue) -> String {
        self.name(queue.name())
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Declares everything; what exists with the same arguments stays as it is.
    pub(crate) async fn declare(&self, channel: &Channel) -> Result<()> {
        let (exchange, dlx, dead) = (self.exchange(), self.dead_letter_exchange(), self.dead_letter_queue());
        declare_exchange(channel, &exchange).await?;
        declare_exchange(channel, &dlx).await?;
        declare_queue(channel, &dead, dead_arguments()).await?;
        bind(channel, &dead, &dlx, "#").await?;
        for queue in Queue::ALL {
            let name = self.queue(queue);
            declare_queue(channel, &name, work_arguments(&dlx)).await?;
            bind(channel, &name, &exchange, queue.binding()).await?;
        }
        Ok(())
    }
}

fn work_arguments(dlx: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-dead-letter-exchange".into(), text(dlx));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    arguments
}

fn dead_arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DEAD_DELIVERY_LIMIT));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

async fn declare_exchange(channel: &Channel, name: &str) -> Result<()> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default());
    call("declaring an exchange", DECLARE, declared).await.map_err(|error| explain(error, name))
}

async fn declare_queue(channel: &Channel, name: &str, arguments: FieldTable) -> Result<()> {
    let declared = channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments);
    call("declaring a queue", DECLARE, declared).await.map(drop).map_err(|error| explain(error, name))
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, pattern: &str) -> Result<()> {
    let bound = channel.queue_bind(
        queue.into(),
        exchange.into(),
        pattern.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    call("binding a queue", DECLARE, bound).await
}

fn explain(error: BrokerError, name: &str) -> BrokerError {
    match error {
        BrokerError::Amqp { source, .. } if reply_code(&source) == Some(PRECONDITION_FAILED) => {
            BrokerError::Inequivalent { name: name.to_owned(), source }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_prefix_and_arguments_the_promise() {
        let plain = Topology::new("");
        assert_eq!(
            (plain.exchange(), plain.queue(Queue::Documents)),
            ("jobs".into(), "jobs.documents".into())
        );
        let prefixed = Topology::new("t1.");
        assert_eq!((plain.is_prefixed(), prefixed.is_prefixed()), (false, true));
        assert_eq!(prefixed.dead_letter_queue(), "t1.jobs.dead");
        let arguments = work_arguments(&prefixed.dead_letter_exchange());
        for (name, value) in [
            ("x-queue-type", "quorum"),
            ("x-dead-letter-exchange", "t1.jobs.dlx"),
            ("x-dead-letter-strategy", "at-least-once"),
            ("x-overflow", "reject-publish"),
        ] {
            assert_eq!(arguments.inner().get(name), Some(&text(value)), "{name}");
        }
    }
}
