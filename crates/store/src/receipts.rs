//! What arrived at the door: `webhook_receipts`. Call these in a dispatch transaction: a receipt whose
//! subscription is unknown has no company yet.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// How a notification was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// Known subscription, right clientState.
    Accepted,
    /// Subscription not known (yet).
    Unknown,
    /// The clientState does not match, or what is encrypted is not proven.
    Refused,
}

impl Judgement {
    /// Name in `webhook_receipts.result`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Judgement::Accepted => "accepted",
            Judgement::Unknown => "unknown",
            Judgement::Refused => "refused",
        }
    }
}

/// One receipt; equal notifications of one delivery share one.
#[derive(Debug, Clone)]
pub struct NewReceipt {
    /// Minted at the arrival: the same receipt is never written twice.
    pub id: Uuid,
    /// Owner; none while the subscription is unknown.
    pub company: Option<CompanyId>,
    /// `microsoft`.
    pub provider: &'static str,
    /// Graph's subscription id.
    pub subscription_id: Option<String>,
    /// What the notification names.
    pub resource: Option<String>,
    /// `updated`, or the lifecycle event.
    pub change_type: Option<String>,
    /// How it was judged.
    pub result: Judgement,
    /// Job that it caused.
    pub job_id: Option<Uuid>,
    /// The notification, without its clientState.
    pub body: Value,
}

/// Writes receipts in one statement; one that is there already stays as it is.
///
/// # Errors
/// As every statement.
pub async fn record(tx: &mut Tx, receipts: &[NewReceipt]) -> Result<()> {
    if receipts.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = receipts.iter().map(|r| r.id).collect();
    let companies: Vec<Option<Uuid>> = receipts.iter().map(|r| r.company.map(CompanyId::uuid)).collect();
    let providers: Vec<String> = receipts.iter().map(|r| r.provider.to_owned()).collect();
    let subscriptions: Vec<Option<String>> = receipts.iter().map(|r| r.subscription_id.clone()).collect();
    let resources: Vec<Option<String>> = receipts.iter().map(|r| r.resource.clone()).collect();
    let changes: Vec<Option<String>> = receipts.iter().map(|r| r.change_type.clone()).collect();
    let results: Vec<String> = receipts.iter().map(|r| r.result.as_str().to_owned()).collect();
    let jobs: Vec<Option<Uuid>> = receipts.iter().map(|r| r.job_id).collect();
    let bodies: Vec<Value> = receipts.iter().map(|r| r.body.clone()).collect();
    sqlx::query!(
        "INSERT INTO webhook_receipts (id, company_id, provider, subscription_id, resource, change_type, result,
             job_id, body)
         SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
             $8::uuid[], $9::jsonb[])
         ON CONFLICT (id) DO NOTHING",
        &ids,
        &companies as &[Option<Uuid>],
        &providers,
        &subscriptions as &[Option<String>],
        &resources as &[Option<String>],
        &changes as &[Option<String>],
        &results,
        &jobs as &[Option<Uuid>],
        &bodies,
    )
    .execute(tx.conn())
    .await
    .doing("recording notifications")
    .map(drop)
}

/// Gives the receipts of a subscription that has become known to its company. Returns how many.
///
/// # Errors
/// As every statement.
pub async fn adopt_unknown(tx: &mut Tx, subscription_id: &str, company: CompanyId) -> Result<u64> {
    sqlx::query!(
        "UPDATE webhook_receipts SET company_id = $2, result = 'accepted'
         WHERE subscription_id = $1 AND result = 'unknown'",
        subscription_id,
        company.uuid(),
    )
    .execute(tx.conn())
    .await
    .doing("adopting notifications")
    .map(|done| done.rows_affected())
}

/// Forgets receipts older than `before`, at most `limit`. Returns how many.
///
/// # Errors
/// As every statement.
pub async fn purge(tx: &mut Tx, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    sqlx::query!(
        "DELETE FROM webhook_receipts WHERE id IN (
             SELECT id FROM webhook_receipts WHERE received_at < $1 LIMIT $2)",
        before,
        limit,
    )
    .execute(tx.conn())
    .await
    .doing("purging notifications")
    .map(|done| done.rows_affected())
}
