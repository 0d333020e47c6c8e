//! `syncctl sync`

use std::time::{Duration, Instant};

use chassis::config::Env;
use chassis::time::pause;
use serde_json::{Value, json};

use crate::cli::SyncArgs;
use crate::error::CliError;
use crate::output::{Output, table};
use crate::rest::Rest;

const POLL: Duration = Duration::from_millis(500);
const ENDED: [&str; 4] = ["succeeded", "dead", "cancelled", "parked"];

pub async fn run(args: &SyncArgs, env: Env) -> Result<Output, CliError> {
    let rest = Rest::from_env(env)?;
    let (accepted, jobs) = match &args.ao {
        Some(ao) => one(&rest, ao, args.force).await?,
        None => all(&rest).await?,
    };
    if !args.wait {
        let text = format!("{} jobs queued: {}", jobs.len(), jobs.join(" "));
        return Ok(Output::new(accepted, text));
    }
    wait(&rest, &jobs, Duration::from_secs(args.timeout_seconds)).await
}

async fn one(rest: &Rest, ao: &str, force: bool) -> Result<(Value, Vec<String>), CliError> {
    let query: &[(&str, &str)] = if force { &[("force", "true")] } else { &[] };
    let accepted = rest.post(&["api", "sync", "onedrive", ao], query, None).await?;
    let id = accepted["job_id"].as_str().unwrap_or_default().to_owned();
    Ok((accepted, vec![id]))
}

async fn all(rest: &Rest) -> Result<(Value, Vec<String>), CliError> {
    let accepted = rest.post(&["api", "sync", "manual"], &[], None).await?;
    let ids = accepted["jobs"].as_array().into_iter().flatten();
    let jobs = ids.filter_map(|job| job["job_id"].as_str()).map(str::to_owned).collect();
    Ok((accepted, jobs))
}

/// Ends when every job has; a job that ends other than `succeeded` fails the command.
async fn wait(rest: &Rest, jobs: &[String], limit: Duration) -> Result<Output, CliError> {
    let started = Instant::now();
    let mut ended: Vec<Value> = Vec::with_capacity(jobs.len());
    for id in jobs {
        loop {
            let job = rest.get(&["api", "sync", "jobs", id]).await?;
            if job["state"].as_str().is_some_and(|state| ENDED.contains(&state)) {
                ended.push(job);
                break;
            }
            if started.elapsed() >= limit {
                return Err(CliError::Failed(format!(
                    "job {id} is still {} after {} s; look at /api/sync/jobs/{id}/explain",
                    job["state"],
                    limit.as_secs()
                )));
            }
            pause(POLL).await;
        }
    }
    let good = ended.iter().all(|job| job["state"] == "succeeded");
    let text = table(&ended, &["id", "kind", "state", "attempt"]);
    let output = Output::new(json!({ "jobs": ended }), text);
    Ok(if good { output } else { output.failing() })
}
