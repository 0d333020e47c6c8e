//! `syncctl schedules`

use chassis::config::Env;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::output::{Output, lines, table};
use crate::rest::Rest;

/// Every schedule with its last and next run.
pub async fn list(env: Env) -> Result<Output, CliError> {
    let rest = Rest::from_env(env)?;
    let answer = rest.get(&["api", "schedules"]).await?;
    let rows: Vec<Value> = answer["items"].as_array().into_iter().flatten().map(row).collect();
    let columns = ["name", "schedule", "time_zone", "active", "last_run", "outcome", "next_run"];
    let text = if rows.is_empty() { "no schedules".to_owned() } else { table(&rows, &columns) };
    Ok(Output::new(answer, text))
}

fn row(schedule: &Value) -> Value {
    json!({
        "name": schedule["name"], "schedule": schedule["schedule"], "time_zone": schedule["time_zone"],
        "active": schedule["active"], "last_run": schedule["last_run"]["occurrence_at"],
        "outcome": schedule["last_run"]["status"], "next_run": schedule["next_runs"][0],
    })
}

/// `pause` or `resume`, with the reason for those who look later.
pub async fn switch(name: &str, verb: &str, reason: Option<&str>, env: Env) -> Result<Output, CliError> {
    let body = json!({ "reason": reason });
    let answer = Rest::from_env(env)?.post(&["api", "schedules", name, verb], &[], Some(&body)).await?;
    let text = table(&[row(&answer)], &["name", "schedule", "time_zone", "active", "next_run"]);
    Ok(Output::new(answer, text))
}

/// Runs one now.
pub async fn trigger(name: &str, env: Env) -> Result<Output, CliError> {
    let answer = Rest::from_env(env)?.post(&["api", "schedules", name, "trigger"], &[], None).await?;
    let shown = json!({ "job_id": answer["job_id"], "coalesced": answer["coalesced"] });
    let text = lines(&shown);
    Ok(Output::new(answer, text))
}
