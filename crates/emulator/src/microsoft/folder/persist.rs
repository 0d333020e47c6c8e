//! Item ids and the change log over a restart.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Known;
use crate::microsoft::drive::{Backing, Drive};
use crate::microsoft::ids::IdSpace;
use crate::microsoft::quickxor::Digest;
use crate::microsoft::tree::{Departure, Item, Tree};
use crate::rng::hash_str;

#[derive(Serialize, Deserialize)]
struct SavedItem {
    item: Item,
    known: Option<Known>,
    hash: Option<Digest>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    drive: String,
    root: PathBuf,
    instance: u64,
    token_epoch: u32,
    created: i64,
    items: Vec<SavedItem>,
    log: Vec<u32>,
    times: Vec<(i64, u32)>,
    departures: Vec<Departure>,
}

/// A file name for a drive id.
pub(crate) fn file_name(drive: &str) -> String {
    let plain: String =
        drive.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    format!("drive-{plain}-{:08x}.json", hash_str(drive) as u32)
}

/// Writes the state beside and renames it into place.
pub(crate) fn save(drive: &Drive, file: &Path) -> io::Result<()> {
    let Backing::Folder(folder) = &drive.backing else { return Ok(()) };
    let items = (0..drive.tree.slots())
        .map(|index| SavedItem {
            item: drive.tree.item(index).clone(),
            known: folder.known.get(&index).copied(),
            hash: drive.hashes.get(&index).copied(),
        })
        .collect();
    let saved = Saved {
        drive: drive.id.clone(),
        root: folder.root.clone(),
        instance: drive.instance,
        token_epoch: drive.token_epoch,
        created: drive.created,
        items,
        log: drive.tree.log().to_vec(),
        times: drive.tree.times().to_vec(),
        departures: drive.tree.departures().to_vec(),
    };
    let part = file.with_extension("part");
    std::fs::write(&part, serde_json::to_vec(&saved)?)?;
    std::fs::rename(part, file)
}

/// Takes over saved state, if there is some of this drive and directory.
pub(crate) fn load(drive: &mut Drive, file: &Path) -> io::Result<()> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(fault) => return Err(fault),
    };
    let saved: Saved = match serde_json::from_slice(&bytes) {
        Ok(saved) => saved,
        Err(fault) => {
            tracing::warn!(file = %file.display(), %fault, "saved state cannot be read; the drive begins a new life");
            return Ok(());
        }
    };
    let Backing::Folder(folder) = &mut drive.backing else { return Ok(()) };
    if saved.drive != drive.id || saved.root != folder.root {
        return Ok(());
    }
    let mut items = Vec::with_capacity(saved.items.len());
    for (index, saved) in saved.items.into_iter().enumerate() {
        let index = index as u32;
        if let Some(known) = saved.known {
            folder.known.insert(index, known);
        }
        if let Some(hash) = saved.hash {
            drive.hashes.insert(index, hash);
        }
        items.push(saved.item);
    }
    drive.instance = saved.instance;
    drive.token_epoch = saved.token_epoch;
    drive.created = saved.created;
    drive.ids = IdSpace::new(&drive.id, saved.instance);
    drive.tree = Tree::restore(items, saved.log, saved.times, saved.departures);
    Ok(())
}
