//! Notifications, read leniently: deliveries mix subscriptions, tenants and spellings (changeNotification and
//! changeNotificationCollection, Graph v1.0; observed oddities in fixtures/graph/examples/notification).

use domain::notification::named::Named;
use outbound::rich::Encrypted;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::proof::Proof;

/// Items of one delivery.
pub const MAX_ITEMS: usize = 1000;
/// Validation tokens of one delivery: one for each pair of application and tenant.
const MAX_TOKENS: usize = 64;
/// Longest stored body of one notification.
const MAX_BODY: usize = 16 * 1024;
/// Longest id that is looked at.
const MAX_ID: usize = 256;
/// Longest resource that is kept.
const MAX_RESOURCE: usize = 4096;
/// Longest hint that a run is given.
const MAX_HINT: usize = 1024;

/// A notification as far as it can be read. This is what waits in the spool: no secret is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Id of its receipt, minted when it arrived.
    pub id: Uuid,
    /// Graph's subscription id.
    pub subscription_id: String,
    /// Digest of the clientState; the state itself is not kept.
    pub proof: Option<Proof>,
    /// `updated`, ...
    pub change_type: Option<String>,
    /// What changed, as the provider names it.
    pub resource: Option<String>,
    /// `reauthorizationRequired`, `subscriptionRemoved`, `missed`.
    pub lifecycle_event: Option<String>,
    /// Provider id of the message that it names; a reply is `{root}/{reply}`.
    pub hint: Option<String>,
    /// Why it is refused, whatever its clientState: what is encrypted was not proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The rest, without clientState and encrypted content.
    pub body: Value,
}

impl Notification {
    /// Refuses it, and says why in what is kept of it.
    pub fn refuse(&mut self, reason: &str) {
        self.refused = Some(reason.to_owned());
        if let Value::Object(body) = &mut self.body {
            body.insert("refused".to_owned(), Value::from(reason));
        }
    }

    /// Names a message, when the path did not.
    pub fn name(&mut self, hint: String) {
        if self.hint.is_none() && hint.len() <= MAX_HINT && !hint.contains('\0') {
            self.hint = Some(hint);
        }
    }
}

