//! `maintenance.ensure_subscription`: one live push subscription per resource.

use async_trait::async_trait;
use chassis::time::SystemClock;
use contracts::graph::v1 as pb;
use contracts::jobs::{EnsureDriveSubscription, EnsureSubscription, SubscriptionIntent, Trigger};
use domain::retry::RetryPolicy;
use domain::time::Clock;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::calendar::outlook;
use store::jobs::{NewJob, enqueue};
use store::subscriptions::Subscription;
use store::{Tx, drive_index, mailboxes, receipts, subscriptions, teams};

use super::graph::{Graph, answer, context};
use super::sweep::{channel_job, chat_job, mailbox_job};
use crate::connector::moment;

/// Renewed when less than half of the longest life is left.
const RENEW_BELOW_PER_MILLE: i32 = 500;

/// Runs [`EnsureSubscription`].
#[derive(Debug, Clone)]
pub struct EnsureSubscriptionHandler {
    /// The connector.
    pub graph: Graph,
    /// `ENABLE_REALTIME_SYNC`.
    pub realtime: bool,
}

/// Runs [`EnsureDriveSubscription`], the name of this work for drives alone.
#[derive(Debug, Clone)]
pub struct EnsureDriveSubscriptionHandler(pub EnsureSubscriptionHandler);

#[async_trait]
impl Handler for EnsureDriveSubscriptionHandler {
    type Payload = EnsureDriveSubscription;

    async fn run(&self, payload: EnsureDriveSubscription, job: JobContext) -> Result<Outcome, JobError> {
        let payload = EnsureSubscription {
            resource_type: "drive".to_owned(),
            resource_id: payload.drive_id,
            intent: SubscriptionIntent::Ensure,
        };
        self.0.ensure(payload, job).await
    }

    fn retry_policy(&self) -> RetryPolicy {
        super::RETRY
    }
}

#[async_trait]
impl Handler for EnsureSubscriptionHandler {
    type Payload = EnsureSubscription;

    async fn run(&self, payload: EnsureSubscription, job: JobContext) -> Result<Outcome, JobError> {
        self.ensure(payload, job).await
    }

    fn retry_policy(&self) -> RetryPolicy {
        super::RETRY
    }
}

impl EnsureSubscriptionHandler {
    async fn ensure(&self, payload: EnsureSubscription, job: JobContext) -> Result<Outcome, JobError> {
        if !self.realtime {
            return Ok(Outcome::Done(json!({ "skipped": "ENABLE_REALTIME_SYNC is false" })));
        }
        let Some(resource) = resource(&payload.resource_type) else {
            return Err(JobError::fail(
                "unknown_resource",
                format!("{} cannot be watched", payload.resource_type),
            ));
        };
        let mut tx = job.begin().await?;
        if !takes_part(&mut tx, &job, &payload).await? {
            return Ok(Outcome::Done(
                json!({ "skipped": format!("the {} is unknown or disabled", payload.resource_type) }),
            ));
        }
        let (kind, id) = (payload.resource_type.as_str(), payload.resource_id.as_str());
        let mut known = subscriptions::active(&mut tx, job.company(), kind, id).await?;
        drop(tx);
        if payload.intent != SubscriptionIntent::Ensure {
            known = self.answer_lifecycle(&job, payload.intent, known).await?;
        }
        // Committed before the call: Graph may notify us before it has answered, and the door must know the
        // clientState by then.
        let client_state = hex(&chassis::ids::random_bytes::<32>());
        let digest = Sha256::digest(client_state.as_bytes());
        let mut tx = job.begin().await?;
        let pending =
            subscriptions::begin_pending(&mut tx, job.company(), kind, id, digest.as_slice()).await?;
        job.commit(tx).await?;
        let request = pb::EnsureSubscriptionRequest {
            context: Some(context(&job)),
            resource: resource.into(),
            resource_id: id.to_owned(),
            client_state,
            known_subscription_id: known.and_then(|s| s.subscription_id).unwrap_or_default(),
            renew_below_per_mille: RENEW_BELOW_PER_MILLE,
            ..pb::EnsureSubscriptionRequest::default()
        };
        let ensured = answer(self.graph.subscriptions.clone().ensure_subscription(request).await);
        let mut tx = job.begin().await?;
        let reply = match ensured {
            Ok(reply) => reply,
            Err(error) => {
                subscriptions::discard_pending(&mut tx, job.company(), pending).await?;
                job.commit(tx).await?;
                return Err(error.into());
            }
        };
        let expires = moment(reply.expires_at_us)
            .ok_or_else(|| JobError::retry("no_expiry", "the subscription came back without an expiry"))?;
        // "adopted" is one whose creation was answered with an error: it carries this attempt's clientState.
        let anew = matches!(reply.action.as_str(), "created" | "adopted");
        let (subscription, url) = (&reply.subscription_id, &reply.notification_url);
        if anew {
            subscriptions::activate(&mut tx, job.company(), pending, subscription, url, expires).await?;
        } else {
            subscriptions::discard_pending(&mut tx, job.company(), pending).await?;
            subscriptions::renewed(&mut tx, job.company(), subscription, expires).await?;
        }
        let renew_at = moment(reply.renew_at_us).filter(|_| reply.renew_at_us > 0);
        subscriptions::renew_at(&mut tx, job.company(), subscription, renew_at).await?;
        // What changed before the subscription existed, or while it was not authorised, was not announced
        // (scan-guidance; change-notifications-lifecycle-events).
        if (anew || payload.intent != SubscriptionIntent::Ensure)
            && let Some(read) = reading(&mut tx, &job, kind, id).await?
        {
            enqueue(&mut tx, read).await?;
        }
        let result =
            json!({ "action": reply.action, "subscription_id": subscription, "expires_at": expires });
        let outcome = job.commit_done(tx, &result).await?;
        adopt_receipts(&job, subscription).await;
        Ok(outcome)
    }

