//! What has to hold once everything is at rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domain::calendar::event::Side;
use domain::calendar::google::{Incoming, read};

use super::marks::{self, Marks};
use super::world::World;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Work was still pending after many peaceful rounds.
    NotAtRest(String),
    /// A row waits for a person although nobody did anything that needs one.
    Parked(String),
    /// The two sides differ.
    Differ(String),
    /// Only one side has the event.
    OneSided(String),
    /// Two events are one.
    Duplicate(String),
    /// An edit is neither present nor among the conflicts.
    Lost(String),
    /// More provider writes than the application's edits.
    Writes(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAtRest(text) => write!(f, "not at rest: {text}"),
            Self::Parked(text) => write!(f, "parked: {text}"),
            Self::Differ(text) => write!(f, "the sides differ: {text}"),
            Self::OneSided(text) => write!(f, "only one side has it: {text}"),
            Self::Duplicate(text) => write!(f, "duplicate: {text}"),
            Self::Lost(text) => write!(f, "lost edit: {text}"),
            Self::Writes(text) => write!(f, "writes: {text}"),
        }
    }
}

/// Checks a world at rest.
pub fn check(world: &World) -> Result<(), Fault> {
    let mut present = Marks::new();
    let events: BTreeMap<String, Incoming> = world
        .provider
        .dump()
        .into_iter()
        .filter_map(|raw| read(raw).ok())
        .map(|incoming| (incoming.id.clone(), incoming))
        .collect();
    let mut linked = BTreeSet::new();
    for row in world.store.rows.values() {
        if let Some(parked) = row.link.as_ref().and_then(|link| link.parked.as_ref()) {
            return Err(Fault::Parked(format!("{} {parked:?}", row.key)));
        }
        let id = row.link.as_ref().map(|link| link.id.clone()).unwrap_or_default();
        if !id.is_empty() && !linked.insert(id.clone()) {
            return Err(Fault::Duplicate(format!("two rows for {id}")));
        }
        let theirs = events.get(&id).map(|event| &event.side);
        if let Side::Live(ours) = &row.local {
            present.extend(marks::of(ours));
            match theirs {
                Some(Side::Live(theirs)) if theirs == ours => {}
                Some(Side::Live(theirs)) => {
                    let fields: Vec<_> = ours.differing(theirs).collect();
                    return Err(Fault::Differ(format!("{} {fields:?}: {ours:?} / {theirs:?}", row.key)));
                }
                _ => return Err(Fault::OneSided(format!("row {} is live, {id} is not", row.key))),
            }
        } else if let Some(Side::Live(_)) = theirs {
            return Err(Fault::OneSided(format!("row {} is gone, {id} is live", row.key)));
        } else if row.place.is_some()
            && theirs.is_none()
            && world.provider.get(world.now, &id).is_ok_and(|raw| raw["status"] != "cancelled")
        {
            return Err(Fault::OneSided(format!("row {} cancels an occurrence that {id} does not", row.key)));
        }
    }
    let mut stamps: BTreeMap<(String, u32), String> = BTreeMap::new();
    for (id, event) in &events {
        if !linked.contains(id) && (event.side != Side::Gone || event.series.is_some()) {
            return Err(Fault::OneSided(format!("{id} has no row: {}", event.raw)));
        }
        // A former life that a person brought back is an event of its own.
        if let (Some(stamp), None, Side::Live(_)) = (&event.stamp, &event.series, &event.side)
            && let Some(other) = stamps.insert((stamp.event.clone(), stamp.incarnation), id.clone())
        {
            return Err(Fault::Duplicate(format!("{id} and {other} are {}", stamp.event)));
        }
    }
    for loser in &world.store.conflicts {
        present.extend(marks::of_loser(loser));
    }
    for (mark, who) in &world.ledger.made {
        if !present.contains(mark) && !world.ledger.replaced.contains(mark) {
            return Err(Fault::Lost(format!("{mark} ({who})")));
        }
    }
    let writes = world.provider.effective_writes() - world.ledger.people_writes;
    // Whether a write of which no answer came took effect cannot be told once somebody has overwritten it
    // at the provider: the policy may repeat it.
    if writes > world.ledger.app_edits + world.ledger.unanswered {
        return Err(Fault::Writes(format!("{writes} for {} edits", world.ledger.app_edits)));
    }
    Ok(())
}
