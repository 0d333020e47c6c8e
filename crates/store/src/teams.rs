//! Channels and chats of Teams that a company has registered.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A registered channel.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Team.
    pub team_id: String,
    /// Channel.
    pub channel_id: String,
    /// Name.
    pub name: String,
    /// `standard`, `private`, `shared`; empty when nobody asked.
    pub membership_type: String,
    /// Notifications and repairs are followed.
    pub enabled: bool,
    /// When its last repair read began.
    pub last_repair_at: Option<DateTime<Utc>>,
    /// Registered at.
    pub created_at: DateTime<Utc>,
}

/// A registered chat.
#[derive(Debug, Clone)]
pub struct Chat {
    /// Chat.
    pub chat_id: String,
    /// Whose chat it was found as, or empty.
    pub user_id: String,
    /// Topic.
    pub topic: String,
    /// `oneOnOne`, `group`, `meeting`; empty when nobody asked.
    pub chat_type: String,
    /// Notifications and repairs are followed.
    pub enabled: bool,
    /// When its last repair read began.
    pub last_repair_at: Option<DateTime<Utc>>,
    /// Registered at.
    pub created_at: DateTime<Utc>,
}

/// Registers a channel, or changes a registered one. True when it is new.
///
/// # Errors
/// As every statement.
pub async fn put_channel(
    tx: &mut Tx,
    company: CompanyId,
    (team_id, channel_id): (&str, &str),
    name: &str,
    enabled: Option<bool>,
) -> Result<bool> {
    sqlx::query_scalar!(
        r#"INSERT INTO teams_channels AS c (company_id, team_id, channel_id, name, enabled)
           VALUES ($1, $2, $3, $4, coalesce($5, true))
           ON CONFLICT (company_id, team_id, channel_id) DO UPDATE SET
               name = coalesce(nullif(excluded.name, ''), c.name), enabled = coalesce($5, c.enabled),
               updated_at = clock_timestamp()
           RETURNING (xmax = 0) AS "new!""#,
        company.uuid(),
        team_id,
        channel_id,
        name,
        enabled,
    )
    .fetch_one(tx.conn())
    .await
    .doing("registering a channel")
}

/// Registers a chat, or changes a registered one. True when it is new.
///
/// # Errors
/// As every statement.
pub async fn put_chat(
    tx: &mut Tx,
    company: CompanyId,
    chat_id: &str,
    (user_id, topic): (&str, &str),
    enabled: Option<bool>,
) -> Result<bool> {
    sqlx::query_scalar!(
        r#"INSERT INTO teams_chats AS c (company_id, chat_id, user_id, topic, enabled)
           VALUES ($1, $2, $3, $4, coalesce($5, true))
           ON CONFLICT (company_id, chat_id) DO UPDATE SET
               user_id = coalesce(nullif(excluded.user_id, ''), c.user_id),
               topic = coalesce(nullif(excluded.topic, ''), c.topic), enabled = coalesce($5, c.enabled),
               updated_at = clock_timestamp()
           RETURNING (xmax = 0) AS "new!""#,
        company.uuid(),
        chat_id,
        user_id,
        topic,
        enabled,
    )
    .fetch_one(tx.conn())
    .await
    .doing("registering a chat")
}

/// Channels in the order of their ids, after (team, channel); only `only` when it is given.
///
/// # Errors
/// As every statement.
pub async fn channels(
    tx: &mut Tx,
    company: CompanyId,
    only: Option<(&str, &str)>,
    after: Option<(String, String)>,
    limit: i64,
) -> Result<Vec<Channel>> {
    let (after_team, after_channel) = after.unzip();
    let (team, channel) = only.unzip();
    sqlx::query_as!(
        Channel,
        r#"SELECT c.team_id, c.channel_id, c.name, c.membership_type, c.enabled,
               s.last_run_at AS "last_repair_at?", c.created_at
           FROM teams_channels c LEFT JOIN microsoft_sync_state s ON s.company_id = c.company_id
               AND s.resource_type = 'teams' AND s.user_id = '' AND s.resource_id = c.team_id || '/' || c.channel_id
           WHERE c.company_id = $1 AND ($2::text IS NULL OR (c.team_id, c.channel_id) > ($2, $3))
               AND ($4::text IS NULL OR (c.team_id = $4 AND c.channel_id = $5))
           ORDER BY c.team_id, c.channel_id LIMIT $6"#,
        company.uuid(),
        after_team,
        after_channel,
        team,
        channel,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing channels")
}

/// Chats in the order of their ids, after `after`; only `only` when it is given.
///
/// # Errors
/// As every statement.
pub async fn chats(
    tx: &mut Tx,
    company: CompanyId,
    only: Option<&str>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Chat>> {
    sqlx::query_as!(
        Chat,
        r#"SELECT c.chat_id, c.user_id, c.topic, c.chat_type, c.enabled,
               s.last_run_at AS "last_repair_at?", c.created_at
           FROM teams_chats c LEFT JOIN microsoft_sync_state s ON s.company_id = c.company_id
               AND s.resource_type = 'teams' AND s.user_id = '' AND s.resource_id = c.chat_id
           WHERE c.company_id = $1 AND ($2::text IS NULL OR c.chat_id > $2) AND ($3::text IS NULL OR c.chat_id = $3)
           ORDER BY c.chat_id LIMIT $4"#,
        company.uuid(),
        after,
        only,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing chats")
}

/// The number of a new enumeration of a channel.
///
/// # Errors
/// As every statement.
pub async fn begin_generation(
    tx: &mut Tx,
    company: CompanyId,
    team_id: &str,
    channel_id: &str,
    at_least: i64,
) -> Result<i64> {
    sqlx::query_scalar!(
        "UPDATE teams_channels SET generation = greatest(generation + 1, $4)
         WHERE company_id = $1 AND team_id = $2 AND channel_id = $3 RETURNING generation",
        company.uuid(),
        team_id,
        channel_id,
        at_least,
    )
    .fetch_one(tx.conn())
    .await
    .doing("beginning an enumeration")
}
