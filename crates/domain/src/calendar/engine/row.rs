//! The state that survives a crash: one row of the application with its link to the provider.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calendar::dialect::Dialect;
use crate::calendar::event::{Event, Original, Side};
use crate::calendar::google::Incoming;
use crate::calendar::identity::event_id;
use crate::calendar::merge::{Owner, Policy};

/// Which way a calendar is synchronised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// Only the application writes; what the provider says is looked at where a write needs it.
    ToGoogle,
    /// Only the provider writes.
    FromGoogle,
}

/// Whom the provider mails about a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Updates {
    /// Nobody, unless the application asked.
    #[default]
    None,
    /// Guests outside of the organizer's domain.
    ExternalOnly,
    /// All guests.
    All,
}

/// What a decision depends on besides the row.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The provider's id of the calendar.
    pub calendar: &'a str,
    /// Whose JSON its events are.
    pub dialect: Dialect,
    /// Which way.
    pub direction: Direction,
    /// Who wins a collision.
    pub policy: Policy,
    /// The cursor's generation.
    pub generation: u64,
    /// Whether a full round has completed; before, nothing new is exported.
    pub bootstrapped: bool,
    /// The present.
    pub now: DateTime<Utc>,
}

/// An exception's place in its series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The master's row; `None` while only the provider's id is known.
    pub row: Option<String>,
    /// The provider's id of the master; `None` while it has none.
    pub master: Option<String>,
    /// Where the series puts the occurrence.
    pub original: Original,
}

/// The provider's state of an event that was seen last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// In canonical form.
    pub side: Side,
    /// Its version, for `If-Match`; of a deleted event that of its last life.
    pub etag: Option<String>,
    /// When its main data changed.
    pub updated: Option<DateTime<Utc>>,
    /// As the provider sent it, losslessly; of a deleted event its tombstone.
    pub raw: Value,
}

impl Base {
    pub(super) fn of(incoming: &Incoming) -> Self {
        Self {
            side: incoming.side.clone(),
            etag: incoming.etag.clone(),
            updated: incoming.updated,
            raw: incoming.raw.clone(),
        }
    }
}

/// A write whose effect is not known yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// What the provider was told.
    pub side: Side,
    /// The application's revision in it.
    pub revision: u64,
}

/// Why a row waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum Cause {
    /// [`super::MAX_WRITES`] writes for one revision: a loop.
    Loop,
    /// The provider refuses this change for good.
    Refused {
        /// The provider's words.
        message: String,
    },
    /// The account may not change this event (a copy on a guest's calendar, a locked event).
    Forbidden {
        /// The provider's words.
        message: String,
    },
    /// The calendar is gone.
    CalendarGone,
}

/// A row's link to the provider. It survives disconnecting and deletion.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, one column each")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The provider's id, minted before the first call.
    pub id: String,
    /// The life of the event, part of the id.
    pub incarnation: u32,
    /// The provider's last seen state; `None` before the first.
    pub base: Option<Base>,
    /// A write without a known effect.
    pub sent: Option<Sent>,
    /// The base is an occurrence as its series says it, of which the provider has no exception yet.
    pub unmade: bool,
    /// The next plan is a look, whatever there is to say.
    pub look: bool,
    /// Inserts of this incarnation that were attempted; of an exception, looks for a version to undelete.
    pub attempts: u32,
    /// The first of them met an id that was taken.
    pub taken: bool,
    /// The provider refused to undelete this incarnation.
    pub dead: bool,
    /// The generation in which the provider's event was seen last.
    pub generation: u64,
    /// Writes that took effect for revision [`Link::written`].
    pub writes: u32,
    /// The revision that [`Link::writes`] counts for.
    pub written: u64,
    /// Answers "not found" in a row.
    pub missing: u32,
    /// Why nothing is sent any more, and for which revision: a later edit tries again.
    pub parked: Option<(Cause, u64)>,
}

impl Link {
    /// A link to `id` of which nothing is known.
    pub fn new(id: String, incarnation: u32) -> Self {
        Self {
            id,
            incarnation,
            base: None,
            sent: None,
            unmade: false,
            look: false,
            attempts: 0,
            taken: false,
            dead: false,
            generation: 0,
            writes: 0,
            written: 0,
            missing: 0,
            parked: None,
        }
    }

    /// The provider's last seen side.
    pub fn side(&self) -> Option<&Side> {
        self.base.as_ref().map(|base| &base.side)
    }

    pub(super) fn etag(&self) -> Option<&str> {
        self.base.as_ref().and_then(|base| base.etag.as_deref())
    }

    pub(super) fn wrote(&mut self, revision: u64) {
        if self.written != revision {
            self.written = revision;
            self.writes = 0;
        }
        self.writes += 1;
    }
}

/// One row of the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The application's event id.
    pub key: String,
    /// The application's side.
    pub local: Side,
    /// When the application changed it last.
    pub changed_at: DateTime<Utc>,
    /// Counts the application's writes; ours do not.
    pub revision: u64,
    /// Who made the event. What the provider made is never exported to anywhere.
    pub origin: Owner,
    /// For an exception of a series.
    pub place: Option<Place>,
    /// For an exception that the application made: the occurrence as it was copied from its series.
    pub copied: Option<Event>,
    /// Whom to mail about the next write.
    pub updates: Updates,
    /// The link.
    pub link: Option<Link>,
}

impl Row {
    /// A row that the application just made.
    pub fn new(key: impl Into<String>, event: Event, now: DateTime<Utc>) -> Self {
        Self {
            key: key.into(),
            local: Side::live(event),
            changed_at: now,
            revision: 1,
            origin: Owner::App,
            place: None,
            copied: None,
            updates: Updates::None,
            link: None,
        }
    }

    /// Whether the application has something to say that the provider has not confirmed.
    pub fn dirty(&self) -> bool {
        let Some(link) = &self.link else {
            return self.origin == Owner::App && (self.local != Side::Gone || self.place.is_some());
        };
        match (&self.local, link.side()) {
            (Side::Gone, None) => link.sent.is_some() || self.place.is_some(),
            (Side::Live(_), None | Some(Side::Gone)) | (Side::Gone, Some(Side::Live(_))) => true,
            (Side::Gone, Some(Side::Gone)) => false,
            (Side::Live(local), Some(Side::Live(base))) => local.differing(base).next().is_some(),
        }
    }

    /// Whether the row is the master of a series on either side.
    pub fn is_master(&self) -> bool {
        let recurs = |side: Option<&Side>| side.and_then(Side::event).is_some_and(Event::recurs);
        self.place.is_none() && (recurs(Some(&self.local)) || recurs(self.link.as_ref().and_then(Link::side)))
    }

    pub(super) fn next_life(&mut self, set: &Setting<'_>) {
        let incarnation = self.link.as_ref().map_or(0, |link| link.incarnation + 1);
        let id = event_id(set.tenant, set.calendar, &self.key, incarnation);
        let old = self.link.take();
        let mut link = Link::new(id, incarnation);
        link.generation = set.generation;
        if let Some(old) = old {
            (link.writes, link.written) = (old.writes, old.written);
        }
        self.link = Some(link);
    }
}
