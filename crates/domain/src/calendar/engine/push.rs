//! What the provider has to be told.

use serde_json::Value;

use super::row::{Cause, Direction, Link, Row, Sent, Setting, Updates};
use crate::calendar::event::{Event, Field, Side};
use crate::calendar::identity::{Stamp, event_id, instance_id};
use crate::calendar::merge::{Compare, Owner, merge};
use crate::calendar::series::occurrence;

/// One call to the provider.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `events.insert` under an id of ours.
    Insert {
        /// The id, also in the body.
        id: String,
        /// The body.
        body: Value,
        /// Whether `conferenceDataVersion=1` is needed.
        conference: bool,
        /// `sendUpdates`.
        updates: Updates,
    },
    /// `events.patch`.
    Patch {
        /// The id.
        id: String,
        /// `If-Match`; `None` only for a tombstone that has no etag.
        etag: Option<String>,
        /// The smallest body that does it.
        body: Value,
        /// Whether the patch brings a deleted event back.
        undelete: bool,
        /// Whether `conferenceDataVersion=1` is needed.
        conference: bool,
        /// `sendUpdates`.
        updates: Updates,
    },
    /// `events.delete`.
    Delete {
        /// The id.
        id: String,
        /// `If-Match`.
        etag: Option<String>,
        /// `sendUpdates`.
        updates: Updates,
    },
    /// `events.get`: something has to be known first.
    Look {
        /// The id.
        id: String,
    },
}

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Both sides agree.
    Agreed,
    /// The calendar is not written to.
    Direction,
    /// The event came from a provider that this row is no longer linked to.
    NotOurs,
    /// The first enumeration is not complete: the event may be there already.
    NotBootstrapped,
    /// The series has to be there before its exception.
    AwaitsMaster,
    /// The row is parked for this revision.
    Parked,
}

/// The answer of [`push`].
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing to do.
    Nothing(Why),
    /// Commit the row, then call, then [`super::conclude`].
    Call(Call),
    /// Commit the row: it waits for a person.
    Park(Cause),
}

/// Plans the next call for a row and prepares it. For an exception `master` is its series' row.
pub fn push(row: &mut Row, master: Option<&Row>, setting: &Setting<'_>) -> Plan {
    if setting.direction == Direction::FromGoogle {
        return Plan::Nothing(Why::Direction);
    }
    if !row.dirty() {
        return Plan::Nothing(Why::Agreed);
    }
    if row.link.is_none() && row.origin == Owner::Provider {
        return Plan::Nothing(Why::NotOurs);
    }
    if !setting.bootstrapped && row.link.as_ref().is_none_or(|link| link.base.is_none()) {
        return Plan::Nothing(Why::NotBootstrapped);
    }
    if row.place.is_some() && !placed(row, master, setting) {
        return Plan::Nothing(Why::AwaitsMaster);
    }
    let revision = row.revision;
    if let Some(link) = &mut row.link {
        if link.parked.as_ref().is_some_and(|(_, parked)| *parked >= revision) {
            return Plan::Nothing(Why::Parked);
        }
        if link.written == revision && link.writes >= super::MAX_WRITES {
            link.parked = Some((Cause::Loop, revision));
            return Plan::Park(Cause::Loop);
        }
        link.parked = None;
    }
    if let Some(message) = unspeakable(row, setting) {
        let cause = Cause::Refused { message };
        minted(row, setting).parked = Some((cause.clone(), revision));
        return Plan::Park(cause);
    }
    // In the provider's form, both sides may agree.
    if row.link.is_some() && !row.dirty() {
        return Plan::Nothing(Why::Agreed);
    }
    Plan::Call(call(row, setting))
}

/// Brings the application's side into the form in which the provider will answer it; why that is not possible.
fn unspeakable(row: &mut Row, setting: &Setting<'_>) -> Option<String> {
    let known = row.link.as_ref().and_then(Link::side);
    let Side::Live(local) = &mut row.local else { return None };
    if row.place.is_some() && known == Some(&Side::Gone) && !setting.dialect.undeletes() {
        let name = setting.dialect.name();
        return Some(format!("{name} does not bring a deleted occurrence back; make a new event"));
    }
    let before = known.and_then(Side::event).or(row.copied.as_ref());
    setting.dialect.settle(local, before).err().map(|refusal| refusal.to_string())
}

