//! The heartbeat of a drive's subscription: Graph sends neither `missed` nor `subscriptionRemoved` for drives
//! (change-notifications-lifecycle-events, Graph v1.0), so that one which stopped talking shows only in what a sweep finds.

use chassis::time::SystemClock;
use contracts::jobs::{EnsureSubscription, SubscriptionIntent, Trigger};
use domain::notification::silence::is_silent;
use domain::time::Clock;
use job_runtime::JobError;
use store::drive_index::IndexedDrive;
use store::jobs::{NewJob, enqueue};
use store::{Tx, subscriptions};

use super::report::Report;

const KIND: &str = "drive";

/// Has the subscription made anew when a run that nobody announced found a change that should have been.
///
/// # Errors
/// [`JobError`] of the database.
pub async fn judge(
    tx: &mut Tx,
    drive: &IndexedDrive,
    trigger: Trigger,
    report: &Report,
) -> Result<(), JobError> {
    let unannounced = matches!(trigger, Trigger::Sweep | Trigger::Schedule) && !report.full;
    let Some(change) = report.newest_change.filter(|_| unannounced) else { return Ok(()) };
    let (company, id) = (drive.company, drive.drive_id.as_str());
    let Some(known) = subscriptions::active(tx, company, KIND, id).await? else { return Ok(()) };
    if !is_silent(change, known.created_at, known.last_notification_at, SystemClock.now()) {
        return Ok(());
    }
    tracing::warn!(drive = id, subscription = known.subscription_id, %change, heard = ?known.last_notification_at,
        "a change was not announced: the subscription is made anew");
    ::metrics::counter!("webhook_subscriptions_silent_total", "resource_type" => KIND).increment(1);
    let again = EnsureSubscription {
        resource_type: KIND.to_owned(),
        resource_id: id.to_owned(),
        intent: SubscriptionIntent::Recreate,
    };
    let job = NewJob::new(company, &again, "sync-worker")?
        .dedupe(format!("{KIND}:{id}:recreate"))
        .resource(format!("subscription:{id}"));
    enqueue(tx, job).await?;
    Ok(())
}
