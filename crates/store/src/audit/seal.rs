//! Sealing: rows that were written take their place in the chain of their organization.

use chrono::{DateTime, Utc};
use domain::audit::{ChainKey, Frontier, Hash, Record, link, merkle};
use domain::ids::CompanyId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Doing, Result, StoreError};
use crate::pool::Tx;

/// A chain that has rows to seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Whose; `None` for what belongs to no organization.
    pub company: Option<CompanyId>,
    /// When its oldest unsealed row was written.
    pub oldest: DateTime<Utc>,
}

/// The chains with rows to seal, longest waiting first. In a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn waiting(tx: &mut Tx, limit: i64) -> Result<Vec<Waiting>> {
    let rows = sqlx::query!(
        r#"SELECT company_id, min(occurred_at) AS "oldest!" FROM audit_events WHERE sequence IS NULL
           GROUP BY company_id ORDER BY 2 LIMIT $1"#,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for actions to seal")?;
    let waiting = |company: Option<Uuid>, oldest| Waiting { company: company.map(CompanyId), oldest };
    Ok(rows.into_iter().map(|row| waiting(row.company_id, row.oldest)).collect())
}

/// The head of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Hash of the last record.
    pub hash: Hash,
    /// The tree over all records.
    pub frontier: Frontier,
    /// Number of the newest checkpoint, 0 before the first.
    pub checkpoint: i64,
    /// When that was signed.
    pub checkpoint_at: Option<DateTime<Utc>>,
    /// Newest checkpoint that was published.
    pub published: i64,
}

/// The chain of an organization, or that of none.
pub(super) fn chain_id(company: Option<CompanyId>) -> Uuid {
    company.map_or(Uuid::nil(), CompanyId::uuid)
}

/// Locks the head of a chain until the transaction ends; makes the chain when it is not there. In a dispatch
/// transaction.
///
/// # Errors
/// As every statement; `Malformed` when the stored tree cannot be one.
pub async fn lock(tx: &mut Tx, company: Option<CompanyId>) -> Result<Head> {
    sqlx::query!(
        "INSERT INTO audit_chains (chain_id, company_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        chain_id(company),
        company.map(CompanyId::uuid),
    )
    .execute(tx.conn())
    .await
    .doing("making a chain")?;
    let row = sqlx::query_as!(
        HeadRow,
        "SELECT size, hash, frontier, checkpoint, checkpoint_at, published FROM audit_chains WHERE chain_id = $1
         FOR UPDATE",
        chain_id(company),
    )
    .fetch_one(tx.conn())
    .await
    .doing("locking a chain")?;
    row.head()
}

