//! Publishing with confirms, a bounded number in flight.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chassis::trace::TraceContext;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use uuid::Uuid;

use crate::error::{BrokerError, Result, call};
use crate::headers;
use crate::link::Link;
use crate::reconcile::{Answer, Fate, fates};
use crate::spans;

/// Messages in flight on the channel.
const WINDOW: usize = 200;
/// Deadline for handing one message to the connection: longer means that it is blocked.
const SEND: Duration = Duration::from_secs(5);
/// Deadline for a whole batch: what is not confirmed then is of unknown fate.
const BATCH: Duration = Duration::from_secs(10);
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

    /// Publishes the messages and says what became of each, in their order. Takes ten seconds at most; after a
    /// fault the rest of the batch is [`Fate::Unknown`], whether it was sent or not: publish it again under the
    /// same ids.
    ///
    /// # Errors
    /// [`BrokerError::Blocked`] while the server takes no messages, and when there is no channel to publish on:
    /// nothing was sent.
    pub async fn publish_batch(&self, messages: &[Outgoing]) -> Result<Vec<Fate>> {
        if let Some(reason) = self.link.blocked() {
            return Err(BrokerError::Blocked { reason });
        }
        let mut slot = self.channel.lock().await;
        let channel = match slot.take().filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => Box::pin(self.open()).await?,
        };
        let span = tracing::info_span!(
            "publish",
            otel.name = format!("publish {}", self.exchange),
            otel.kind = "client",
            messaging.system = "rabbitmq",
            messaging.operation.name = "publish",
            messaging.operation.type = "send",
            messaging.destination.name = %self.exchange,
            messaging.batch.message_count = messages.len(),
        );
        let fates = self.publish_all(&channel, messages).instrument(span).await;
        // A message of unknown fate may still be answered, into the next batch: use another channel.
        if !fates.contains(&Fate::Unknown) {
            *slot = Some(channel);
        }
        count(&fates);
        Ok(fates)
    }

    async fn open(&self) -> Result<Channel> {
        let channel = self.link.channel().await?;
        call("asking for confirms", SEND, channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    async fn publish_all(&self, channel: &Channel, messages: &[Outgoing]) -> Vec<Fate> {
        let mut answers = Answers::new(messages.len());
        for message in messages {
            if answers.in_flight.len() >= WINDOW {
                answers.oldest().await;
            }
            if answers.ends_at <= Instant::now() {
                break;
            }
            match call("publishing", SEND, self.publish(channel, message)).await {
                Ok(confirm) => answers.in_flight.push_back(confirm),
                Err(error) => {
                    tracing::warn!(error = chassis::telemetry::chain(&error), "publishing stopped");
                    break;
                }
            }
        }
        while !answers.in_flight.is_empty() {
            answers.oldest().await;
        }
        answers.known.resize(messages.len(), None);
        let ids: Vec<&str> = messages.iter().map(|message| message.message_id.as_str()).collect();
        fates(&ids, &answers.known, &answers.returned)
    }

    async fn publish(&self, channel: &Channel, message: &Outgoing) -> lapin::Result<PublisherConfirm> {
        let (span, trace) = spans::of_message(&self.exchange, message);
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into())
            .with_message_id(message.message_id.as_str().into())
            .with_headers(headers::outgoing(&trace, message.company));
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (self.exchange.as_str().into(), message.routing_key.as_str().into());
        channel.basic_publish(exchange, key, options, &message.body, properties).instrument(span).await
    }
}

/// What the confirms of a batch said, and the ids of all messages that came back with them.
struct Answers {
    known: Vec<Option<Answer>>,
    returned: Vec<Option<String>>,
    in_flight: VecDeque<PublisherConfirm>,
    ends_at: Instant,
}

impl Answers {
    fn new(messages: usize) -> Self {
        Self {
            known: Vec::with_capacity(messages),
            returned: Vec::new(),
            in_flight: VecDeque::with_capacity(WINDOW),
            ends_at: Instant::now() + BATCH,
        }
    }

    /// Waits for the confirm that has been in flight longest.
    async fn oldest(&mut self) {
        let Some(confirm) = self.in_flight.pop_front() else { return };
        let (answer, message) = match timeout_at(self.ends_at, confirm).await {
            Ok(Ok(Confirmation::Ack(message))) => (Some(Answer::Ack), message),
            Ok(Ok(Confirmation::Nack(message))) => (Some(Answer::Nack), message),
            // Without confirms nothing is known; an error or a late confirm says as much.
            Ok(Ok(Confirmation::NotRequested) | Err(_)) | Err(_) => (None, None),
        };
        self.known.push(answer);
        self.returned.extend(
            message.map(|message| message.properties.message_id().as_ref().map(|id| id.as_str().to_owned())),
        );
    }
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
