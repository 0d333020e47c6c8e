//! `syncctl webhooks list`

use chassis::config::Env;

use crate::error::CliError;
use crate::output::{Output, table};
use crate::rest::Rest;

pub async fn list(env: Env) -> Result<Output, CliError> {
    let answer = Rest::from_env(env)?.get(&["api", "webhooks"]).await?;
    let rows = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let columns = ["provider", "resource_type", "resource_id", "state", "expires_at", "last_notification_at"];
    let text = if rows.is_empty() { "no subscriptions".to_owned() } else { table(rows, &columns) };
    Ok(Output::new(answer, text))
}
