//! Push subscriptions at Microsoft Graph (subscription resource, Graph v1.0).
//!
//! A row is committed as `pending`, with the digest of its clientState, before Graph is asked: a notification
//! that overtakes Graph's answer finds it by that digest.

use chrono::{DateTime, Utc};
use contracts::jobs::{EnsureSubscription, SubscriptionIntent};
use domain::ids::CompanyId;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::jobs::NewJob;
use crate::pool::Tx;

/// A subscription as people see it.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Our id.
    pub id: Uuid,
    /// Graph's id; none while pending.
    pub subscription_id: Option<String>,
    /// `drive`, ...
    pub resource_type: String,
    /// Drive id, ...
    pub resource_id: String,
    /// Where Graph delivers.
    pub notification_url: Option<String>,
    /// Ends at, unless renewed.
    pub expires_at: Option<DateTime<Utc>>,
    /// `pending`, `active`, `removed`.
    pub state: String,
    /// Last notification (to a few seconds).
    pub last_notification_at: Option<DateTime<Utc>>,
    /// Why it is removed, or what failed last.
    pub last_error: Option<String>,
    /// Begun at.
    pub created_at: DateTime<Utc>,
}

/// What the door needs to judge a notification.
#[derive(Debug, Clone)]
pub struct Target {
    /// Our id.
    pub id: Uuid,
    /// Owner.
    pub company: CompanyId,
    /// Graph's id; none while pending.
    pub subscription_id: Option<String>,
    /// `drive`, ...
    pub resource_type: String,
    /// Drive id, ...
    pub resource_id: String,
    /// SHA-256 of the clientState.
    pub client_state_sha256: Vec<u8>,
    /// `pending`, `active`, `removed`.
    pub state: String,
}

struct TargetRow {
    id: Uuid,
    company_id: Uuid,
    subscription_id: Option<String>,
    resource_type: String,
    resource_id: String,
    client_state_sha256: Vec<u8>,
    state: String,
}

impl From<TargetRow> for Target {
    fn from(row: TargetRow) -> Self {
        Self {
            id: row.id,
            company: CompanyId(row.company_id),
            subscription_id: row.subscription_id,
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            client_state_sha256: row.client_state_sha256,
            state: row.state,
        }
    }
}

/// Writes the pending row; commit it before Graph is asked. Returns our id.
///
/// # Errors
/// As every statement.
pub async fn begin_pending(
    tx: &mut Tx,
    company: CompanyId,
    resource_type: &str,
    resource_id: &str,
    client_state_sha256: &[u8],
) -> Result<Uuid> {
    let id = chassis::ids::new_id();
    sqlx::query!(
        "INSERT INTO microsoft_subscriptions (id, company_id, resource_type, resource_id, client_state_sha256)
         VALUES ($1, $2, $3, $4, $5)",
        id,
        company.uuid(),
        resource_type,
        resource_id,
        client_state_sha256,
    )
    .execute(tx.conn())
    .await
    .doing("beginning a subscription")?;
    Ok(id)
}

/// Graph created it: the pending row becomes the only active one of its resource, the others are removed.
/// False when the row is gone.
///
/// # Errors
/// As every statement.
pub async fn activate(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    subscription_id: &str,
    notification_url: &str,
    expires_at: DateTime<Utc>,
) -> Result<bool> {
    sqlx::query!(
        "UPDATE microsoft_subscriptions old
         SET state = 'removed', last_error = 'replaced', updated_at = clock_timestamp(),
             subscription_id = nullif(old.subscription_id, $3)
         FROM microsoft_subscriptions new
         WHERE new.id = $2 AND new.company_id = $1 AND old.company_id = $1 AND old.id <> $2
             AND old.resource_type = new.resource_type AND old.resource_id = new.resource_id
             AND (old.state <> 'removed' OR old.subscription_id = $3)",
        company.uuid(),
        id,
        subscription_id,
    )
    .execute(tx.conn())
    .await
    .doing("removing replaced subscriptions")?;
    sqlx::query!(
        "UPDATE microsoft_subscriptions
         SET state = 'active', subscription_id = $3, notification_url = $4, expires_at = $5, last_error = NULL,
             updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
        subscription_id,
        notification_url,
        expires_at,
    )
    .execute(tx.conn())
    .await
    .doing("activating a subscription")
    .map(|done| done.rows_affected() > 0)
}

