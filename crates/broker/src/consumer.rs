//! Consuming, for as long as the process takes work.

use std::sync::Arc;
use std::time::Duration;

use chassis::time::pause;
use futures::{FutureExt, StreamExt};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ErrorKind};

use crate::delivery::Delivery;
use crate::depth::{Depth, look};
use crate::error::{Result, call, is_internal};
use crate::link::Link;
use crate::repair::{Kept, Repair};
use crate::watchdog::{Held, SUSPICIOUS, Watchdog};

/// Deadline of each step of building a consumer.
const BUILD: Duration = Duration::from_secs(10);
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
    /// Deliveries held at most, as asked for.
    full: u16,
    /// The same for the present channel; less after [`Consumer::narrow`].
    prefetch: u16,
    open: Option<Open>,
    /// The last channel ended by itself.
    broken: bool,
    repair: Repair,
    watchdog: Watchdog,
}

#[derive(Debug)]
struct Open {
    channel: Channel,
    stream: lapin::Consumer,
    /// Deliveries that are not settled yet.
    held: Held,
}

impl Consumer {
    pub(crate) fn new(
        link: Arc<Link>,
        queue: String,
        label: &'static str,
        prefetch: u16,
        messages: Kept,
    ) -> Self {
        let (watchdog, repair) = (Watchdog::default(), Repair::new(label, messages));
        Self { link, queue, label, full: prefetch, prefetch, open: None, broken: false, repair, watchdog }
    }

    /// Lets the next channel hold at most so many deliveries (at least one): what a busy worker could only give
    /// back, and the broker counts each time that it is given back (quorum queues, `x-delivery-count`).
    pub fn narrow(&mut self, prefetch: u16) {
        self.prefetch = prefetch.clamp(1, self.full);
    }

    /// Whether [`Consumer::narrow`] is in effect.
    pub fn is_narrow(&self) -> bool {
        self.prefetch < self.full
    }

    /// Lets the next channel hold as many deliveries as asked for at first.
    pub fn widen(&mut self) {
        self.prefetch = self.full;
    }

    /// Tells this consumer from elsewhere that work is due.
    pub fn watchdog(&self) -> Watchdog {
        self.watchdog.clone()
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
                    Some(Ok(delivery)) => {
                        self.watchdog.alive();
                        return Some(Delivery::new(delivery, self.label, open.held.clone()));
                    }
                    Some(Err(error)) => cause_of(&error),
                    None => "cancelled",
                },
                () = self.watchdog.due() => {
                    if open.held.number() >= u32::from(self.prefetch) || !self.watchdog.bites() {
                        continue;
                    }
                    "silent"
                }
                () = pause(SUSPICIOUS) => match Box::pin(self.depth()).await {
                    Ok(depth) if depth.consumers == 0 => "not_registered",
                    // Other consumers may be slow to take them; this one has room and gets none.
                    Ok(depth) if depth.ready > 0 && self.has_room() && self.watchdog.bites() => "silent",
                    Ok(_) => continue,
                    Err(_) => "no_answer",
                },
            };
            self.ended(cause);
        }
    }

    /// The next message if one has arrived already, from the channel of the last one; never waits.
    pub fn ready(&mut self) -> Option<Delivery> {
        let open = self.open.as_mut()?;
        let item = open.stream.next().now_or_never()?;
        match item {
            Some(Ok(delivery)) => {
                self.watchdog.alive();
                return Some(Delivery::new(delivery, self.label, open.held.clone()));
            }
            Some(Err(error)) => self.ended(cause_of(&error)),
            None => self.ended("cancelled"),
        }
        None
    }

    /// The channel ended by itself; the next call of [`Consumer::next`] builds another.
    fn ended(&mut self, cause: &'static str) {
        tracing::warn!(queue = self.label, cause, "the consumer ended, building it anew");
        metrics::counter!("consumer_rebuilt_total", "queue" => self.label, "cause" => cause).increment(1);
        self.open = None;
        self.broken = true;
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
        let (queue, prefetch, broken) = (&self.queue, self.prefetch, self.broken);
        let open = loop {
            let link = &self.link;
            let answer = link.until_up(|| async {
                match build(link, queue, prefetch, broken).await {
                    Err(error) if is_internal(&error) => Ok(Err(error)),
                    other => other.map(Ok),
                }
            });
            match answer.await? {
                Ok(open) => break open,
                Err(error) => self.link = self.repair.after(link, queue, &error).await?,
            }
        };
        self.repair.works();
        self.open = Some(open);
        self.broken = false;
        self.watchdog.alive();
        tracing::info!(queue = self.label, prefetch, "consuming");
        Some(())
    }

    /// Asks the server, on the consumer's own channel, about the queue.
    async fn depth(&self) -> Result<Depth> {
        match &self.open {
            Some(open) => look(&open.channel, &self.queue).await,
            None => Ok(Depth { ready: 0, consumers: 1 }),
        }
    }

    fn has_room(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.held.number() < u32::from(self.prefetch))
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
    Ok(Open { channel, stream, held: Held::default() })
}

fn cause_of(error: &lapin::Error) -> &'static str {
    match error.kind() {
        // The server waited longer than its consumer_timeout and closes the channel, with this text only.
        ErrorKind::ProtocolError(error)
            if error.get_id() == 406 && error.to_string().contains("timed out") =>
        {
            "ack_timeout"
        }
        ErrorKind::ProtocolError(error) if error.get_id() == 406 => "precondition_failed",
        ErrorKind::ProtocolError(error) if error.get_id() == 404 => "not_found",
        ErrorKind::ProtocolError(_) => "protocol_error",
        ErrorKind::MissingHeartbeatError => "missing_heartbeat",
        _ => "connection_lost",
    }
}
