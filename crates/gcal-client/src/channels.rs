//! Push channels (events.watch, channels.stop, Calendar v3).

use outbound::provider::Call;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::client::{GcalClient, writes};
use crate::error::{Asked, GcalError, GcalErrorKind};

const WATCH: Call = writes("events_watch");
const STOP: Call = Call { idempotent: true, ..writes("channels_stop") };

/// A channel to make.
#[derive(Clone)]
pub struct NewChannel<'a> {
    /// At most 64 characters, unique in the project.
    pub id: &'a str,
    /// Echoed by every message, at most 256 characters.
    pub token: &'a str,
    /// Where messages go, https.
    pub address: &'a str,
    /// Wished life in seconds; absent: Google's own.
    pub ttl_seconds: Option<i64>,
}

impl std::fmt::Debug for NewChannel<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewChannel")
            .field("id", &self.id)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A channel as Google made it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// Ours.
    pub id: String,
    /// Google's, needed to stop it.
    pub resource_id: String,
    /// End of its life, milliseconds since the epoch; what Google decided, not what was asked for.
    #[serde(default, deserialize_with = "millis")]
    pub expiration: Option<i64>,
}

/// int64 travels as a string.
fn millis<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_i64(),
        _ => None,
    })
}

impl GcalClient {
    /// Makes a channel for a calendar's events.
    ///
    /// # Errors
    /// [`GcalErrorKind::PushNotSupported`] for calendars that cannot be watched, [`GcalErrorKind::Ambiguous`] when
    /// the channel may exist; others as every call.
    pub async fn watch_events(&self, calendar: &str, new: &NewChannel<'_>) -> Result<Channel, GcalError> {
        let url = self.url(WATCH.operation, &["calendars", calendar, "events", "watch"], &[])?;
        let mut body =
            json!({ "id": new.id, "type": "web_hook", "address": new.address, "token": new.token });
        if let Some(seconds) = new.ttl_seconds {
            body["params"] = json!({ "ttl": seconds.to_string() });
        }
        let request = GcalClient::post(url).json(&body).map_err(|fault| {
            GcalError::own(WATCH.operation, GcalErrorKind::Refused, "invalidRequest", fault.to_string())
        })?;
        self.write(&WATCH, request, |body| serde_json::from_slice(body)).await
    }

    /// Stops a channel; false when Google knew it no more.
    ///
    /// # Errors
    /// As every call.
    pub async fn stop_channel(&self, id: &str, resource_id: &str) -> Result<bool, GcalError> {
        let url = self.url(STOP.operation, &["channels", "stop"], &[])?;
        let body = json!({ "id": id, "resourceId": resource_id });
        let request = GcalClient::post(url).json(&body).map_err(|fault| {
            GcalError::own(STOP.operation, GcalErrorKind::Refused, "invalidRequest", fault.to_string())
        })?;
        match self.send(&STOP, Asked::Read, request).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind, GcalErrorKind::NotFound | GcalErrorKind::Deleted) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
