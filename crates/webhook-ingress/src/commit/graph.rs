//! What notifications of Graph cause: one run for each resource, hints, looks at subscriptions, receipts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use domain::ids::CompanyId;
use store::Tx;
use store::door::add_hints;
use store::hints::NewHint;
use store::jobs::{Enqueued, NewJob, enqueue_many};
use store::receipts::{self, Judgement, NewReceipt};
use store::subscriptions::{Target, mark_removed, touch};
use uuid::Uuid;

use super::jobs::Resource;
use super::{Effects, Rules, Tally};
use crate::arrival::{Arrival, Content, sender};
use crate::judge::{Verdict, judge};
use crate::notification::Notification;

const PROVIDER: &str = "microsoft";
/// Receipts of strangers in one transaction; the rest is counted only.
const MAX_STRANGERS: usize = 20;
/// Receipts of one resource in one transaction.
const MAX_RECEIPTS: usize = 50;
/// Hints that wait for one resource; more are left to the repair read.
const MAX_HINTS: i64 = 1000;

/// A notification and the place of its arrival.
type Placed<'a> = (usize, &'a Notification);

/// What accepted notifications ask for, in a fixed order, so that two transactions never wait for each other crosswise.
#[derive(Default)]
struct Work<'a> {
    subscriptions: BTreeSet<Uuid>,
    resources: BTreeMap<Resource, Vec<Placed<'a>>>,
    strangers: Vec<(Placed<'a>, Option<CompanyId>, Judgement)>,
}

/// Judges the notifications of arrivals and writes what they cause.
pub(super) async fn write(
    tx: &mut Tx,
    arrivals: &[Arrival],
    rules: &Rules<'_>,
    effects: &mut Effects,
) -> store::Result<()> {
    let placed: Vec<Placed<'_>> = arrivals
        .iter()
        .enumerate()
        .filter_map(|(place, arrival)| match &arrival.content {
            Content::Graph(all) => Some(all.iter().map(move |notification| (place, notification))),
            Content::Google(_) => None,
        })
        .flatten()
        .collect();
    if placed.is_empty() {
        return Ok(());
    }
    let notifications: Vec<&Notification> = placed.iter().map(|(_, notification)| *notification).collect();
    let judged = judge(tx, &notifications).await?;
    let mut work = Work::default();
    for (one, verdict) in placed.into_iter().zip(judged.verdicts) {
        let (place, notification) = one;
        let tally = &mut effects.tallies[place];
        match verdict {
            Verdict::Accepted(n) => {
                effects.friends.insert(sender(notification));
                if rules.wake(judged.targets[n].company) {
                    accept(tx, &mut work, &judged.targets[n], one).await?;
                } else {
                    tally.ignored += 1;
                }
            }
            Verdict::Unknown => {
                tally.unknown += 1;
                effects.strangers.insert(sender(notification));
                work.strangers.push((one, None, Judgement::Unknown));
            }
            Verdict::Refused(target) => {
                tally.refused += 1;
                let company = target.map(|n| judged.targets[n].company);
                // What was not proven may be proven next time, by the same clientState.
                if notification.refused.is_none() && effects.strangers.insert(sender(notification)) {
                    tracing::warn!(
                        subscription = %notification.subscription_id, company = ?company,
                        "a notification carries the wrong clientState"
                    );
                }
                work.strangers.push((one, company, Judgement::Refused));
            }
        }
    }
    let mut kept = work.strangers(arrivals, rules);
    kept.extend(work.accepted(tx, arrivals, &mut effects.tallies).await?);
    receipts::record(tx, &distinct(kept)).await
}

async fn accept<'a>(tx: &mut Tx, work: &mut Work<'a>, target: &Target, one: Placed<'a>) -> store::Result<()> {
    let (_, notification) = one;
    work.subscriptions.insert(target.id);
    if notification.lifecycle_event.as_deref() == Some("subscriptionRemoved") {
        mark_removed(tx, target.company, &notification.subscription_id, "removed by Graph").await?;
    }
    let connection = match target.resource_type.as_str() {
        "events" => store::calendar::outlook::by_owner(tx, target.company, &target.resource_id).await?,
        _ => None,
    };
    let resource = Resource {
        company: target.company,
        kind: target.resource_type.clone(),
        id: target.resource_id.clone(),
        connection,
    };
    work.resources.entry(resource).or_default().push(one);
    Ok(())
}

