//! Deliveries of change notifications: coalesced, retried, and disturbed when a fault says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::{Value, json};

use crate::client;
use crate::faults::DeliveryAction;
use crate::microsoft::subscriptions::Subscription;
use crate::world::World;

/// Changes within this time make one notification.
const COALESCE: Duration = Duration::from_millis(50);
/// Time for the receiver's answer.
const ANSWER: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
const REMEMBERED: usize = 10_000;

/// One attempt to deliver.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Attempt {
    pub(crate) time_ms: i64,
    pub(crate) subscription: String,
    /// 0 when nobody answered.
    pub(crate) status: u16,
    pub(crate) action: &'static str,
}

/// What was delivered, newest last.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    attempts: Mutex<VecDeque<Attempt>>,
    held: Mutex<Vec<(Subscription, Value)>>,
}

impl Deliveries {
    fn note(&self, attempt: Attempt) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() == REMEMBERED {
            attempts.pop_front();
        }
        attempts.push_back(attempt);
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
                world.tasks.clone().spawn(async move { dispatch(&world, &deliveries, subscription).await });
            }
        }
    }
}

fn payload(subscription: &Subscription, tenant: &str) -> Value {
    json!({
        "subscriptionId": subscription.id,
        "clientState": subscription.client_state,
        "expirationDateTime": subscription.expires.to_rfc3339_opts(SecondsFormat::Micros, true),
        "subscriptionExpirationDateTime": subscription.expires.to_rfc3339_opts(SecondsFormat::Micros, true),
        "resource": subscription.resource.trim_start_matches('/'),
        "tenantId": tenant,
        "changeType": "updated",
        "resourceData": {"@odata.type": "#Microsoft.Graph.driveItem"},
    })
}

async fn dispatch(world: &World, deliveries: &Deliveries, subscription: Subscription) {
    let tenant = world
        .config
        .apps
        .iter()
        .find(|app| app.client_id == subscription.account)
        .map_or_else(String::new, |app| app.tenant.clone());
    let body = payload(&subscription, &tenant);
    let fault = world.faults.delivery("microsoft", subscription.notification_url.as_str());
    match fault {
        None => deliver(world, deliveries, &subscription, &body, "send").await,
        Some((DeliveryAction::Drop, _)) => deliveries.note(Attempt {
            time_ms: world.clock.now_ms(),
            subscription: subscription.id,
            status: 0,
            action: "drop",
        }),
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
            forged["clientState"] = json!("forged-state-of-nobody");
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
    item: &Value,
    action: &'static str,
) {
    let body = Bytes::from(json!({"value": [item]}).to_string());
    let begun = world.config.clock.now();
    let mut wait = FIRST_RETRY;
    loop {
        let sent = client::post(
            &subscription.notification_url,
            "application/json; charset=utf-8",
            body.clone(),
            ANSWER,
        );
        let status = tokio::select! {
            () = world.stop.cancelled() => return,
            outcome = sent => outcome.map_or(0, |answer| answer.status),
        };
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
