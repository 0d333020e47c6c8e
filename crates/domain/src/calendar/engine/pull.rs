//! An event that the provider told of, against the row.

use super::row::{Base, Cause, Direction, Link, Place, Row, Setting};
use crate::calendar::event::{Event, Field, Original, Side};
use crate::calendar::google::Incoming;
use crate::calendar::merge::{Compare, Loser, Owner, copy, given_up, merge};
use crate::calendar::series::misses;

/// How an incoming event was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The state was known already, or is our own write coming back.
    Echo,
    /// The state is older than the known one and was ignored: pages are frozen while they are read.
    Stale,
    /// The state is new.
    Fresh,
}

/// Which exceptions end with a change of their series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cascade {
    /// All: both sides agree that the series is over.
    All,
    /// Those that the provider had: it deleted them with the series, which the application revives.
    Seen,
}

impl Cascade {
    /// Whether this exception's row ends.
    pub fn ends(self, row: &Row) -> bool {
        self == Self::All || row.link.as_ref().is_some_and(|link| link.base.is_some())
    }
}

/// What [`pull`] did to the row.
#[derive(Clone, Debug, PartialEq)]
pub struct Pulled {
    /// How the event was taken.
    pub sight: Sight,
    /// The application's side changed; its write must not count as one of the application's.
    pub changed: bool,
    /// What did not survive, for `sync_conflicts`.
    pub losers: Vec<Loser>,
    /// The application still has something to say: queue a push.
    pub push: bool,
    /// Exceptions' rows that end with this: by [`series_ended`], then they are removed.
    pub cascade: Option<Cascade>,
}

/// Makes the row of an event that no row matches. `None` for a tombstone of what was never here, except
/// for a cancelled occurrence: without its row, the occurrence would come back as a phantom.
pub fn adopt(key: impl Into<String>, incoming: &Incoming, setting: &Setting<'_>) -> Option<Row> {
    if incoming.side == Side::Gone && incoming.series.is_none() {
        return None;
    }
    let mut link = Link::new(incoming.id.clone(), 0);
    link.generation = setting.generation;
    link.base = Some(Base::of(incoming));
    Some(Row {
        key: key.into(),
        local: incoming.side.clone(),
        changed_at: incoming.updated.unwrap_or(setting.now),
        revision: 0,
        origin: Owner::Provider,
        place: incoming.series.as_ref().map(|series| Place {
            row: None,
            master: Some(series.master.clone()),
            original: series.original,
        }),
        copied: None,
        updates: super::Updates::None,
        link: Some(link),
    })
}

/// Takes an event of the provider into its row (found by [`super::matches`], allowed by
/// [`super::may_link`]).
pub fn pull(row: &mut Row, incoming: &Incoming, setting: &Setting<'_>) -> Pulled {
    take(row, incoming, setting, false)
}

/// Takes the provider's state; `answered` when it is the answer of our own write.
pub(super) fn take(row: &mut Row, incoming: &Incoming, setting: &Setting<'_>, answered: bool) -> Pulled {
    let mut link = row.link.take().unwrap_or_else(|| Link::new(incoming.id.clone(), 0));
    if link.id != incoming.id && incoming.minted.as_ref() == Some(&link.id) {
        // Made by our insert, under the id that the provider gave it.
        link.id.clone_from(&incoming.id);
    }
    if link.id != incoming.id {
        link = Link::new(incoming.id.clone(), incoming.stamp.as_ref().map_or(0, |stamp| stamp.incarnation));
    }
    link.generation = setting.generation;
    link.missing = 0;
    if let (Some(place), Some(series)) = (&mut row.place, &incoming.series) {
        place.master = Some(series.master.clone());
    }
    // Without a note of what was sent, an answer is a sight like any other, and may be an old one.
    let answered = answered && link.sent.is_some();
    let was_theirs = link.side().and_then(Side::event).is_some_and(Event::recurs);
    let was_master = row.is_master() || was_theirs;
    let sight = if answered { Sight::Fresh } else { sight(&link, incoming) };
    let mut pulled = Pulled { sight, changed: false, losers: Vec::new(), push: false, cascade: None };
    if sight == Sight::Fresh {
        let landed = answered || landed(row, &link, incoming);
        if landed {
            pulled.sight = Sight::Echo;
            if !answered {
                let revision = link.sent.as_ref().map_or(row.revision, |sent| sent.revision);
                link.wrote(revision);
            }
        }
        let local = if setting.direction == Direction::ToGoogle && !answered && link.base.is_some() {
            row.local.clone()
        } else {
            sides(row, &link, incoming, setting, landed, &mut pulled.losers)
        };
        pulled.changed = local != row.local;
        row.local = local;
        link.base = Some(Base::of(incoming));
        link.sent = None;
        link.unmade = false;
        if row.place.is_some() && incoming.side != Side::Gone {
            link.attempts = 0;
        }
        // What was refused may be possible now: an occurrence that its series has again, say.
        if !answered
            && incoming.side != Side::Gone
            && matches!(link.parked, Some((Cause::Refused { .. } | Cause::Forbidden { .. }, _)))
        {
            link.parked = None;
        }
    }
    let parked = link.parked.as_ref().is_some_and(|(_, revision)| *revision >= row.revision);
    row.link = Some(link);
    pulled.push = row.dirty() && !parked;
    let is_series_now = incoming.side.event().is_some_and(Event::recurs);
    pulled.cascade = if was_master && ended(row) {
        Some(Cascade::All)
    } else if was_theirs && !is_series_now && sight == Sight::Fresh {
        Some(Cascade::Seen)
    } else {
        None
    };
    pulled
}

