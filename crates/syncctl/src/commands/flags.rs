//! `syncctl flags`

use chassis::config::Env;
use chassis::time::SystemClock;
use chrono::{DateTime, SecondsFormat, Utc};
use domain::time::Clock;
use outbound::Method;
use serde_json::{Value, json};

use super::queue::span;
use crate::cli::flags::{FlagsCommand, Position, SetArgs};
use crate::error::CliError;
use crate::output::{Output, table};
use crate::rest::Rest;

const COLUMNS: [&str; 7] = ["name", "position", "away", "until", "by", "reason", "effect"];

/// Runs one.
pub async fn run(command: &FlagsCommand, env: Env) -> Result<Output, CliError> {
    let rest = Rest::from_env(env)?;
    match command {
        FlagsCommand::List => {
            let answer = rest.get(&["api", "flags"]).await?;
            let rows: Vec<Value> = answer["items"].as_array().into_iter().flatten().map(row).collect();
            let text = table(&rows, &COLUMNS);
            Ok(Output::new(answer, text))
        }
        FlagsCommand::Set(args) => {
            let until = end(args, SystemClock.now())?;
            let enabled = args.position == Position::On;
            put(&rest, &args.name, json!({ "enabled": enabled, "reason": args.reason, "until": until })).await
        }
        FlagsCommand::Clear { name, reason } => {
            let answer = rest.get(&["api", "flags"]).await?;
            let mut items = answer["items"].as_array().into_iter().flatten();
            let Some(flag) = items.find(|flag| flag["name"] == name.as_str()) else {
                return Err(CliError::Usage(format!(
                    "there is no switch `{name}`; `syncctl flags list` names them"
                )));
            };
            put(&rest, name, json!({ "enabled": flag["normal"], "reason": reason })).await
        }
    }
}

async fn put(rest: &Rest, name: &str, body: Value) -> Result<Output, CliError> {
    let answer = rest.send(Method::PUT, &["api", "flags", name], &body).await?;
    let released = answer["released"].as_u64().unwrap_or(0);
    let mut text = table(&[row(&answer)], &COLUMNS);
    if released > 0 {
        text = format!("{text}\n{released} jobs go on");
    }
    Ok(Output::new(answer, text))
}

fn row(flag: &Value) -> Value {
    let word =
        |name: &str, yes: &str, no: &str| if flag[name] == true { yes.to_owned() } else { no.to_owned() };
    json!({
        "name": flag["name"], "position": word("enabled", "on", "off"), "away": word("active", "yes", "no"),
        "until": flag["until"], "by": flag["changed_by"], "reason": flag["reason"], "effect": flag["effect"],
    })
}

/// When it goes back by itself.
fn end(args: &SetArgs, now: DateTime<Utc>) -> Result<Option<String>, CliError> {
    let wrong =
        |text: &str| CliError::Usage(format!("--for is a time span (90s, 15m, 2h, 3d), got `{text}`"));
    let until = match args.lasts.as_deref() {
        Some(text) => {
            Some(span(text).and_then(|span| now.checked_add_signed(span)).ok_or_else(|| wrong(text))?)
        }
        None => args.until,
    };
    Ok(until.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)))
}
