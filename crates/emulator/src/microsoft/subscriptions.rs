//! Change-notification subscriptions on drives: handshake, lifetime, the documented refusals.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use url::Url;

use crate::client::{self, ClientError};
use crate::http::{Call, Reply, decode};
use crate::microsoft::errors::GraphError;
use crate::microsoft::target::{self, DriveRef, Target};
use crate::world::World;

/// Longest lifetime of a driveItem subscription, in minutes (subscription resource, Graph v1.0).
pub(crate) const MAX_MINUTES: i64 = 42_300;
/// Time for the answer to a validation request.
const HANDSHAKE: Duration = Duration::from_secs(10);
const MAX_CLIENT_STATE: usize = 128;

/// One subscription.
#[derive(Clone)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) resource: String,
    pub(crate) drive: String,
    pub(crate) change_type: String,
    pub(crate) notification_url: Url,
    pub(crate) lifecycle_url: Option<Url>,
    pub(crate) client_state: Option<String>,
    pub(crate) expires: DateTime<Utc>,
    pub(crate) account: String,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    /// The resource as Graph shows it; the secret only to who just sent it.
    pub(crate) fn json(&self, origin: &str, with_state: bool) -> Value {
        json!({
            "@odata.context": format!("{origin}/v1.0/$metadata#subscriptions/$entity"),
            "id": self.id,
            "resource": self.resource,
            "applicationId": self.account,
            "changeType": self.change_type,
            "clientState": if with_state { self.client_state.clone() } else { None },
            "notificationUrl": self.notification_url.as_str(),
            "lifecycleNotificationUrl": self.lifecycle_url.as_ref().map(Url::as_str),
            "expirationDateTime": self.expires.to_rfc3339_opts(SecondsFormat::Micros, true),
            "creatorId": self.account,
            "latestSupportedTlsVersion": "v1_2",
            "includeResourceData": null,
            "encryptionCertificate": null,
            "encryptionCertificateId": null,
            "notificationQueryOptions": null,
            "notificationUrlAppId": null,
        })
    }
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_id: Mutex<BTreeMap<String, Subscription>>,
}

impl Subscriptions {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Subscription>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Those on a drive that are still alive.
    pub(crate) fn on_drive(&self, drive: &str, now: DateTime<Utc>) -> Vec<Subscription> {
        let mut all = self.lock();
        all.retain(|_, subscription| subscription.expires > now);
        all.values().filter(|subscription| subscription.drive == drive).cloned().collect()
    }

    pub(crate) fn get(&self, id: &str) -> Option<Subscription> {
        self.lock().get(id).cloned()
    }

    pub(crate) fn list(&self, now: DateTime<Utc>) -> Vec<Subscription> {
        let mut all = self.lock();
        all.retain(|_, subscription| subscription.expires > now);
        all.values().cloned().collect()
    }

    pub(crate) fn remove(&self, id: &str) -> bool {
        self.lock().remove(id).is_some()
    }
}

fn unknown(id: &str) -> GraphError {
    GraphError::new(
        404,
        "ResourceNotFound",
        format!("The object was not found. Subscription '{id}' does not exist."),
    )
}

/// Everything below `/subscriptions`.
pub(crate) async fn answer(world: &World, path: &str, call: &Call) -> Result<Reply, GraphError> {
    let now = world.clock.now();
    match (target::parse(path, call)?, &call.method) {
        (Target::Subscriptions, &Method::GET) => {
            let value: Vec<Value> = world
                .subscriptions
                .list(now)
                .iter()
                .filter(|subscription| Some(&subscription.account) == call.account.as_ref())
                .map(|subscription| subscription.json(&call.origin, false))
                .collect();
            Ok(Reply::json(
                200,
                &json!({"@odata.context": format!("{}/v1.0/$metadata#subscriptions", call.origin), "value": value}),
            ))
        }
        (Target::Subscriptions, &Method::POST) => create(world, call).await,
        (Target::Subscription(id), method) => {
            let known = world
                .subscriptions
                .list(now)
                .into_iter()
                .find(|subscription| subscription.id == id)
                .ok_or_else(|| unknown(&id))?;
            match *method {
                Method::GET => Ok(Reply::json(200, &known.json(&call.origin, false))),
                Method::DELETE => {
                    world.subscriptions.remove(&id);
                    Ok(Reply::empty(204))
                }
                Method::PATCH => {
                    let body = call.json()?;
                    let expires = expiration(&body, now)?;
                    let renewed = Subscription { expires, ..known };
                    world.subscriptions.lock().insert(id, renewed.clone());
                    Ok(Reply::json(200, &renewed.json(&call.origin, true)))
                }
                _ => Err(GraphError::new(405, "Request_BadRequest", "The method is not possible here.")),
            }
        }
        (Target::Reauthorize(id), &Method::POST) => {
            world.subscriptions.get(&id).map(|_| Reply::empty(202)).ok_or_else(|| unknown(&id))
        }
        _ => Err(GraphError::new(405, "Request_BadRequest", "The method is not possible here.")),
    }
}