fn sight(link: &Link, incoming: &Incoming) -> Sight {
    let Some(base) = &link.base else { return Sight::Fresh };
    if incoming.etag.is_some() && incoming.etag == base.etag {
        // A live event under the etag that was deleted is the past.
        return match (&incoming.side, &base.side) {
            (Side::Live(_), Side::Gone) => Sight::Stale,
            (Side::Gone, Side::Live(_)) => Sight::Fresh,
            _ => Sight::Echo,
        };
    }
    match (incoming.updated, base.updated) {
        (Some(theirs), Some(ours)) if theirs < ours => Sight::Stale,
        _ => Sight::Fresh,
    }
}

/// Whether the write of which no answer came took effect before this state: all that it changed is there.
fn landed(row: &Row, link: &Link, incoming: &Incoming) -> bool {
    let Some(sent) = &link.sent else { return false };
    match (&sent.side, &incoming.side) {
        (Side::Gone, Side::Gone) => true,
        (Side::Gone, Side::Live(_)) => false,
        // Under an id that we minted and nobody saw live, only our insert can have been deleted.
        (Side::Live(_), Side::Gone) => link.base.is_none() && row.place.is_none(),
        (Side::Live(sent), Side::Live(stored)) => {
            let base = match link.side() {
                Some(Side::Live(base)) => base,
                Some(Side::Gone) => return sent.equivalent(stored),
                // The insert that landed may be an earlier one than the last that was sent.
                None if row.place.is_none() => return sent.equivalent(stored),
                None => match &row.copied {
                    Some(copied) => copied,
                    None => return false,
                },
            };
            sent.differing(base).all(|field| sent.stored_as(stored, field))
        }
    }
}

/// The side that both shall have.
fn sides(
    row: &Row,
    link: &Link,
    incoming: &Incoming,
    setting: &Setting<'_>,
    landed: bool,
    losers: &mut Vec<Loser>,
) -> Side {
    let sent = link.sent.as_ref().filter(|_| landed).map(|sent| &sent.side);
    let copied = row.copied.clone().map(Side::live);
    // What the application copied may not have been through the provider yet.
    let ours = sent.is_some() || (link.base.is_none() && copied.is_some());
    let compare = if ours { Compare::AsStored } else { Compare::Exactly };
    let base = sent.or_else(|| link.side()).or(copied.as_ref());
    let empty = Event::default();
    let winner = setting.policy.winner(row.changed_at, incoming.updated);
    match (&row.local, &incoming.side) {
        (Side::Gone, Side::Gone) => Side::Gone,
        (Side::Live(app), Side::Live(provider)) => {
            let base = base.and_then(Side::event).unwrap_or(&empty);
            let unknown = link.sent.as_ref().filter(|_| !landed).and_then(|sent| sent.side.event());
            let merged = match unknown {
                Some(sent) => {
                    let (base, app) = recognised(base, app, sent, provider);
                    merge(&base, &app, provider, winner, compare)
                }
                None => merge(base, app, provider, winner, compare),
            };
            losers.extend(merged.losers);
            Side::live(merged.event)
        }
        (Side::Live(app), Side::Gone) => match base {
            Some(Side::Gone) => row.local.clone(),
            base => {
                let base = base.and_then(Side::event).unwrap_or(&empty);
                let edits = given_up(base, app, Owner::App);
                if edits.is_empty() {
                    Side::Gone
                } else if winner == Owner::App {
                    losers.push(deletion(Owner::Provider));
                    row.local.clone()
                } else {
                    losers.extend(edits);
                    Side::Gone
                }
            }
        },
        (Side::Gone, Side::Live(provider)) => match base {
            Some(Side::Gone) => incoming.side.clone(),
            base => {
                let base = base.and_then(Side::event).unwrap_or(&empty);
                let edits = match compare {
                    Compare::AsStored if base.equivalent(provider) => Vec::new(),
                    _ => given_up(base, provider, Owner::Provider),
                };
                if !edits.is_empty() && winner == Owner::Provider {
                    losers.push(deletion(Owner::App));
                    incoming.side.clone()
                } else {
                    losers.extend(edits);
                    Side::Gone
                }
            }
        },
    }
}