/// The link, under a new id where there is none yet.
fn minted<'a>(row: &'a mut Row, setting: &Setting<'_>) -> &'a mut Link {
    let key = &row.key;
    row.link.get_or_insert_with(|| {
        let mut link = Link::new(event_id(setting.tenant, setting.calendar, key, 0), 0);
        link.generation = setting.generation;
        link
    })
}

/// Gives an exception the id of its place in its series; false while the series has none.
fn placed(row: &mut Row, master: Option<&Row>, setting: &Setting<'_>) -> bool {
    let Some(place) = &mut row.place else { return true };
    if let Some(master) = master {
        match &master.link {
            Some(link) if link.side().is_some_and(|side| side.event().is_some()) => {
                place.master = Some(link.id.clone());
            }
            _ => return false,
        }
    }
    let Some(id) = place.master.as_ref().map(|master| instance_id(master, place.original)) else {
        return false;
    };
    match &row.link {
        // A provider's own id of the exception is as good, as long as it is of the same series.
        Some(link) if link.id == id || master.is_none() => {}
        _ => {
            // The series has a new life, and its occurrences are those of its rule again.
            let mut link = Link::new(id, 0);
            link.generation = setting.generation;
            row.link = Some(link);
        }
    }
    if let Some(series) = master.and_then(|master| master.link.as_ref()?.side()?.event()) {
        inherit(row, series);
    }
    true
}

/// An exception that the provider has not seen yet follows what its series became since the application
/// copied it: that is nobody's edit of this occurrence.
fn inherit(row: &mut Row, series: &Event) {
    let unseen = row.link.as_ref().is_none_or(|link| link.base.is_none());
    let Some(original) = row.place.as_ref().filter(|_| unseen).map(|place| place.original) else { return };
    let fresh = occurrence(series, original);
    if let (Some(copied), Side::Live(local)) = (&row.copied, &mut row.local) {
        **local = merge(copied, local, &fresh, Owner::App, Compare::AsStored).event;
    }
    row.copied = Some(fresh);
}

fn call(row: &mut Row, setting: &Setting<'_>) -> Call {
    minted(row, setting);
    // A deleted event that cannot be addressed by a version is not undeleted but made anew.
    let revived = row.link.as_ref().is_some_and(|link| {
        link.side() == Some(&Side::Gone)
            && row.place.is_none()
            && (link.dead || link.etag().is_none() || !setting.dialect.undeletes())
    });
    if revived && row.local != Side::Gone {
        row.next_life(setting);
    }
    let (local, revision, updates) = (row.local.clone(), row.revision, row.updates);
    let place = row.place.is_some();
    let key = row.key.clone();
    let Some(link) = &mut row.link else { return Call::Look { id: row.key.clone() } };
    let id = link.id.clone();
    // While it is unknown whether an earlier, different write took effect, look.
    if link.look || link.sent.as_ref().is_some_and(|sent| sent.side != local) {
        return Call::Look { id };
    }
    let call = match (&local, &link.base) {
        (Side::Live(event), None) if !place => {
            link.attempts += 1;
            let stamp = Stamp { event: key, incarnation: link.incarnation };
            let conference = event.conference.is_some();
            Call::Insert { body: setting.dialect.insert(event, &id, &stamp), id, conference, updates }
        }
        (_, None) => return Call::Look { id },
        // A bare tombstone of an occurrence: its version is looked up, or somebody's undelete is overwritten.
        (Side::Live(_), Some(base))
            if base.side == Side::Gone && base.etag.is_none() && link.attempts == 0 =>
        {
            link.attempts += 1;
            return Call::Look { id };
        }
        (Side::Gone, Some(base)) => Call::Delete { id, etag: base.etag.clone(), updates },
        (Side::Live(event), Some(base)) => match &base.side {
            Side::Gone => Call::Patch {
                id,
                etag: base.etag.clone(),
                body: setting.dialect.undelete(&base.raw, event),
                undelete: true,
                conference: event.conference.is_some(),
                updates,
            },
            Side::Live(known) => Call::Patch {
                id,
                etag: base.etag.clone(),
                body: setting.dialect.patch(&base.raw, known, event).unwrap_or_default(),
                undelete: false,
                conference: touches_conference(event, known),
                updates,
            },
        },
    };
    link.sent = Some(Sent { side: local, revision });
    call
}

fn touches_conference(event: &Event, known: &Event) -> bool {
    !event.same(known, Field::Conference)
}
