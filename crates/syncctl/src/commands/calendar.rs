//! `syncctl calendar`

use chassis::config::Env;
use serde_json::json;
use uuid::Uuid;

use crate::error::CliError;
use crate::output::{Output, lines, table};
use crate::rest::Rest;

/// Connected calendars.
pub async fn connections(env: Env) -> Result<Output, CliError> {
    let answer = Rest::from_env(env)?.get(&["api", "connections"]).await?;
    let rows = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let columns = ["id", "provider", "account", "calendar_id", "state", "sync_direction", "last_synced_at"];
    let text = if rows.is_empty() { "no calendars are connected".to_owned() } else { table(rows, &columns) };
    Ok(Output::new(answer, text))
}

/// Connects the calendar of an Outlook mailbox.
pub async fn connect(mailbox: &str, direction: &str, env: Env) -> Result<Output, CliError> {
    let body = json!({ "provider": "microsoft", "mailbox": mailbox, "sync_direction": direction });
    let answer = Rest::from_env(env)?.post(&["api", "connections"], &[], Some(&body)).await?;
    let text = lines(&answer);
    Ok(Output::new(answer, text))
}

/// Disconnects a calendar.
pub async fn disconnect(connection: Uuid, env: Env) -> Result<Output, CliError> {
    let id = connection.to_string();
    let answer = Rest::from_env(env)?.delete(&["api", "connections", &id]).await?;
    let text = lines(&answer);
    Ok(Output::new(answer, text))
}

/// Pulls and pushes one calendar, or all of them.
pub async fn sync(connection: Option<Uuid>, full: bool, env: Env) -> Result<Output, CliError> {
    let body = json!({ "connection_id": connection, "full": full });
    let answer = Rest::from_env(env)?.post(&["api", "calendar", "sync"], &[], Some(&body)).await?;
    let rows = answer["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = if rows.is_empty() {
        "no active calendars".to_owned()
    } else {
        table(rows, &["connection_id", "pull_job", "push_job"])
    };
    Ok(Output::new(answer, text))
}
