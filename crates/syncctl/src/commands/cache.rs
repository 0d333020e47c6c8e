//! `syncctl cache flush`

use chassis::config::Env;
use serde_json::json;

use crate::error::CliError;
use crate::output::Output;
use crate::rest::Rest;

pub async fn flush(scope: Option<&str>, env: Env) -> Result<Output, CliError> {
    let body = scope.map_or_else(|| json!({}), |scope| json!({ "scope": scope }));
    let answer = Rest::from_env(env)?.post(&["api", "cache", "clear"], &[], Some(&body)).await?;
    let text = format!("{} entries forgotten", answer["cleared"]);
    Ok(Output::new(answer, text))
}
