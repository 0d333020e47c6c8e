//! Subscriptions (subscription, Graph v1.0; provider facts A6).

use chrono::{DateTime, SecondsFormat, Utc};
use domain::names::encode_segment;
use domain::throttle::Operation;
use outbound::Method;
use outbound::provider::Call;
use serde::{Deserialize, Deserializer, Serialize};

use crate::client::{GraphClient, found};
use crate::error::{GraphError, GraphErrorKind};
use crate::mail::immutable;
use crate::timestamp::parse_timestamp;

const LIST: Call = Call::read("subscription_list", Operation::List);
const GET: Call = Call::read("subscription_get", Operation::GetItem);
const CREATE: Call = Call::write("subscription_create");
const RENEW: Call = Call::write("subscription_renew").repeatable();
const REAUTHORIZE: Call = Call::write("subscription_reauthorize").repeatable();
const DELETE: Call = Call::write("subscription_delete").repeatable();

/// Pages of the list that are read; 1,000 subscriptions for each mailbox is the largest quota known.
const MAX_PAGES: usize = 100;

/// A subscription as Graph shows it. `clientState` is usually hidden.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Id.
    #[serde(default)]
    pub id: String,
    /// What it watches, with or without a leading slash.
    #[serde(default)]
    pub resource: String,
    /// Kinds of change.
    #[serde(default)]
    pub change_type: String,
    /// Where notifications go.
    #[serde(default)]
    pub notification_url: String,
    /// The secret that notifications echo; absent when hidden.
    pub client_state: Option<String>,
    /// End of life; absent when unreadable.
    #[serde(default, rename = "expirationDateTime", deserialize_with = "instant")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Where lifecycle events go; absent when there is none or it is hidden.
    pub lifecycle_notification_url: Option<String>,
    /// Notifications carry the changed thing.
    #[serde(default, deserialize_with = "crate::page::switch")]
    pub include_resource_data: Option<bool>,
    /// Which certificate they are encrypted for.
    pub encryption_certificate_id: Option<String>,
}

/// Encrypts the changed thing in notifications (change-notifications-with-resource-data).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// X.509, DER, base64; the public part alone.
    pub encoded: String,
    /// Our name for it, at most 128 characters.
    pub id: String,
}

fn instant<'de, D: Deserializer<'de>>(d: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    Ok(Option::<String>::deserialize(d)?.as_deref().and_then(parse_timestamp))
}

/// A subscription to create.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// What to watch, such as `/drives/{id}/root`.
    pub resource: String,
    /// Kinds of change; drives know only `updated`.
    pub change_type: String,
    /// Where notifications go; it must answer the validation handshake at once.
    pub notification_url: String,
    /// Where lifecycle events go. It cannot be added later (change-notifications-lifecycle-events), and Teams needs it
    /// for lives beyond an hour.
    pub lifecycle_notification_url: Option<String>,
    /// Send the changed thing too, encrypted for this certificate.
    pub certificate: Option<Certificate>,
    /// Secret that notifications echo, at most 128 characters.
    pub client_state: String,
    /// End of life.
    pub expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for NewSubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSubscription")
            .field("resource", &self.resource)
            .field("notification_url", &self.notification_url)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody<'a> {
    change_type: &'a str,
    notification_url: &'a str,
    resource: &'a str,
    expiration_date_time: String,
    client_state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle_notification_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_resource_data: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_certificate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_certificate_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RenewBody<'a> {
    expiration_date_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_certificate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_certificate_id: Option<&'a str>,
}

fn written(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl GraphClient {
    /// All subscriptions of the application.
    ///
    /// # Errors
    /// [`GraphError`]; more pages than any quota allows are `Unavailable`.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, GraphError> {
        #[derive(Deserialize)]
        struct Page {
            value: Vec<Subscription>,
            #[serde(rename = "@odata.nextLink")]
            next_link: Option<String>,
        }
        let mut all = Vec::new();
        let mut url = self.url(LIST.operation, "/subscriptions")?;
        for page in 0..MAX_PAGES {
            let body: Page = self.read(&LIST, url, page > 0, |b| serde_json::from_slice(b)).await?;
            all.extend(body.value);
            match body.next_link.filter(|link| !link.is_empty()) {
                Some(link) => url = self.link(LIST.operation, &link)?,
                None => return Ok(all),
            }
        }
        let message = format!("the list of subscriptions does not end after {MAX_PAGES} pages");
        Err(GraphError::own(LIST.operation, GraphErrorKind::Unavailable, "nextLinkLoop", message, None))
    }

    /// One subscription; `None` when there is none.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn subscription(&self, id: &str) -> Result<Option<Subscription>, GraphError> {
        let url = self.url(GET.operation, &format!("/subscriptions/{}", encode_segment(id)))?;
        found(self.read(&GET, url, false, |b| serde_json::from_slice(b)).await)
    }

    /// Creates a subscription. Graph calls the notification address before it answers. Not repeated after an
    /// ambiguous failure: look for it in [`GraphClient::subscriptions`].
    ///
    /// # Errors
    /// [`GraphError`]; `ExtensionError` names the longest life when `expires_at` is beyond it.
    pub async fn create_subscription(&self, new: &NewSubscription) -> Result<Subscription, GraphError> {
        let body = CreateBody {
            change_type: &new.change_type,
            notification_url: &new.notification_url,
            resource: &new.resource,
            expiration_date_time: written(new.expires_at),
            client_state: &new.client_state,
            lifecycle_notification_url: new.lifecycle_notification_url.as_deref(),
            include_resource_data: new.certificate.as_ref().map(|_| true),
            encryption_certificate: new.certificate.as_ref().map(|c| c.encoded.as_str()),
            encryption_certificate_id: new.certificate.as_ref().map(|c| c.id.as_str()),
        };
        let url = self.url(CREATE.operation, "/subscriptions")?;
        // Outlook's notifications name immutable ids only when the subscription was created so.
        self.write_json(&CREATE, immutable(Self::request(Method::POST, url)), &body).await
    }

    /// Confirms the authorization that a lifecycle event `reauthorizationRequired` asks for; false when there is no
    /// such subscription.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn reauthorize_subscription(&self, id: &str) -> Result<bool, GraphError> {
        let path = format!("/subscriptions/{}/reauthorize", encode_segment(id));
        let url = self.url(REAUTHORIZE.operation, &path)?;
        let outcome = self.send(&REAUTHORIZE, Self::request(Method::POST, url), false).await;
        Ok(found(outcome)?.is_some())
    }

    /// Moves the end of a subscription's life, and changes its certificate; `None` when it no longer exists.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn renew_subscription(
        &self,
        id: &str,
        expires_at: DateTime<Utc>,
        certificate: Option<&Certificate>,
    ) -> Result<Option<Subscription>, GraphError> {
        let body = RenewBody {
            expiration_date_time: written(expires_at),
            encryption_certificate: certificate.map(|c| c.encoded.as_str()),
            encryption_certificate_id: certificate.map(|c| c.id.as_str()),
        };
        let url = self.url(RENEW.operation, &format!("/subscriptions/{}", encode_segment(id)))?;
        found(self.write_json(&RENEW, Self::request(Method::PATCH, url), &body).await)
    }

    /// Deletes a subscription; false when it was gone already.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn delete_subscription(&self, id: &str) -> Result<bool, GraphError> {
        let url = self.url(DELETE.operation, &format!("/subscriptions/{}", encode_segment(id)))?;
        let outcome = self.send(&DELETE, Self::request(Method::DELETE, url), false).await;
        Ok(found(outcome)?.is_some())
    }
}