fn expiration(body: &Value, now: DateTime<Utc>) -> Result<DateTime<Utc>, GraphError> {
    let text =
        body["expirationDateTime"].as_str().ok_or_else(|| refuse("expirationDateTime is required."))?;
    let at = DateTime::parse_from_rfc3339(text)
        .map_err(|_| refuse("expirationDateTime is not a valid date."))?
        .with_timezone(&Utc);
    if at <= now {
        return Err(refuse("Subscription expiration must be in the future."));
    }
    if at - now > TimeDelta::minutes(MAX_MINUTES) {
        return Err(GraphError::new(
            400,
            "ExtensionError",
            format!("Subscription expiration can only be {MAX_MINUTES} minutes in the future."),
        ));
    }
    Ok(at)
}

fn refuse(message: &str) -> GraphError {
    GraphError::new(400, "InvalidRequest", message)
}

fn url_field(body: &Value, name: &str) -> Result<Option<Url>, GraphError> {
    match body[name].as_str() {
        None => Ok(None),
        Some(text) => Url::parse(text).map(Some).map_err(|_| refuse(&format!("{name} is not a valid URL."))),
    }
}

/// The drive of `drives/{id}/root`; Business takes subscriptions on the root only.
fn drive_of(resource: &str) -> Option<String> {
    let path = resource.trim_matches('/');
    let rest = path.strip_prefix("drives/")?;
    rest.strip_suffix("/root").filter(|id| !id.contains('/')).map(decode)
}

async fn create(world: &World, call: &Call) -> Result<Reply, GraphError> {
    let body = call.json()?;
    let now = world.clock.now();
    let change_type = body["changeType"].as_str().ok_or_else(|| refuse("changeType is required."))?;
    if change_type != "updated" {
        return Err(refuse("changeType: only 'updated' is supported for drive items."));
    }
    let resource = body["resource"].as_str().ok_or_else(|| refuse("resource is required."))?;
    let drive = drive_of(resource).ok_or_else(|| {
        GraphError::new(
            400,
            "InvalidRequest",
            format!("Resource '{resource}' is not supported for subscriptions; only the root of a drive is."),
        )
    })?;
    let notification_url =
        url_field(&body, "notificationUrl")?.ok_or_else(|| refuse("notificationUrl is required."))?;
    let lifecycle_url = url_field(&body, "lifecycleNotificationUrl")?;
    let client_state = body["clientState"].as_str().map(ToOwned::to_owned);
    if client_state.as_ref().is_some_and(|state| state.chars().count() > MAX_CLIENT_STATE) {
        return Err(refuse("clientState must not be longer than 128 characters."));
    }
    let expires = expiration(&body, now)?;
    let denied = world.drive(&DriveRef::Id(drive.clone()))?.lock().options.deny_subscriptions;
    if denied {
        return Err(GraphError::new(
            403,
            "ExtensionError",
            "Operation: Create; Exception: [Status Code: Forbidden; Reason: Access denied]",
        ));
    }
    // Both addresses are asked, the second one too when it is the same.
    for url in [Some(&notification_url), lifecycle_url.as_ref()].into_iter().flatten() {
        handshake(url).await?;
    }
    let subscription = Subscription {
        id: chassis::ids::new_id().to_string(),
        resource: resource.to_owned(),
        drive,
        change_type: change_type.to_owned(),
        notification_url,
        lifecycle_url,
        client_state,
        expires,
        account: call.account.clone().unwrap_or_default(),
    };
    let answer = subscription.json(&call.origin, true);
    world.subscriptions.lock().insert(subscription.id.clone(), subscription);
    Ok(Reply::json(201, &answer))
}

/// Asks the receiver to echo a token: 200, `text/plain`, decoded, within ten seconds.
async fn handshake(url: &Url) -> Result<(), GraphError> {
    let token = format!(
        "Validation: Testing client application reachability for subscription Request-Id: {}",
        chassis::ids::new_id()
    );
    let mut asked = url.clone();
    let query = match url.query() {
        Some(query) => format!("{query}&validationToken={}", utf8_percent_encode(&token, NON_ALPHANUMERIC)),
        None => format!("validationToken={}", utf8_percent_encode(&token, NON_ALPHANUMERIC)),
    };
    asked.set_query(Some(&query));
    let failed = |detail: &str| refuse(&format!("Subscription validation request failed. {detail}"));
    let answer = match client::post(&asked, "text/plain; charset=utf-8", Bytes::new(), HANDSHAKE).await {
        Ok(answer) => answer,
        Err(ClientError::Timeout(_)) => return Err(refuse("Subscription validation request timed out.")),
        Err(fault) => return Err(failed(&format!("{fault}."))),
    };
    if answer.status != 200 {
        return Err(failed(&format!(
            "Response must be 200 OK, HTTP status code is {}.",
            StatusName(answer.status)
        )));
    }
    let plain = answer
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/plain"));
    if !plain {
        return Err(failed("The response must be of the content type text/plain."));
    }
    if answer.body != token.as_bytes() {
        return Err(failed("Must respond with the decoded validation token."));
    }
    Ok(())
}

struct StatusName(u16);

impl std::fmt::Display for StatusName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reason = http::StatusCode::from_u16(self.0).ok().and_then(|status| status.canonical_reason());
        write!(f, "{} {}", self.0, reason.unwrap_or("Unknown"))
    }
}
