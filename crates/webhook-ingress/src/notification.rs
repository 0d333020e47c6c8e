//! Notifications, read leniently: deliveries mix subscriptions, tenants and spellings (changeNotification and
//! changeNotificationCollection, Graph v1.0; observed oddities in fixtures/graph/examples/notification).

use serde_json::{Map, Value};

/// Items of one delivery.
pub const MAX_ITEMS: usize = 1000;
/// Longest stored body of one notification.
const MAX_BODY: usize = 16 * 1024;
/// Longest id that is looked at.
const MAX_ID: usize = 256;

/// A notification as far as it can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Graph's subscription id.
    pub subscription_id: String,
    /// Proof of the sender; compared, never stored.
    pub client_state: Option<String>,
    /// `updated`, ...
    pub change_type: Option<String>,
    /// What changed, as the provider names it.
    pub resource: Option<String>,
    /// `reauthorizationRequired`, `subscriptionRemoved`, `missed`.
    pub lifecycle_event: Option<String>,
    /// The rest, without clientState and encrypted content.
    pub body: Value,
}

/// Why a delivery cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryFault {
    /// No `value` array.
    #[error("the body is not a collection of notifications: `value` is missing")]
    NoValue,
    /// Too many items.
    #[error("the delivery has more than {MAX_ITEMS} notifications")]
    TooMany,
}

/// The readable notifications of a delivery, and how many could not be read.
///
/// # Errors
/// [`DeliveryFault`]; a single bad item is no fault.
pub fn read(delivery: Value) -> Result<(Vec<Notification>, usize), DeliveryFault> {
    let Value::Object(mut delivery) = delivery else { return Err(DeliveryFault::NoValue) };
    let Some(Value::Array(items)) = delivery.remove("value") else { return Err(DeliveryFault::NoValue) };
    if items.len() > MAX_ITEMS {
        return Err(DeliveryFault::TooMany);
    }
    let all = items.len();
    let read: Vec<Notification> = items.into_iter().filter_map(item).collect();
    let malformed = all - read.len();
    Ok((read, malformed))
}

fn item(item: Value) -> Option<Notification> {
    let Value::Object(mut object) = item else { return None };
    let subscription_id = text(&object, "subscriptionId").filter(|id| (1..=MAX_ID).contains(&id.len()))?;
    let client_state = text(&object, "clientState");
    object.retain(|name, _| {
        !name.eq_ignore_ascii_case("clientState") && !name.eq_ignore_ascii_case("encryptedContent")
    });
    Some(Notification {
        subscription_id,
        client_state,
        change_type: text(&object, "changeType"),
        resource: text(&object, "resource"),
        lifecycle_event: text(&object, "lifecycleEvent"),
        body: bounded(object),
    })
}

/// PostgreSQL's text and jsonb have no NUL; an item with one is not Graph's.
fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name)?.as_str().filter(|text| !text.contains('\0')).map(str::to_owned)
}

fn bounded(object: Map<String, Value>) -> Value {
    let body = Value::Object(object);
    let written = body.to_string();
    if written.len() > MAX_BODY || written.contains("\\u0000") {
        return serde_json::json!({ "omitted": "too large or not storable", "bytes": written.len() });
    }
    body
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn good_items_survive_bad_neighbours_and_secrets_do_not() {
        let delivery = json!({ "value": [
            { "subscriptionId": "s1", "clientState": "secret", "changeType": "updated", "resource": "drives/d/root",
              "subscriptionExpirationDateTime": "NA", "EncryptedContent": { "data": "x" }, "new": 1 },
            "text", { "subscriptionId": 7 }, { "clientState": "secret" }, null,
            { "subscriptionId": "s2", "lifecycleEvent": "missed", "encryptedContent": null },
        ] });
        let (read, malformed) = read(delivery).expect("a collection");
        assert_eq!((read.len(), malformed), (2, 4));
        assert_eq!(read[0].client_state.as_deref(), Some("secret"));
        assert!(!read[0].body.to_string().contains("secret"));
        assert_eq!(read[0].body["new"], 1);
        assert!(read[0].body.get("EncryptedContent").is_none());
        assert_eq!(read[1].lifecycle_event.as_deref(), Some("missed"));
    }

    #[test]
    fn a_delivery_has_limits() {
        assert_eq!(super::read(json!([])), Err(DeliveryFault::NoValue));
        assert_eq!(super::read(json!({})), Err(DeliveryFault::NoValue));
        let many = vec![json!({ "subscriptionId": "s" }); MAX_ITEMS + 1];
        assert_eq!(super::read(json!({ "value": many })), Err(DeliveryFault::TooMany));
        let large = json!({ "value": [{ "subscriptionId": "s", "x": "y".repeat(MAX_BODY) }] });
        assert_eq!(
            super::read(large).expect("a collection").0[0].body["omitted"],
            "too large or not storable"
        );
    }
}