impl Work<'_> {
    fn strangers(&self, arrivals: &[Arrival], rules: &Rules<'_>) -> Vec<NewReceipt> {
        let mut allowed: BTreeMap<usize, bool> = BTreeMap::new();
        let kept = self.strangers.iter().filter(|((place, _), _, _)| {
            *allowed.entry(*place).or_insert_with(|| (rules.keep_strangers)(arrivals[*place].source))
        });
        kept.take(MAX_STRANGERS)
            .map(|((_, notification), company, judgement)| receipt(*company, *judgement, None, notification))
            .collect()
    }

    /// One run for each resource, and a look at the subscription after a lifecycle event; returns the receipts.
    async fn accepted(
        self,
        tx: &mut Tx,
        arrivals: &[Arrival],
        tallies: &mut [Tally],
    ) -> store::Result<Vec<NewReceipt>> {
        let (mut jobs, mut hints) = (Vec::new(), Vec::new());
        let mut runs: Vec<Option<usize>> = Vec::new();
        for (resource, notifications) in &self.resources {
            let trace = notifications.first().map(|(place, _)| arrivals[*place].trace()).unwrap_or_default();
            let traced = |job: NewJob| NewJob { trace: trace.clone(), ..job };
            let run = resource.run()?;
            runs.push(run.is_some().then_some(jobs.len()));
            jobs.extend(run.map(traced));
            let events: BTreeSet<&str> =
                notifications.iter().filter_map(|(_, n)| n.lifecycle_event.as_deref()).collect();
            for event in events {
                jobs.push(traced(resource.look_after(event)?));
            }
            hints.extend(self::hints(resource, notifications));
        }
        let enqueued = enqueue_many(tx, jobs).await?;
        add_hints(tx, &hints, MAX_HINTS).await?;
        let subscriptions: Vec<Uuid> = self.subscriptions.into_iter().collect();
        if !subscriptions.is_empty() {
            touch(tx, &subscriptions).await?;
        }
        let mut receipts = Vec::new();
        for ((resource, notifications), run) in self.resources.into_iter().zip(runs) {
            let run = run.and_then(|n| enqueued.get(n).copied());
            let mut kept = 0;
            for (place, notification) in notifications {
                // The first of the burst left its receipt; the job that waits has not read the resource yet.
                if matches!(run, Some(Enqueued::Coalesced(_))) && notification.lifecycle_event.is_none() {
                    tallies[place].coalesced += 1;
                    continue;
                }
                tallies[place].accepted += 1;
                kept += 1;
                if kept <= MAX_RECEIPTS {
                    let job = run.map(|job| job.id().uuid());
                    receipts.push(receipt(Some(resource.company), Judgement::Accepted, job, notification));
                }
            }
        }
        Ok(receipts)
    }
}

fn hints(resource: &Resource, notifications: &[Placed<'_>]) -> Vec<NewHint> {
    let Some(resource_key) = resource.key().filter(|_| resource.takes_hints()) else { return Vec::new() };
    let mut latest = BTreeMap::new();
    for (_, notification) in notifications {
        if let Some(hint) = &notification.hint {
            latest.insert(hint.as_str(), change(notification));
        }
    }
    let hint = |(hint, change_type): (&str, &str)| NewHint {
        company: resource.company,
        resource_key: resource_key.clone(),
        hint: hint.to_owned(),
        change_type: change_type.to_owned(),
    };
    latest.into_iter().map(hint).collect()
}

/// Graph writes `Created` too.
fn change(notification: &Notification) -> &'static str {
    let change = notification.change_type.as_deref().unwrap_or_default();
    ["created", "deleted"].into_iter().find(|name| change.eq_ignore_ascii_case(name)).unwrap_or("updated")
}

fn receipt(
    company: Option<CompanyId>,
    result: Judgement,
    job_id: Option<Uuid>,
    notification: &Notification,
) -> NewReceipt {
    NewReceipt {
        id: notification.id,
        company,
        provider: PROVIDER,
        subscription_id: Some(notification.subscription_id.clone()),
        resource: notification.resource.clone(),
        change_type: notification.lifecycle_event.clone().or_else(|| notification.change_type.clone()),
        result,
        job_id,
        body: notification.body.clone(),
    }
}

/// One receipt for notifications that differ in nothing that matters.
fn distinct(receipts: Vec<NewReceipt>) -> Vec<NewReceipt> {
    let mut seen = HashSet::new();
    receipts
        .into_iter()
        .filter(|r| {
            seen.insert((r.result, r.subscription_id.clone(), r.resource.clone(), r.change_type.clone()))
        })
        .collect()
}
