//! One delta round: pages are fetched ahead, stored in order, and the walk moves with them.

use std::pin::Pin;
use std::time::Duration;

use domain::drive::{ItemChange, PageFacts, Walk, WalkError, WalkMode, WalkStep, fold_page};
use domain::ids::ItemId;
use domain::taxonomy::Taxonomy;
use job_runtime::JobError;
use serde::{Deserialize, Serialize};
use store::drive_index::{self, IndexedDrive, cursor, items, placement};
use store::quarantine::{self, NewQuarantine};
use tokio::sync::mpsc;

use super::early::place_new;
use super::project::{Options, project};
use super::report::{Report, SOURCE};
use crate::connector::{Caller, Connector, ItemPage};
use crate::fault::ProviderError;
use crate::steps::Steps;
use contracts::graph::v1::FaultKind;

/// Pages fetched ahead of those being stored.
const AHEAD: usize = 20;
/// Items of a first enumeration after which its documents are brought up to date in between.
const EARLY_ITEMS: i64 = 20_000;
/// Rows that one statement of the set difference tombstones.
const SWEEP: i64 = 5_000;
/// A projection in the middle of the first enumeration: it adds and settles nothing.
const EARLY: Options = Options { settle: false, approved: None };
/// Pause before the same page is asked for again within an attempt.
const PAUSE: Duration = Duration::from_secs(2);

/// The stored state of a round.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Round {
    walk: Walk,
    /// The last page is stored and this is its delta link; the set difference may be unfinished.
    #[serde(default)]
    delta_link: Option<String>,
}

/// How a round reads its drive.
#[derive(Debug, Clone, Copy)]
pub struct RoundOptions<'a> {
    /// Enumerate everything, whatever links are stored.
    pub full: bool,
    /// Most items stored in one transaction.
    pub batch_items: usize,
    /// For the documents that appear while the first enumeration goes on.
    pub taxonomy: &'a Taxonomy,
}

/// Reads the drive's feed to its end into the index.
///
/// # Errors
/// [`JobError`] with the provider's or the database's reason; everything stored so far stays.
pub async fn read(
    steps: &mut Steps,
    connector: &Connector,
    by: &Caller,
    drive: &IndexedDrive,
    options: RoundOptions<'_>,
    report: &mut Report,
) -> Result<(), JobError> {
    let mut round = begin(steps, drive, options).await?;
    if round.delta_link.is_none() {
        walk_pages(steps, connector, by, drive, options, report, &mut round).await?;
    }
    report.full = round.walk.is_full();
    finish(steps, drive, &round).await
}

async fn begin(
    steps: &mut Steps,
    drive: &IndexedDrive,
    options: RoundOptions<'_>,
) -> Result<Round, JobError> {
    let full = options.full;
    let mut tx = steps.begin().await?;
    if !drive.indexed {
        // Folders are placed from the first page on; a drive with places of another taxonomy keeps its mark.
        drive_index::adopt_taxonomy(&mut tx, drive.drive_no, &options.taxonomy.fingerprint()).await?;
    }
    let stored = cursor::load(&mut tx, drive).await?;
    let resumed = stored.walk.and_then(|walk| serde_json::from_value::<Round>(walk).ok()).filter(|round| {
        // A forced run only continues an enumeration that it began itself.
        !full
            || steps.job().stored_checkpoint_as::<i64>().is_some_and(|began| round.walk.generation() >= began)
    });
    let round = if let Some(round) = resumed {
        round
    } else {
        let generation = drive_index::begin_generation(&mut tx, drive.drive_no).await?;
        let mode = if full { WalkMode::Full } else { WalkMode::Delta };
        let walk = Walk::begin(stored.delta_link.map(Into::into), mode, generation);
        let round = Round { walk, delta_link: None };
        cursor::save_walk(&mut tx, drive, &as_json(&round)?).await?;
        round
    };
    let began = full.then(|| round.walk.generation().into());
    steps.end_with_progress(tx, 0, began.as_ref()).await?;
    Ok(round)
}

