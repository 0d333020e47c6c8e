//! `maintenance.ensure_drive_subscription`: one live push subscription per drive.

use async_trait::async_trait;
use contracts::jobs::{EnsureDriveSubscription, Trigger};
use domain::retry::RetryPolicy;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::jobs::enqueue;
use store::{receipts, subscriptions};

use super::Documents;
use super::sync_drive::load;
use crate::connector::{Caller, moment};

/// Renewed when less than this is left of the lifetime: half of the longest that Graph grants for a drive
/// (42,300 minutes, "Maximum length of subscription per resource type").
const RENEW_BEFORE_SECONDS: i64 = 42_300 * 60 / 2;

/// Runs [`EnsureDriveSubscription`].
#[derive(Debug, Clone)]
pub struct EnsureSubscription(pub Documents);

#[async_trait]
impl Handler for EnsureSubscription {
    type Payload = EnsureDriveSubscription;

    async fn run(&self, payload: EnsureDriveSubscription, job: JobContext) -> Result<Outcome, JobError> {
        if !self.0.config.realtime {
            return Ok(Outcome::Done(json!({ "skipped": "ENABLE_REALTIME_SYNC is false" })));
        }
        let Some(drive) = load(&job, &payload.drive_id).await? else {
            return Ok(Outcome::Done(json!({ "skipped": "the drive is unknown or disabled" })));
        };
        // Committed before the call: Graph may notify us before it has answered, and the door must know the
        // clientState by then.
        let client_state = hex(&chassis::ids::random_bytes::<32>());
        let digest = Sha256::digest(client_state.as_bytes());
        let mut tx = job.begin().await?;
        let known = subscriptions::active(&mut tx, job.company(), "drive", &drive.drive_id).await?;
        let pending =
            subscriptions::begin_pending(&mut tx, job.company(), "drive", &drive.drive_id, digest.as_slice())
                .await?;
        job.commit(tx).await?;

        let known_id = known.and_then(|s| s.subscription_id).unwrap_or_default();
        let by = Caller::of(&job, "", true);
        let ensured = self
            .0
            .connector
            .ensure_subscription(&by, &drive.drive_id, &client_state, &known_id, RENEW_BEFORE_SECONDS)
            .await;
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
        if matches!(reply.action.as_str(), "created" | "adopted") {
            subscriptions::activate(
                &mut tx,
                job.company(),
                pending,
                &reply.subscription_id,
                &reply.notification_url,
                expires,
            )
            .await?;
            // What changed before the subscription existed was not announced (scan-guidance: delta right after
            // subscribing).
            enqueue(&mut tx, crate::maintenance::drive_job(&job, &drive.drive_id, Trigger::Webhook)?).await?;
        } else {
            subscriptions::discard_pending(&mut tx, job.company(), pending).await?;
            subscriptions::renewed(&mut tx, job.company(), &reply.subscription_id, expires).await?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a date in seconds fits a float's 52 bits")]
        ::metrics::gauge!("webhook_subscription_expiry_timestamp_seconds", "provider" => "microsoft")
            .set(expires.timestamp() as f64);
        let result = json!({ "action": reply.action, "subscription_id": reply.subscription_id, "expires_at": expires });
        let outcome = job.commit_done(tx, &result).await?;
        adopt_receipts(&job, &reply.subscription_id).await;
        Ok(outcome)
    }

    fn retry_policy(&self) -> RetryPolicy {
        super::RETRY
    }
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
