//! `syncctl queue parked|release`

use chassis::config::Env;
use serde_json::{Value, json};

use super::{items, more, why};
use crate::cli::queue::ReleaseArgs;
use crate::error::CliError;
use crate::output::{Output, table};
use crate::rest::Rest;

pub async fn list(parked_for: Option<&str>, env: Env) -> Result<Output, CliError> {
    let mut query = vec![("limit", "200".to_owned())];
    query.extend(parked_for.map(|reason| ("reason", reason.to_owned())));
    let page = Rest::from_env(env)?.query(&["api", "queue", "parked"], &query).await?;
    if items(&page).is_empty() {
        return Ok(Output::new(page, "no parked jobs"));
    }
    let text = table(items(&page), &["id", "kind", "reason", "waiting_seconds", "mended_by"]) + &more(&page);
    Ok(Output::new(page, text))
}

pub async fn release(args: &ReleaseArgs, env: Env) -> Result<Output, CliError> {
    let rest = Rest::from_env(env)?;
    if let Some(id) = args.id {
        let path = ["api", "queue", "parked", &id.to_string(), "release"];
        let job = rest.post(&path, &[], Some(&why(args.reason.as_deref()))).await?;
        let text = format!("job {id} is {}", job["state"].as_str().unwrap_or("-"));
        return Ok(Output::new(job, text));
    }
    let body = json!({ "reason": args.parked_for, "why": args.reason });
    let answer: Value = rest.post(&["api", "queue", "parked", "release"], &[], Some(&body)).await?;
    let text = format!("{} jobs are queued again", answer["released"]);
    Ok(Output::new(answer, text))
}
