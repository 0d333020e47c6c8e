//! Folders: each gets its place in the taxonomy from its parent's, top down, and its children follow.

use std::collections::BTreeSet;

use domain::names::name_key;
use domain::taxonomy::{Placement, Taxonomy, document_scope};
use job_runtime::JobError;
use store::Tx;
use store::drive_index::IndexedDrive;
use store::drive_index::placement::{self, DueFolder, Place};
use store::quarantine::{self, NewQuarantine};

use super::report::{Report, SOURCE};
use crate::steps::Steps;

/// Folders placed in one transaction.
const CHUNK: i64 = 1_000;

/// Places every folder that is due. At the end of a round (`settle`), what cannot be placed (parent not in
/// the index, cycle) is set aside; in the middle of one it may still be completed by a later page.
///
/// # Errors
/// [`JobError`] of the database.
pub async fn place_all(
    steps: &mut Steps,
    drive: &IndexedDrive,
    taxonomy: &Taxonomy,
    seq: i64,
    projected_seq: i64,
    settle: bool,
    report: &mut Report,
) -> Result<(), JobError> {
    loop {
        let mut tx = steps.begin().await?;
        let due = placement::due(&mut tx, drive.drive_no, CHUNK).await?;
        if due.is_empty() {
            let left = if settle { set_aside(&mut tx, drive, seq, projected_seq, report).await? } else { 0 };
            steps.end(tx).await?;
            if left == 0 {
                return Ok(());
            }
            continue;
        }
        place(&mut tx, drive, taxonomy, seq, projected_seq, due, report).await?;
        steps.end(tx).await?;
    }
}

async fn place(
    tx: &mut Tx,
    drive: &IndexedDrive,
    taxonomy: &Taxonomy,
    seq: i64,
    projected_seq: i64,
    due: Vec<DueFolder>,
    report: &mut Report,
) -> Result<(), JobError> {
    let mut places = Vec::with_capacity(due.len());
    let mut changed = Vec::new();
    let mut settled = Vec::new();
    let mut bindings = Bindings::default();
    for folder in due {
        let place = place_of(tx, drive, taxonomy, &mut bindings, &folder, report).await?;
        let was_ao = folder.before.placement.as_deref().is_some_and(|p| p.starts_with("a/"));
        if was_ao && folder.before.ao_id.is_some() && folder.before.ao_id != place.ao_id {
            bindings.freed |=
                placement::unbind_folder(tx, drive.company, &folder.item_id, place.ao_id.as_deref()).await?;
        }
        if !folder.placed_before || folder.before != place {
            changed.push(folder.item_id.clone());
        }
        if drive.indexed {
            settled.push(folder.item_id.clone());
        }
        places.push((folder.item_id, place));
    }
    placement::place(tx, drive.drive_no, seq, projected_seq, &places, &changed).await?;
    // After the places are stored: those who must try again may be among them.
    if !bindings.displaced.is_empty() {
        placement::restamp(tx, drive.drive_no, seq, &bindings.displaced).await?;
    }
    if bindings.freed {
        placement::restamp_unbound(tx, drive.drive_no, seq).await?;
    }
    // Bound, renamed, moved away or deleted: no longer one of two.
    let single: Vec<String> =
        places.iter().map(|(id, _)| id).filter(|id| !bindings.refused.contains(*id)).cloned().collect();
    let code = Some("duplicate_ao_reference");
    quarantine::resolve(tx, drive.company, SOURCE, &drive.drive_id, &single, code).await?;
    if !settled.is_empty() {
        for code in ["cycle", "missing_parent"] {
            quarantine::resolve(tx, drive.company, SOURCE, &drive.drive_id, &settled, Some(code)).await?;
        }
    }
    Ok(())
}

/// What a chunk did to the bindings of AO references to folders.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    /// Folders that hold their reference since this chunk.
    bound: BTreeSet<String>,
    /// Folders whose reference another one holds.
    refused: BTreeSet<String>,
    /// Folders that lost theirs to another.
    displaced: Vec<String>,
    /// A reference became free.
    freed: bool,
}

impl Bindings {
    /// Folders that lost their reference to another.
    pub(super) fn into_displaced(self) -> Vec<String> {
        self.displaced
    }
}

