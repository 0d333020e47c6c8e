//! Push channels: the register of them, and the messages that they owe (E29 to E31).

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Value, json};
use url::{Host, Url};

use super::Google;
use super::acl::Role;
use super::error::ApiError;
use super::params::Caller;
use crate::rng::hash_str;

const LONGEST_ID: usize = 64;
const LONGEST_TOKEN: usize = 256;

/// A push channel.
#[derive(Clone, Serialize)]
pub struct Channel {
    /// The id that its maker chose.
    pub id: String,
    /// What is watched, as an opaque name: the same for all channels on the same thing.
    pub resource_id: String,
    /// What is watched, as a URL.
    pub resource_uri: String,
    /// Where messages go.
    pub address: String,
    /// Secret that comes back with every message.
    #[serde(skip)]
    pub token: Option<String>,
    /// End, milliseconds since the epoch.
    pub expiration_ms: i64,
    /// Account that made it.
    pub account: String,
    /// OAuth client that made it.
    pub client: String,
    #[serde(skip)]
    watched: String,
    #[serde(skip)]
    number: u64,
    #[serde(skip)]
    pending: bool,
}

impl std::fmt::Debug for Channel {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("id", &self.id)
            .field("watched", &self.watched)
            .finish_non_exhaustive()
    }
}

/// A message that a channel owes. It says that something changed, never what.
#[derive(Debug, Clone)]
pub struct Message {
    /// The channel as it was when the message was made.
    pub channel: Channel,
    /// Increases, with gaps.
    pub number: u64,
    /// `sync`, `exists` or `not_exists`.
    pub state: &'static str,
}

impl Google {
    /// Watches `events` or `acl` of a calendar, or the `list` or `settings` of the caller. The `sync` message
    /// is owed at once: take it with [`Google::take_messages`] before the answer is given.
    ///
    /// # Errors
    /// A bad or known id, a bad address, a calendar that cannot be watched, no access.
    pub fn watch(
        &mut self,
        caller: &Caller<'_>,
        kind: &str,
        calendar: &str,
        body: &Value,
        base: &str,
    ) -> Result<Value, ApiError> {
        let (watched, uri) = match kind {
            "list" => (format!("list/{}", caller.account), format!("{base}/users/me/calendarList?alt=json")),
            "settings" => ("settings".to_owned(), format!("{base}/users/me/settings?alt=json")),
            _ => {
                let need = if kind == "acl" { Role::Owner } else { Role::FreeBusyReader };
                let id = self.access(caller, calendar, need)?;
                if !self.calendar(&id)?.push {
                    return Err(ApiError::new(
                        400,
                        "global",
                        "pushNotSupportedForRequestedResource",
                        "Push notifications are not supported by this resource.",
                    ));
                }
                (format!("{kind}/{id}"), format!("{base}/calendars/{id}/{kind}?alt=json"))
            }
        };
        let (id, address) = self.check_channel(body)?;
        let now_ms = caller.now.timestamp_millis();
        let expiration_ms = self.expiration(body, now_ms)?;
        let channel = Channel {
            id: id.clone(),
            resource_id: format!("{:016x}{:08x}", hash_str(&watched), hash_str(&uri) as u32),
            resource_uri: uri,
            address,
            token: body["token"].as_str().map(ToOwned::to_owned),
            expiration_ms,
            account: caller.account.to_owned(),
            client: caller.client.to_owned(),
            watched,
            number: 1,
            pending: false,
        };
        let mut answer = json!({
            "kind": "api#channel",
            "id": channel.id,
            "resourceId": channel.resource_id,
            "resourceUri": channel.resource_uri,
            "expiration": channel.expiration_ms.to_string(),
        });
        if let Some(token) = &channel.token {
            answer["token"] = json!(token);
        }
        self.messages.push_back(Message { channel: channel.clone(), number: 1, state: "sync" });
        self.channels.insert(id, channel);
        Ok(answer)
    }

