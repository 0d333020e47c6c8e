//! The dead-letter archivist: turns each message that no worker could claim into a row.
//!
//! The job behind it, if there is one, is still queued in the ledger. It is rung again with a fresh message,
//! since messages that were fetched together die together when one of them kills the consumer; only after its
//! third message has died is the job a dead letter. The row is what an operator sees of the message.

use std::time::Duration;

use broker::Delivery;
use chassis::time::deadline;
use chassis::wait::until_up;
use contracts::bell::decode_all;
use domain::ids::CompanyId;
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::jobs::{AfterDeath, DeadMessage, after_death, archive_broker_dead_letter, still_waiting};
use store::{Store, StoreError};
use uuid::Uuid;

use crate::Parts;

/// Messages held at a time.
const PREFETCH: u16 = 16;
/// Deadline of writing one row.
const WRITE: Duration = Duration::from_secs(15);
/// Largest body that is kept whole; a bell has about 150 bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Messages of a job that may die before it is a dead letter.
const MAX_DEATHS: i64 = 3;
/// Longest reason.
const MAX_REASON: usize = 200;

/// Archives until the process drains.
pub(crate) async fn run(parts: Parts) {
    if store::watch::until_ready(&parts.store, &parts.database, &parts.shutdown).await.is_none() {
        return;
    }
    let mut consumer = parts.broker.dead_letters(PREFETCH);
    while let Some(delivery) = consumer.next().await {
        if !keep(&parts, &delivery).await {
            break;
        }
        delivery.ack().await;
    }
    consumer.pause().await;
}

/// Writes the row, however long the database is away; false when the process drains first. The message is
/// not acknowledged then and comes again.
async fn keep(parts: &Parts, delivery: &Delivery) -> bool {
    loop {
        let error = match deadline("archiving a message", WRITE, archive(&parts.store, delivery)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => chassis::telemetry::chain(&error),
            Err(elapsed) => elapsed.to_string(),
        };
        tracing::error!(error, "a dead message cannot be archived yet");
        let store = &parts.store;
        let up =
            until_up("database", &parts.database, &parts.shutdown, async || archive(store, delivery).await)
                .await;
        if up.is_some() || parts.shutdown.has_begun() {
            return up.is_some();
        }
    }
}

async fn archive(store: &Store, delivery: &Delivery) -> Result<(), StoreError> {
    let headers = delivery.headers();
    let reason = reason(&headers);
    let mut bells = decode_all(delivery.body()).unwrap_or_default();
    let mut tx = store.dispatch().await?;
    if bells.len() > 1 {
        // A row for each job that it leaves waiting; the others were claimed.
        let waiting: Vec<(Uuid, i64)> = bells.iter().map(|bell| (bell.job_id, bell.epoch)).collect();
        let waiting = still_waiting(&mut tx, &waiting).await?;
        bells.sort_by_key(|bell| !waiting.contains(&bell.job_id));
        bells.truncate(waiting.len().max(1));
    }
    let mut after = Vec::with_capacity(bells.len().max(1));
    for bell in bells.iter().map(Some).chain(bells.is_empty().then_some(None)) {
        let company = bell
            .map(|bell| bell.company_id)
            .or_else(|| headers.get("company_id").and_then(Value::as_str).and_then(|text| text.parse().ok()));
        let message = DeadMessage {
            id: row_id(delivery, &headers, bell.map(|bell| bell.job_id)),
            company,
            job: bell.map(|bell| bell.job_id),
            routing_key: delivery.routing_key().to_owned(),
            reason: reason.clone(),
            headers: headers.clone(),
            body: delivery.body()[..delivery.body().len().min(MAX_BODY)].to_vec(),
        };
        let new = archive_broker_dead_letter(&mut tx, &message).await?;
        after.push(match bell {
            Some(bell) if new => {
                after_death(&mut tx, CompanyId(bell.company_id), bell.job_id, bell.epoch, MAX_DEATHS).await?
            }
            _ => AfterDeath::Nothing,
        });
    }
    tx.commit().await?;
    for after in &after {
        let followed = match after {
            AfterDeath::RungAgain => "rung_again",
            AfterDeath::Buried => "buried",
            AfterDeath::Nothing => "nothing",
        };
        metrics::counter!("bells_died_total", "followed" => followed).increment(1);
    }
    metrics::counter!("broker_dead_letters_total", "reason" => label(&reason)).increment(1);
    tracing::warn!(
        routing_key = delivery.routing_key(),
        reason,
        jobs = ?bells.iter().map(|bell| bell.job_id).collect::<Vec<_>>(),
        followed = ?after,
        "a message that no worker could claim was archived"
    );
    Ok(())
}

/// Why the broker put it there, from the newest `x-death` entry.
fn reason(headers: &Value) -> String {
    let reason = headers["x-death"][0]["reason"].as_str().unwrap_or("unknown");
    reason.chars().take(MAX_REASON).collect()
}

/// The reasons that RabbitMQ has.
fn label(reason: &str) -> &'static str {
    match reason {
        "rejected" => "rejected",
        "expired" => "expired",
        "maxlen" => "maxlen",
        "delivery_limit" => "delivery_limit",
        _ => "other",
    }
}

/// The same message dead-lettered once is one row, even when it is delivered to us twice. One without an id
/// cannot be told from its like and gets a row each time. One that rang for several jobs has a row for each.
fn row_id(delivery: &Delivery, headers: &Value, job: Option<Uuid>) -> Uuid {
    let Some(message) = delivery.message_id() else { return chassis::ids::new_id() };
    let mut hash = Sha256::new();
    hash.update(message);
    hash.update(headers["x-death"].to_string());
    hash.update(delivery.body());
    hash.update(job.unwrap_or_default());
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_reason_is_the_newest_death() {
        let headers = json!({ "x-death": [{ "reason": "rejected" }, { "reason": "expired" }] });
        assert_eq!(reason(&headers), "rejected");
        assert_eq!(reason(&json!({})), "unknown");
        assert_eq!((label("maxlen"), label("made up")), ("maxlen", "other"));
    }
}