async fn walk_pages(
    steps: &mut Steps,
    connector: &Connector,
    by: &Caller,
    drive: &IndexedDrive,
    options: RoundOptions<'_>,
    report: &mut Report,
    round: &mut Round,
) -> Result<(), JobError> {
    let mut projected = 0;
    'fetcher: loop {
        let (sender, mut pages) = mpsc::channel(AHEAD);
        let fetch = fetch_ahead(connector, by, &drive.drive_id, round.walk.clone(), sender);
        tokio::pin!(fetch);
        let mut fetching = true;
        loop {
            let first = tokio::select! {
                biased;
                page = pages.recv() => page,
                () = &mut fetch, if fetching => { fetching = false; continue; }
            };
            let Some(first) = first else { continue 'fetcher };
            let batch = gather(first, &mut pages, options.batch_items);
            let store = store_batch(steps, drive, options.taxonomy, round, batch, report);
            let step = alongside(store, fetch.as_mut(), &mut fetching).await?;
            match step {
                WalkStep::Continue => {
                    let due = report.items - projected >= EARLY_ITEMS;
                    if due && !drive.indexed && !steps.is_dry_run() {
                        projected = report.items;
                        let early = project(steps, drive, options.taxonomy, EARLY, report);
                        alongside(early, fetch.as_mut(), &mut fetching).await?;
                    }
                }
                WalkStep::Complete { .. } => return Ok(()),
                WalkStep::Restart(reason) => {
                    tracing::warn!(drive = %drive.drive_id, %reason, "the round begins again");
                    ::metrics::counter!("drive_round_restarts_total").increment(1);
                    continue 'fetcher;
                }
                WalkStep::RetryLater => {
                    chassis::time::pause(PAUSE).await;
                    continue 'fetcher;
                }
                WalkStep::Abort(reason) => {
                    forget(steps, drive).await?;
                    return Err(JobError::retry(
                        "round_aborted",
                        format!("the round was given up: {reason}"),
                    ));
                }
            }
        }
    }
}

/// Does the work while the fetching goes on.
async fn alongside<T>(
    work: impl Future<Output = T>,
    mut fetch: Pin<&mut impl Future<Output = ()>>,
    fetching: &mut bool,
) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = fetch.as_mut(), if *fetching => *fetching = false,
        }
    }
}

/// A page, or why there is none.
type Fetched = Result<ItemPage, ProviderError>;

/// Follows the links on its own, a few pages ahead; stops at the end of the round and at the first error.
async fn fetch_ahead(
    connector: &Connector,
    by: &Caller,
    drive: &str,
    walk: Walk,
    sender: mpsc::Sender<Fetched>,
) {
    let mut request = walk.next_request().clone();
    loop {
        let fetched = connector.delta_page(by, drive, &request).await;
        let next = fetched.as_ref().ok().and_then(|page| page.next_link.clone());
        if sender.send(fetched).await.is_err() {
            return;
        }
        match next {
            Some(link) => request = domain::drive::WalkRequest::Follow { link },
            None => return,
        }
    }
}

/// The first page and those that have arrived behind it, up to the limit.
fn gather(first: Fetched, pages: &mut mpsc::Receiver<Fetched>, limit: usize) -> Vec<Fetched> {
    let mut items = first.as_ref().map_or(0, |page| page.items.len());
    let mut batch = vec![first];
    while items < limit && batch.last().is_some_and(Result::is_ok) {
        let Ok(page) = pages.try_recv() else { break };
        items += page.as_ref().map_or(0, |page| page.items.len());
        batch.push(page);
    }
    batch
}

/// Stores pages and the walk behind them in one transaction, then acts on an error that ended them.
async fn store_batch(
    steps: &mut Steps,
    drive: &IndexedDrive,
    taxonomy: &Taxonomy,
    round: &mut Round,
    batch: Vec<Fetched>,
    report: &mut Report,
) -> Result<WalkStep, JobError> {
    let mut step = WalkStep::Continue;
    let mut failure = None;
    let mut facts = Vec::new();
    let mut read: Vec<ItemChange> = Vec::new();
    let mut poison = Vec::new();
    for fetched in batch {
        report.provider_calls += 1;
        match fetched {
            Ok(page) => {
                facts.push((page.next_link, page.delta_link, page.items.len() + page.poison.len()));
                read.extend(page.items);
                poison.extend(page.poison);
            }
            Err(error) => failure = Some(error),
        }
    }
    if !facts.is_empty() {
        report.newest_change = report.newest_change.max(read.iter().filter_map(|i| i.modified_at).max());
        let folded = fold_page(read);
        let count = i64::try_from(folded.len()).unwrap_or(i64::MAX);
        let mut tx = steps.begin().await?;
        let seq = drive_index::next_seq(&mut tx, drive.drive_no).await?;
        let early = place_new(&mut tx, drive, taxonomy, &folded, report).await?;
        let effect =
            items::apply_page(&mut tx, drive, round.walk.generation(), seq, &folded, &early.places).await?;
        if !early.displaced.is_empty() {
            placement::restamp(&mut tx, drive.drive_no, seq, &early.displaced).await?;
        }
        report.quarantined += set_aside(&mut tx, drive, &folded, &poison).await?;
        let novel = effect.written + effect.tombstoned;
        for (next_link, delta_link, items) in facts {
            let novel_items = if items == 0 { 0 } else { novel };
            step = round.walk.on_page(PageFacts { next_link, delta_link, novel_items });
            if !matches!(step, WalkStep::Continue) {
                break;
            }
        }
        if let WalkStep::Complete { delta_link, .. } = &step {
            round.delta_link = Some(delta_link.as_str().to_owned());
        }
        cursor::save_walk(&mut tx, drive, &as_json(round)?).await?;
        report.items += count;
        steps.end_with_progress(tx, count, None).await?;
    }
    match failure {
        Some(error) if matches!(step, WalkStep::Continue) => on_failure(steps, drive, round, error).await,
        _ => Ok(step),
    }
}

