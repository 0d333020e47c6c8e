//! Publishing in windows, with confirms.

use std::sync::Arc;
use std::time::Duration;

use chassis::trace::TraceContext;
use futures::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::Mutex;
use tracing::Instrument;
use uuid::Uuid;

use crate::error::{Result, call};
use crate::headers;
use crate::link::Link;
use crate::reconcile::{Answer, Fate, fates};

/// Messages in flight on the channel.
const WINDOW: usize = 200;
/// Deadline for handing one message to the connection: longer means that it is blocked.
const SEND: Duration = Duration::from_secs(5);
/// Deadline for the confirms of a window, from its last message on.
const CONFIRM: Duration = Duration::from_secs(15);
/// AMQP delivery mode of a message that survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Unique among the messages in flight: returns are told apart by it.
    pub message_id: String,
    /// The job's kind.
    pub routing_key: String,
    /// The encoded bell.
    pub body: Vec<u8>,
    /// Trace of the request that enqueued the job.
    pub trace: TraceContext,
    /// Owner of the job.
    pub company: Uuid,
}

/// Publishes persistent, mandatory messages to exchange `jobs` over a channel of its own.
#[derive(Debug)]
pub struct Publisher {
    link: Arc<Link>,
    exchange: String,
    channel: Mutex<Option<Channel>>,
}

impl Publisher {
    pub(crate) fn new(link: Arc<Link>, exchange: String) -> Self {
        Self { link, exchange, channel: Mutex::default() }
    }

    /// Publishes the messages and says what became of each, in their order. After a fault the rest of the
    /// batch is [`Fate::Unknown`], whether it was sent or not: publish it again under the same ids.
    ///
    /// # Errors
    /// When there is no channel to publish on: nothing was sent.
    pub async fn publish_batch(&self, messages: &[Outgoing]) -> Result<Vec<Fate>> {
        let mut slot = self.channel.lock().await;
        let span = tracing::info_span!(
            "publish",
            otel.name = "publish jobs",
            otel.kind = "producer",
            messaging.system = "rabbitmq",
            messaging.operation.name = "publish",
            messaging.operation.type = "send",
            messaging.destination.name = %self.exchange,
            messaging.batch.message_count = messages.len(),
        );
        let mut all = Vec::with_capacity(messages.len());
        for window in messages.chunks(WINDOW) {
            let channel = match slot.take().filter(|channel| channel.status().connected()) {
                Some(channel) => channel,
                None if all.is_empty() => Box::pin(self.open()).await?,
                None => break,
            };
            let fates = self.publish_window(&channel, window).instrument(span.clone()).await;
            // A message of unknown fate may still be answered, into the next window: use another channel.
            if !fates.contains(&Fate::Unknown) {
                *slot = Some(channel);
            }
            all.extend(fates);
        }
        all.resize(messages.len(), Fate::Unknown);
        count(&all);
        Ok(all)
    }

    async fn open(&self) -> Result<Channel> {
        let channel = self.link.channel().await?;
        call("asking for confirms", SEND, channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    async fn publish_window(&self, channel: &Channel, window: &[Outgoing]) -> Vec<Fate> {
        let mut confirms = Vec::with_capacity(window.len());
        for message in window {
            match call("publishing", SEND, self.publish(channel, message)).await {
                Ok(confirm) => confirms.push(confirm),
                Err(error) => {
                    tracing::warn!(error = chassis::telemetry::chain(&error), "publishing stopped");
                    break;
                }
            }
        }
        let (mut answers, returned) = collect(confirms).await;
        answers.resize(window.len(), None);
        let ids: Vec<&str> = window.iter().map(|message| message.message_id.as_str()).collect();
        fates(&ids, &answers, &returned)
    }

    async fn publish(&self, channel: &Channel, message: &Outgoing) -> lapin::Result<PublisherConfirm> {
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into())
            .with_message_id(message.message_id.as_str().into())
            .with_headers(headers::outgoing(&message.trace, message.company));
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (self.exchange.as_str().into(), message.routing_key.as_str().into());
        channel.basic_publish(exchange, key, options, &message.body, properties).await
    }
}

/// What the confirms said, and the ids of all messages that came back with them.
async fn collect(confirms: Vec<PublisherConfirm>) -> (Vec<Option<Answer>>, Vec<Option<String>>) {
    let ends_at = tokio::time::Instant::now() + CONFIRM;
    let waits = confirms.into_iter().map(|confirm| tokio::time::timeout_at(ends_at, confirm));
    let mut returned = Vec::new();
    let mut answers = Vec::new();
    for outcome in join_all(waits).await {
        let (answer, message) = match outcome {
            Ok(Ok(Confirmation::Ack(message))) => (Some(Answer::Ack), message),
            Ok(Ok(Confirmation::Nack(message))) => (Some(Answer::Nack), message),
            // Without confirms nothing is known; an error or a late confirm says as much.
            Ok(Ok(Confirmation::NotRequested) | Err(_)) | Err(_) => (None, None),
        };
        answers.push(answer);
        returned.extend(
            message.map(|message| message.properties.message_id().as_ref().map(|id| id.as_str().to_owned())),
        );
    }
    (answers, returned)
}

fn count(fates: &[Fate]) {
    for (fate, name) in [
        (Fate::Confirmed, "publish_confirmed_total"),
        (Fate::Returned, "publish_returned_total"),
        (Fate::Refused, "publish_refused_total"),
        (Fate::Unknown, "publish_unknown_total"),
    ] {
        let number = fates.iter().filter(|f| **f == fate).count();
        if number > 0 {
            metrics::counter!(name).increment(number as u64);
        }
    }
}
