//! `syncctl migrate`

use std::time::Duration;

use chassis::config::Env;
use chassis::secret::redact_url;
use chassis::time::deadline;
use serde_json::json;

use crate::error::CliError;
use crate::output::Output;

/// Index builds on large tables take their time.
const LIMIT: Duration = Duration::from_hours(1);

pub async fn run(mut env: Env) -> Result<Output, CliError> {
    let owner = match env.secret("MIGRATION_DATABASE_URL") {
        Some(url) => url,
        None => env.required_secret("DATABASE_URL"),
    };
    env.finish()?;
    let url = owner.current();
    let applied = deadline("migrating", LIMIT, store::migrate::migrate(url.expose()))
        .await
        .map_err(|elapsed| CliError::Failed(elapsed.to_string()))??;
    let newest = store::migrate::newest();
    Ok(Output::new(
        json!({ "applied": applied, "schema_version": newest }),
        format!("{applied} migrations applied, schema version {newest} at {}", redact_url(url.expose())),
    ))
}