async fn on_failure(
    steps: &mut Steps,
    drive: &IndexedDrive,
    round: &mut Round,
    error: ProviderError,
) -> Result<WalkStep, JobError> {
    let fault = &error.0;
    let walk_error = match fault.kind() {
        FaultKind::Resync => WalkError::Gone {
            instruction: (!fault.resync_instruction.is_empty()).then(|| fault.resync_instruction.clone()),
            location: (!fault.resync_location.is_empty()).then(|| fault.resync_location.clone().into()),
        },
        FaultKind::NotFound => WalkError::NotFound,
        FaultKind::BadLink => WalkError::BadLink,
        FaultKind::TryLater => WalkError::CannotSnapshot,
        FaultKind::Unavailable => WalkError::Server,
        // Throttling, an open breaker, a missing permission: not the walk's affair.
        _ => return Err(error.into()),
    };
    let step = round.walk.on_error(walk_error);
    let mut tx = steps.begin().await?;
    drive_index::raise_generation(&mut tx, drive.drive_no, round.walk.generation()).await?;
    cursor::save_walk(&mut tx, drive, &as_json(round)?).await?;
    steps.end(tx).await?;
    if let WalkStep::Abort(reason) = &step {
        forget(steps, drive).await?;
        let message = format!("the round was given up: {reason}");
        return Err(JobError::retry("round_aborted", message).because(error));
    }
    Ok(step)
}

/// Forgets the round in progress; the cursor of the last complete one stays.
async fn forget(steps: &mut Steps, drive: &IndexedDrive) -> Result<(), JobError> {
    let mut tx = steps.begin().await?;
    cursor::forget_walk(&mut tx, drive).await?;
    steps.end(tx).await
}

/// Quarantines what could not be read, and releases what now could.
pub(super) async fn set_aside(
    tx: &mut store::Tx,
    drive: &IndexedDrive,
    read: &[ItemChange],
    poison: &[contracts::graph::v1::PoisonItem],
) -> Result<i64, JobError> {
    if !poison.is_empty() {
        let rows: Vec<NewQuarantine> = poison
            .iter()
            .map(|p| NewQuarantine {
                source: SOURCE.to_owned(),
                resource_id: drive.drive_id.clone(),
                item_id: p.item_id.clone(),
                code: "poison".to_owned(),
                reason: p.reason.clone(),
                raw: Some(p.raw_json.clone()),
            })
            .collect();
        quarantine::put(tx, drive.company, &rows).await?;
        ::metrics::counter!("sync_quarantined_total", "source" => SOURCE)
            .increment(u64::try_from(poison.len()).unwrap_or(0));
    }
    if drive.indexed {
        let ids: Vec<String> = read.iter().map(|item| ItemId::as_str(&item.id).to_owned()).collect();
        quarantine::resolve(tx, drive.company, SOURCE, &drive.drive_id, &ids, Some("poison")).await?;
    }
    Ok(i64::try_from(poison.len()).unwrap_or(i64::MAX))
}

/// The set difference of a complete enumeration, then the new cursor.
async fn finish(steps: &mut Steps, drive: &IndexedDrive, round: &Round) -> Result<(), JobError> {
    let Some(delta_link) = &round.delta_link else {
        return Err(JobError::fail("round_unfinished", "the round ended without a delta link"));
    };
    if round.walk.is_full() {
        loop {
            let mut tx = steps.begin().await?;
            let seq = drive_index::next_seq(&mut tx, drive.drive_no).await?;
            let gone =
                items::tombstone_unseen(&mut tx, drive.drive_no, round.walk.generation(), seq, SWEEP).await?;
            steps.end(tx).await?;
            if gone == 0 {
                break;
            }
        }
    }
    let mut tx = steps.begin().await?;
    cursor::complete(&mut tx, drive, delta_link).await?;
    drive_index::round_ended(&mut tx, drive.drive_no, round.walk.is_full()).await?;
    steps.end(tx).await
}

fn as_json(round: &Round) -> Result<serde_json::Value, JobError> {
    serde_json::to_value(round).map_err(|e| JobError::fail("walk", "the walk cannot be stored").because(e))
}
