//! Consuming, for as long as the process takes work.

use std::sync::Arc;
use std::time::Duration;

use chassis::time::pause;
use futures::StreamExt;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ErrorKind};

use crate::delivery::Delivery;
use crate::error::{Result, call};
use crate::link::Link;

/// Deadline of each step of building a consumer.
const BUILD: Duration = Duration::from_secs(10);
/// Silence after which the consumer asks whether it still is one.
const SILENCE: Duration = Duration::from_secs(15);
/// Deadline of saying goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Messages of one queue. Whatever ends its channel, it is built anew (counted in `consumer_rebuilt_total`
/// by cause) and the topology declared again.
#[derive(Debug)]
pub struct Consumer {
    link: Arc<Link>,
    /// Name at the broker.
    queue: String,
    /// Name without prefix.
    label: &'static str,
    prefetch: u16,
    open: Option<Open>,
    /// The last channel ended by itself.
    broken: bool,
}

#[derive(Debug)]
struct Open {
    channel: Channel,
    stream: lapin::Consumer,
}

impl Consumer {
    pub(crate) fn new(link: Arc<Link>, queue: String, label: &'static str, prefetch: u16) -> Self {
        Self { link, queue, label, prefetch, open: None, broken: false }
    }

    /// The next message; `None` once the process drains. Safe to drop and call again.
    pub async fn next(&mut self) -> Option<Delivery> {
        let draining = self.link.shutdown().draining();
        loop {
            if draining.is_cancelled() {
                return None;
            }
            let Some(open) = self.open.as_mut() else {
                Box::pin(self.build()).await?;
                continue;
            };
            let cause = tokio::select! {
                biased;
                () = draining.cancelled() => return None,
                item = open.stream.next() => match item {
                    Some(Ok(delivery)) => return Some(Delivery::new(delivery, self.label)),
                    Some(Err(error)) => cause_of(&error),
                    None => "cancelled",
                },
                () = pause(SILENCE) => match Box::pin(self.still_consuming()).await {
                    Ok(true) => continue,
                    Ok(false) => "not_registered",
                    Err(_) => "no_answer",
                },
            };
            tracing::warn!(queue = self.label, cause, "the consumer ended, building it anew");
            metrics::counter!("consumer_rebuilt_total", "queue" => self.label, "cause" => cause).increment(1);
            self.open = None;
            self.broken = true;
        }
    }

    /// Closes the channel: every message that was not acknowledged goes back to the queue, for others. The
    /// next call of [`Consumer::next`] opens another.
    pub async fn pause(&mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = call("closing a channel", GOODBYE, open.channel.close(200, "OK".into())).await
        {
            tracing::debug!(queue = self.label, error = %error, "the channel closed roughly");
        }
    }

    /// Takes no more messages; those delivered can still be acknowledged until the consumer is dropped or
    /// paused, when the rest goes back to the queue.
    pub async fn cancel(&mut self) {
        if let Some(open) = &self.open {
            let cancelled = open.channel.basic_cancel(open.stream.tag(), BasicCancelOptions::default());
            if let Err(error) = call("cancelling a consumer", GOODBYE, cancelled).await {
                tracing::debug!(queue = self.label, error = %error, "the consumer ended roughly");
            }
        }
    }

    async fn build(&mut self) -> Option<()> {
        let (link, queue, prefetch, broken) = (&self.link, &self.queue, self.prefetch, self.broken);
        let open = link.until_up(|| build(link, queue, prefetch, broken)).await?;
        self.open = Some(open);
        self.broken = false;
        tracing::info!(queue = self.label, prefetch, "consuming");
        Some(())
    }

    /// Asks the server, on the consumer's own channel, whether the queue is there and has a consumer.
    async fn still_consuming(&self) -> Result<bool> {
        let Some(open) = &self.open else { return Ok(true) };
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asked = open.channel.queue_declare(self.queue.as_str().into(), options, FieldTable::default());
        let queue = call("looking at a queue", BUILD, asked).await?;
        Ok(queue.consumer_count() > 0)
    }
}

async fn build(link: &Link, queue: &str, prefetch: u16, broken: bool) -> Result<Open> {
    if broken {
        link.declare().await?;
    }
    let channel = link.channel().await?;
    call("setting the prefetch", BUILD, channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let consumed =
        channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let stream = call("consuming", BUILD, consumed).await?;
    Ok(Open { channel, stream })
}

fn cause_of(error: &lapin::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ProtocolError(error) if error.get_id() == 406 => "precondition_failed",
        ErrorKind::ProtocolError(_) => "protocol_error",
        ErrorKind::MissingHeartbeatError => "missing_heartbeat",
        _ => "connection_lost",
    }
}
