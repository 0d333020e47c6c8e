//! From what is on disk to changes of the drive: what kept its identity, what is new, what is gone.

use std::collections::{HashMap, HashSet};

use super::scan::{Entry, Kind, Scan};
use super::{FileId, FolderBacking, Known};
use crate::microsoft::drive::{Backing, Drive, new_item};
use crate::microsoft::tree::{ROOT, flag};

fn backing(drive: &mut Drive) -> Option<&mut FolderBacking> {
    match &mut drive.backing {
        Backing::Folder(folder) => Some(folder),
        Backing::Memory => None,
    }
}

/// Brings the drive up to date; true when something changed.
///
/// `removed` are paths of which a removal was seen: there, a new file is a new item even under the old
/// name, while elsewhere it is the old item with new content (editors replace by renaming).
pub(crate) fn apply(drive: &mut Drive, scan: Scan, removed: &HashSet<String>, now: i64) -> bool {
    let before = drive.tree.head();
    let Scan { entries, refused } = scan;
    let known = match backing(drive) {
        None => return false,
        Some(folder) => {
            for path in &refused {
                if folder.refused.insert(path.clone()) {
                    tracing::warn!(%path, "a library cannot hold this name; it is not in the drive");
                }
            }
            folder.refused.retain(|path| refused.contains(path));
            folder.known.clone()
        }
    };
    let assigned = assign(drive, &entries, &known, removed);
    let kept: HashSet<u32> = assigned.iter().flatten().copied().collect();

    // Moved items leave their places first, so that neither a deletion nor a taken name hits them.
    let mut moved = HashSet::new();
    for (entry, index) in entries.iter().zip(&assigned) {
        let Some(index) = *index else { continue };
        let parent = entry.parent.map_or(Some(ROOT), |at| assigned[at]);
        let item = drive.tree.item(index);
        if parent != Some(item.parent) || *item.name != *entry.name {
            drive.tree.detach(index);
            moved.insert(index);
        }
    }
    let mut gone: Vec<u32> = known
        .keys()
        .copied()
        .filter(|index| !kept.contains(index) && drive.tree.live(*index).is_some())
        .collect();
    gone.sort_unstable();
    for index in gone {
        if drive.tree.live(index).is_some() {
            delete(drive, index, now);
        }
    }
    place(drive, &entries, assigned, &moved, &known, now);
    drive.tree.head() != before
}

fn delete(drive: &mut Drive, index: u32, now: i64) {
    let below = drive.tree.descendants(index);
    let files_too = drive.options.deleted_files;
    drive.tree.delete(index, files_too, now);
    for one in below.into_iter().chain([index]) {
        drive.hashes.remove(&one);
        if let Some(folder) = backing(drive) {
            folder.forget(one);
        }
    }
}

/// Which item each entry is; `None` for new ones.
fn assign(
    drive: &Drive,
    entries: &[Entry],
    known: &HashMap<u32, Known>,
    removed: &HashSet<String>,
) -> Vec<Option<u32>> {
    let tree = &drive.tree;
    let by_identity: HashMap<FileId, u32> = known
        .iter()
        .filter(|(index, _)| tree.live(**index).is_some())
        .map(|(index, known)| (known.id, *index))
        .collect();
    let present: HashSet<FileId> = entries.iter().map(|entry| entry.known.id).collect();
    let same_kind = |index: u32, kind: Kind| {
        let item = tree.item(index);
        match kind {
            Kind::Folder => item.is_folder(),
            Kind::Package => item.has(flag::PACKAGE),
            Kind::File => !item.is_folder() && !item.has(flag::PACKAGE),
        }
    };
    let mut used = HashSet::new();
    let mut assigned: Vec<Option<u32>> = Vec::with_capacity(entries.len());
    for entry in entries {
        let parent = entry.parent.map_or(Some(ROOT), |at| assigned[at]);
        let by_path = parent.and_then(|parent| tree.child(parent, &entry.name)).filter(|index| {
            *tree.item(*index).name == *entry.name && same_kind(*index, entry.kind) && !used.contains(index)
        });
        let by_id = by_identity
            .get(&entry.known.id)
            .copied()
            .filter(|index| same_kind(*index, entry.kind) && !used.contains(index));
        let chosen = match by_path.and_then(|index| known.get(&index).map(|known| (index, known.id))) {
            Some((index, id)) if id == entry.known.id => Some(index),
            // Its file lives on under another name: this one came from elsewhere or is new.
            Some((_, id)) if present.contains(&id) => by_id,
            Some(_) if removed.contains(&entry.path) => by_id,
            Some((index, _)) => Some(index),
            None => by_id,
        };
        if let Some(index) = chosen {
            used.insert(index);
        }
        assigned.push(chosen);
    }
    assigned
}