/// What is encrypted in a notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// Its place among the notifications of the delivery.
    pub index: usize,
    /// The content; none when it has not the documented shape.
    pub content: Option<Encrypted>,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delivery {
    /// What could be read.
    pub notifications: Vec<Notification>,
    /// Tenants of the notifications, in lower case, one for each.
    pub tenants: Vec<Option<String>>,
    /// What is encrypted.
    pub sealed: Vec<Sealed>,
    /// `validationTokens`.
    pub tokens: Vec<String>,
    /// Items that could not be read.
    pub malformed: usize,
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

/// The readable notifications of a delivery, and how many could not be read. `mint` makes ids.
///
/// # Errors
/// [`DeliveryFault`]; a single bad item is no fault.
pub fn read(delivery: Value, mint: impl Fn() -> Uuid) -> Result<Delivery, DeliveryFault> {
    let Value::Object(mut delivery) = delivery else { return Err(DeliveryFault::NoValue) };
    let Some(Value::Array(items)) = delivery.remove("value") else { return Err(DeliveryFault::NoValue) };
    if items.len() > MAX_ITEMS {
        return Err(DeliveryFault::TooMany);
    }
    let mut read = Delivery::default();
    if let Some(Value::Array(tokens)) = delivery.remove("validationTokens") {
        let texts = tokens.into_iter().filter_map(|token| match token {
            Value::String(token) => Some(token),
            _ => None,
        });
        read.tokens = texts.take(MAX_TOKENS).collect();
    }
    for item in items {
        match self::item(item, mint()) {
            Some((notification, tenant, sealed)) => {
                let index = read.notifications.len();
                read.sealed.extend(sealed.map(|content| Sealed { index, content }));
                read.notifications.push(notification);
                read.tenants.push(tenant);
            }
            None => read.malformed += 1,
        }
    }
    Ok(read)
}

/// The notification, its tenant, and what is encrypted, if something is.
type Item = (Notification, Option<String>, Option<Option<Encrypted>>);

fn item(item: Value, id: Uuid) -> Option<Item> {
    let Value::Object(mut object) = item else { return None };
    let subscription_id = text(&object, "subscriptionId").filter(|id| (1..=MAX_ID).contains(&id.len()))?;
    let proof = text(&object, "clientState").map(|state| Proof::of(&state));
    // Documented with a capital E too.
    let sealed = object
        .iter()
        .find(|(name, value)| name.eq_ignore_ascii_case("encryptedContent") && !value.is_null())
        .map(|(_, value)| Encrypted::deserialize(value).ok());
    object.retain(|name, _| {
        !name.eq_ignore_ascii_case("clientState") && !name.eq_ignore_ascii_case("encryptedContent")
    });
    let short = |name| text(&object, name).filter(|text| text.len() <= MAX_ID);
    let resource = text(&object, "resource").filter(|resource| resource.len() <= MAX_RESOURCE);
    let tenant = short("tenantId").map(|tenant| tenant.to_ascii_lowercase());
    let hint = resource.as_deref().and_then(Named::read).map(|named| named.hint());
    let mut notification = Notification {
        id,
        subscription_id,
        proof,
        change_type: short("changeType"),
        lifecycle_event: short("lifecycleEvent"),
        hint: None,
        refused: None,
        resource,
        body: bounded(object),
    };
    if let Some(hint) = hint {
        notification.name(hint);
    }
    Some((notification, tenant, sealed))
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

    fn read(delivery: Value) -> Result<Delivery, DeliveryFault> {
        super::read(delivery, chassis::ids::new_id)
    }

    #[test]
    fn good_items_survive_bad_neighbours_and_secrets_do_not() {
        let delivery = json!({ "value": [
            { "subscriptionId": "s1", "clientState": "secret", "changeType": "updated", "resource": "drives/d/root",
              "subscriptionExpirationDateTime": "NA", "EncryptedContent": { "data": "x" }, "new": 1 },
            "text", { "subscriptionId": 7 }, { "clientState": "secret" }, null,
            { "subscriptionId": "s2", "lifecycleEvent": "missed", "encryptedContent": null, "tenantId": "T" },
        ] });
        let read = read(delivery).expect("a collection");
        assert_eq!((read.notifications.len(), read.malformed), (2, 4));
        let [first, second] = read.notifications.as_slice() else { panic!("two") };
        assert_eq!(first.proof, Some(Proof::of("secret")));
        assert!(!serde_json::to_string(&read.notifications).expect("JSON").contains("secret"));
        assert_eq!(first.body["new"], 1);
        assert!(first.body.get("EncryptedContent").is_none());
        assert_eq!(second.lifecycle_event.as_deref(), Some("missed"));
        assert_eq!(
            read.sealed,
            [Sealed { index: 0, content: None }],
            "not of the documented shape, and not null"
        );
        assert_eq!(read.tenants, [None, Some("t".to_owned())]);
        assert_ne!(first.id, second.id);
    }

    #[test]
    fn messages_are_named() {
        let path = "teams('t')/channels('c')/messages('1')/replies('2')";
        let item = |resource: &str| json!({ "subscriptionId": "s", "resource": resource });
        let long = format!("chats('c')/messages('{}')", "m".repeat(2000));
        let delivery = json!({ "value": [item(path), item("drives/d/root"), item(&long)] });
        let hints: Vec<_> =
            read(delivery).expect("items").notifications.into_iter().map(|n| n.hint).collect();
        assert_eq!(hints, [Some("1/2".to_owned()), None, None]);
    }

    #[test]
    fn a_delivery_has_limits() {
        assert_eq!(read(json!([])), Err(DeliveryFault::NoValue));
        assert_eq!(read(json!({})), Err(DeliveryFault::NoValue));
        let many = vec![json!({ "subscriptionId": "s" }); MAX_ITEMS + 1];
        assert_eq!(read(json!({ "value": many })), Err(DeliveryFault::TooMany));
        let large = json!({ "value": [{ "subscriptionId": "s", "x": "y".repeat(MAX_BODY) }] });
        let read = read(large).expect("a collection");
        assert_eq!(read.notifications[0].body["omitted"], "too large or not storable");
    }
}
