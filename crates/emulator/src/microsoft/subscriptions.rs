//! Change-notification subscriptions: handshake, lifetime, quotas, the documented refusals.

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
use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;
use crate::microsoft::office::{permissions, segments, view};
use crate::microsoft::rich::Certificate;
use crate::microsoft::target::{self, DriveRef, Target};
use crate::microsoft::watched::Watched;
use crate::world::World;

/// Time for the answer to a validation request.
const HANDSHAKE: Duration = Duration::from_secs(10);
const MAX_CLIENT_STATE: usize = 128;
/// Subscriptions of Teams that live longer need a lifecycle address.
const TEAMS_MINUTES: i64 = 60;

/// One subscription.
#[derive(Clone)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) resource: String,
    pub(crate) watched: Watched,
    pub(crate) change_type: String,
    pub(crate) notification_url: Url,
    pub(crate) lifecycle_url: Option<Url>,
    pub(crate) client_state: Option<String>,
    pub(crate) expires: DateTime<Utc>,
    pub(crate) account: String,
    /// Made with `Prefer: IdType="ImmutableId"`: notifications carry immutable ids.
    pub(crate) immutable: bool,
    /// Notifications carry the resource, encrypted for this certificate.
    pub(crate) certificate: Option<Certificate>,
    /// Deliveries are lost until the application authorizes again.
    pub(crate) paused: bool,
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
            "includeResourceData": self.certificate.as_ref().map(|_| true),
            "encryptionCertificate": self.certificate.as_ref().filter(|_| with_state).map(Certificate::text),
            "encryptionCertificateId": self.certificate.as_ref().map(Certificate::id),
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
        let on = |one: &Subscription| matches!(&one.watched, Watched::Drive(id) if id == drive);
        self.list(now).into_iter().filter(on).collect()
    }

    /// Stops or resumes deliveries.
    pub(crate) fn pause(&self, id: &str, paused: bool) -> Option<Subscription> {
        let mut all = self.lock();
        let one = all.get_mut(id)?;
        one.paused = paused;
        Some(one.clone())
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
                    let renewed = renew(world, known, &call.json()?, now)?;
                    world.subscriptions.lock().insert(id, renewed.clone());
                    Ok(Reply::json(200, &renewed.json(&call.origin, true)))
                }
                _ => Err(GraphError::new(405, "Request_BadRequest", "The method is not possible here.")),
            }
        }
        (Target::Reauthorize(id), &Method::POST) => {
            world.subscriptions.pause(&id, false).map(|_| Reply::empty(202)).ok_or_else(|| unknown(&id))
        }
        _ => Err(GraphError::new(405, "Request_BadRequest", "The method is not possible here.")),
    }
}

/// What PATCH may change: the expiry, the certificate. A lifecycle address cannot be added later.
fn renew(
    world: &World,
    known: Subscription,
    body: &Value,
    now: DateTime<Utc>,
) -> Result<Subscription, GraphError> {
    if !body["lifecycleNotificationUrl"].is_null() && known.lifecycle_url.is_none() {
        return Err(refuse("lifecycleNotificationUrl cannot be added to an existing subscription."));
    }
    let minutes = known.watched.max_minutes(&world.office.office());
    let expires = expiration(body, now, minutes)?;
    let certificate = match certificate(body)? {
        Some(new) if known.certificate.is_some() => Some(new),
        _ => known.certificate.clone(),
    };
    Ok(Subscription { expires, certificate, paused: false, ..known })
}

/// The certificate of a request, when it names one.
fn certificate(body: &Value) -> Result<Option<Certificate>, GraphError> {
    let (Some(text), Some(id)) =
        (body["encryptionCertificate"].as_str(), body["encryptionCertificateId"].as_str())
    else {
        return Ok(None);
    };
    if id.chars().count() > MAX_CLIENT_STATE {
        return Err(refuse("encryptionCertificateId must not be longer than 128 characters."));
    }
    let parsed = Certificate::parse(text, id);
    parsed.map(Some).ok_or_else(|| refuse("Certificate validation error: Certificate could not be parsed."))
}

