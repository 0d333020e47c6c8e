//! Deliveries of change notifications: coalesced, retried, and disturbed when a fault says so.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::{Value, json};

use crate::client;
use crate::faults::DeliveryAction;
use crate::microsoft::office::model::Change;
use crate::microsoft::office::switches::SlowEndpoint;
use crate::microsoft::subscriptions::Subscription;
use crate::microsoft::watched;
use crate::world::World;

/// Changes within this time make one notification.
const COALESCE: Duration = Duration::from_millis(50);
/// Time for the receiver's answer.
const ANSWER: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
const REMEMBERED: usize = 10_000;
/// Most items of one POST.
const BATCH: usize = 10;

/// One attempt to deliver.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Attempt {
    pub(crate) time_ms: i64,
    pub(crate) subscription: String,
    /// 0 when nobody answered.
    pub(crate) status: u16,
    pub(crate) action: &'static str,
}

/// What happens to deliveries to a slow receiver.
#[derive(Debug, Clone, Copy)]
enum Penalty {
    Drop,
    Hold(Duration),
}

/// What was delivered, newest last.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    attempts: Mutex<VecDeque<Attempt>>,
    held: Mutex<Vec<(Subscription, Value)>>,
    /// Deliveries to each receiver, and how many were slow.
    pace: Mutex<BTreeMap<String, (u32, u32)>>,
}

impl Deliveries {
    fn note(&self, attempt: Attempt) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() == REMEMBERED {
            attempts.pop_front();
        }
        attempts.push_back(attempt);
    }

    fn pace(&self, subscription: &Subscription, slow: bool) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = pace.entry(subscription.notification_url.to_string()).or_default();
        entry.0 += 1;
        entry.1 += u32::from(slow);
    }

    /// What a receiver gets for being slow: 10 % of answers delay all, 15 % drop them.
    fn penalty(&self, subscription: &Subscription, rules: SlowEndpoint) -> Option<Penalty> {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, slow) = *pace.get(subscription.notification_url.as_str())?;
        match u64::from(slow) * 100 {
            _ if all < rules.after => None,
            share if share >= u64::from(all) * 15 => Some(Penalty::Drop),
            share if share >= u64::from(all) * 10 => {
                Some(Penalty::Hold(Duration::from_millis(rules.delay_ms)))
            }
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Sends notifications until the world stops.
pub(crate) async fn run(world: Arc<World>, deliveries: Arc<Deliveries>) {
    loop {
        tokio::select! {
            () = world.stop.cancelled() => return,
            () = world.dirty.bell.notified() => {}
        }
        chassis::time::pause(COALESCE).await;
        for drive in world.dirty.take() {
            for subscription in world.subscriptions.on_drive(&drive, world.clock.now()) {
                let (world, deliveries) = (world.clone(), deliveries.clone());
                let body = envelope(&world, &subscription, &[payload(&world, &subscription)]);
                world
                    .tasks
                    .clone()
                    .spawn(async move { dispatch(&world, &deliveries, subscription, body).await });
            }
        }
        for (subscription, body) in due(&world) {
            let (world, deliveries) = (world.clone(), deliveries.clone());
            world.tasks.clone().spawn(async move { dispatch(&world, &deliveries, subscription, body).await });
        }
    }
}

/// What changes of mail and Teams owe to whom: a few items in each POST, in the order of the changes.
fn due(world: &World) -> Vec<(Subscription, Value)> {
    let mut office = world.office.office();
    let changes = office.take_changes();
    if changes.is_empty() {
        return Vec::new();
    }
    let mut due = Vec::new();
    for subscription in world.subscriptions.list(world.clock.now()) {
        let wanted = |change: &&Change| {
            subscription.watched.sees(&change.topic)
                && subscription.change_type.split(',').any(|kind| kind.trim() == change.kind)
        };
        let mut items = Vec::new();
        for change in changes.iter().filter(wanted) {
            let (address, kind, id) = watched::named(&office, &change.topic, subscription.immutable);
            let content = watched::content(&office, &change.topic, subscription.immutable);
            let mut item = head(world, &subscription);
            item["changeType"] = json!(change.kind);
            item["resource"] = json!(address);
            item["resourceData"] = json!({"@odata.type": kind, "@odata.id": address, "id": id});
            if let Some(etag) = content.as_ref().and_then(|content| content.get("@odata.etag")) {
                item["resourceData"]["@odata.etag"] = etag.clone();
            }
            if let Some(certificate) = &subscription.certificate {
                let content = content.unwrap_or_else(|| json!({"id": id}));
                match certificate.seal(&content) {
                    Ok(sealed) => item["encryptedContent"] = sealed,
                    Err(fault) => tracing::error!(%fault, "a notification could not be encrypted"),
                }
            }
            items.push(item);
        }
        for items in items.chunks(BATCH) {
            due.push((subscription.clone(), envelope(world, &subscription, items)));
        }
    }
    due
}

/// Tenant of the application that subscribed.
fn tenant(world: &World, subscription: &Subscription) -> String {
    let mut apps = world.config.apps.iter();
    apps.find(|app| app.client_id == subscription.account).map_or_else(String::new, |app| app.tenant.clone())
}

/// What all notifications of a subscription have in common.
fn head(world: &World, subscription: &Subscription) -> Value {
    json!({
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": subscription.expires.to_rfc3339_opts(SecondsFormat::Micros, true),
        "clientState": subscription.client_state,
        "tenantId": tenant(world, subscription),
    })
}

/// The body of a POST; with data it says who sends.
fn envelope(world: &World, subscription: &Subscription, items: &[Value]) -> Value {
    let mut body = json!({"value": items});
    if subscription.certificate.is_some() {
        let tenant = tenant(world, subscription);
        let now = world.clock.now().timestamp();
        let token = world.signing.token(&tenant, &subscription.account, now);
        body["validationTokens"] = token.into_iter().collect();
    }
    body
}

/// Sends a lifecycle event; false without an address for it.
pub(crate) fn lifecycle(
    world: &Arc<World>,
    deliveries: &Arc<Deliveries>,
    subscription: Subscription,
    event: &str,
) -> bool {
    let Some(url) = subscription.lifecycle_url.clone() else { return false };
    let mut item = head(world, &subscription);
    item["lifecycleEvent"] = json!(event);
    let (world, deliveries) = (world.clone(), deliveries.clone());
    let told = Subscription { notification_url: url, ..subscription };
    world.tasks.clone().spawn(async move {
        let body = json!({"value": [item]});
        deliver(&world, &deliveries, &told, &body, "lifecycle").await;
    });
    true
}

fn payload(world: &World, subscription: &Subscription) -> Value {
    json!({
        "subscriptionId": subscription.id,
        "clientState": subscription.client_state,
        "expirationDateTime": subscription.expires.to_rfc3339_opts(SecondsFormat::Micros, true),
        "subscriptionExpirationDateTime": subscription.expires.to_rfc3339_opts(SecondsFormat::Micros, true),
        "resource": subscription.resource.trim_start_matches('/'),
        "tenantId": tenant(world, subscription),
        "changeType": "updated",
        "resourceData": {"@odata.type": "#Microsoft.Graph.driveItem"},
    })
}

async fn dispatch(world: &World, deliveries: &Deliveries, subscription: Subscription, body: Value) {
    let note = |action: &'static str| {
        let time_ms = world.clock.now_ms();
        deliveries.note(Attempt { time_ms, subscription: subscription.id.clone(), status: 0, action });
    };
    if subscription.paused {
        return note("paused");
    }
    let slow = world.office.office().switches.slow_endpoint;
    match slow.and_then(|rules| deliveries.penalty(&subscription, rules)) {
        Some(Penalty::Drop) => return note("slow-drop"),
        Some(Penalty::Hold(wait)) => chassis::time::pause(wait).await,
        None => {}
    }
    let fault = world.faults.delivery("microsoft", subscription.notification_url.as_str());
    match fault {
        None => deliver(world, deliveries, &subscription, &body, "send").await,
        Some((DeliveryAction::Drop, _)) => note("drop"),
        Some((DeliveryAction::Duplicate, _)) => {
            deliver(world, deliveries, &subscription, &body, "send").await;
            deliver(world, deliveries, &subscription, &body, "duplicate").await;
        }
        Some((DeliveryAction::Delay, late)) => {
            chassis::time::pause(late).await;
            deliver(world, deliveries, &subscription, &body, "delay").await;
        }
        Some((DeliveryAction::Reorder, _)) => {
            deliveries.held.lock().unwrap_or_else(PoisonError::into_inner).push((subscription, body));
            return;
        }
        Some((DeliveryAction::Forge, _)) => {
            let mut forged = body.clone();
            for item in forged["value"].as_array_mut().into_iter().flatten() {
                item["clientState"] = json!("forged-state-of-nobody");
            }
            deliver(world, deliveries, &subscription, &forged, "forge").await;
            deliver(world, deliveries, &subscription, &body, "send").await;
        }
    }
    // What was held back comes after this one.
    let held = std::mem::take(&mut *deliveries.held.lock().unwrap_or_else(PoisonError::into_inner));
    for (subscription, body) in held {
        deliver(world, deliveries, &subscription, &body, "reorder").await;
    }
}