/// Base and application's side, with the fields in which the provider has what an unanswered write of ours
/// said: those are agreed on, in the provider's form. Of the rest nobody can say whose they are.
fn recognised(base: &Event, app: &Event, sent: &Event, provider: &Event) -> (Event, Event) {
    let (mut agreed, mut ours) = (base.clone(), app.clone());
    for field in sent.differing(base).filter(|field| sent.stored_as(provider, *field)) {
        copy(&mut agreed, provider, field);
        if app.same(sent, field) {
            copy(&mut ours, provider, field);
        }
    }
    (agreed, ours)
}

fn deletion(side: Owner) -> Loser {
    Loser {
        side,
        field: Field::Existence,
        key: None,
        value: serde_json::Value::Null,
        winner: serde_json::json!("edited"),
    }
}

/// What is given up with an exception's row whose series is over: edits that the provider never got.
pub fn series_ended(row: &Row) -> Vec<Loser> {
    if !row.dirty() {
        return Vec::new();
    }
    let base = row.link.as_ref().and_then(Link::side).and_then(Side::event).or(row.copied.as_ref());
    let empty = Event::default();
    row.local.event().map_or_else(Vec::new, |local| given_up(base.unwrap_or(&empty), local, Owner::App))
}

/// Whether an exception's row outlived its series. Pages may bring an exception after the end of its
/// series, so the shell asks this of all exceptions at the end of every round, and ends those by
/// [`series_ended`]. An edit that the provider refused for good because its series was cut short meanwhile ends
/// in the same way: nobody can bring an occurrence back that the series does not have.
pub fn orphaned(row: &Row, master: &Row) -> bool {
    let Some(place) = &row.place else { return false };
    ended(master) || (refused(row) && !master.dirty() && lacks(master, place.original))
}

fn refused(row: &Row) -> bool {
    row.link.as_ref().is_some_and(|link| link.parked.is_some())
}

fn lacks(master: &Row, at: Original) -> bool {
    master.local.event().is_some_and(|event| misses(event, at))
}

/// Whether an exception that the application made says nothing that its series does not: it was taken back
/// before the provider had it. The shell removes such rows at the end of a round.
pub fn redundant(row: &Row) -> bool {
    row.place.is_some() && !row.dirty() && row.link.as_ref().is_some_and(|link| link.unmade)
}

/// Whether both sides agree that this is no series, or no event at all.
fn ended(master: &Row) -> bool {
    !master.dirty() && !master.local.event().is_some_and(Event::recurs)
}

/// A row that a complete enumeration of `generation` did not show: `None` when it stays as it is, because
/// it was seen, or because a push is pending that will find out by itself. Otherwise the row ends as if
/// the provider had told of the deletion. Call only when [`crate::calendar::cursor::sweep_verdict`] lets it.
pub fn sweep(row: &mut Row, generation: u64, setting: &Setting<'_>) -> Option<Pulled> {
    let link = row.link.as_ref()?;
    // An exception that the provider never made cannot be missing there.
    let seen = link.generation >= generation || link.base.is_none() || link.unmade;
    if seen || row.dirty() || link.side() == Some(&Side::Gone) {
        return None;
    }
    let incoming = Incoming {
        id: link.id.clone(),
        minted: None,
        etag: None,
        updated: None,
        ical_uid: None,
        series: None,
        stamp: None,
        side: Side::Gone,
        raw: serde_json::json!({ "id": link.id, "status": "cancelled" }),
    };
    Some(pull(row, &incoming, setting))
}