    /// Authorises anew, or gives up what Graph removed; answers the subscription that is left.
    async fn answer_lifecycle(
        &self,
        job: &JobContext,
        intent: SubscriptionIntent,
        known: Option<Subscription>,
    ) -> Result<Option<Subscription>, JobError> {
        let Some(subscription) = known else { return Ok(None) };
        let id = subscription.subscription_id.clone().unwrap_or_default();
        // Graph removes before it says so; one that was created since is left alone.
        let removed = intent == SubscriptionIntent::Recreate
            && SystemClock.now() - subscription.created_at > chrono::TimeDelta::minutes(1);
        let lives = match intent {
            SubscriptionIntent::Reauthorize => {
                let request = pb::ReauthorizeSubscriptionRequest {
                    context: Some(context(job)),
                    subscription_id: id.clone(),
                };
                answer(self.graph.subscriptions.clone().reauthorize_subscription(request).await)?.existed
            }
            SubscriptionIntent::Recreate | SubscriptionIntent::Ensure => !removed,
        };
        if lives {
            return Ok(Some(subscription));
        }
        let mut tx = job.begin().await?;
        subscriptions::mark_removed(&mut tx, job.company(), &id, "the provider removed it").await?;
        job.commit(tx).await?;
        Ok(None)
    }
}

fn resource(kind: &str) -> Option<pb::SubscribedResource> {
    Some(match kind {
        "drive" => pb::SubscribedResource::Drive,
        "mailbox" => pb::SubscribedResource::Mailbox,
        "events" => pb::SubscribedResource::Events,
        "channel" => pb::SubscribedResource::Channel,
        "chat" => pb::SubscribedResource::Chat,
        _ => return None,
    })
}

/// Whether the resource is registered and switched on.
async fn takes_part(tx: &mut Tx, job: &JobContext, payload: &EnsureSubscription) -> Result<bool, JobError> {
    let (company, id) = (job.company(), payload.resource_id.as_str());
    Ok(match payload.resource_type.as_str() {
        "drive" => drive_index::find(tx, company, id).await?.is_some_and(|drive| drive.enabled),
        "mailbox" => mailboxes::get(tx, company, id).await?.is_some_and(|mailbox| mailbox.enabled),
        "channel" => {
            let Some(place) = id.split_once('/') else { return Ok(false) };
            teams::channels(tx, company, Some(place), None, 1).await?.first().is_some_and(|c| c.enabled)
        }
        "chat" => teams::chats(tx, company, Some(id), None, 1).await?.first().is_some_and(|c| c.enabled),
        "events" => outlook::by_owner(tx, company, id).await?.is_some(),
        _ => true,
    })
}

/// The run that finds what was not announced.
async fn reading(tx: &mut Tx, job: &JobContext, kind: &str, id: &str) -> Result<Option<NewJob>, JobError> {
    let company = job.company();
    Ok(match kind {
        "drive" => Some(crate::maintenance::drive_job(job, id, Trigger::Webhook)?),
        "mailbox" => Some(mailbox_job(company, id, Trigger::Webhook)?),
        "channel" => match id.split_once('/') {
            Some((team, channel)) => Some(channel_job(company, team, channel, Trigger::Webhook)?),
            None => None,
        },
        "chat" => Some(chat_job(company, id, Trigger::Webhook)?),
        "events" => match outlook::by_owner(tx, company, id).await? {
            Some(connection) => Some(crate::maintenance::pull_job(company, connection, Trigger::Webhook, 4)?),
            None => None,
        },
        _ => None,
    })
}

/// Notifications that came before the subscription was known get their owner. They were hints, and the run
/// enqueued above has taken them up: a failure here costs nothing but the receipt's company.
async fn adopt_receipts(job: &JobContext, subscription_id: &str) {
    let adopt = async {
        let mut tx = job.store().dispatch().await?;
        receipts::adopt_unknown(&mut tx, subscription_id, job.company()).await?;
        tx.commit().await
    };
    if let Err(error) = adopt.await {
        tracing::warn!(error = &error as &dyn std::error::Error, "early notifications keep no owner");
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
