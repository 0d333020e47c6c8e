//! `syncctl queue explain`

use chassis::config::Env;
use uuid::Uuid;

use crate::error::CliError;
use crate::output::Output;
use crate::rest::Rest;

pub async fn run(id: Uuid, env: Env) -> Result<Output, CliError> {
    let answer = Rest::from_env(env)?.get(&["api", "sync", "jobs", &id.to_string(), "explain"]).await?;
    let say = |name: &str| answer[name].as_str().unwrap_or("-");
    let mut text = format!("{} {}: {}\n{}", say("kind"), say("state"), say("reason"), say("detail"));
    if let Some(by) = answer["blocked_by"].as_str() {
        text = format!("{text}\nblocked by {by}: syncctl queue explain {by}");
    }
    Ok(Output::new(answer, text))
}
