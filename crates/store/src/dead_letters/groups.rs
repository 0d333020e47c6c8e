//! Dead jobs by cause.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;

use super::DeadFilter;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Most groups that are answered.
const MOST: i64 = 200;

/// Dead jobs with one error fingerprint.
#[derive(Debug, Clone)]
pub struct Group {
    /// Fingerprint; `None` for jobs that have none.
    pub fingerprint: Option<String>,
    /// How many.
    pub count: i64,
    /// Their kinds.
    pub kinds: Vec<String>,
    /// When the first of them failed for the first time.
    pub first_seen: Option<DateTime<Utc>>,
    /// When the last of them was given up.
    pub last_seen: Option<DateTime<Utc>>,
    /// Newest error of the newest of them.
    pub example: Option<Value>,
}

/// Dead jobs of the company by error fingerprint, the largest group first; at most 200 groups.
///
/// # Errors
/// As every statement.
pub async fn groups(tx: &mut Tx, company: CompanyId, filter: &DeadFilter) -> Result<Vec<Group>> {
    sqlx::query_as!(
        Group,
        r#"WITH grouped AS (
            SELECT error_fingerprint, count(*) AS number, array_agg(DISTINCT kind) AS kinds,
                min(first_failed_at) AS first_seen, max(finished_at) AS last_seen
            FROM jobs_dead
            WHERE company_id = $1 AND ($2::text IS NULL OR kind = $2)
                AND ($3::timestamptz IS NULL OR finished_at >= $3)
                AND ($4::text IS NULL OR error_fingerprint = $4 OR errors -> -1 ->> 'code' = $4
                    OR position(lower($4) IN lower(errors -> -1 ->> 'message')) > 0)
            GROUP BY error_fingerprint ORDER BY count(*) DESC, max(finished_at) DESC LIMIT $5
        )
        SELECT g.error_fingerprint AS fingerprint, g.number AS "count!", g.kinds AS "kinds!", g.first_seen,
            g.last_seen, newest.error AS "example?"
        FROM grouped g LEFT JOIN LATERAL (
            SELECT d.errors -> -1 AS error FROM jobs_dead d
            WHERE d.company_id = $1 AND d.error_fingerprint IS NOT DISTINCT FROM g.error_fingerprint
                AND d.finished_at = g.last_seen LIMIT 1
        ) newest ON true
        ORDER BY g.number DESC, g.last_seen DESC"#,
        company.uuid(),
        filter.kind,
        filter.since,
        filter.error,
        MOST,
    )
    .fetch_all(tx.conn())
    .await
    .doing("grouping dead letters")
}
