//! Change notifications as Graph posts them (change-notifications-delivery-webhooks, Graph v1.0). They are hints: only
//! what routes them is read.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::timestamp::parse_timestamp;

/// One POST; items of several subscriptions and tenants may be mixed.
#[derive(Debug, Clone, Deserialize)]
pub struct NotificationBatch {
    /// The notifications.
    pub value: Vec<Notification>,
}

/// One notification, of a change or of a subscription's life.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Subscription that it comes from; may be newer than our own record of it.
    pub subscription_id: Option<String>,
    /// The secret of the subscription; compare in constant time.
    pub client_state: Option<String>,
    /// Kind of change; absent in lifecycle notifications.
    pub change_type: Option<String>,
    /// What changed; absent in some lifecycle notifications.
    pub resource: Option<String>,
    /// `reauthorizationRequired`, `subscriptionRemoved` or `missed`.
    pub lifecycle_event: Option<String>,
    /// Microsoft tenant.
    pub tenant_id: Option<String>,
    /// End of the subscription's life, in both spellings; absent for `NA`.
    #[serde(default, alias = "expirationDateTime", deserialize_with = "instant")]
    pub subscription_expiration_date_time: Option<DateTime<Utc>>,
    /// What the change is about.
    pub resource_data: Option<ResourceData>,
}

impl std::fmt::Debug for Notification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notification")
            .field("subscription_id", &self.subscription_id)
            .field("resource", &self.resource)
            .field("lifecycle_event", &self.lifecycle_event)
            .finish_non_exhaustive()
    }
}

/// The changed thing.
#[derive(Debug, Clone, Deserialize)]
pub struct ResourceData {
    /// Its id.
    pub id: Option<String>,
}

fn instant<'de, D: Deserializer<'de>>(d: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    Ok(Value::deserialize(d)?.as_str().and_then(parse_timestamp))
}
