//! `syncctl queue`

use chassis::config::Env;

use crate::error::CliError;
use crate::output::{Output, lines};
use crate::rest::Rest;

pub async fn run(env: Env) -> Result<Output, CliError> {
    let figures = Rest::from_env(env)?.get(&["api", "metrics", "queue"]).await?;
    let text = lines(&figures);
    Ok(Output::new(figures, text))
}