fn expiration(body: &Value, now: DateTime<Utc>, max_minutes: i64) -> Result<DateTime<Utc>, GraphError> {
    let text =
        body["expirationDateTime"].as_str().ok_or_else(|| refuse("expirationDateTime is required."))?;
    let at = DateTime::parse_from_rfc3339(text)
        .map_err(|_| refuse("expirationDateTime is not a valid date."))?
        .with_timezone(&Utc);
    if at <= now {
        return Err(refuse("Subscription expiration must be in the future."));
    }
    if at - now > TimeDelta::minutes(max_minutes) {
        return Err(GraphError::new(
            400,
            "ExtensionError",
            format!("Subscription expiration can only be {max_minutes} minutes in the future."),
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

/// What a request asks for, checked as far as one can without asking the receiver.
fn asked(world: &World, call: &Call) -> Result<Subscription, GraphError> {
    let body = call.json()?;
    let now = world.clock.now();
    let change_type = body["changeType"].as_str().ok_or_else(|| refuse("changeType is required."))?;
    let resource = body["resource"].as_str().ok_or_else(|| refuse("resource is required."))?;
    let (watched, max_minutes) = {
        let office = world.office.office();
        let path = segments::parse(resource.split('?').next().unwrap_or_default());
        permissions::check_resource(&office.denied, &path)?;
        let watched = Watched::parse(&office, resource)?;
        let max_minutes = watched.max_minutes(&office);
        (watched, max_minutes)
    };
    if !watched.allows(change_type) {
        return Err(refuse(&format!("changeType '{change_type}' is not supported for '{resource}'.")));
    }
    let notification_url =
        url_field(&body, "notificationUrl")?.ok_or_else(|| refuse("notificationUrl is required."))?;
    let lifecycle_url = url_field(&body, "lifecycleNotificationUrl")?;
    let client_state = body["clientState"].as_str().map(ToOwned::to_owned);
    if client_state.as_ref().is_some_and(|state| state.chars().count() > MAX_CLIENT_STATE) {
        return Err(refuse("clientState must not be longer than 128 characters."));
    }
    let expires = expiration(&body, now, max_minutes)?;
    if watched.is_teams() && lifecycle_url.is_none() && expires - now > TimeDelta::minutes(TEAMS_MINUTES) {
        return Err(refuse(
            "lifecycleNotificationUrl is a required property for subscription creation on this resource when the \
             expirationDateTime value is set to greater than 1 hour.",
        ));
    }
    let rich = body["includeResourceData"].as_bool().unwrap_or_default();
    let certificate = if rich { certificate(&body)? } else { None };
    if rich && matches!(watched, Watched::Drive(_)) {
        return Err(refuse("includeResourceData is not supported for drive items."));
    }
    if rich && certificate.is_none() {
        return Err(refuse(
            "encryptionCertificate and encryptionCertificateId are required with includeResourceData.",
        ));
    }
    if let Watched::Drive(drive) = &watched
        && world.drive(&DriveRef::Id(drive.clone()))?.lock().options.deny_subscriptions
    {
        return Err(GraphError::new(
            403,
            "ExtensionError",
            "Operation: Create; Exception: [Status Code: Forbidden; Reason: Access denied]",
        ));
    }
    Ok(Subscription {
        id: chassis::ids::new_id().to_string(),
        resource: resource.to_owned(),
        watched,
        change_type: change_type.to_owned(),
        notification_url,
        lifecycle_url,
        client_state,
        expires,
        account: call.account.clone().unwrap_or_default(),
        immutable: view::immutable(call),
        certificate,
        paused: false,
    })
}

/// Refuses one more than the quota of its resource (supported-resources).
fn within_quota(world: &World, new: &Subscription) -> Result<(), GraphError> {
    let counts = |one: &&Subscription| {
        // A mailbox counts all applications together, Teams each one alone.
        one.watched.shares(&new.watched) && (!new.watched.is_teams() || one.account == new.account)
    };
    let live = world.subscriptions.list(world.clock.now());
    if live.iter().filter(counts).count() < new.watched.quota() {
        return Ok(());
    }
    let text =
        format!("Subscription limit of {} reached for the resource '{}'.", new.watched.quota(), new.resource);
    Err(GraphError::new(403, "ExtensionError", text))
}

async fn create(world: &World, call: &Call) -> Result<Reply, GraphError> {
    let subscription = asked(world, call)?;
    within_quota(world, &subscription)?;
    // Both addresses are asked, the second one too when it is the same.
    for url in
        [Some(&subscription.notification_url), subscription.lifecycle_url.as_ref()].into_iter().flatten()
    {
        handshake(url).await?;
    }
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
