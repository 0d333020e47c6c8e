//! A received message.

use std::time::Duration;

use chassis::trace::TraceContext;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use lapin::types::ShortString;
use serde_json::Value;

use crate::error::call;
use crate::headers;
use crate::watchdog::Held;

/// Deadline of an acknowledgement.
const SETTLE: Duration = Duration::from_secs(5);

/// A received message, to be acknowledged or rejected. Dropped without either, it is delivered again when
/// its channel closes.
#[derive(Debug)]
pub struct Delivery {
    inner: lapin::message::Delivery,
    queue: &'static str,
    held: Held,
}

impl Delivery {
    pub(crate) fn new(inner: lapin::message::Delivery, queue: &'static str, held: Held) -> Self {
        held.delivered(inner.delivery_tag);
        Self { inner, queue, held }
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.inner.data
    }

    /// The routing key that it was published with.
    pub fn routing_key(&self) -> &str {
        self.inner.routing_key.as_str()
    }

    /// Exchange that it was published to.
    pub fn exchange(&self) -> &str {
        self.inner.exchange.as_str()
    }

    /// Name of the queue, without prefix.
    pub fn queue(&self) -> &'static str {
        self.queue
    }

    /// Whether it was delivered before.
    pub fn redelivered(&self) -> bool {
        self.inner.redelivered
    }

    /// Tag on its channel.
    pub fn tag(&self) -> u64 {
        self.inner.delivery_tag
    }

    /// Id given by the publisher.
    pub fn message_id(&self) -> Option<&str> {
        self.inner.properties.message_id().as_ref().map(ShortString::as_str)
    }

    /// All headers as a JSON object.
    pub fn headers(&self) -> Value {
        self.inner
            .properties
            .headers()
            .as_ref()
            .map_or_else(|| Value::Object(serde_json::Map::new()), headers::to_json)
    }

    /// Trace context from the headers.
    pub fn trace(&self) -> TraceContext {
        self.inner.properties.headers().as_ref().map(headers::trace).unwrap_or_default()
    }

    /// Takes the message off its queue. False when the acknowledgement was not sent (its channel is gone):
    /// the message will be delivered again, and counts in `ack_not_sent_total`.
    pub async fn ack(&self) -> bool {
        let sent = call("acknowledging", SETTLE, self.inner.acker.ack(BasicAckOptions::default())).await;
        self.settled(sent)
    }

    /// Takes this message and every one delivered before it on its channel off the queue, those excepted that were
    /// settled already. False as for [`Delivery::ack`].
    pub async fn ack_through(&self) -> bool {
        let options = BasicAckOptions { multiple: true };
        let sent = call("acknowledging", SETTLE, self.inner.acker.ack(options)).await;
        let sent = self.settled(sent);
        if sent {
            self.held.settled_through(self.tag());
        }
        sent
    }

    /// Sends the message to the dead-letter exchange. False as for [`Delivery::ack`].
    pub async fn reject(&self) -> bool {
        let options = BasicRejectOptions { requeue: false };
        let sent = call("rejecting", SETTLE, self.inner.acker.reject(options)).await;
        self.settled(sent)
    }

    fn settled(&self, sent: crate::Result<bool>) -> bool {
        let reason = match sent {
            Ok(true) => {
                self.held.settled(self.tag());
                return true;
            }
            Ok(false) => "its channel is gone".to_owned(),
            Err(error) => chassis::telemetry::chain(&error),
        };
        metrics::counter!("ack_not_sent_total", "queue" => self.queue).increment(1);
        tracing::info!(queue = self.queue, reason, "a message was not acknowledged and will come again");
        false
    }
}