/// POSTs until the receiver takes it, patience ends, or the subscription does.
async fn deliver(
    world: &World,
    deliveries: &Deliveries,
    subscription: &Subscription,
    body: &Value,
    action: &'static str,
) {
    let body = Bytes::from(body.to_string());
    let begun = world.config.clock.now();
    let mut wait = FIRST_RETRY;
    loop {
        let sent = client::post(
            &subscription.notification_url,
            "application/json; charset=utf-8",
            body.clone(),
            ANSWER,
        );
        let asked = world.config.clock.now();
        let status = tokio::select! {
            () = world.stop.cancelled() => return,
            outcome = sent => outcome.map_or(0, |answer| answer.status),
        };
        let took = (world.config.clock.now() - asked).to_std().unwrap_or_default();
        if let Some(rules) = world.office.office().switches.slow_endpoint {
            deliveries.pace(subscription, took > Duration::from_millis(rules.slow_ms));
        }
        deliveries.note(Attempt {
            time_ms: world.clock.now_ms(),
            subscription: subscription.id.clone(),
            status,
            action,
        });
        if (200..300).contains(&status) {
            return;
        }
        let waited = (world.config.clock.now() - begun).to_std().unwrap_or_default();
        if waited + wait > world.config.notification_patience
            || world.subscriptions.get(&subscription.id).is_none()
        {
            tracing::warn!(subscription = %subscription.id, status, "a notification is discarded");
            return;
        }
        tokio::select! {
            () = world.stop.cancelled() => return,
            () = chassis::time::pause(wait) => {}
        }
        wait = (wait * 2).min(LONGEST_RETRY);
    }
}