/// Attaches what moved, adds what is new, records what changed; parents come first.
fn place(
    drive: &mut Drive,
    entries: &[Entry],
    mut assigned: Vec<Option<u32>>,
    moved: &HashSet<u32>,
    known: &HashMap<u32, Known>,
    now: i64,
) {
    let mut skipped: HashSet<usize> = HashSet::new();
    for (at, entry) in entries.iter().enumerate() {
        let parent = match entry.parent {
            None => Some(ROOT),
            Some(above) if skipped.contains(&above) => None,
            Some(above) => assigned[above],
        };
        let Some(parent) = parent.filter(|parent| drive.tree.live(*parent).is_some()) else {
            skipped.insert(at);
            if let Some(index) = assigned[at].filter(|index| drive.tree.live(*index).is_some()) {
                delete(drive, index, now);
            }
            continue;
        };
        let placed = match assigned[at] {
            Some(index) if drive.tree.live(index).is_none() => None,
            Some(index) => {
                if moved.contains(&index) && drive.tree.attach(index, parent, &entry.name, now).is_err() {
                    delete(drive, index, now);
                    None
                } else {
                    update(drive, index, entry, known.get(&index), now);
                    Some(index)
                }
            }
            None => create(drive, parent, entry, now),
        };
        if let Some(index) = placed {
            if let Some(folder) = backing(drive) {
                folder.known.insert(index, entry.known);
            }
        } else {
            tracing::warn!(path = %entry.path, "not in the drive: its name differs from another one only by case");
            skipped.insert(at);
        }
        assigned[at] = placed;
    }
}

fn create(drive: &mut Drive, parent: u32, entry: &Entry, now: i64) -> Option<u32> {
    let (size, flags) = match entry.kind {
        Kind::Folder => (0, flag::FOLDER),
        Kind::Package => (0, flag::PACKAGE),
        Kind::File => (entry.known.size, 0),
    };
    let mut item = new_item(parent, &entry.name, size, flags, now);
    item.modified = entry.known.modified_ns / 1_000_000;
    item.created = entry.known.id.born_ns.map_or(item.modified, |born| born / 1_000_000);
    let index = drive.tree.insert(item, now).ok()?;
    if let Some(hash) = entry.hash {
        drive.hashes.insert(index, hash);
    }
    Some(index)
}

fn update(drive: &mut Drive, index: u32, entry: &Entry, known: Option<&Known>, now: i64) {
    if entry.kind != Kind::File {
        return;
    }
    let same_bytes =
        drive.hashes.get(&index) == entry.hash.as_ref() && drive.tree.item(index).size == entry.known.size;
    let touched = known.is_some_and(|known| known.modified_ns != entry.known.modified_ns);
    if same_bytes && !touched {
        return;
    }
    if same_bytes {
        drive.tree.touch(index, now);
    } else {
        drive.tree.set_content(index, entry.known.size, now);
        match entry.hash {
            Some(hash) => drive.hashes.insert(index, hash),
            None => drive.hashes.remove(&index),
        };
    }
    drive.tree.item_mut(index).modified = entry.known.modified_ns / 1_000_000;
}