/// Where a folder stands, below its parent's place.
pub(super) async fn place_of(
    tx: &mut Tx,
    drive: &IndexedDrive,
    taxonomy: &Taxonomy,
    bindings: &mut Bindings,
    folder: &DueFolder,
    report: &mut Report,
) -> Result<Place, JobError> {
    if folder.is_root {
        return Ok(Place {
            placement: Some(Placement::root().encode()),
            path: Some(String::new()),
            ..Place::default()
        });
    }
    let Some(parent) = folder.parent.as_ref().filter(|_| !folder.deleted) else {
        return Ok(Place::default());
    };
    let Some(parent_placement) = &parent.placement else { return Ok(Place::default()) };
    let above =
        Placement::decode(parent_placement).map_err(|e| JobError::fail("placement", e.to_string()))?;
    let here = above.child(taxonomy, &folder.name);
    let path = match parent.path.as_deref() {
        None | Some("") => folder.name.clone(),
        Some(above) => format!("{above}/{}", folder.name),
    };
    let ao_id = match &here {
        Placement::Ao { reference } => bind(tx, drive, bindings, folder, reference, report).await?,
        Placement::Outside | Placement::OnTrack { .. } => None,
        _ => parent.ao_id.clone(),
    };
    let category = document_scope(&here).map(|(_, category)| category.to_owned());
    Ok(Place { placement: Some(here.encode()), path: Some(path), ao_id, category })
}

/// The AO of a folder that carries an AO's name; none when another folder holds the reference.
async fn bind(
    tx: &mut Tx,
    drive: &IndexedDrive,
    bindings: &mut Bindings,
    folder: &DueFolder,
    reference: &str,
    report: &mut Report,
) -> Result<Option<String>, JobError> {
    let key = name_key(reference);
    let binding = placement::bind_ao(
        tx,
        drive.company,
        &drive.drive_id,
        &folder.item_id,
        reference,
        &key,
        &bindings.bound,
    )
    .await?;
    if let Some(displaced) = binding.displaced {
        bindings.bound.remove(&displaced);
        bindings.displaced.push(displaced);
    }
    if binding.ours {
        bindings.bound.insert(folder.item_id.clone());
        return Ok(Some(binding.ao_id));
    }
    bindings.refused.insert(folder.item_id.clone());
    let reason = format!(
        "folder {:?} carries the AO reference {reference:?}, which another folder holds as {}; its files are not \
         documents until one of the two is renamed",
        folder.name, binding.ao_id
    );
    quarantine::put(tx, drive.company, &[entry(drive, &folder.item_id, "duplicate_ao_reference", reason)])
        .await?;
    report.quarantined += 1;
    Ok(None)
}

/// Marks folders that nothing can place as unreachable; returns how many.
async fn set_aside(
    tx: &mut Tx,
    drive: &IndexedDrive,
    seq: i64,
    projected_seq: i64,
    report: &mut Report,
) -> Result<usize, JobError> {
    let stuck = placement::stuck(tx, drive.drive_no, CHUNK).await?;
    // Those without a parent first: what hangs below them can then be placed (as unreachable) the normal way.
    // When only folders with parents are left, they hang on a cycle.
    let orphans: Vec<_> = stuck.iter().filter(|f| f.parent_missing).collect();
    let (code, chosen) =
        if orphans.is_empty() { ("cycle", stuck.iter().collect()) } else { ("missing_parent", orphans) };
    if chosen.is_empty() {
        return Ok(0);
    }
    let rows: Vec<NewQuarantine> = chosen
        .iter()
        .map(|f| {
            let reason = match code {
                "cycle" => format!("folder {:?} is its own ancestor, according to the feed", f.name),
                _ => format!("the parent of folder {:?} was never reported", f.name),
            };
            entry(drive, &f.item_id, code, reason)
        })
        .collect();
    quarantine::put(tx, drive.company, &rows).await?;
    report.quarantined += i64::try_from(rows.len()).unwrap_or(0);
    let places: Vec<_> = chosen.iter().map(|f| (f.item_id.clone(), Place::default())).collect();
    let ids: Vec<_> = chosen.iter().map(|f| f.item_id.clone()).collect();
    placement::place(tx, drive.drive_no, seq, projected_seq, &places, &ids).await?;
    Ok(places.len())
}

fn entry(drive: &IndexedDrive, item: &str, code: &str, reason: String) -> NewQuarantine {
    NewQuarantine {
        source: SOURCE.to_owned(),
        resource_id: drive.drive_id.clone(),
        item_id: item.to_owned(),
        code: code.to_owned(),
        reason,
        raw: None,
    }
}
