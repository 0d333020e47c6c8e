//! `syncctl queue dead-letter|show|edit|retry|discard`

use std::fmt::Write;
use std::io::Read;

use chassis::config::Env;
use outbound::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{items, more, parameters, short, why};
use crate::cli::queue::{DeadLetterArgs, FilterArgs};
use crate::error::CliError;
use crate::output::{Output, lines, table};
use crate::rest::Rest;

/// Longest message in a table.
const MESSAGE: usize = 70;

pub async fn list(args: &DeadLetterArgs, env: Env) -> Result<Output, CliError> {
    let mut query = parameters(&args.filter)?;
    query.push(("limit", args.limit.to_string()));
    query.extend(args.source.clone().map(|source| ("source", source)));
    query.extend(args.cursor.clone().map(|cursor| ("cursor", cursor)));
    let page = Rest::from_env(env)?.query(&["api", "queue", "dead-letter"], &query).await?;
    let rows: Vec<Value> = items(&page)
        .iter()
        .map(|letter| {
            json!({
                "id": letter["id"], "kind": letter["kind"], "source": letter["source"],
                "attempts": format!("{}/{}", letter["attempt"], letter["max_attempts"]),
                "failed": letter["last_failed_at"].as_str().unwrap_or("-").get(..19),
                "fingerprint": letter["fingerprint"], "code": letter["last_error"]["code"],
                "message": short(letter["last_error"]["message"].as_str().unwrap_or("-"), MESSAGE),
            })
        })
        .collect();
    if rows.is_empty() {
        return Ok(Output::new(page, "no dead letters"));
    }
    let columns = ["id", "kind", "source", "attempts", "failed", "fingerprint", "code", "message"];
    let text = table(&rows, &columns) + &more(&page);
    Ok(Output::new(page, text))
}

pub async fn groups(filter: &FilterArgs, env: Env) -> Result<Output, CliError> {
    let query = parameters(filter)?;
    let answer = Rest::from_env(env)?.query(&["api", "queue", "dead-letter", "groups"], &query).await?;
    let rows: Vec<Value> = items(&answer)
        .iter()
        .map(|group| {
            json!({
                "count": group["count"], "fingerprint": group["fingerprint"], "kinds": group["kinds"],
                "first": group["first_seen"].as_str().unwrap_or("-").get(..19),
                "last": group["last_seen"].as_str().unwrap_or("-").get(..19),
                "code": group["example"]["code"],
                "example": short(group["example"]["message"].as_str().unwrap_or("-"), MESSAGE),
            })
        })
        .collect();
    let columns = ["count", "fingerprint", "kinds", "first", "last", "code", "example"];
    let text = if rows.is_empty() { "no dead letters".to_owned() } else { table(&rows, &columns) };
    Ok(Output::new(answer, text))
}

pub async fn show(id: Uuid, env: Env) -> Result<Output, CliError> {
    let letter = Rest::from_env(env)?.get(&["api", "queue", "dead-letter", &id.to_string()]).await?;
    let mut head = letter.clone();
    if let Some(members) = head.as_object_mut() {
        // These follow as blocks of their own.
        for name in ["errors", "payload", "last_error", "edits", "message", "progress"] {
            members.remove(name);
        }
    }
    let mut text = lines(&head);
    for (index, error) in letter["errors"].as_array().into_iter().flatten().enumerate() {
        let (code, message) =
            (error["code"].as_str().unwrap_or("-"), error["message"].as_str().unwrap_or("-"));
        push(&mut text, &format!("\nerror {} (attempt {}): {code}: {message}", index + 1, error["attempt"]));
        for cause in error["chain"].as_array().into_iter().flatten() {
            push(&mut text, &format!("  because: {}", cause.as_str().unwrap_or("-")));
        }
    }
    for (name, value) in
        [("payload", &letter["payload"]), ("edits", &letter["edits"]), ("message", &letter["message"])]
    {
        if !value.is_null() {
            push(&mut text, &format!("\n{name}:\n{value:#}"));
        }
    }
    Ok(Output::new(letter, text))
}

fn push(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\n{line}");
}

pub async fn edit(id: Uuid, payload: &str, reason: Option<&str>, env: Env) -> Result<Output, CliError> {
    let mut given = payload.to_owned();
    if given == "-" {
        given.clear();
        std::io::stdin()
            .read_to_string(&mut given)
            .map_err(|error| CliError::Usage(format!("standard input cannot be read: {error}")))?;
    }
    let payload: Value = serde_json::from_str(&given)
        .map_err(|error| CliError::Usage(format!("--payload is not JSON: {error}")))?;
    let mut body = why(reason);
    body["payload"] = payload;
    let path = ["api", "queue", "dead-letter", &id.to_string()];
    let letter = Rest::from_env(env)?.send(Method::PUT, &path, &body).await?;
    let text = format!("edited; try it: syncctl queue retry {id}\n{:#}", letter["payload"]);
    Ok(Output::new(letter, text))
}

pub async fn retry(id: Uuid, reason: Option<&str>, env: Env) -> Result<Output, CliError> {
    let rest = Rest::from_env(env)?;
    let job = rest.post(&["api", "queue", "retry", &id.to_string()], &[], Some(&why(reason))).await?;
    let serving = job["id"].as_str().unwrap_or("-");
    let state = job["state"].as_str().unwrap_or("-");
    let text = match job["outcome"].as_str() {
        Some("queued") => format!("job {id} is queued again"),
        Some("coalesced") => format!("job {serving} ({state}) does the work of {id}"),
        _ => format!("nothing to do: job {serving} is {state}"),
    };
    Ok(Output::new(job, text))
}

pub async fn discard(id: Uuid, reason: Option<&str>, env: Env) -> Result<Output, CliError> {
    let path = ["api", "queue", "dead-letter", &id.to_string()];
    let job = Rest::from_env(env)?.send(Method::DELETE, &path, &why(reason)).await?;
    let text = format!("{id} is discarded: {}", job["state"].as_str().unwrap_or("-"));
    Ok(Output::new(job, text))
}
