//! Mailboxes that a company has registered, and their folders.

mod folders;

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::mail::MailOptions;

pub use folders::{
    Folder, NewFolder, apply_folders, folder, list_folders, settle_folder, suspect_unseen, suspects,
};

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A registered mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// Object id of the user.
    pub user_id: String,
    /// Main address.
    pub address: String,
    /// Name.
    pub display_name: String,
    /// Sweeps and notifications are followed.
    pub enabled: bool,
    /// Bodies are kept.
    pub bodies: bool,
    /// Metadata of attachments is kept.
    pub attachments: bool,
    /// Nothing that was received earlier is read.
    pub since: Option<DateTime<Utc>>,
    /// Number of the newest enumeration that was begun.
    pub generation: i64,
    /// Registered at.
    pub created_at: DateTime<Utc>,
}

impl Mailbox {
    /// What is read of it.
    pub fn options(&self) -> MailOptions {
        MailOptions { bodies: self.bodies, attachments: self.attachments, since: self.since }
    }
}

/// What a person chose; absent: keeps what is stored, or the default of a new mailbox.
#[derive(Debug, Clone, Default)]
pub struct MailboxChange {
    /// Sweeps and notifications are followed.
    pub enabled: Option<bool>,
    /// Bodies are kept.
    pub bodies: Option<bool>,
    /// Metadata of attachments is kept.
    pub attachments: Option<bool>,
    /// Nothing that was received earlier is read; `Some(None)`: everything.
    pub since: Option<Option<DateTime<Utc>>>,
}

/// Registers a mailbox, or changes a registered one. True when it is new.
///
/// # Errors
/// As every statement.
pub async fn put(
    tx: &mut Tx,
    company: CompanyId,
    user_id: &str,
    (address, display_name): (&str, &str),
    change: &MailboxChange,
) -> Result<bool> {
    sqlx::query_scalar!(
        r#"INSERT INTO mailboxes AS m (company_id, user_id, address, display_name, enabled, bodies, attachments, since)
           VALUES ($1, $2, $3, $4, coalesce($5, true), coalesce($6, false), coalesce($7, true), $9)
           ON CONFLICT (company_id, user_id) DO UPDATE SET
               address = coalesce(nullif(excluded.address, ''), m.address),
               display_name = coalesce(nullif(excluded.display_name, ''), m.display_name),
               enabled = coalesce($5, m.enabled), bodies = coalesce($6, m.bodies),
               attachments = coalesce($7, m.attachments),
               since = CASE WHEN $8 THEN $9 ELSE m.since END, updated_at = clock_timestamp()
           RETURNING (xmax = 0) AS "new!""#,
        company.uuid(),
        user_id,
        address,
        display_name,
        change.enabled,
        change.bodies,
        change.attachments,
        change.since.is_some(),
        change.since.flatten(),
    )
    .fetch_one(tx.conn())
    .await
    .doing("registering a mailbox")
}

/// By user id or, without case, by address.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId, user: &str) -> Result<Option<Mailbox>> {
    sqlx::query_as!(
        Mailbox,
        "SELECT user_id, address, display_name, enabled, bodies, attachments, since, generation, created_at
         FROM mailboxes WHERE company_id = $1 AND (user_id = $2 OR lower(address) = lower($2))
         ORDER BY (user_id = $2) DESC LIMIT 1",
        company.uuid(),
        user,
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading a mailbox")
}

/// In the order of their user ids, after `after`.
///
/// # Errors
/// As every statement.
pub async fn list(tx: &mut Tx, company: CompanyId, after: Option<&str>, limit: i64) -> Result<Vec<Mailbox>> {
    sqlx::query_as!(
        Mailbox,
        "SELECT user_id, address, display_name, enabled, bodies, attachments, since, generation, created_at
         FROM mailboxes WHERE company_id = $1 AND ($2::text IS NULL OR user_id > $2) ORDER BY user_id LIMIT $3",
        company.uuid(),
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing mailboxes")
}

/// User ids of the mailboxes that sweeps visit.
///
/// # Errors
/// As every statement.
pub async fn list_enabled(tx: &mut Tx, company: CompanyId) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT user_id FROM mailboxes WHERE company_id = $1 AND enabled ORDER BY user_id LIMIT 10000",
        company.uuid(),
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing enabled mailboxes")
}

/// The number of a new enumeration.
///
/// # Errors
/// As every statement.
pub async fn begin_generation(tx: &mut Tx, company: CompanyId, user_id: &str) -> Result<i64> {
    sqlx::query_scalar!(
        "UPDATE mailboxes SET generation = generation + 1 WHERE company_id = $1 AND user_id = $2 RETURNING generation",
        company.uuid(),
        user_id,
    )
    .fetch_one(tx.conn())
    .await
    .doing("beginning an enumeration")
}

/// A walk that began again counts on by itself.
///
/// # Errors
/// As every statement.
pub async fn raise_generation(tx: &mut Tx, company: CompanyId, user_id: &str, to: i64) -> Result<()> {
    sqlx::query!(
        "UPDATE mailboxes SET generation = $3 WHERE company_id = $1 AND user_id = $2 AND generation < $3",
        company.uuid(),
        user_id,
        to,
    )
    .execute(tx.conn())
    .await
    .doing("raising an enumeration")
    .map(drop)
}
