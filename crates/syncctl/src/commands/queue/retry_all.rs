//! `syncctl queue retry-all`

use std::time::{Duration, Instant};

use chassis::config::Env;
use chassis::time::pause;
use serde_json::{Value, json};

use super::operation::words;
use super::{parameters, why};
use crate::cli::queue::RetryAllArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::rest::Rest;

const POLL: Duration = Duration::from_millis(500);

pub async fn run(args: &RetryAllArgs, env: Env) -> Result<Output, CliError> {
    let mut body = why(args.reason.as_deref());
    for (name, value) in parameters(&args.filter)? {
        body[name] = json!(value);
    }
    if let Some(limit) = args.limit {
        body["limit"] = json!(limit);
    }
    body["plan_only"] = json!(args.plan);
    let rest = Rest::from_env(env)?;
    let operation = rest.post(&["api", "queue", "retry-all"], &[], Some(&body)).await?;
    if !args.wait {
        let text = words(&operation);
        return Ok(Output::new(operation, text));
    }
    wait(&rest, operation, Duration::from_secs(args.timeout_seconds)).await
}

/// Ends when the operation has; fails unless it succeeded and nothing of it failed again.
async fn wait(rest: &Rest, mut operation: Value, limit: Duration) -> Result<Output, CliError> {
    let started = Instant::now();
    let id = operation["id"].as_str().unwrap_or_default().to_owned();
    while operation["settled_at"].is_null() {
        if started.elapsed() >= limit {
            let text = format!("operation {id} has not ended after {} s; it goes on", limit.as_secs());
            return Err(CliError::Failed(text));
        }
        pause(POLL).await;
        operation = rest.get(&["api", "queue", "operations", &id]).await?;
    }
    let bad = ["failed_again", "parked"].iter().any(|name| operation["results"][*name] != 0);
    let good = operation["state"] == "succeeded" && !bad;
    let text = words(&operation);
    let output = Output::new(operation, text);
    Ok(if good { output } else { output.failing() })
}
