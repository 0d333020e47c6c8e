//! `message_outbox`: what is to be sent, and what became of it (DESIGN law 9).

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::outbox::State;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A sending.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Our id, which travels with a mail.
    pub id: Uuid,
    /// `mail` or `card`.
    pub kind: String,
    /// Mailbox that sends, or workflow that posts.
    pub sender: String,
    /// Mail or card.
    pub payload: Value,
    /// `pending`, `drafted`, ... (`domain::outbox::State`).
    pub state: String,
    /// Immutable id of the draft.
    pub provider_message_id: Option<String>,
    /// RFC 5322 Message-ID, once it was sent.
    pub internet_message_id: Option<String>,
    /// Calls that asked the provider to send.
    pub submissions: i32,
    /// Look-ups since the last of them.
    pub lookups: i32,
    /// What went wrong last.
    pub error: Option<String>,
    /// Who asked.
    pub requested_by: String,
    /// Asked at.
    pub created_at: DateTime<Utc>,
    /// Last touched.
    pub updated_at: DateTime<Utc>,
    /// The provider was asked to send at.
    pub submitted_at: Option<DateTime<Utc>>,
    /// Sent at.
    pub sent_at: Option<DateTime<Utc>>,
}

/// A file of a mail.
#[derive(Debug, Clone)]
pub struct OutgoingFile {
    /// Name.
    pub name: String,
    /// MIME type.
    pub content_type: String,
    /// Bytes.
    pub content: Vec<u8>,
}

/// Writes a sending with its files; the job that carries it belongs into the same transaction. Answers its id.
///
/// # Errors
/// As every statement.
pub async fn create(
    tx: &mut Tx,
    company: CompanyId,
    (kind, sender): (&str, &str),
    payload: &Value,
    files: &[OutgoingFile],
    requested_by: &str,
) -> Result<Uuid> {
    let id = chassis::ids::new_id();
    sqlx::query!(
        "INSERT INTO message_outbox (id, company_id, kind, sender, payload, requested_by)
         VALUES ($1, $2, $3, $4, $5, $6)",
        id,
        company.uuid(),
        kind,
        sender,
        payload,
        requested_by,
    )
    .execute(tx.conn())
    .await
    .doing("writing a message to be sent")?;
    for (position, file) in files.iter().enumerate() {
        sqlx::query!(
            "INSERT INTO message_outbox_files (outbox_id, company_id, position, name, content_type, content)
             VALUES ($1, $2, $3, $4, $5, $6)",
            id,
            company.uuid(),
            i32::try_from(position).unwrap_or(i32::MAX),
            file.name,
            file.content_type,
            file.content,
        )
        .execute(tx.conn())
        .await
        .doing("writing a file to be sent")?;
    }
    Ok(id)
}

/// One sending; with `lock` nobody else changes it until the transaction ends.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId, id: Uuid, lock: bool) -> Result<Option<Outgoing>> {
    if lock {
        sqlx::query!(
            "SELECT id FROM message_outbox WHERE company_id = $1 AND id = $2 FOR UPDATE",
            company.uuid(),
            id
        )
        .fetch_optional(tx.conn())
        .await
        .doing("locking a message to be sent")?;
    }
    sqlx::query_as!(
        Outgoing,
        "SELECT id, kind, sender, payload, state, provider_message_id, internet_message_id, submissions, lookups,
             error, requested_by, created_at, updated_at, submitted_at, sent_at
         FROM message_outbox WHERE company_id = $1 AND id = $2",
        company.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a message to be sent")
}

/// Sendings, newest first, before (created_at, id) of the previous page's last row; only those in `state`.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    state: Option<&str>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Outgoing>> {
    let (at, id) = before.unzip();
    sqlx::query_as!(
        Outgoing,
        "SELECT id, kind, sender, payload, state, provider_message_id, internet_message_id, submissions, lookups,
             error, requested_by, created_at, updated_at, submitted_at, sent_at
         FROM message_outbox WHERE company_id = $1 AND ($2::text IS NULL OR state = $2)
             AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4))
         ORDER BY created_at DESC, id DESC LIMIT $5",
        company.uuid(),
        state,
        at,
        id,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing messages to be sent")
}

/// Files of a mail, in order.
///
/// # Errors
/// As every statement.
pub async fn files(tx: &mut Tx, company: CompanyId, id: Uuid) -> Result<Vec<OutgoingFile>> {
    sqlx::query_as!(
        OutgoingFile,
        "SELECT name, content_type, content FROM message_outbox_files WHERE company_id = $1 AND outbox_id = $2
         ORDER BY position",
        company.uuid(),
        id,
    )
    .fetch_all(tx.conn())
    .await
    .doing("reading files to be sent")
}

/// What a step of a sending changes besides the state.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Immutable id of the draft, once known.
    pub provider_message_id: Option<String>,
    /// RFC 5322 Message-ID, once known.
    pub internet_message_id: Option<String>,
    /// What went wrong; `None` clears it.
    pub error: Option<String>,
    /// Sent at, as the provider says.
    pub sent_at: Option<DateTime<Utc>>,
    /// One more look-up was made.
    pub looked_up: bool,
}

/// Moves a sending from `from` to `to`; false when it is no longer in `from` (somebody called it off). The files of one
/// that was sent or called off are dropped.
///
/// # Errors
/// As every statement.
pub async fn advance(
    tx: &mut Tx,
    company: CompanyId,
    id: Uuid,
    (from, to): (State, State),
    progress: &Progress,
) -> Result<bool> {
    let moved = sqlx::query!(
        "UPDATE message_outbox SET state = $4, provider_message_id = coalesce($5, provider_message_id),
             internet_message_id = coalesce($6, internet_message_id), error = $7,
             submissions = submissions + CASE WHEN $4 = 'submitting' AND state <> 'submitting' THEN 1 ELSE 0 END,
             lookups = CASE WHEN $4 = 'submitting' AND state <> 'submitting' THEN 0
                 ELSE lookups + CASE WHEN $9 THEN 1 ELSE 0 END END,
             submitted_at = CASE WHEN $4 = 'submitting' AND state <> 'submitting' THEN clock_timestamp()
                 ELSE submitted_at END,
             sent_at = CASE WHEN $4 = 'sent' THEN coalesce($8, sent_at, clock_timestamp()) ELSE sent_at END,
             updated_at = clock_timestamp()
         WHERE company_id = $1 AND id = $2 AND state = $3",
        company.uuid(),
        id,
        from.as_str(),
        to.as_str(),
        progress.provider_message_id,
        progress.internet_message_id,
        progress.error,
        progress.sent_at,
        progress.looked_up,
    )
    .execute(tx.conn())
    .await
    .doing("moving a message to be sent")?
    .rows_affected()
        > 0;
    if moved && matches!(to, State::Sent | State::Cancelled) {
        sqlx::query!(
            "DELETE FROM message_outbox_files WHERE company_id = $1 AND outbox_id = $2",
            company.uuid(),
            id,
        )
        .execute(tx.conn())
        .await
        .doing("dropping files that were sent")?;
    }
    Ok(moved)
}
