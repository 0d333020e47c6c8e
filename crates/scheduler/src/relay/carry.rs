//! One transaction of the relay: take, publish, settle. Its time is bounded by the deadlines of its steps.

use broker::{Fate, Outgoing, Publisher};
use chassis::time::deadline;
use chassis::trace::TraceContext;
use contracts::bell::{Bell, encode_all};
use contracts::jobs::Queue;
use store::jobs::{
    LanePick, OutboxRow, WaitingLane, park_unroutable, put_back_bells, remove_bells, take_bells,
    take_from_lanes, waiting_lanes,
};
use store::{Store, StoreError, Tx};

use super::{RelayError, STEP};

/// A returned bell whose queue ought to exist: the topology is declared again meanwhile.
const RETURNED_SECONDS: f64 = 1.0;
/// A bell of a kind that no queue of this build takes; another build may be on its way.
const UNROUTABLE_SECONDS: f64 = 3.0;
/// Returns after which a job of such a kind is parked.
const UNROUTABLE_TIMES: i32 = 3;
/// A bell that the broker could not take (a full queue).
const REFUSED_SECONDS: f64 = 2.0;
/// A bell whose confirm did not come.
const UNKNOWN_SECONDS: f64 = 1.0;

/// What a round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round {
    /// Bells confirmed and removed.
    pub confirmed: usize,
    /// Bells put back.
    pub put_back: usize,
    /// Bells that no queue took.
    pub returned: usize,
    /// Jobs parked because no queue takes their kind.
    pub parked: usize,
}

/// The transaction. Dropped, it rolls back.
pub(super) struct Carry {
    tx: Tx,
}

impl Carry {
    pub(super) async fn begin(store: &Store) -> Result<Self, RelayError> {
        Ok(Self { tx: deadline("beginning to relay", STEP, store.dispatch()).await?? })
    }

    pub(super) async fn take(&mut self, from: i64, limit: i64) -> Result<Vec<OutboxRow>, RelayError> {
        Ok(deadline("taking bells", STEP, take_bells(&mut self.tx, from, limit)).await??)
    }

    pub(super) async fn take_lanes(&mut self, picks: &[LanePick]) -> Result<Vec<OutboxRow>, RelayError> {
        Ok(deadline("taking bells", STEP, take_from_lanes(&mut self.tx, picks)).await??)
    }

    pub(super) async fn waiting(&mut self, from: i64) -> Result<Vec<WaitingLane>, RelayError> {
        Ok(deadline("counting bells", STEP, waiting_lanes(&mut self.tx, from)).await??)
    }

    /// Leaves everything as it was.
    pub(super) async fn release(self) -> Result<(), RelayError> {
        Ok(deadline("letting bells go", STEP, self.tx.rollback()).await??)
    }

    /// Publishes the bells, which this transaction took, in these messages, and settles them.
    pub(super) async fn publish(
        mut self,
        publisher: &Publisher,
        messages: &[Vec<OutboxRow>],
    ) -> Result<Round, RelayError> {
        let outgoing: Vec<Outgoing> = messages.iter().filter_map(|rows| message(rows)).collect();
        let fates = match publisher.publish_batch(&outgoing).await {
            Ok(fates) => fates,
            Err(error) => {
                self.release().await?;
                return Err(error.into());
            }
        };
        let rows: Vec<(&OutboxRow, Fate)> = messages
            .iter()
            .filter(|rows| !rows.is_empty())
            .zip(fates)
            .flat_map(|(rows, fate)| rows.iter().map(move |row| (row, fate)))
            .collect();
        let round = deadline("settling bells", STEP, settle(&mut self.tx, &rows)).await??;
        deadline("settling bells", STEP, self.tx.commit()).await??;
        Ok(round)
    }
}

/// One message for these rows, which have kind and company in common.
fn message(rows: &[OutboxRow]) -> Option<Outgoing> {
    let first = rows.first()?;
    let bell =
        |row: &OutboxRow| Bell { job_id: row.job_id, epoch: row.epoch, company_id: row.company.uuid() };
    let bells: Vec<Bell> = rows.iter().map(bell).collect();
    Some(Outgoing {
        message_id: format!("{}-{}", first.job_id, first.id),
        routing_key: first.routing_key.clone(),
        body: encode_all(&bells),
        // Of several, none speaks for the others; the ledger knows the trace of each.
        trace: if rows.len() == 1 { first.trace.clone() } else { TraceContext::default() },
        company: first.company.uuid(),
    })
}

async fn settle(tx: &mut Tx, rows: &[(&OutboxRow, Fate)]) -> Result<Round, StoreError> {
    let of = |fate: Fate, choose: fn(&OutboxRow) -> bool| -> Vec<i64> {
        let chosen = rows.iter().filter(|(row, f)| *f == fate && choose(row));
        chosen.map(|(row, _)| row.id).collect()
    };
    let confirmed = of(Fate::Confirmed, |_| true);
    if !confirmed.is_empty() {
        remove_bells(tx, &confirmed).await?;
    }
    let hopeless = of(Fate::Returned, |row| unroutable(row) && row.refusals + 1 >= UNROUTABLE_TIMES);
    if !hopeless.is_empty() {
        let jobs = park_unroutable(tx, &hopeless).await?;
        metrics::counter!("jobs_unroutable_total").increment(jobs.len() as u64);
        tracing::error!(?jobs, "no queue takes the kind of these jobs, they are parked");
    }
    for (ids, seconds) in [
        (of(Fate::Returned, |row| !unroutable(row)), RETURNED_SECONDS),
        (
            of(Fate::Returned, |row| unroutable(row) && row.refusals + 1 < UNROUTABLE_TIMES),
            UNROUTABLE_SECONDS,
        ),
        (of(Fate::Refused, |_| true), REFUSED_SECONDS),
        (of(Fate::Unknown, |_| true), UNKNOWN_SECONDS),
    ] {
        if !ids.is_empty() {
            put_back_bells(tx, &ids, seconds).await?;
        }
    }
    Ok(Round {
        confirmed: confirmed.len(),
        put_back: rows.len() - confirmed.len() - hopeless.len(),
        returned: of(Fate::Returned, |_| true).len(),
        parked: hopeless.len(),
    })
}

/// Whether declaring the topology again cannot help.
fn unroutable(row: &OutboxRow) -> bool {
    Queue::of_kind(&row.routing_key).is_none()
}
