//! `syncctl top`: queues, workers and providers at a glance, again and again.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use chassis::config::Env;
use chassis::time::{SystemClock, pause};
use chrono::SecondsFormat;
use domain::time::Clock;
use serde_json::{Value, json};

use crate::cli::TopArgs;
use crate::error::CliError;
use crate::output::{Output, table};
use crate::rest::Rest;

/// Running jobs of one frame.
const JOBS: &str = "20";
/// Clears the terminal and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Prints frames until interrupted; with `--once`, or where nobody watches, one.
pub async fn run(args: &TopArgs, json: bool, env: Env) -> Result<Output, CliError> {
    let rest = Rest::from_env(env)?;
    let live = !args.once && (json || std::io::stdout().is_terminal());
    if !live {
        let frame = read(&rest).await?;
        let text = render(&frame);
        return Ok(Output::new(frame, text));
    }
    loop {
        let shown = match read(&rest).await {
            Ok(frame) if json => frame.to_string(),
            Ok(frame) => format!("{CLEAR}{}", render(&frame)),
            // It may be back at the next frame; a token that is refused will not.
            Err(error @ (CliError::Refused { status: 401 | 403, .. } | CliError::Usage(_))) => {
                return Err(error);
            }
            Err(error) if json => json!({ "error": error.to_string() }).to_string(),
            Err(error) => format!("{CLEAR}{error}"),
        };
        let mut out = std::io::stdout();
        // Nobody reads any more: the end, as for every filter.
        if writeln!(out, "{shown}").and_then(|()| out.flush()).is_err() {
            return Ok(Output::new(Value::Null, ""));
        }
        pause(Duration::from_secs(args.interval_seconds)).await;
    }
}

async fn read(rest: &Rest) -> Result<Value, CliError> {
    let running = [("state", "running".to_owned()), ("limit", JOBS.to_owned())];
    let (queue, sync, health, jobs) = (
        rest.get(&["api", "metrics", "queue"]).await?,
        rest.get(&["api", "metrics", "sync"]).await?,
        rest.get(&["api", "sync", "health"]).await?,
        rest.query(&["api", "sync", "jobs"], &running).await?,
    );
    // Switches are for administrators: who is none sees the rest.
    let flags = match rest.get(&["api", "flags"]).await {
        Ok(flags) => {
            flags["items"].as_array().into_iter().flatten().filter(|f| f["active"] == true).cloned().collect()
        }
        Err(CliError::Refused { status: 403, .. }) => Value::Null,
        Err(error) => return Err(error),
    };
    let at = SystemClock.now().to_rfc3339_opts(SecondsFormat::Secs, true);
    Ok(
        json!({ "at": at, "queue": queue, "sources": sync["sources"], "health": health, "running": jobs["items"],
        "switches": flags }),
    )
}

fn render(frame: &Value) -> String {
    let (queue, health) = (&frame["queue"], &frame["health"]);
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut parts = vec![format!(
        "{}  platform {}  waiting {}  running {}  retrying {}  parked {}  dead {}  oldest {} s",
        word(&frame["at"]),
        word(&health["status"]),
        queue["pending"],
        queue["running"],
        queue["retrying"],
        queue["parked"],
        queue["dead"],
        queue["oldest_pending_seconds"],
    )];
    let kinds: Vec<Value> = queue["by_kind"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(kind, row)| with("kind", kind, row))
        .collect();
    let kind_columns = ["kind", "pending", "running", "retrying", "parked", "dead"];
    push(&mut parts, "QUEUES", &kinds, &kind_columns);
    let jobs: Vec<Value> = frame["running"].as_array().into_iter().flatten().map(job).collect();
    push(&mut parts, "WORKERS", &jobs, &["id", "kind", "attempt", "progress", "since"]);
    let sources: Vec<Value> =
        frame["sources"].as_object().into_iter().flatten().map(|(name, row)| source(name, row)).collect();
    let source_columns = ["source", "runs", "success", "p95_seconds", "failures_in_a_row", "breaker"];
    push(&mut parts, "PROVIDERS", &sources, &source_columns);
    let switches = frame["switches"].as_array().map(Vec::as_slice).unwrap_or_default();
    push(&mut parts, "SWITCHES", switches, &["name", "until", "changed_by", "reason"]);
    parts.join("\n\n")
}

fn push(parts: &mut Vec<String>, title: &str, rows: &[Value], columns: &[&str]) {
    if !rows.is_empty() {
        parts.push(format!("{title}\n{}", table(rows, columns)));
    }
}

fn with(name: &str, value: &str, row: &Value) -> Value {
    let mut row = row.clone();
    row[name] = json!(value);
    row
}

fn job(job: &Value) -> Value {
    let progress = &job["progress"];
    let done = match (progress["done"].as_i64(), progress["total"].as_i64()) {
        (Some(done), Some(total)) => {
            format!("{done}/{total} {}", progress["unit"].as_str().unwrap_or_default())
        }
        (Some(done), None) => format!("{done} {}", progress["unit"].as_str().unwrap_or_default()),
        _ => String::new(),
    };
    json!({ "id": job["id"], "kind": job["kind"], "attempt": job["attempt"], "progress": done.trim(),
        "since": job["started_at"] })
}

fn source(name: &str, row: &Value) -> Value {
    let success = row["success_rate"].as_f64().map(|share| format!("{:.1} %", share * 100.0));
    json!({ "source": name, "runs": row["runs"], "success": success, "p95_seconds": row["p95_seconds"],
        "failures_in_a_row": row["consecutive_failures"], "breaker": row["breaker_state"] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_shows_what_there_is() {
        let frame = json!({
            "at": "2026-11-20T10:00:00Z", "health": { "status": "degraded" },
            "queue": { "pending": 3, "running": 1, "retrying": 0, "parked": 2, "dead": 0,
                "oldest_pending_seconds": 1.5, "by_kind": { "messages.send": { "pending": 3 } } },
            "running": [{ "id": "j", "kind": "messages.send", "attempt": 2, "started_at": "t",
                "progress": { "done": 4, "total": 9, "unit": "files" } }],
            "sources": { "onedrive": { "runs": 8, "success_rate": 0.875, "breaker_state": "open" } },
            "switches": null,
        });
        let text = render(&frame);
        for part in ["platform degraded", "parked 2", "messages.send  3", "4/9 files", "87.5 %", "open"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("SWITCHES"), "{text}");
    }
}
