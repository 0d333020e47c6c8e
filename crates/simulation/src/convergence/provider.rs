//! The provider as the simulation sees it: five calls with JSON in and out.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// A refusal: status and body.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error body.
    pub body: Value,
}

/// One calendar of a provider.
pub trait Provider {
    /// `events.insert`.
    ///
    /// # Errors
    /// The provider's refusal.
    fn insert(&mut self, now: DateTime<Utc>, body: &Value) -> Result<Value, Refusal>;

    /// `events.get`.
    ///
    /// # Errors
    /// The provider's refusal.
    fn get(&self, now: DateTime<Utc>, id: &str) -> Result<Value, Refusal>;

    /// `events.patch`.
    ///
    /// # Errors
    /// The provider's refusal.
    fn patch(
        &mut self,
        now: DateTime<Utc>,
        id: &str,
        if_match: Option<&str>,
        body: &Value,
    ) -> Result<Value, Refusal>;

    /// `events.delete`.
    ///
    /// # Errors
    /// The provider's refusal.
    fn delete(&mut self, now: DateTime<Utc>, id: &str, if_match: Option<&str>) -> Result<(), Refusal>;

    /// `events.list` with `singleEvents=false` and `showDeleted=true`.
    ///
    /// # Errors
    /// The provider's refusal.
    fn list(
        &mut self,
        sync_token: Option<&str>,
        page_token: Option<&str>,
        size: usize,
    ) -> Result<Value, Refusal>;

    /// Makes all tokens void; with `forget`, tombstones are gone too.
    fn void_tokens(&mut self, forget: bool);

    /// Whether undeleting is refused from now on.
    fn refuse_undelete(&mut self, refuse: bool);

    /// How long inserted events are not found by get, patch and delete, in milliseconds.
    fn inconsistency(&mut self, millis: i64);

    /// All events that it has, cancelled ones too, as `get` shows them.
    fn dump(&self) -> Vec<Value>;

    /// Writes that changed something, so far.
    fn effective_writes(&self) -> u64;
}
