//! Which provider's JSON an event is written in. The engine's rules are the same for all of them.

use serde_json::Value;

use super::event::Event;
use super::google::{self, Incoming, Unreadable};
use super::identity::Stamp;
use super::outlook::{self, Refusal};

/// A provider, as far as the engine has to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Google Calendar: ids are ours, deleted events can be brought back.
    #[default]
    Google,
    /// Outlook: ids are the provider's, a create is known again by its `transactionId`, what is deleted stays deleted.
    Outlook,
}

impl Dialect {
    /// The provider's name, as messages say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Google => "Google",
            Self::Outlook => "Outlook",
        }
    }

    /// Reads one event.
    ///
    /// # Errors
    /// The item has no identity.
    pub fn read(self, raw: Value) -> Result<Incoming, Unreadable> {
        match self {
            Self::Google => google::read(raw),
            Self::Outlook => outlook::read(raw),
        }
    }

    /// The event in the form in which the provider will answer it. `before` is what the provider has: what it has
    /// already is never refused.
    ///
    /// # Errors
    /// The provider has no words for it.
    pub(super) fn settle(self, event: &mut Event, before: Option<&Event>) -> Result<(), Refusal> {
        match self {
            Self::Google => Ok(()),
            Self::Outlook => outlook::settle(event, before),
        }
    }

    /// Whether a deleted event can be brought back under its id.
    pub const fn undeletes(self) -> bool {
        matches!(self, Self::Google)
    }

    pub(super) fn insert(self, event: &Event, id: &str, stamp: &Stamp) -> Value {
        match self {
            Self::Google => google::insert(event, id, stamp),
            Self::Outlook => outlook::insert(event, id),
        }
    }

    pub(super) fn patch(self, raw: &Value, base: &Event, event: &Event) -> Option<Value> {
        match self {
            Self::Google => google::patch(raw, base, event),
            Self::Outlook => outlook::patch(raw, base, event),
        }
    }

    /// Only where [`Dialect::undeletes`].
    pub(super) fn undelete(self, raw: &Value, event: &Event) -> Value {
        match self {
            Self::Google => google::undelete(raw, event),
            Self::Outlook => outlook::patch(raw, &Event::default(), event).unwrap_or_default(),
        }
    }
}
