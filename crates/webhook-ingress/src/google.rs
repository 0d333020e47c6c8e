//! Messages of Google's push channels: hints without content, judged by channel, token and resource.
//!
//! Success is 2xx; 500, 502, 503 and 504 come again; Google drops the message on every other answer.

mod message;
mod strangers;

use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use chassis::time::deadline;
use contracts::jobs::{PullCalendar, Trigger, calendar_resource};
use domain::ids::CompanyId;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::Store;
use store::calendar::webhooks::{Webhook, find_channel, touch};
use store::jobs::{Enqueued, NewJob, enqueue};
use store::receipts::{self, Judgement, NewReceipt};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use web::problem::Problem;
use web::rate::RateLimiter;

use crate::metrics::count;
use message::Message;
use strangers::{Stranger, Strangers};

const SOURCE: &str = "google";
const BY: &str = "webhook-ingress";
/// Longest time until the message is committed; Google's patience is not documented.
const COMMIT: Duration = Duration::from_millis(2500);
/// When a message is to come again that could not be stored.
const COME_BACK: Duration = Duration::from_secs(5);
/// Messages of strangers that leave receipts; anyone can reach the door.
const RECEIPTS_PER_MINUTE: u32 = 120;

/// The part of the door that Google knocks at; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct GoogleDoor {
    store: Store,
    realtime: bool,
    strangers: Strangers,
    receipts: RateLimiter,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// A job was queued.
    Accepted,
    /// A job that waits already serves it.
    Coalesced,
    /// The first message of a channel: it works.
    Sync,
    /// A channel that we ended, or realtime sync is switched off.
    Ignored,
    /// Nobody's channel.
    Unknown,
    /// Wrong token or resource.
    Refused,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Verdict::Accepted => "accepted",
            Verdict::Coalesced => "coalesced",
            Verdict::Sync => "sync",
            Verdict::Ignored => "ignored",
            Verdict::Unknown => "unknown",
            Verdict::Refused => "refused",
        }
    }
}

impl GoogleDoor {
    pub(crate) fn new(store: Store, realtime: bool) -> Self {
        let receipts = RateLimiter::per_minute(RECEIPTS_PER_MINUTE);
        Self { store, realtime, strangers: Strangers::default(), receipts }
    }

    /// Answers one message.
    pub(crate) async fn knock(&self, headers: &HeaderMap) -> Response {
        let started = Instant::now();
        let response = match self.delivery(headers).await {
            Ok(status) => status.into_response(),
            Err(problem) => problem.into_response(),
        };
        metrics::histogram!("webhook_ack_duration_seconds", "source" => SOURCE).record(started.elapsed());
        response
    }

    async fn delivery(&self, headers: &HeaderMap) -> Result<StatusCode, Problem> {
        let message = message::read(headers).map_err(|fault| {
            count(SOURCE, "malformed", 1);
            Problem::bad_request(fault.to_string())
        })?;
        let verdict = match self.strangers.known(&message, Instant::now()) {
            Some(Stranger::Channel) => Verdict::Unknown,
            Some(Stranger::Token) => Verdict::Refused,
            None => match deadline("the database", COMMIT, self.judge(&message)).await {
                Ok(Ok(verdict)) => verdict,
                Ok(Err(error)) => return Err(away(&error)),
                Err(elapsed) => return Err(away(&elapsed)),
            },
        };
        count(SOURCE, verdict.as_str(), 1);
        tracing::debug!(
            channel = message.channel,
            state = message.state.as_str(),
            number = message.number,
            verdict = verdict.as_str(),
            "a message of Google"
        );
        match verdict {
            Verdict::Refused => Err(Problem::forbidden("token or resource are not those of the channel")),
            // A zombie fires until it expires: success is the cheapest answer, for Google and for us.
            _ => Ok(StatusCode::NO_CONTENT),
        }
    }