    fn check_channel(&self, body: &Value) -> Result<(String, String), ApiError> {
        let id = body["id"].as_str().unwrap_or_default();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte);
        if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(legal) {
            return Err(ApiError::new(400, "global", "invalid", "Invalid channel id"));
        }
        if self.channels.contains_key(id) {
            return Err(ApiError::new(
                400,
                "global",
                "channelIdNotUnique",
                format!("Channel id {id} not unique"),
            ));
        }
        if !matches!(body["type"].as_str(), Some("web_hook" | "webhook")) {
            return Err(ApiError::invalid("Unknown channel type"));
        }
        if body["token"].as_str().is_some_and(|token| token.len() > LONGEST_TOKEN) {
            return Err(ApiError::invalid("Channel token is too long"));
        }
        let text = body["address"].as_str().unwrap_or_default();
        let url = Url::parse(text).map_err(|_| ApiError::invalid("Missing or invalid address"))?;
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let plain = self.switches.http_push || (self.switches.http_on_loopback && loopback);
        if url.scheme() != "https" && !plain {
            return Err(ApiError::new(
                400,
                "global",
                "push.webhookUrlNotHttps",
                "WebHook callback must be HTTPS",
            ));
        }
        if let Some(verified) = &self.switches.verified_hosts
            && !verified.iter().any(|host| url.host_str() == Some(host))
        {
            return Err(ApiError::new(
                401,
                "global",
                "push.webhookUrlUnauthorized",
                "Unauthorized WebHook callback channel",
            ));
        }
        Ok((id.to_owned(), text.to_owned()))
    }

    /// E30: the smaller of what is asked for and what the service allows.
    fn expiration(&self, body: &Value, now_ms: i64) -> Result<i64, ApiError> {
        let number = |value: &Value| match value {
            Value::Null => Ok(None),
            Value::String(text) => text.parse::<i64>().map(Some).map_err(|_| ()),
            other => other.as_i64().map(Some).ok_or(()),
        };
        let bad = |()| ApiError::invalid("Invalid channel expiration");
        let asked = number(&body["expiration"]).map_err(bad)?;
        let ttl = number(&body["params"]["ttl"]).map_err(bad)?.map(|seconds| now_ms + seconds * 1000);
        let longest = now_ms + TimeDelta::seconds(self.switches.channel_seconds).num_milliseconds();
        let end = asked.or(ttl).unwrap_or(longest).min(longest);
        if end <= now_ms { Err(bad(())) } else { Ok(end) }
    }

    /// `channels.stop`: only for who made the channel (E31).
    ///
    /// # Errors
    /// An unknown channel, or one of somebody else's.
    pub fn stop(&mut self, caller: &Caller<'_>, body: &Value) -> Result<(), ApiError> {
        let id = body["id"].as_str().unwrap_or_default();
        let now_ms = caller.now.timestamp_millis();
        let missing =
            || ApiError::new(404, "global", "notFound", format!("Channel '{id}' not found for project"));
        let channel =
            self.channels.get(id).filter(|channel| channel.expiration_ms > now_ms).ok_or_else(missing)?;
        if body["resourceId"].as_str() != Some(&channel.resource_id) {
            return Err(missing());
        }
        if channel.account != caller.account || channel.client != caller.client {
            return Err(match self.switches.foreign_stop_status {
                403 => ApiError::forbidden("Forbidden"),
                _ => missing(),
            });
        }
        if let Some(mut channel) = self.channels.remove(id)
            && self.switches.late_message_after_stop
        {
            channel.number += 1;
            let number = channel.number;
            self.messages.push_back(Message { channel, number, state: "exists" });
        }
        Ok(())
    }

    /// Something that is watched has changed.
    pub(crate) fn ring(&mut self, watched: &str) {
        for channel in self.channels.values_mut().filter(|channel| channel.watched == watched) {
            channel.pending = true;
        }
    }

    /// Messages that are owed since the last time; several changes make one. Channels that have ended owe
    /// nothing and are forgotten.
    pub fn take_messages(&mut self, now_ms: i64) -> Vec<Message> {
        self.channels.retain(|_, channel| channel.expiration_ms > now_ms);
        let mut messages: Vec<Message> = self.messages.drain(..).collect();
        for channel in self.channels.values_mut().filter(|channel| channel.pending) {
            channel.pending = false;
            channel.number += 1 + self.rng.below(3);
            messages.push(Message { channel: channel.clone(), number: channel.number, state: "exists" });
        }
        messages
    }

    /// True when messages are owed.
    pub fn owes_messages(&self) -> bool {
        !self.messages.is_empty() || self.channels.values().any(|channel| channel.pending)
    }

    /// Live channels by id. The service itself cannot list them.
    pub fn channels(&self, now_ms: i64) -> Vec<&Channel> {
        self.channels.values().filter(|channel| channel.expiration_ms > now_ms).collect()
    }
}
