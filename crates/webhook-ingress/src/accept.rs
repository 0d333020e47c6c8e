//! What notifications cause: receipts and jobs, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use contracts::jobs::{EnsureDriveSubscription, SyncDrive, SyncMode, Trigger, drive_resource};
use domain::ids::CompanyId;
use store::jobs::{Enqueued, NewJob, enqueue_many};
use store::receipts::{self, Judgement, NewReceipt};
use store::subscriptions::{mark_removed, touch};
use store::{Store, Tx};
use uuid::Uuid;

use crate::judge::{Judged, judge};
use crate::notification::Notification;

const PROVIDER: &str = "microsoft";
const BY: &str = "webhook-ingress";
/// Receipts of strangers in one delivery; the rest is counted only.
const MAX_STRANGERS: usize = 20;

/// How the notifications of one delivery were judged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Right clientState; a job was queued.
    pub accepted: usize,
    /// Right clientState; a job that waits already serves it.
    pub coalesced: usize,
    /// Unknown subscription.
    pub unknown: usize,
    /// Wrong clientState.
    pub refused: usize,
    /// Right clientState, but realtime sync is switched off.
    pub ignored: usize,
}

/// Judges notifications and commits what they cause. When there are strangers, `keep_strangers` says whether
/// they leave receipts.
pub async fn accept(
    store: &Store,
    notifications: Vec<Notification>,
    realtime: bool,
    keep_strangers: impl FnOnce() -> bool,
) -> store::Result<Tally> {
    let mut tx = store.dispatch().await?;
    let mut work = Work::default();
    let mut strangers = Vec::new();
    let mut tally = Tally::default();
    for judged in judge(&mut tx, notifications).await? {
        match judged {
            Judged::Accepted(_, _) if !realtime => tally.ignored += 1,
            Judged::Accepted(notification, target) => {
                work.subscriptions.insert(target.id);
                if notification.lifecycle_event.as_deref() == Some("subscriptionRemoved") {
                    mark_removed(&mut tx, target.company, &notification.subscription_id, "removed by Graph")
                        .await?;
                }
                let drive = (target.company.uuid(), target.resource_id.clone());
                if target.resource_type == "drive" {
                    work.drives.entry(drive).or_default().push(notification);
                } else {
                    tally.accepted += 1;
                    work.others.push((target.company, notification));
                }
            }
            Judged::Unknown(notification) => {
                tally.unknown += 1;
                strangers.push(receipt(None, Judgement::Unknown, None, notification));
            }
            Judged::Refused(notification, target) => {
                tally.refused += 1;
                tracing::warn!(
                    subscription = %notification.subscription_id, company = %target.company,
                    "a notification carries the wrong clientState"
                );
                strangers.push(receipt(Some(target.company), Judgement::Refused, None, notification));
            }
        }
    }
    let mut kept = work.commit_to(&mut tx, &mut tally).await?;
    if !strangers.is_empty() && keep_strangers() {
        strangers.truncate(MAX_STRANGERS);
        kept.append(&mut strangers);
    }
    receipts::record(&mut tx, &distinct(kept)).await?;
    tx.commit().await?;
    Ok(tally)
}

/// What the accepted notifications ask for.
#[derive(Debug, Default)]
struct Work {
    subscriptions: BTreeSet<Uuid>,
    /// In a fixed order, so that two deliveries never wait for each other crosswise.
    drives: BTreeMap<(Uuid, String), Vec<Notification>>,
    others: Vec<(CompanyId, Notification)>,
}

impl Work {
    /// One run per drive, and a look at the subscription after a lifecycle event; returns the receipts.
    async fn commit_to(self, tx: &mut Tx, tally: &mut Tally) -> store::Result<Vec<NewReceipt>> {
        let mut jobs = Vec::new();
        for ((company, drive), notifications) in &self.drives {
            let company = CompanyId(*company);
            jobs.push(sync_job(company, drive)?);
            if notifications.iter().any(|n| n.lifecycle_event.is_some()) {
                jobs.push(ensure_job(company, drive)?);
            }
        }
        let enqueued = enqueue_many(tx, jobs).await?;
        let subscriptions: Vec<Uuid> = self.subscriptions.into_iter().collect();
        if !subscriptions.is_empty() {
            touch(tx, &subscriptions).await?;
        }
        let mut results = enqueued.into_iter();
        let mut receipts = Vec::new();
        for ((company, _), notifications) in self.drives {
            let lifecycle = notifications.iter().any(|n| n.lifecycle_event.is_some());
            let sync = results.next();
            if lifecycle {
                results.next();
            }
            match sync {
                // The first of the burst left its receipt; the job that waits has not read the drive yet.
                Some(Enqueued::Coalesced(_)) if !lifecycle => tally.coalesced += notifications.len(),
                job => {
                    tally.accepted += notifications.len();
                    let job = job.map(|job| job.id().uuid());
                    let rows = notifications
                        .into_iter()
                        .map(|n| receipt(Some(CompanyId(company)), Judgement::Accepted, job, n));
                    receipts.extend(rows);
                }
            }
        }
        let others =
            self.others.into_iter().map(|(company, n)| receipt(Some(company), Judgement::Accepted, None, n));
        receipts.extend(others);
        Ok(receipts)
    }
}

fn sync_job(company: CompanyId, drive_id: &str) -> store::Result<NewJob> {
    let payload = SyncDrive {
        drive_id: drive_id.to_owned(),
        mode: SyncMode::Delta,
        trigger: Trigger::Webhook,
        dry_run: false,
        approved_removals: None,
    };
    let key = drive_resource(drive_id);
    Ok(NewJob::new(company, &payload, BY)?.dedupe(&*key).resource(&*key))
}

fn ensure_job(company: CompanyId, drive_id: &str) -> store::Result<NewJob> {
    let payload = EnsureDriveSubscription { drive_id: drive_id.to_owned() };
    let resource = format!("subscription:{drive_id}");
    Ok(NewJob::new(company, &payload, BY)?.dedupe(drive_resource(drive_id)).resource(resource))
}

fn receipt(
    company: Option<CompanyId>,
    result: Judgement,
    job_id: Option<Uuid>,
    notification: Notification,
) -> NewReceipt {
    NewReceipt {
        company,
        provider: PROVIDER,
        subscription_id: Some(notification.subscription_id),
        resource: notification.resource,
        change_type: notification.lifecycle_event.or(notification.change_type),
        result,
        job_id,
        body: notification.body,
    }
}

/// One receipt for notifications that differ in nothing that matters.
fn distinct(receipts: Vec<NewReceipt>) -> Vec<NewReceipt> {
    let mut seen = BTreeSet::new();
    receipts
        .into_iter()
        .filter(|r| {
            let key =
                (r.result.as_str(), r.subscription_id.clone(), r.resource.clone(), r.change_type.clone());
            seen.insert(key)
        })
        .collect()
}