    /// Judges a message and commits what it causes.
    async fn judge(&self, message: &Message) -> store::Result<Verdict> {
        let mut tx = self.store.dispatch().await?;
        let Some(channel) = find_channel(&mut tx, &message.channel).await? else {
            self.strangers.remember(message, Stranger::Channel, Instant::now());
            self.keep_stranger(&mut tx, None, Judgement::Unknown, message).await?;
            tx.commit().await?;
            return Ok(Verdict::Unknown);
        };
        let company = CompanyId(channel.company_id);
        if !genuine(message, &channel) {
            tracing::warn!(channel = message.channel, %company, "a message of Google is not genuine");
            self.strangers.remember(message, Stranger::Token, Instant::now());
            self.keep_stranger(&mut tx, Some(company), Judgement::Refused, message).await?;
            tx.commit().await?;
            return Ok(Verdict::Refused);
        }
        // Late messages of a channel that was stopped, or that nobody can stop.
        if matches!(channel.state.as_str(), "stopped" | "orphaned") || !self.realtime {
            return Ok(Verdict::Ignored);
        }
        touch(&mut tx, channel.id, message.number, &message.resource).await?;
        let verdict = if message.state == message::State::Sync {
            Verdict::Sync
        } else {
            match enqueue(&mut tx, pull_job(company, channel.connection_id)?).await? {
                // The job that waits has not asked Google yet, and the first of the burst left its receipt.
                Enqueued::Coalesced(_) => Verdict::Coalesced,
                Enqueued::New(job) => {
                    let receipt = receipt(Some(company), Judgement::Accepted, Some(job.uuid()), message);
                    receipts::record(&mut tx, &[receipt]).await?;
                    Verdict::Accepted
                }
            }
        };
        tx.commit().await?;
        Ok(verdict)
    }

    async fn keep_stranger(
        &self,
        tx: &mut store::Tx,
        company: Option<CompanyId>,
        judgement: Judgement,
        message: &Message,
    ) -> store::Result<()> {
        if self.receipts.check(SOURCE, Instant::now()).retry_after.is_some() {
            return Ok(());
        }
        receipts::record(tx, &[receipt(company, judgement, None, message)]).await
    }
}

/// Whether the message carries the channel's token and resource, compared in constant time. While the registration
/// is not answered the resource is not known yet: the token alone decides.
fn genuine(message: &Message, channel: &Webhook) -> bool {
    let token = Sha256::digest(message.token.as_bytes());
    let token_fits = token.as_slice().ct_eq(&channel.token_sha256);
    let resource_fits = match &channel.resource_id {
        Some(resource) => {
            Sha256::digest(resource.as_bytes()).ct_eq(Sha256::digest(message.resource.as_bytes()).as_slice())
        }
        None => 1.into(),
    };
    (token_fits & resource_fits).into()
}

fn pull_job(company: CompanyId, connection: Uuid) -> store::Result<NewJob> {
    let payload = PullCalendar {
        connection_id: connection,
        trigger: Trigger::Webhook,
        full: false,
        approved_removals: None,
    };
    Ok(NewJob::new(company, &payload, BY)?
        .dedupe(format!("calendar.pull:{connection}"))
        .resource(calendar_resource(connection)))
}

fn receipt(
    company: Option<CompanyId>,
    result: Judgement,
    job_id: Option<Uuid>,
    message: &Message,
) -> NewReceipt {
    NewReceipt {
        company,
        provider: SOURCE,
        subscription_id: Some(message.channel.clone()),
        resource: message.resource_uri.clone(),
        change_type: Some(message.state.as_str().to_owned()),
        result,
        job_id,
        body: json!({
            "channel_id": message.channel, "resource_id": message.resource, "message_number": message.number,
            "resource_state": message.state.as_str(), "resource_uri": message.resource_uri,
            "channel_expiration": message.expiration,
        }),
    }
}

/// Nothing was acknowledged: Google sends it again.
fn away(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = chassis::telemetry::chain(error), "a message of Google could not be stored");
    Problem::unavailable("the message could not be stored; send it again").retry_after(COME_BACK)
}
