//! A push channel's life: registered before the call, replaced before it ends, stopped before the grant goes.
//!
//! A channel cannot be renewed, only followed by another one, and nobody can list those that exist: the rows
//! are the only memory. A new row is committed as [`Phase::Registering`], then `watch` is called; when its
//! answer is stored the row is [`Phase::Active`], and only then the old channel is stopped.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::Rng;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::time::elapsed;

#[cfg(test)]
mod tests;

/// The share of a channel's real lifetime after which the next one is registered.
pub const RENEW_AT: f64 = 0.75;
/// How far renewals are spread around that, as a share of the lifetime, so that they do not meet.
pub const RENEW_SPREAD: f64 = 0.10;
/// After this long without an answer a registration is given up: its channel may exist, and is stopped.
pub const REGISTER_PATIENCE: Duration = Duration::from_mins(10);

/// Where a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The row is committed; whether the provider knows the channel is not known yet.
    Registering,
    /// Notifications are expected.
    Active,
    /// A newer channel is active; this one is to be stopped, and what it still tells is as good.
    Replaced,
    /// Stopped, or refused by the provider. Late notifications are normal until the expiry.
    Stopped,
    /// Its time is over.
    Expired,
}

/// A stored channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Our id, unique in the project, at most 64 characters.
    pub id: String,
    /// Where it stands.
    pub phase: Phase,
    /// The provider's id of what is watched; known from the answer, or from the first notification.
    pub resource_id: Option<String>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the provider ends it: what it answered, not what was asked for.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the next channel is registered; drawn once.
    pub renew_at: Option<DateTime<Utc>>,
}

/// What a calendar can do besides being polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// It can be watched.
    #[default]
    Push,
    /// Watching is not supported: the sweep alone finds changes, and nobody is alarmed.
    Poll,
    /// The calendar is gone.
    Gone,
}

/// What a calendar's channels need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Commit a new row in [`Phase::Registering`], then call `watch`.
    Register,
    /// Call `channels.stop` with this channel's ids, then [`Channel::stopped`].
    Stop(String),
}

/// Whether a notification is of this channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Mark the calendar as changed.
    Changed,
    /// The greeting: it confirms the channel and says nothing about changes.
    Sync,
    /// Forged, or meant for somebody else: answer 2xx and forget it.
    Refused,
    /// Of a channel that was stopped or replaced: normal, changes nothing.
    Late,
}

impl Channel {
    /// A channel that is about to be registered.
    pub fn new(id: impl Into<String>, now: DateTime<Utc>) -> Self {
        Self {
            id: id.into(),
            phase: Phase::Registering,
            resource_id: None,
            created_at: now,
            expires_at: None,
            renew_at: None,
        }
    }

    /// The provider answered `watch`.
    pub fn activated(
        &mut self,
        resource_id: &str,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
        rng: &mut dyn Rng,
    ) {
        if self.phase == Phase::Registering {
            self.phase = Phase::Active;
        }
        self.resource_id = Some(resource_id.to_owned());
        self.expires_at = Some(expires_at);
        let life = elapsed(now, expires_at);
        #[expect(clippy::cast_precision_loss, reason = "53 bits are plenty for jitter")]
        let unit = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let share = RENEW_AT + RENEW_SPREAD * (2.0 * unit - 1.0);
        self.renew_at = Some(crate::time::after(now, life.mul_f64(share)));
    }

    /// The channel was stopped, or the provider refused to make or to know it.
    pub fn stopped(&mut self) {
        self.phase = Phase::Stopped;
    }

    /// Whether notifications arrive through it.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.phase == Phase::Active && self.expires_at.is_some_and(|end| end > now)
    }

    /// Judges a notification by its token (compared in constant time with the expected one) and resource.
    /// The greeting may come before the answer of `watch`, so that an unknown resource is accepted then.
    pub fn accept(&self, expected: &[u8], token: &[u8], resource_id: &str, state: &str) -> Accept {
        let token: bool = expected.ct_eq(token).into();
        let resource = self
            .resource_id
            .as_ref()
            .is_none_or(|known| bool::from(known.as_bytes().ct_eq(resource_id.as_bytes())));
        match self.phase {
            _ if !token || !resource => Accept::Refused,
            Phase::Stopped | Phase::Expired => Accept::Late,
            _ if state == "sync" => Accept::Sync,
            _ => Accept::Changed,
        }
    }
}

/// Brings a calendar's channels up to date and says what has to be called. Run it on a timer: renewal is
/// derived from the rows, not remembered anywhere else. `wanted` is false when the calendar is being
/// disconnected: then everything is stopped, before the grant is revoked.
pub fn plan(channels: &mut [Channel], capability: Capability, wanted: bool, now: DateTime<Utc>) -> Vec<Step> {
    for channel in channels.iter_mut() {
        let over = channel.expires_at.is_some_and(|end| end <= now);
        if over && channel.phase != Phase::Stopped {
            channel.phase = Phase::Expired;
        }
        let hopeless = elapsed(channel.created_at, now) >= REGISTER_PATIENCE;
        if channel.phase == Phase::Registering && hopeless {
            channel.phase = if channel.resource_id.is_some() { Phase::Replaced } else { Phase::Stopped };
        }
    }
    // Of several active ones the longest-lived stays.
    let newest =
        channels.iter().filter(|channel| channel.phase == Phase::Active).max_by_key(|one| one.expires_at);
    let newest = newest.map(|channel| channel.id.clone());
    let wanted = wanted && capability == Capability::Push;
    for channel in channels.iter_mut().filter(|channel| channel.phase == Phase::Active) {
        if !wanted || newest.as_ref() != Some(&channel.id) {
            channel.phase = Phase::Replaced;
        }
    }
    let mut steps: Vec<Step> = channels
        .iter()
        .filter(|channel| channel.phase == Phase::Replaced && channel.resource_id.is_some())
        .map(|channel| Step::Stop(channel.id.clone()))
        .collect();
    let registering = channels.iter().any(|channel| channel.phase == Phase::Registering);
    let fresh = |channel: &Channel| channel.is_live(now) && channel.renew_at.is_none_or(|at| at > now);
    if wanted && !registering && !channels.iter().any(fresh) {
        steps.insert(0, Step::Register);
    }
    steps
}

/// Whether a calendar is dark: it should be pushed and is not. The alert metric counts these.
pub fn is_dark(channels: &[Channel], capability: Capability, now: DateTime<Utc>) -> bool {
    capability == Capability::Push && !channels.iter().any(|channel| channel.is_live(now))
}
