//! `syncctl messages`, `syncctl sync reset|full|delta`

use chassis::config::Env;
use serde_json::{Value, json};

use crate::cli::messages::{MessagesCommand, ResyncCommand};
use crate::error::CliError;
use crate::output::{Output, lines, table};
use crate::rest::Rest;

pub async fn run(command: &MessagesCommand, env: Env) -> Result<Output, CliError> {
    let rest = Rest::from_env(env)?;
    let (answer, text) = match command {
        MessagesCommand::Send(args) => {
            let to: Vec<Value> = args.to.iter().map(|address| json!({ "address": address })).collect();
            let mail = json!({ "from": args.from, "to": to, "subject": args.subject, "body": args.body });
            let answer = send(&rest, &json!({ "mail": mail }), args.idempotency_key.as_deref()).await?;
            let text = lines(&answer);
            (answer, text)
        }
        MessagesCommand::Card { workflow, file, idempotency_key } => {
            let read = std::fs::read(file)
                .map_err(|e| CliError::Usage(format!("{} cannot be read: {e}", file.display())))?;
            let card: Value = serde_json::from_slice(&read)
                .map_err(|e| CliError::Usage(format!("{} is not JSON: {e}", file.display())))?;
            let body = json!({ "card": { "workflow": workflow, "card": card } });
            let answer = send(&rest, &body, idempotency_key.as_deref()).await?;
            let text = lines(&answer);
            (answer, text)
        }
        MessagesCommand::Outbox { state } => {
            let query: Vec<(&str, String)> = state.iter().map(|state| ("state", state.clone())).collect();
            let answer = rest.query(&["api", "messages", "outbox"], &query).await?;
            let rows = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let columns = ["id", "kind", "sender", "subject", "state", "created_at", "error"];
            let text = if rows.is_empty() { "nothing".to_owned() } else { table(rows, &columns) };
            (answer, text)
        }
        MessagesCommand::Retry { id } => change(&rest, &id.to_string(), "retry").await?,
        MessagesCommand::Cancel { id } => change(&rest, &id.to_string(), "cancel").await?,
    };
    Ok(Output::new(answer, text))
}

async fn send(rest: &Rest, body: &Value, key: Option<&str>) -> Result<Value, CliError> {
    rest.post_once(&["api", "messages", "send"], body, key).await
}

async fn change(rest: &Rest, id: &str, what: &str) -> Result<(Value, String), CliError> {
    let answer = rest.post(&["api", "messages", "outbox", id, what], &[], Some(&json!({}))).await?;
    let text = lines(&json!({ "id": answer["id"], "state": answer["state"], "error": answer["error"] }));
    Ok((answer, text))
}

/// Asks for a re-sync.
pub async fn resync(command: &ResyncCommand, env: Env) -> Result<Output, CliError> {
    let (what, args) = match command {
        ResyncCommand::Reset(args) => ("reset", args),
        ResyncCommand::Full(args) => ("full", args),
        ResyncCommand::Delta(args) => ("delta", args),
    };
    let body = json!({ "userId": args.user, "resourceType": args.resource_type.as_str() });
    let answer = Rest::from_env(env)?.post(&["api", "sync", what], &[], Some(&body)).await?;
    let text = lines(&answer);
    Ok(Output::new(answer, text))
}
