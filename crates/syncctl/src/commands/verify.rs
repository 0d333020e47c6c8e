//! `syncctl verify-integration`

use chassis::config::Env;

use crate::error::CliError;
use crate::output::{Output, lines};
use crate::rest::Rest;

/// Fails unless every provider is configured, authenticated and has its permissions.
pub async fn run(env: Env) -> Result<Output, CliError> {
    let health = Rest::from_env(env)?.get(&["api", "auth", "health"]).await?;
    let healthy = health["status"] == "healthy";
    let text = lines(&health);
    let output = Output::new(health, text);
    Ok(if healthy { output } else { output.failing() })
}
