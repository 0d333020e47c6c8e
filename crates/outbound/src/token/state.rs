//! What is known about the token between two requests for one.

use std::time::Duration;

use chassis::secret::Secret;
use chrono::{DateTime, Utc};
use domain::time::after;

use super::TokenError;

/// Tokens are not used in the last seconds of their life: the provider's clock may be ahead.
const LAST_SECONDS: Duration = Duration::from_secs(30);
/// A refused credential is not shown again for this long, unless it has changed.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);

/// A token in hand.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub token: Secret,
    pub refresh_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

impl Held {
    pub fn new(token: Secret, now: DateTime<Utc>, life: Duration) -> Self {
        Self { token, refresh_at: after(now, refresh_after(life)), expires_at: after(now, life) }
    }
}

/// At 80 % of the life at the latest, with five minutes left at least; at half of a life that is too short for that.
fn refresh_after(life: Duration) -> Duration {
    let early = life.saturating_sub(Duration::from_mins(5));
    if early < life / 2 { life / 2 } else { early.min(life * 4 / 5) }
}

/// A refusal that is remembered.
#[derive(Debug)]
struct Refusal {
    at: DateTime<Utc>,
    error: TokenError,
    tried: Vec<Secret>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    held: Option<Held>,
    /// Claims of a challenge (continuous access evaluation) that the next token must answer.
    pub claims: Option<String>,
    /// A secret that Entra refused while another one worked.
    pub refused_secret: Option<Secret>,
    /// Which secret produced the token.
    pub active: &'static str,
    /// Its value.
    pub used: Option<Secret>,
    pub last_error: Option<TokenError>,
    refusal: Option<Refusal>,
}

impl State {
    /// A token that needs no refresh yet.
    pub fn fresh(&self, now: DateTime<Utc>) -> Option<Secret> {
        self.held.as_ref().filter(|h| now < h.refresh_at).map(|h| h.token.clone())
    }

    /// A token that still works.
    pub fn usable(&self, now: DateTime<Utc>) -> Option<Secret> {
        self.held.as_ref().filter(|h| after(now, LAST_SECONDS) < h.expires_at).map(|h| h.token.clone())
    }

    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.held.as_ref().map(|h| h.expires_at)
    }

    /// Forgets the token if it is still `token`, so that ten late 401 answers cause one new request.
    pub fn discard(&mut self, token: &Secret, claims: Option<String>) {
        if self.held.as_ref().is_some_and(|h| h.token == *token) {
            self.held = None;
            self.claims = claims;
        }
    }

    pub fn granted(&mut self, held: Held, active: &'static str, used: &Secret, refused: Option<Secret>) {
        self.held = Some(held);
        self.claims = None;
        self.active = active;
        self.used = Some(used.clone());
        self.refused_secret = refused;
        self.last_error = None;
        self.refusal = None;
    }

    pub fn failed(&mut self, now: DateTime<Utc>, error: &TokenError, tried: Vec<Secret>) {
        self.last_error = Some(error.clone());
        if matches!(error, TokenError::Refused { .. }) {
            self.refusal = Some(Refusal { at: now, error: error.clone(), tried });
        }
    }

    /// The refusal of a moment ago, when the same secrets would be tried again.
    pub fn recent_refusal(&self, now: DateTime<Utc>, secrets: &[Secret]) -> Option<TokenError> {
        self.refusal
            .as_ref()
            .filter(|r| now < after(r.at, REFUSAL_PAUSE) && r.tried == secrets)
            .map(|r| r.error.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_in_time() {
        let cases = [(3_600, 2_880), (86_400, 69_120), (1_200, 900), (600, 300), (60, 30)];
        for (life, expected) in cases {
            assert_eq!(refresh_after(Duration::from_secs(life)).as_secs(), expected, "life {life}");
        }
    }
}
