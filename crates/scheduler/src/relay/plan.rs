//! Who gets how much of the room, in every queue.

use std::collections::{BTreeMap, HashMap};

use broker::BrokerError;
use contracts::jobs::Queue;
use domain::fairness::{INTERACTIVE, Lane, Rotation};
use store::jobs::{LanePick, OutboxRow};
use uuid::Uuid;

use super::lanes::{Key, Lanes, Waiting, pick};
use super::rooms::{Room, Rooms};

/// Whose turn it is, by queue.
#[derive(Debug, Default)]
pub(super) struct Plan {
    turns: HashMap<String, Turns>,
}

#[derive(Debug, Default)]
struct Turns {
    interactive: Rotation<Uuid>,
    shared: Rotation<Uuid>,
}

impl Plan {
    /// Picks at most `most` bells, in equal parts of the queues that have room for them.
    pub(super) async fn make(
        &mut self,
        lanes: &Lanes,
        rooms: &mut Rooms,
        most: usize,
    ) -> Result<Vec<LanePick>, BrokerError> {
        let mut queues: BTreeMap<&str, Vec<(&Key, Waiting)>> = BTreeMap::new();
        for (key, waiting) in lanes.iter() {
            queues.entry(key.queue.as_str()).or_default().push((key, *waiting));
        }
        let part = (most / queues.len().max(1)).max(1);
        let mut picks = Vec::new();
        for (name, own) in queues {
            // A queue that no build of this version knows: its bells are returned, and their jobs parked.
            let room = match Queue::of_name(name) {
                Some(queue) => rooms.room(queue, part).await?,
                None => Room { shared: part, interactive: part },
            };
            let turns = self.turns.entry(name.to_owned()).or_default();
            let (urgent, rest): (Vec<_>, Vec<_>) =
                own.into_iter().partition(|(key, _)| key.priority >= INTERACTIVE);
            let taken = share(&mut turns.interactive, room.interactive.min(part), &urgent, &mut picks);
            let left = room.shared.min(part).saturating_sub(taken);
            share(&mut turns.shared, left, &rest, &mut picks);
        }
        Ok(picks)
    }
}

fn share(
    rotation: &mut Rotation<Uuid>,
    room: usize,
    own: &[(&Key, Waiting)],
    picks: &mut Vec<LanePick>,
) -> usize {
    let lanes: Vec<Lane<Uuid>> = own
        .iter()
        .map(|(key, waiting)| Lane {
            tenant: key.company,
            priority: key.priority,
            waiting: waiting.number,
            oldest: waiting.from,
        })
        .collect();
    let taken = rotation.share(room, &lanes);
    for ((key, waiting), count) in own.iter().zip(&taken).filter(|(_, count)| **count > 0) {
        picks.push(pick(key, *waiting, *count));
    }
    taken.iter().sum()
}

/// The order in which bells of a round go out: what a person waits for first, then one of each tenant in turn.
pub(super) fn interleave(rows: Vec<OutboxRow>) -> Vec<OutboxRow> {
    let mut seen: HashMap<Uuid, usize> = HashMap::new();
    let mut placed: Vec<(bool, usize, OutboxRow)> = rows
        .into_iter()
        .map(|row| {
            let place = seen.entry(row.company.uuid()).or_default();
            *place += 1;
            (row.priority < INTERACTIVE, *place, row)
        })
        .collect();
    placed.sort_by_key(|(patient, place, row)| (*patient, *place, row.id));
    placed.into_iter().map(|(_, _, row)| row).collect()
}
