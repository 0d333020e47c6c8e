//! Who stands behind the markers of audit records. Names and keys are sealed; whoever reads them here learns nothing.

use std::collections::BTreeSet;

use domain::ids::CompanyId;
use uuid::Uuid;

use super::seal::chain_id;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A person whose key still stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectRow {
    /// Id in markers.
    pub id: Uuid,
    /// Chain of the organization, or that of none.
    pub chain_id: Uuid,
    /// Key that wraps the data key.
    pub key_id: String,
    /// The data key.
    pub wrapped: Vec<u8>,
    /// The sealed name.
    pub name: Vec<u8>,
    /// HMAC of the normalized name.
    pub lookup: Vec<u8>,
}

/// The people of a chain whom these HMACs find.
///
/// # Errors
/// As every statement.
pub async fn find(tx: &mut Tx, company: Option<CompanyId>, lookups: &[Vec<u8>]) -> Result<Vec<SubjectRow>> {
    sqlx::query_as!(
        SubjectRow,
        r#"SELECT id, chain_id AS "chain_id!", key_id AS "key_id!", wrapped AS "wrapped!", name AS "name!",
             lookup AS "lookup!"
         FROM audit_subjects WHERE chain_id = $1 AND lookup = ANY ($2)"#,
        chain_id(company),
        lookups,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for people in audit records")
}

/// Those of these people whose key still stands.
///
/// # Errors
/// As every statement.
pub async fn by_ids(
    tx: &mut Tx,
    company: Option<CompanyId>,
    ids: &BTreeSet<Uuid>,
) -> Result<Vec<SubjectRow>> {
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    sqlx::query_as!(
        SubjectRow,
        r#"SELECT id, chain_id AS "chain_id!", key_id AS "key_id!", wrapped AS "wrapped!", name AS "name!",
             lookup AS "lookup!"
         FROM audit_subjects WHERE chain_id = $1 AND id = ANY ($2) AND erased_at IS NULL"#,
        chain_id(company),
        &ids,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading the people of audit records")
}

/// Adds people to a chain whose head the dispatch transaction has locked.
///
/// # Errors
/// As every statement.
pub async fn add(tx: &mut Tx, company: Option<CompanyId>, people: &[SubjectRow]) -> Result<()> {
    let ids: Vec<Uuid> = people.iter().map(|row| row.id).collect();
    let keys: Vec<String> = people.iter().map(|row| row.key_id.clone()).collect();
    let wrapped: Vec<Vec<u8>> = people.iter().map(|row| row.wrapped.clone()).collect();
    let names: Vec<Vec<u8>> = people.iter().map(|row| row.name.clone()).collect();
    let lookups: Vec<Vec<u8>> = people.iter().map(|row| row.lookup.clone()).collect();
    sqlx::query!(
        "INSERT INTO audit_subjects (company_id, id, key_id, wrapped, name, lookup)
         SELECT $1, r.* FROM unnest($2::uuid[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[]) AS r",
        company.map(CompanyId::uuid),
        &ids,
        &keys,
        &wrapped,
        &names,
        &lookups,
    )
    .execute(tx.conn())
    .await
    .doing("adding people of audit records")
    .map(drop)
}

/// People whose data keys another key than `active` wraps. In a dispatch transaction, which locks them.
///
/// # Errors
/// As every statement.
pub async fn outdated(tx: &mut Tx, active: &str, limit: i64) -> Result<Vec<SubjectRow>> {
    sqlx::query_as!(
        SubjectRow,
        r#"SELECT id, chain_id AS "chain_id!", key_id AS "key_id!", wrapped AS "wrapped!", name AS "name!",
             lookup AS "lookup!"
         FROM audit_subjects WHERE key_id <> $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED"#,
        active,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for people under an older key")
}

/// Writes a person's data key and HMAC anew.
///
/// # Errors
/// As every statement.
pub async fn renew(tx: &mut Tx, row: &SubjectRow) -> Result<()> {
    sqlx::query!(
        "UPDATE audit_subjects SET key_id = $2, wrapped = $3, lookup = $4 WHERE id = $1 AND erased_at IS NULL",
        row.id,
        row.key_id,
        row.wrapped,
        row.lookup,
    )
    .execute(tx.conn())
    .await
    .doing("wrapping the key of a person anew")
    .map(drop)
}

/// Destroys keys and names for good.
///
/// # Errors
/// As every statement.
pub async fn destroy(tx: &mut Tx, company: CompanyId, ids: &[Uuid], erasure: Uuid) -> Result<u64> {
    let done = sqlx::query!(
        "UPDATE audit_subjects SET key_id = NULL, wrapped = NULL, name = NULL, lookup = NULL,
             erased_at = clock_timestamp(), erasure_id = $3
         WHERE company_id = $1 AND id = ANY ($2) AND erased_at IS NULL",
        company.uuid(),
        ids,
        erasure,
    )
    .execute(tx.conn())
    .await
    .doing("destroying the keys of people")?;
    Ok(done.rows_affected())
}
