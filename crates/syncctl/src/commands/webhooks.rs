//! `syncctl webhooks`

use chassis::config::Env;
use serde_json::json;

use crate::error::CliError;
use crate::output::{Output, lines, table};
use crate::rest::Rest;

pub async fn list(env: Env) -> Result<Output, CliError> {
    let answer = Rest::from_env(env)?.get(&["api", "webhooks"]).await?;
    let rows = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let columns = ["provider", "resource_type", "resource_id", "state", "expires_at", "last_notification_at"];
    let text = if rows.is_empty() { "no subscriptions".to_owned() } else { table(rows, &columns) };
    Ok(Output::new(answer, text))
}

/// Queues what makes sure that everything has a subscription.
pub async fn setup(env: Env) -> Result<Output, CliError> {
    let answer = Rest::from_env(env)?.post(&["api", "webhooks", "setup"], &[], Some(&json!({}))).await?;
    let text = lines(&json!({ "microsoft": answer["microsoft"], "calendars": answer["calendars"] }));
    Ok(Output::new(answer, text))
}

/// Queues the renewal of those that end soon.
pub async fn renew(within_hours: i32, env: Env) -> Result<Output, CliError> {
    let body = json!({ "within_hours": within_hours });
    let answer = Rest::from_env(env)?.post(&["api", "webhooks", "renew"], &[], Some(&body)).await?;
    let text = lines(&json!({ "microsoft": answer["microsoft"], "calendars": answer["calendars"] }));
    Ok(Output::new(answer, text))
}

/// Forgets those that ended; fails when strangers could not be looked for.
pub async fn cleanup(days: i32, env: Env) -> Result<Output, CliError> {
    let body = json!({ "days": days });
    let answer = Rest::from_env(env)?.post(&["api", "webhooks", "cleanup"], &[], Some(&body)).await?;
    let text = lines(&answer);
    let complete = answer["strangers_error"].is_null();
    let output = Output::new(answer, text);
    Ok(if complete { output } else { output.failing() })
}
