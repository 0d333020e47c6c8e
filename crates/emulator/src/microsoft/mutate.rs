//! Seeded changes to a drive, for tests that need many of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::microsoft::drive::{Backing, Conflict, Drive, new_item};
use crate::microsoft::errors::GraphError;
use crate::microsoft::generated::random_size;
use crate::microsoft::tree::{ROOT, flag};
use crate::rng::SplitMix;

/// Folders with more below them are not deleted by chance.
const LARGEST_DELETION: usize = 200;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Create,
    Modify,
    Rename,
    Move,
    Delete,
    Recreate,
}

const ALL: [Kind; 6] = [Kind::Create, Kind::Modify, Kind::Rename, Kind::Move, Kind::Delete, Kind::Recreate];

/// The body of `POST /drives/{id}/mutate`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) seed: u64,
    pub(crate) count: u32,
    #[serde(default)]
    pub(crate) kinds: Vec<Kind>,
}

/// Applies `count` changes; the answer says how many of each kind were possible.
pub(crate) fn run(drive: &mut Drive, request: &Request, now: i64) -> BTreeMap<Kind, u32> {
    let mut dice = SplitMix::new(request.seed);
    let kinds: &[Kind] = if request.kinds.is_empty() { &ALL } else { &request.kinds };
    let mut done = BTreeMap::new();
    for number in 0..request.count {
        let kind = *dice.pick(kinds);
        // A change that chance made impossible (a taken name, an empty drive) is tried again elsewhere.
        if (0..20).any(|_| apply(drive, kind, number, &mut dice, now).is_ok()) {
            *done.entry(kind).or_insert(0) += 1;
        }
    }
    done
}

fn impossible() -> GraphError {
    GraphError::invalid("no item fits")
}

fn pick(drive: &Drive, dice: &mut SplitMix, fits: impl Fn(u32) -> bool) -> Result<u32, GraphError> {
    let slots = drive.tree.slots();
    (0..200)
        .map(|_| dice.below(u64::from(slots)) as u32)
        .find(|index| drive.tree.live(*index).is_some() && fits(*index))
        .ok_or_else(impossible)
}

fn folder(drive: &Drive, dice: &mut SplitMix) -> Result<u32, GraphError> {
    pick(drive, dice, |index| drive.tree.item(index).is_folder()).or(Ok(ROOT))
}

fn plain(drive: &Drive, index: u32) -> bool {
    index != ROOT && !drive.tree.item(index).has(flag::REMOTE | flag::PACKAGE)
}

fn file(drive: &Drive, dice: &mut SplitMix) -> Result<u32, GraphError> {
    pick(drive, dice, |index| plain(drive, index) && !drive.tree.item(index).is_folder())
}

fn create(
    drive: &mut Drive,
    parent: u32,
    name: &str,
    dice: &mut SplitMix,
    now: i64,
) -> Result<(), GraphError> {
    drive.check_name(parent, name, false)?;
    if matches!(drive.backing, Backing::Folder(_)) {
        let text = format!("mutation {:016x}\n", dice.next()).repeat(1 + dice.below(50) as usize);
        return drive.put_file(parent, name, &Bytes::from(text), Conflict::Fail, now).map(|_| ());
    }
    let item = new_item(parent, name, random_size(dice), flag::SYNTHETIC, now);
    drive.tree.insert(item, now).map(|_| ()).map_err(|_| GraphError::name_exists())
}

fn apply(
    drive: &mut Drive,
    kind: Kind,
    number: u32,
    dice: &mut SplitMix,
    now: i64,
) -> Result<(), GraphError> {
    match kind {
        Kind::Create => {
            let parent = folder(drive, dice)?;
            let name = format!("nouveau {:08x} {number}", dice.next() as u32);
            if dice.below(8) == 0 {
                return drive.create_folder(parent, &name, Conflict::Fail, now).map(|_| ());
            }
            create(drive, parent, &format!("{name}.txt"), dice, now)
        }
        Kind::Modify => {
            let index = file(drive, dice)?;
            if drive.tree.item(index).has(flag::SYNTHETIC) {
                let size = random_size(dice);
                drive.tree.set_content(index, size, now);
                return Ok(());
            }
            let (parent, name) = (drive.tree.item(index).parent, drive.tree.item(index).name.to_string());
            let text = format!("modified {:016x}\n", dice.next()).repeat(1 + dice.below(50) as usize);
            drive.put_file(parent, &name, &Bytes::from(text), Conflict::Replace, now).map(|_| ())
        }
        Kind::Rename => {
            let index = pick(drive, dice, |index| plain(drive, index))?;
            let item = drive.tree.item(index);
            let tail = item.name.rsplit_once('.').filter(|_| !item.is_folder()).map_or("", |(_, tail)| tail);
            let dot = if tail.is_empty() { "" } else { "." };
            let name = format!("renommé {:08x}{dot}{tail}", dice.next() as u32);
            drive.relocate(index, item.parent, &name, now)
        }
        Kind::Move => {
            let index = pick(drive, dice, |index| plain(drive, index))?;
            let parent = folder(drive, dice)?;
            let item = drive.tree.item(index);
            if item.parent == parent {
                return Err(impossible());
            }
            let name = item.name.to_string();
            drive.relocate(index, parent, &name, now)
        }
        Kind::Delete => {
            let index = small(drive, dice)?;
            drive.delete(index, now)
        }
        Kind::Recreate => {
            let index = small(drive, dice)?;
            let item = drive.tree.item(index);
            let (parent, name, is_folder) = (item.parent, item.name.to_string(), item.is_folder());
            drive.delete(index, now)?;
            if is_folder {
                drive.create_folder(parent, &name, Conflict::Fail, now).map(|_| ())
            } else {
                create(drive, parent, &name, dice, now)
            }
        }
    }
}

fn small(drive: &Drive, dice: &mut SplitMix) -> Result<u32, GraphError> {
    pick(drive, dice, |index| {
        plain(drive, index)
            && (!drive.tree.item(index).is_folder()
                || drive.tree.descendants(index).len() <= LARGEST_DELETION)
    })
}
