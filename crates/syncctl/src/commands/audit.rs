//! `syncctl audit`

mod proofs;

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::Arc;

use archive::{ArchiveConfig, Stores};
use audit_trail::verify::{Depth, verify};
use audit_trail::{Trail, TrailError, export, keep};
use chassis::config::{Env, FromEnv};
use domain::audit::Report;
use domain::ids::CompanyId;
use outbound::audit_keys::AuditKeys;
use serde_json::json;
use store::{DatabaseConfig, Store};
use uuid::Uuid;

use crate::cli::audit::{AuditCommand, EraseArgs, ExportArgs, RestoreArgs, VerifyArgs};
use crate::error::CliError;
use crate::output::{Output, lines};
use crate::rest::Rest;

pub async fn run(command: &AuditCommand, env: Env) -> Result<Output, CliError> {
    match command {
        AuditCommand::Verify(args) => match &args.file {
            Some(file) => from_file(args, file, env),
            None => online(args, env).await,
        },
        AuditCommand::Export(args) => write(args, env).await,
        AuditCommand::Restore(args) => restore(args, env).await,
        AuditCommand::Policies { org } => {
            let org = org.to_string();
            let path = ["api", "v1", "audit", "organizations", &org, "policies"];
            let answer = Rest::from_env(env)?.get(&path).await?;
            let text = lines(&answer);
            Ok(Output::new(answer, text))
        }
        AuditCommand::Erase(args) => erase(args, env).await,
        AuditCommand::Prove(args) => proofs::prove(args, trail(env)?).await,
        AuditCommand::VerifyProof(args) => proofs::judge(args, env),
        AuditCommand::Records { org, limit } => {
            let org = org.to_string();
            let path = ["api", "v1", "audit", "organizations", &org, "records"];
            let answer = Rest::from_env(env)?.query(&path, &[("limit", limit.to_string())]).await?;
            let text = lines(&answer);
            Ok(Output::new(answer, text))
        }
        AuditCommand::Run { org, dry_run, reason } => retain(*org, *dry_run, reason.as_deref(), env).await,
    }
}

async fn erase(args: &EraseArgs, env: Env) -> Result<Output, CliError> {
    let org = args.org.to_string();
    let body = json!({ "subjects": args.subject, "basis": args.basis, "reason": args.reason });
    let path = ["api", "v1", "audit", "organizations", &org, "erasure"];
    let answer = Rest::from_env(env)?.post(&path, &[], Some(&body)).await?;
    let text = lines(&answer);
    Ok(Output::new(answer, text))
}

async fn retain(org: Uuid, dry_run: bool, reason: Option<&str>, env: Env) -> Result<Output, CliError> {
    let (org, body) = (org.to_string(), json!({ "dry_run": dry_run, "reason": reason }));
    let path = ["api", "v1", "audit", "organizations", &org, "retention", "run"];
    let answer = Rest::from_env(env)?.post(&path, &[], Some(&body)).await?;
    let text = lines(&answer);
    Ok(Output::new(answer, text))
}

fn trail(mut env: Env) -> Result<Trail, CliError> {
    let database = DatabaseConfig::from_env(&mut env);
    let keys = AuditKeys::from_env(&mut env);
    let archives = ArchiveConfig::from_env(&mut env);
    env.finish()?;
    let stores =
        Stores::open(&archives).map_err(|error| CliError::Failed(chassis::telemetry::chain(&error)))?;
    let store = Store::new(&database, "syncctl")?;
    Ok(Trail { store, stores: Some(stores), keys: Arc::new(keys), subjects: None })
}

async fn online(args: &VerifyArgs, env: Env) -> Result<Output, CliError> {
    let trail = trail(env)?;
    let depth = if args.archives { Depth::Archives } else { Depth::Online };
    Ok(told(&verify(&trail, Some(CompanyId(args.org)), depth).await.map_err(failed)?))
}

fn from_file(args: &VerifyArgs, file: &Path, mut env: Env) -> Result<Output, CliError> {
    let keys = if args.verifier_key.is_empty() {
        AuditKeys::from_env(&mut env).historic()
    } else {
        AuditKeys::public(&args.verifier_key)
            .ok_or_else(|| CliError::Usage("--verifier-key is not name+hash+key".to_owned()))?
    };
    env.finish()?;
    let anchors: Result<Vec<String>, CliError> = args.checkpoint.iter().map(|path| text(path)).collect();
    let mut reader = BufReader::new(File::open(file).map_err(|e| unreadable(file, &e))?);
    Ok(told(&export::judge(&keys, &mut reader, &anchors?).map_err(failed)?))
}

async fn write(args: &ExportArgs, env: Env) -> Result<Output, CliError> {
    let trail = trail(env)?;
    let file = OpenOptions::new().write(true).create_new(true).open(&args.file);
    let mut out = BufWriter::new(file.map_err(|e| unreadable(&args.file, &e))?);
    let records = export::write(&trail, CompanyId(args.org), &mut out).await.map_err(failed)?;
    let keys = trail.keys.verifier_keys();
    let shown = json!({ "file": args.file, "records": records, "verifier_keys": keys });
    let text = lines(&shown);
    Ok(Output::new(shown, text))
}

async fn restore(args: &RestoreArgs, env: Env) -> Result<Output, CliError> {
    let (trail, company) = (trail(env)?, CompanyId(args.org));
    let mut tx = trail.store.tenant(company).await?;
    let row = store::audit::archives::find(&mut tx, company, args.archive).await?;
    tx.rollback().await?;
    let row = row.filter(store::audit::archives::Archive::is_settled);
    let row =
        row.ok_or_else(|| CliError::Failed(format!("there is no verified archive {}", args.archive)))?;
    let file = OpenOptions::new().write(true).create_new(true).open(&args.file);
    let mut out = BufWriter::new(file.map_err(|e| unreadable(&args.file, &e))?);
    let records = keep::write_down(&trail, company, &row, &mut out).await.map_err(failed)?;
    let shown = json!({ "file": args.file, "records": records });
    let text = lines(&shown);
    Ok(Output::new(shown, text))
}

/// `{valid, checked, checkpoint, first_fault}`; a trail that is not valid fails the command.
fn told(report: &Report) -> Output {
    let shown = json!(report);
    let text = match &report.first_fault {
        None => format!("the trail is intact: {} records checked", report.checked),
        Some(fault) => format!(
            "the trail is NOT intact: {} ({})\n{}\n{} records before it are right",
            fault.reason.as_str(),
            fault.id,
            fault.detail,
            report.checked
        ),
    };
    let output = Output::new(shown, text);
    if report.valid { output } else { output.failing() }
}

fn text(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::Usage(format!("{}: {error}", path.display()))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: TrailError) -> CliError {
    CliError::Failed(chassis::telemetry::chain(&error))
}
