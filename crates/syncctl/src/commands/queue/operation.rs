//! `syncctl queue operation`

use chassis::config::Env;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{items, more, why};
use crate::cli::queue::OperationArgs;
use crate::error::CliError;
use crate::output::{Output, table};
use crate::rest::Rest;

pub async fn run(args: &OperationArgs, env: Env) -> Result<Output, CliError> {
    let rest = Rest::from_env(env)?;
    let Some(id) = args.id else { return list(&rest).await };
    if args.items {
        return list_items(&rest, id, args).await;
    }
    let path = id.to_string();
    let action = if args.start {
        Some("start")
    } else if args.cancel {
        Some("cancel")
    } else {
        None
    };
    let operation = match action {
        Some(action) => {
            let path = ["api", "queue", "operations", &path, action];
            rest.post(&path, &[], Some(&why(args.reason.as_deref()))).await?
        }
        None => rest.get(&["api", "queue", "operations", &path]).await?,
    };
    let text = words(&operation);
    Ok(Output::new(operation, text))
}

async fn list(rest: &Rest) -> Result<Output, CliError> {
    let page = rest.get(&["api", "queue", "operations"]).await?;
    let columns = ["id", "state", "planned", "taken", "requested_by", "created_at", "ended_because"];
    let text =
        if items(&page).is_empty() { "no operations".to_owned() } else { table(items(&page), &columns) };
    Ok(Output::new(page, text))
}

async fn list_items(rest: &Rest, id: Uuid, args: &OperationArgs) -> Result<Output, CliError> {
    let mut query = vec![("limit", "200".to_owned())];
    query.extend(args.result.clone().map(|result| ("result", result)));
    query.extend(args.cursor.clone().map(|cursor| ("cursor", cursor)));
    let page = rest.query(&["api", "queue", "operations", &id.to_string(), "items"], &query).await?;
    let columns = ["position", "job_id", "kind", "fingerprint", "wave", "result", "served_by"];
    let text = if items(&page).is_empty() { "no items".to_owned() } else { table(items(&page), &columns) };
    let text = text + &more(&page);
    Ok(Output::new(page, text))
}

/// An operation for people.
pub(super) fn words(operation: &Value) -> String {
    let say = |name: &str| operation[name].as_str().unwrap_or("-").to_owned();
    let results = &operation["results"];
    let mut text = format!(
        "operation {}: {}\nplanned {}  retried {}  skipped {}  aborted {}   wave {} of about {}\n\
         succeeded {}  failed again {}  still trying {}  under way {}  parked {}  coalesced {}  waiting {}",
        say("id"),
        say("state"),
        operation["planned"],
        operation["retried"],
        operation["skipped"],
        operation["aborted"],
        operation["wave"]["number"],
        operation["wave"]["estimated"],
        results["succeeded"],
        results["failed_again"],
        results["failing"],
        results["open"],
        results["parked"],
        results["coalesced"],
        results["waiting"],
    );
    if let Some(because) = operation["ended_because"].as_str() {
        text = format!("{text}\nended because {because}");
    }
    if operation["state"] == "planned" {
        text = format!("{text}\nrun it: syncctl queue operation {} --start", say("id"));
    }
    let groups = operation["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Value> = groups
        .iter()
        .map(|group| {
            json!({
                "planned": group["planned"], "succeeded": group["succeeded"],
                "failed again": group["failed_again"], "kind": group["kind"], "fingerprint": group["fingerprint"],
            })
        })
        .collect();
    if rows.is_empty() {
        return text;
    }
    let columns = ["planned", "succeeded", "failed again", "kind", "fingerprint"];
    format!("{text}\n\n{}", table(&rows, &columns))
}
