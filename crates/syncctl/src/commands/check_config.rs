//! `syncctl check-config`
//!
//! A service's own settings are known to that service alone, so each installed one is asked with
//! `--check-config`; what all share is read here, which also works where no service is installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use broker::BrokerConfig;
use chassis::config::{Env, FromEnv};
use chassis::time::deadline;
use domain::schedule::CronExpr;
use domain::taxonomy::Taxonomy;
use serde_json::json;
use store::DatabaseConfig;
use tokio::process::Command;
use web::auth::JwtConfig;

use crate::error::CliError;
use crate::output::Output;

const SERVICES: [&str; 7] = [
    "api",
    "webhook-ingress",
    "scheduler",
    "graph-connector",
    "gcal-connector",
    "sync-worker",
    "audit-retention",
];
const LIMIT: Duration = Duration::from_secs(20);

pub async fn run(mut env: Env) -> Result<Output, CliError> {
    // Fault text to the services that have it.
    let mut faults: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut checked, mut absent) = (vec!["shared".to_owned()], Vec::new());
    let path = env.optional("PATH").unwrap_or_default();
    if let Err(found) = shared(env) {
        for line in found {
            faults.entry(line).or_default().push("shared".to_owned());
        }
    }
    for service in SERVICES {
        let Some(program) = find(service, &path) else {
            absent.push(service);
            continue;
        };
        checked.push(service.to_owned());
        for line in ask(service, &program).await? {
            faults.entry(line).or_default().push(service.to_owned());
        }
    }
    if faults.is_empty() {
        let mut text = format!("the configuration can be used ({})", checked.join(", "));
        if !absent.is_empty() {
            text.push_str("\nnot installed here, own settings not checked: ");
            text.push_str(&absent.join(", "));
        }
        return Ok(Output::new(json!({ "valid": true, "checked": checked, "not_installed": absent }), text));
    }
    Err(CliError::Config(
        faults.into_iter().map(|(line, who)| format!("{line} [{}]", who.join(", "))).collect(),
    ))
}

fn shared(mut env: Env) -> Result<(), Vec<String>> {
    DatabaseConfig::from_env(&mut env);
    BrokerConfig::from_env(&mut env);
    JwtConfig::from_env(&mut env);
    if let Some(json) = env.optional("ONEDRIVE_TAXONOMY_CONFIG")
        && let Err(fault) = Taxonomy::from_json_override(&json)
    {
        env.fault("ONEDRIVE_TAXONOMY_CONFIG", format!("cannot be used ({fault}); correct it"));
    }
    let schedule = env.string("ONEDRIVE_SYNC_SCHEDULE", "0 */6 * * *");
    let zone = env.string("ONEDRIVE_SYNC_TIME_ZONE", "UTC");
    if let Err(fault) = CronExpr::parse(&schedule, &zone) {
        env.fault(
            "ONEDRIVE_SYNC_SCHEDULE",
            format!("cannot be used ({fault}), got `{schedule}`; correct it"),
        );
    }
    env.flag("ONEDRIVE_SYNC_ENABLED", true);
    env.flag("ENABLE_REALTIME_SYNC", true);
    env.finish().map_err(|faults| faults.to_string().lines().map(str::to_owned).collect())
}

/// Beside this program, else on the PATH.
fn find(service: &str, path: &str) -> Option<PathBuf> {
    let here = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
    here.into_iter()
        .chain(std::env::split_paths(path))
        .map(|dir| dir.join(service))
        .find(|file| file.is_file())
}

/// Fault lines of one service; none when its configuration can be used.
async fn ask(service: &str, program: &Path) -> Result<Vec<String>, CliError> {
    let child = Command::new(program)
        .arg("--check-config")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = match deadline("a service's --check-config", LIMIT, child).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            return Err(CliError::Failed(format!("{} cannot be run: {error}", program.display())));
        }
        Err(elapsed) => return Err(CliError::Failed(format!("{service}: {elapsed}"))),
    };
    if output.status.success() {
        return Ok(Vec::new());
    }
    let lines: Vec<String> = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|l| !l.is_empty())
        .map(str::to_owned)
        .collect();
    if lines.is_empty() {
        return Ok(vec![format!("{service} ended with {} and said nothing", output.status)]);
    }
    Ok(lines)
}