/// Graph kept or renewed a subscription that we know. False when we do not know it.
///
/// # Errors
/// As every statement.
pub async fn renewed(
    tx: &mut Tx,
    company: CompanyId,
    subscription_id: &str,
    expires_at: DateTime<Utc>,
) -> Result<bool> {
    sqlx::query!(
        "UPDATE microsoft_subscriptions
         SET state = 'active', expires_at = $3, last_error = NULL, updated_at = clock_timestamp()
         WHERE company_id = $1 AND subscription_id = $2",
        company.uuid(),
        subscription_id,
        expires_at,
    )
    .execute(tx.conn())
    .await
    .doing("renewing a subscription")
    .map(|done| done.rows_affected() > 0)
}

/// Deletes a pending row that Graph did not need (the known subscription was kept or renewed).
///
/// # Errors
/// As every statement.
pub async fn discard_pending(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<()> {
    sqlx::query!(
        "DELETE FROM microsoft_subscriptions WHERE company_id = $1 AND id = $2 AND state = 'pending'",
        company.uuid(),
        id,
    )
    .execute(tx.conn())
    .await
    .doing("discarding a pending subscription")
    .map(drop)
}

/// The active subscription of a resource, the one that lasts longest first.
///
/// # Errors
/// As every statement.
pub async fn active(
    tx: &mut Tx,
    company: CompanyId,
    resource_type: &str,
    resource_id: &str,
) -> Result<Option<Subscription>> {
    sqlx::query_as!(
        Subscription,
        "SELECT id, subscription_id, resource_type, resource_id, notification_url, expires_at, state,
             last_notification_at, last_error, created_at
         FROM microsoft_subscriptions
         WHERE company_id = $1 AND resource_type = $2 AND resource_id = $3 AND state = 'active'
         ORDER BY expires_at DESC NULLS LAST LIMIT 1",
        company.uuid(),
        resource_type,
        resource_id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading the active subscription")
}

/// By Graph's id, whoever owns it: in a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn find_by_graph_ids(tx: &mut Tx, subscription_ids: &[String]) -> Result<Vec<Target>> {
    let rows = sqlx::query_as!(
        TargetRow,
        "SELECT id, company_id, subscription_id, resource_type, resource_id, client_state_sha256, state
         FROM microsoft_subscriptions WHERE subscription_id = ANY($1)",
        subscription_ids,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding subscriptions")?;
    Ok(rows.into_iter().map(Target::from).collect())
}

/// Pending rows by the digest of their clientState, whoever owns them: in a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn find_pending_by_digest(tx: &mut Tx, digests: &[Vec<u8>]) -> Result<Vec<Target>> {
    let rows = sqlx::query_as!(
        TargetRow,
        "SELECT id, company_id, subscription_id, resource_type, resource_id, client_state_sha256, state
         FROM microsoft_subscriptions WHERE client_state_sha256 = ANY($1) AND state = 'pending'",
        digests,
    )
    .fetch_all(tx.conn())
    .await
    .doing("finding pending subscriptions")?;
    Ok(rows.into_iter().map(Target::from).collect())
}

/// Notes that notifications arrived, at most every few seconds per row so that a burst does not bloat it.
///
/// # Errors
/// As every statement.
pub async fn touch(tx: &mut Tx, ids: &[Uuid]) -> Result<()> {
    sqlx::query!(
        "UPDATE microsoft_subscriptions SET last_notification_at = clock_timestamp()
         WHERE id = ANY($1) AND (last_notification_at IS NULL
             OR last_notification_at < clock_timestamp() - interval '5 seconds')",
        ids,
    )
    .execute(tx.conn())
    .await
    .doing("noting notifications")
    .map(drop)
}

/// Subscriptions of the company, newest first, before (created_at, id) of the previous page's last row.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Subscription>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        Subscription,
        "SELECT id, subscription_id, resource_type, resource_id, notification_url, expires_at, state,
             last_notification_at, last_error, created_at
         FROM microsoft_subscriptions
         WHERE company_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
         ORDER BY created_at DESC, id DESC LIMIT $4",
        company.uuid(),
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing subscriptions")
}

/// Graph removed it, or we did; false when there is no such living row.
///
/// # Errors
/// As every statement.
pub async fn mark_removed(
    tx: &mut Tx,
    company: CompanyId,
    subscription_id: &str,
    reason: &str,
) -> Result<bool> {
    sqlx::query!(
        "UPDATE microsoft_subscriptions SET state = 'removed', last_error = $3, updated_at = clock_timestamp()
         WHERE company_id = $1 AND subscription_id = $2 AND state <> 'removed'",
        company.uuid(),
        subscription_id,
        reason,
    )
    .execute(tx.conn())
    .await
    .doing("removing a subscription")
    .map(|done| done.rows_affected() > 0)
}

