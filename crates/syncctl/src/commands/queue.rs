//! `syncctl queue`

mod dead_letter;
mod explain;
mod operation;
mod parked;
mod retry_all;
mod unassigned;

use chassis::config::Env;
use chassis::time::SystemClock;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::time::Clock;
use serde_json::{Value, json};

use crate::cli::queue::{FilterArgs, QueueCommand};
use crate::error::CliError;
use crate::output::{Output, lines};
use crate::rest::Rest;

pub async fn run(command: Option<&QueueCommand>, env: Env) -> Result<Output, CliError> {
    let Some(command) = command else { return figures(env).await };
    match command {
        QueueCommand::DeadLetter(args) if args.group => dead_letter::groups(&args.filter, env).await,
        QueueCommand::DeadLetter(args) => dead_letter::list(args, env).await,
        QueueCommand::Show { id } => dead_letter::show(*id, env).await,
        QueueCommand::Edit { id, payload, reason } => {
            dead_letter::edit(*id, payload, reason.as_deref(), env).await
        }
        QueueCommand::Retry { id, reason } => dead_letter::retry(*id, reason.as_deref(), env).await,
        QueueCommand::Discard { id, reason } => dead_letter::discard(*id, reason.as_deref(), env).await,
        QueueCommand::RetryAll(args) => retry_all::run(args, env).await,
        QueueCommand::Operation(args) => operation::run(args, env).await,
        QueueCommand::Parked { parked_for } => parked::list(parked_for.as_deref(), env).await,
        QueueCommand::Release(args) => parked::release(args, env).await,
        QueueCommand::Explain { id } => explain::run(*id, env).await,
        QueueCommand::Unassigned { discard: None, .. } => unassigned::list(env).await,
        QueueCommand::Unassigned { discard: Some(id), reason } => {
            unassigned::discard(*id, reason.as_deref(), env).await
        }
    }
}

async fn figures(env: Env) -> Result<Output, CliError> {
    let figures = Rest::from_env(env)?.get(&["api", "metrics", "queue"]).await?;
    let text = lines(&figures);
    Ok(Output::new(figures, text))
}

/// The body of a request that carries nothing but its reason.
fn why(reason: Option<&str>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }))
}

/// The filter as parameters: (name, value).
fn parameters(filter: &FilterArgs) -> Result<Vec<(&'static str, String)>, CliError> {
    let since = filter.since.as_deref().map(|text| since(text, SystemClock.now())).transpose()?;
    let named = [("kind", filter.kind.clone()), ("since", since), ("error", filter.error.clone())];
    Ok(named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// A time as it is, an age counted back from now.
fn since(text: &str, now: DateTime<Utc>) -> Result<String, CliError> {
    if DateTime::parse_from_rfc3339(text).is_ok() {
        return Ok(text.to_owned());
    }
    let at = span(text).and_then(|age| now.checked_sub_signed(age)).ok_or_else(|| {
        CliError::Usage(format!(
            "--since is a time (2026-11-20T10:00:00Z) or an age (90s, 15m, 2h, 3d), got `{text}`"
        ))
    })?;
    Ok(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// A span of time, such as `15m`.
pub(super) fn span(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    TimeDelta::try_seconds(i64::from(number) * seconds)
}

/// The rows of a page.
fn items(page: &Value) -> &[Value] {
    page["items"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// How to see the rest of a list.
fn more(page: &Value) -> String {
    page["next_cursor"].as_str().map(|cursor| format!("\nmore: --cursor {cursor}")).unwrap_or_default()
}

/// A text in one line of a table.
fn short(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    line.chars().take(limit.saturating_sub(3)).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_times_are_read() {
        let now = DateTime::from_timestamp(1_000_000, 0).expect("a time");
        assert_eq!(since("2h", now).expect("an age"), "1970-01-12T11:46:40.000Z");
        assert_eq!(since("2026-11-20T10:00:00Z", now).expect("a time"), "2026-11-20T10:00:00Z");
        for wrong in ["", "2", "h", "2w", "-2h", "yesterday", "2ü"] {
            assert_eq!(since(wrong, now).expect_err(wrong).code(), 64);
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(short("a\n  b", 10), "a b");
        assert_eq!(short("äääääääääää", 8), "äääää...");
    }
}
