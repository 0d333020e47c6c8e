//! `syncctl queue unassigned`: messages of no organization, read with the database's URL, since no token, which
//! always speaks for one organization, may see them.

use chassis::config::{Env, FromEnv};
use domain::redact::{redact, redact_text};
use serde_json::{Value, json};
use store::audit::{AuditEntry, record};
use store::{DatabaseConfig, Store, dead_letters};
use uuid::Uuid;

use super::short;
use crate::error::CliError;
use crate::output::{Output, table};

/// Most messages, and most bytes of each.
const MOST: i64 = 200;
const BODY: i32 = 4096;

fn database(mut env: Env) -> Result<Store, CliError> {
    let config = DatabaseConfig::from_env(&mut env);
    env.finish()?;
    Ok(Store::new(&config, "syncctl")?)
}

pub async fn list(env: Env) -> Result<Output, CliError> {
    let store = database(env)?;
    let mut tx = store.dispatch().await?;
    let messages = dead_letters::unassigned(&mut tx, MOST, BODY).await?;
    drop(tx);
    store.close().await;
    let rows: Vec<Value> = messages
        .iter()
        .map(|message| {
            let body = redact_text(&String::from_utf8_lossy(&message.body));
            json!({
                "id": message.id, "routing_key": message.routing_key, "reason": message.reason,
                "archived_at": message.archived_at, "size": message.size, "headers": redact(&message.headers),
                "body": body, "beginning": short(&body, 60),
            })
        })
        .collect();
    let columns = ["id", "routing_key", "reason", "archived_at", "size", "beginning"];
    let text = if rows.is_empty() { "no unassigned messages".to_owned() } else { table(&rows, &columns) };
    Ok(Output::new(json!({ "items": rows }), text))
}

pub async fn discard(id: Uuid, reason: Option<&str>, env: Env) -> Result<Output, CliError> {
    let store = database(env)?;
    let mut tx = store.dispatch().await?;
    if !dead_letters::discard_unassigned(&mut tx, id, "syncctl", reason).await? {
        return Err(CliError::Failed(format!("there is no unassigned message {id}")));
    }
    let entry = AuditEntry {
        actor: "syncctl".to_owned(),
        role: "database".to_owned(),
        action: "broker_message.discard".to_owned(),
        resource: format!("message:{id}"),
        reason: reason.map(str::to_owned),
        request_id: None,
        trace_id: None,
        details: json!({}),
    };
    record(&mut tx, None, &entry).await?;
    tx.commit().await?;
    store.close().await;
    Ok(Output::new(json!({ "id": id, "discarded": true }), format!("{id} is discarded")))
}
