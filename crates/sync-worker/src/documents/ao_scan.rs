//! Reads the folders of one AO directly, categories in parallel, and reconciles by set difference.

use std::collections::{BTreeMap, HashSet};

use domain::drive::{ItemChange, ItemKind, fold_page};
use domain::taxonomy::Taxonomy;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use job_runtime::JobError;
use store::aos::Ao;
use store::drive_index::{self, IndexedDrive, items};

use super::report::Report;
use crate::connector::{Caller, Connector, Folder, ItemPage};
use crate::fault::ProviderError;
use crate::steps::Steps;

/// Folders read at the same time.
const PARALLEL: usize = 4;
/// Most items of one AO; the runbook calls 500 a category unusual.
const MAX_ITEMS: usize = 200_000;
/// Missing items looked up at the same time.
const LOOKUPS: usize = 4;

/// Brings the index of one AO's folders up to date. Pages are stored as they come; an item that is in the
/// index and not in any page is looked up before it is tombstoned, since paging while people write may skip
/// some (driveitem-list-children, Graph v1.0).
///
/// # Errors
/// [`JobError`] with the provider's or the database's reason.
pub async fn scan(
    steps: &mut Steps,
    connector: &Connector,
    by: &Caller,
    drive: &IndexedDrive,
    ao: &Ao,
    taxonomy: &Taxonomy,
    report: &mut Report,
) -> Result<(), JobError> {
    let Some(folder) = track(steps, connector, by, drive, ao, taxonomy, report).await? else {
        return folder_is_gone(steps, connector, by, drive, ao, report).await;
    };
    let mut seen = HashSet::new();
    let mut running = FuturesUnordered::new();
    let mut waiting = vec![Folder::Id(folder.clone())];
    loop {
        while running.len() < PARALLEL {
            let Some(next) = waiting.pop() else { break };
            running.push(connector_page(connector, by, drive, next));
        }
        let Some(page) = running.next().await else { break };
        report.provider_calls += 1;
        let Some(page) = page? else { continue };
        for item in &page.items {
            if seen.insert(item.id.as_str().to_owned()) && item.kind.holds_items() {
                waiting.push(Folder::Id(item.id.as_str().to_owned()));
            }
        }
        waiting.extend(page.next_link.clone().map(Folder::Link));
        if seen.len() > MAX_ITEMS {
            return Err(JobError::fail(
                "ao_too_large",
                format!("AO {} has more than {MAX_ITEMS} items", ao.id),
            ));
        }
        store_page(steps, drive, page, report).await?;
    }
    drop(running);
    difference(steps, connector, by, drive, &folder, &seen, report).await
}

async fn connector_page(
    connector: &Connector,
    by: &Caller,
    drive: &IndexedDrive,
    folder: Folder,
) -> Result<Option<ItemPage>, ProviderError> {
    connector.children(by, &drive.drive_id, &folder).await
}

/// Stores the folders from the root to the AO's own, so that what lies below has a place; `None` when one of
/// them does not exist.
async fn track(
    steps: &mut Steps,
    connector: &Connector,
    by: &Caller,
    drive: &IndexedDrive,
    ao: &Ao,
    taxonomy: &Taxonomy,
    report: &mut Report,
) -> Result<Option<String>, JobError> {
    let known = connector.drive(by, &drive.drive_id).await?;
    let Some(root) = connector.item(by, &drive.drive_id, &known.root_item_id).await? else {
        return Err(JobError::retry("no_root", format!("drive {} has no root item", drive.drive_id)));
    };
    report.provider_calls += 2;
    let mut chain = vec![ItemChange { kind: ItemKind::Root, ..root }];
    let segments = taxonomy.folder_path_for(&ao.reference, None);
    for depth in 1..=segments.len() {
        report.provider_calls += 1;
        match connector.item_at(by, &drive.drive_id, &segments[..depth].join("/")).await? {
            Some(item) => chain.push(item),
            None => return Ok(None),
        }
    }
    let folder = chain.last().map(|item| item.id.as_str().to_owned());
    store_page(steps, drive, ItemPage { items: chain, ..ItemPage::default() }, report).await?;
    Ok(folder)
}

async fn store_page(
    steps: &mut Steps,
    drive: &IndexedDrive,
    page: ItemPage,
    report: &mut Report,
) -> Result<(), JobError> {
    let folded = fold_page(page.items);
    let count = i64::try_from(folded.len()).unwrap_or(i64::MAX);
    let mut tx = steps.begin().await?;
    let seq = drive_index::next_seq(&mut tx, drive.drive_no).await?;
    // Below the generation of any enumeration in progress: a scan must not vouch for an item that is deleted
    // before that enumeration gets to it.
    items::apply_page(&mut tx, drive, drive.generation - 1, seq, &folded, &BTreeMap::new()).await?;
    report.quarantined += super::round::set_aside(&mut tx, drive, &folded, &page.poison).await?;
    report.items += count;
    steps.end_with_progress(tx, count, None).await
}

/// Looks up what the index holds below the AO's folder and the scan did not see.
async fn difference(
    steps: &mut Steps,
    connector: &Connector,
    by: &Caller,
    drive: &IndexedDrive,
    folder: &str,
    seen: &HashSet<String>,
    report: &mut Report,
) -> Result<(), JobError> {
    let mut tx = steps.begin().await?;
    let limit = i64::try_from(MAX_ITEMS).unwrap_or(i64::MAX);
    let stored = items::ids_below(&mut tx, drive.drive_no, folder, limit).await?;
    steps.end(tx).await?;
    let missing: Vec<String> = stored.into_iter().filter(|id| !seen.contains(id)).collect();
    settle(steps, connector, by, drive, missing, report).await
}

/// The AO's folder is not where it was: look its stored items up, each may be gone or elsewhere.
async fn folder_is_gone(
    steps: &mut Steps,
    connector: &Connector,
    by: &Caller,
    drive: &IndexedDrive,
    ao: &Ao,
    report: &mut Report,
) -> Result<(), JobError> {
    match &ao.folder_item_id {
        Some(folder) => settle(steps, connector, by, drive, vec![folder.clone()], report).await,
        None => Ok(()),
    }
}

/// Asks the provider about each item: what exists is stored as it is now, what does not is tombstoned.
async fn settle(
    steps: &mut Steps,
    connector: &Connector,
    by: &Caller,
    drive: &IndexedDrive,
    ids: Vec<String>,
    report: &mut Report,
) -> Result<(), JobError> {
    let mut lookups = futures::stream::iter(ids)
        .map(|id| async move { connector.item(by, &drive.drive_id, &id).await.map(|item| (id, item)) })
        .buffer_unordered(LOOKUPS);
    let mut outcome = Vec::new();
    while let Some(found) = lookups.next().await {
        report.provider_calls += 1;
        let (id, item) = found?;
        outcome.push(item.unwrap_or_else(|| ItemChange::tombstone(id)));
        if outcome.len() >= 200 {
            store_page(
                steps,
                drive,
                ItemPage { items: std::mem::take(&mut outcome), ..ItemPage::default() },
                report,
            )
            .await?;
        }
    }
    if outcome.is_empty() {
        return Ok(());
    }
    store_page(steps, drive, ItemPage { items: outcome, ..ItemPage::default() }, report).await
}