/// The head of a chain; `None` before its first record. In a tenant's or a dispatch transaction.
///
/// # Errors
/// As [`lock`].
pub async fn head(tx: &mut Tx, company: Option<CompanyId>) -> Result<Option<Head>> {
    let row = sqlx::query_as!(
        HeadRow,
        "SELECT size, hash, frontier, checkpoint, checkpoint_at, published FROM audit_chains WHERE chain_id = $1",
        chain_id(company),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading the head of a chain")?;
    row.map(HeadRow::head).transpose()
}

struct HeadRow {
    size: i64,
    hash: Vec<u8>,
    frontier: Vec<u8>,
    checkpoint: i64,
    checkpoint_at: Option<DateTime<Utc>>,
    published: i64,
}

impl HeadRow {
    fn head(self) -> Result<Head> {
        let malformed = || StoreError::Malformed {
            what: "audit_chains.frontier",
            value: format!("of {} records", self.size),
        };
        let subtrees: Option<Vec<Hash>> = self.frontier.chunks(32).map(Hash::from_slice).collect();
        let size = u64::try_from(self.size).map_err(|_| malformed())?;
        let frontier =
            subtrees.and_then(|subtrees| Frontier::from_parts(size, subtrees)).ok_or_else(malformed)?;
        let hash = Hash::from_slice(&self.hash).ok_or_else(malformed)?;
        let (checkpoint, checkpoint_at, published) = (self.checkpoint, self.checkpoint_at, self.published);
        Ok(Head { hash, frontier, checkpoint, checkpoint_at, published })
    }
}

/// Up to `limit` of the chain's rows that are not sealed, in the order in which they were written, as records that
/// follow `size` others. In the dispatch transaction that has locked the head.
///
/// # Errors
/// As every statement.
pub async fn unsealed(
    tx: &mut Tx,
    company: Option<CompanyId>,
    (size, key_id): (u64, &str),
    limit: i64,
) -> Result<Vec<Record>> {
    let rows = sqlx::query!(
        "SELECT id, company_id, occurred_at, actor, role, address, action, resource, reason, request_id, trace_id,
             job_id, changes, details
         FROM audit_events WHERE chain_id = $1 AND sequence IS NULL ORDER BY occurred_at, id LIMIT $2",
        chain_id(company),
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading actions to seal")?;
    let records = rows.into_iter().zip(size + 1..).map(|(row, sequence)| Record {
        id: row.id,
        company_id: row.company_id,
        sequence,
        key_id: key_id.to_owned(),
        occurred_at: row.occurred_at,
        actor: row.actor,
        role: row.role,
        address: row.address,
        action: row.action,
        resource: row.resource,
        reason: row.reason,
        request_id: row.request_id,
        trace_id: row.trace_id,
        job_id: row.job_id,
        changes: row.changes,
        details: row.details,
    });
    Ok(records.collect())
}

/// Seals records after the head: `(as it was written, as it is sealed)`; how many. In the dispatch transaction that
/// has locked the head and read them.
///
/// # Errors
/// As every statement.
pub async fn seal(
    tx: &mut Tx,
    company: Option<CompanyId>,
    mut head: Head,
    (key_id, key): (&str, &ChainKey),
    records: &[(Record, Record)],
) -> Result<usize> {
    if records.is_empty() {
        return Ok(0);
    }
    let from = i64::try_from(head.frontier.size()).unwrap_or(i64::MAX);
    let (mut ids, mut times, mut hashes, mut concealed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (written, record) in records {
        let bytes = record.canonical();
        head.hash = link(key, &head.hash, record.sequence, &bytes);
        head.frontier.push(merkle::leaf_hash(&bytes));
        ids.push(record.id);
        times.push(record.occurred_at);
        hashes.push(head.hash.0.to_vec());
        concealed.push(differing(written, record));
    }
    sqlx::query_scalar!(
        "SELECT seal_audit_events($1, $2, $3, $4, $5, $6, $7)",
        chain_id(company),
        from,
        &ids,
        &times,
        &hashes,
        key_id,
        &concealed as &[Option<Value>],
    )
    .fetch_one(tx.conn())
    .await
    .doing("sealing actions")?;
    let subtrees: Vec<u8> = head.frontier.subtrees().iter().flat_map(|hash| hash.0).collect();
    sqlx::query!(
        "UPDATE audit_chains SET size = $2, hash = $3, frontier = $4, updated_at = clock_timestamp()
         WHERE chain_id = $1",
        chain_id(company),
        i64::try_from(head.frontier.size()).unwrap_or(i64::MAX),
        head.hash.0.as_slice(),
        subtrees,
    )
    .execute(tx.conn())
    .await
    .doing("moving the head of a chain")?;
    Ok(ids.len())
}

/// The members that sealing replaces; `None` when it replaces none.
fn differing(written: &Record, sealed: &Record) -> Option<Value> {
    let mut found = serde_json::Map::new();
    let mut put = |name: &str, differs: bool, value: Value| {
        if differs {
            found.insert(name.to_owned(), value);
        }
    };
    put("actor", written.actor != sealed.actor, json!(sealed.actor));
    put("address", written.address != sealed.address, json!(sealed.address));
    put("resource", written.resource != sealed.resource, json!(sealed.resource));
    put("reason", written.reason != sealed.reason, json!(sealed.reason));
    put("changes", written.changes != sealed.changes, json!(sealed.changes));
    put("details", written.details != sealed.details, sealed.details.clone());
    (!found.is_empty()).then_some(Value::Object(found))
}

/// Makes the next monthly partition that is missing; its name. In a dispatch transaction of its own.
///
/// # Errors
/// As every statement; a lock that is not had within 300 ms is an error that trying again may mend.
pub async fn extend(tx: &mut Tx, months: i32) -> Result<Option<String>> {
    sqlx::query_scalar!("SELECT extend_audit_events($1)", months)
        .fetch_one(tx.conn())
        .await
        .doing("making a partition of audit records")
}

/// Drops the oldest monthly partition that has no record any more; its name. In a dispatch transaction of its own.
///
/// # Errors
/// As [`extend`].
pub async fn drop_empty(tx: &mut Tx) -> Result<Option<String>> {
    sqlx::query_scalar!("SELECT drop_empty_audit_events()")
        .fetch_one(tx.conn())
        .await
        .doing("dropping an empty partition of audit records")
}