/// What is synchronised and has no subscription that lasts for `hours`, or one that is due for renewal: (resource type,
/// resource id) of enabled drives, mailboxes, channels, chats and Outlook calendars.
///
/// # Errors
/// As every statement.
pub async fn to_renew(tx: &mut Tx, company: CompanyId, hours: i32) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"SELECT r.kind AS "kind!", r.id AS "id!" FROM (
             SELECT 'drive' AS kind, drive_id AS id FROM drives WHERE company_id = $1 AND enabled
             UNION ALL SELECT 'mailbox', user_id FROM mailboxes WHERE company_id = $1 AND enabled
             UNION ALL SELECT 'channel', team_id || '/' || channel_id FROM teams_channels
                 WHERE company_id = $1 AND enabled
             UNION ALL SELECT 'chat', chat_id FROM teams_chats WHERE company_id = $1 AND enabled
             UNION ALL SELECT 'events', calendar_id FROM google_calendar_connections
                 WHERE company_id = $1 AND provider = 'microsoft' AND enabled AND state = 'active'
         ) r WHERE NOT EXISTS (
             SELECT FROM microsoft_subscriptions s
             WHERE s.company_id = $1 AND s.resource_type = r.kind AND s.resource_id = r.id AND s.state = 'active'
                 AND s.expires_at > clock_timestamp() + make_interval(hours => $2)
                 AND (s.renew_at IS NULL OR s.renew_at > clock_timestamp()))
         ORDER BY r.kind, r.id"#,
        company.uuid(),
        hours,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for subscriptions that end")?;
    Ok(rows.into_iter().map(|row| (row.kind, row.id)).collect())
}

/// Jobs that make sure of these subscriptions; each coalesces with one that waits.
///
/// # Errors
/// When a payload does not serialise.
pub fn ensure_jobs(
    company: CompanyId,
    resources: &[(String, String)],
    by: &str,
    priority: i16,
) -> Result<Vec<NewJob>> {
    resources
        .iter()
        .map(|(resource_type, resource_id)| {
            let ensure = EnsureSubscription {
                resource_type: resource_type.clone(),
                resource_id: resource_id.clone(),
                intent: SubscriptionIntent::Ensure,
            };
            let key = format!("{resource_type}:{resource_id}");
            Ok(NewJob::new(company, &ensure, by)?
                .dedupe(&*key)
                .resource(format!("subscription:{resource_id}"))
                .priority(priority))
        })
        .collect()
}

/// Notes when a subscription is to be renewed.
///
/// # Errors
/// As every statement.
pub async fn renew_at(
    tx: &mut Tx,
    company: CompanyId,
    subscription_id: &str,
    at: Option<DateTime<Utc>>,
) -> Result<()> {
    sqlx::query!(
        "UPDATE microsoft_subscriptions SET renew_at = $3 WHERE company_id = $1 AND subscription_id = $2",
        company.uuid(),
        subscription_id,
        at,
    )
    .execute(tx.conn())
    .await
    .doing("noting when to renew")
    .map(drop)
}

/// The soonest end of an active subscription of any company (seconds since the epoch); `None` when there is none. In a
/// dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn soonest_end(tx: &mut Tx) -> Result<Option<f64>> {
    sqlx::query_scalar!(
        "SELECT extract(epoch FROM min(expires_at))::float8 FROM microsoft_subscriptions WHERE state = 'active'"
    )
    .fetch_one(tx.conn())
    .await
    .doing("looking for the soonest end")
}

/// Companies that something is to be renewed for at this moment, of at most `limit`: renewal is due, or what is
/// synchronised has been silent. In a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn due(tx: &mut Tx, limit: i64) -> Result<Vec<(CompanyId, String, String)>> {
    let rows = sqlx::query!(
        "SELECT company_id, resource_type, resource_id FROM microsoft_subscriptions
         WHERE state = 'active' AND renew_at <= clock_timestamp() ORDER BY renew_at LIMIT $1",
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("looking for renewals that are due")?;
    Ok(rows.into_iter().map(|r| (CompanyId(r.company_id), r.resource_type, r.resource_id)).collect())
}

/// Whether a subscription of any company is being created at this moment. In a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn any_pending(tx: &mut Tx) -> Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM microsoft_subscriptions WHERE state = 'pending'
               AND created_at > clock_timestamp() - interval '5 minutes') AS "pending!""#
    )
    .fetch_one(tx.conn())
    .await
    .doing("looking for subscriptions that begin")
}
