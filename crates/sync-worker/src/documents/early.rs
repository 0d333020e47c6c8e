//! Folders of a first enumeration get their place with the row itself, when their parent's is known: parents mostly
//! come before children, and a row that is written once costs a third of one that is written and then placed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::drive::{ItemChange, ItemKind};
use domain::ids::ItemId;
use domain::taxonomy::Taxonomy;
use job_runtime::JobError;
use store::Tx;
use store::drive_index::IndexedDrive;
use store::drive_index::placement::{self, DueFolder, Place};

use super::folders::{Bindings, place_of};
use super::report::Report;

/// What a batch's new folders came to.
#[derive(Debug, Default)]
pub struct Early {
    /// Places by folder; those that are not here are placed at the end of the batch's round, the general way.
    pub places: BTreeMap<String, Place>,
    /// Folders that lost their AO reference to one of the batch; to be stamped once the batch is stored.
    pub displaced: Vec<String>,
}

/// Places the folders of a folded batch that the index does not have yet. Does nothing once the drive was enumerated:
/// then a folder may be known under another name, and its children have to follow.
///
/// # Errors
/// [`JobError`] of the database.
pub async fn place_new(
    tx: &mut Tx,
    drive: &IndexedDrive,
    taxonomy: &Taxonomy,
    batch: &[ItemChange],
    report: &mut Report,
) -> Result<Early, JobError> {
    let mut early = Early::default();
    let folders: Vec<&ItemChange> =
        batch.iter().filter(|item| !item.deleted && item.kind.holds_items() && item.name.is_some()).collect();
    if drive.indexed || folders.is_empty() {
        return Ok(early);
    }
    let in_batch: BTreeSet<&str> = batch.iter().map(|item| item.id.as_str()).collect();
    let parents = folders.iter().filter_map(|folder| folder.parent_id.as_ref()).map(ItemId::as_str);
    let asked: BTreeSet<String> =
        folders.iter().map(|folder| folder.id.as_str()).chain(parents).map(str::to_owned).collect();
    let stored = placement::stored(tx, drive.drive_no, &asked.into_iter().collect::<Vec<_>>()).await?;

    let mut ready = VecDeque::new();
    let mut children: BTreeMap<&str, Vec<&ItemChange>> = BTreeMap::new();
    for folder in folders.into_iter().filter(|folder| !stored.contains_key(folder.id.as_str())) {
        let Some(parent) = folder.parent_id.as_ref().map(ItemId::as_str) else {
            ready.push_back((folder, None));
            continue;
        };
        match stored.get(parent) {
            // A stored parent that comes again in this batch may be another one afterwards.
            Some(place) if !in_batch.contains(parent) => {
                if let Some(place) = place {
                    ready.push_back((folder, Some(place.clone())));
                }
            }
            Some(_) => {}
            None => children.entry(parent).or_default().push(folder),
        }
    }
    let mut bindings = Bindings::default();
    while let Some((folder, parent)) = ready.pop_front() {
        let id = folder.id.as_str();
        let due = DueFolder {
            item_id: id.to_owned(),
            name: folder.name.clone().unwrap_or_default(),
            is_root: folder.kind == ItemKind::Root,
            deleted: false,
            before: Place::default(),
            placed_before: false,
            parent,
        };
        let place = place_of(tx, drive, taxonomy, &mut bindings, &due, report).await?;
        for child in children.remove(id).unwrap_or_default() {
            ready.push_back((child, Some(place.clone())));
        }
        early.places.insert(due.item_id, place);
    }
    early.displaced = bindings.into_displaced();
    Ok(early)
}
