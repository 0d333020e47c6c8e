//! What operators set per company: `sync_settings`.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use serde_json::{Value, json};

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Settings of a company.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Sources that schedules and requests may run.
    pub enabled_sources: Vec<String>,
    /// `newest_wins`, `app_wins`, `provider_wins`.
    pub conflict_policy: String,
    /// Columns of Excel workbooks.
    pub excel_mapping: Value,
    /// A run that would remove more than this share (0 to 1) of the documents is parked ...
    pub mass_change_share: f32,
    /// ... when it is also at least this many.
    pub mass_change_minimum: i32,
    /// Who changed them last.
    pub updated_by: Option<String>,
    /// Changed at; none while they are the defaults.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Default for Settings {
    /// The column defaults.
    fn default() -> Self {
        Self {
            enabled_sources: vec!["onedrive".to_owned()],
            conflict_policy: "newest_wins".to_owned(),
            excel_mapping: json!({}),
            mass_change_share: 0.3,
            mass_change_minimum: 50,
            updated_by: None,
            updated_at: None,
        }
    }
}

/// Settings of the company, or the defaults.
///
/// # Errors
/// As every statement.
pub async fn get(tx: &mut Tx, company: CompanyId) -> Result<Settings> {
    let stored = sqlx::query_as!(
        Settings,
        r#"SELECT enabled_sources, conflict_policy, excel_mapping, mass_change_share, mass_change_minimum,
               updated_by, updated_at AS "updated_at?"
           FROM sync_settings WHERE company_id = $1"#,
        company.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .doing("reading the settings")?;
    Ok(stored.unwrap_or_default())
}

/// Stores all settings.
///
/// # Errors
/// As every statement; [`crate::StoreError::Constraint`] for values outside their range.
pub async fn put(tx: &mut Tx, company: CompanyId, settings: &Settings, by: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO sync_settings (company_id, enabled_sources, conflict_policy, excel_mapping,
             mass_change_share, mass_change_minimum, updated_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (company_id) DO UPDATE
             SET enabled_sources = excluded.enabled_sources, conflict_policy = excluded.conflict_policy,
                 excel_mapping = excluded.excel_mapping, mass_change_share = excluded.mass_change_share,
                 mass_change_minimum = excluded.mass_change_minimum, updated_by = excluded.updated_by,
                 updated_at = clock_timestamp()",
        company.uuid(),
        &settings.enabled_sources,
        settings.conflict_policy,
        settings.excel_mapping,
        settings.mass_change_share,
        settings.mass_change_minimum,
        by,
    )
    .execute(tx.conn())
    .await
    .doing("storing the settings")
    .map(drop)
}
