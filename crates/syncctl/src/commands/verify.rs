//! `syncctl verify-integration`

use chassis::config::Env;
use serde_json::json;

use crate::error::CliError;
use crate::output::{Output, lines, table};
use crate::rest::Rest;

/// Fails unless every provider is configured and authenticated, and token, permissions, webhooks, subscriptions and
/// queue are as they should be.
pub async fn run(env: Env) -> Result<Output, CliError> {
    let rest = Rest::from_env(env)?;
    let health = rest.get(&["api", "auth", "health"]).await?;
    let integration = rest.get(&["api", "webhooks", "verify"]).await?;
    let healthy = health["status"] == "healthy" && integration["healthy"] == true;
    let rows = integration["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = format!("{}\n\n{}", lines(&health), table(rows, &["part", "name", "ok", "detail"]));
    let mut answer = health;
    answer["integration"] = json!(integration);
    let output = Output::new(answer, text);
    Ok(if healthy { output } else { output.failing() })
}
