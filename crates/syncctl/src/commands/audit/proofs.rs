//! `syncctl audit prove`, `syncctl audit verify-proof`

use audit_trail::Trail;
use audit_trail::prove::{self, Proof};
use chassis::config::{Env, FromEnv};
use domain::ids::CompanyId;
use outbound::audit_keys::AuditKeys;
use serde_json::json;

use super::text;
use crate::cli::audit::{ProofArgs, ProveArgs};
use crate::error::CliError;
use crate::output::Output;

pub async fn prove(args: &ProveArgs, trail: Trail) -> Result<Output, CliError> {
    let company = CompanyId(args.org);
    let found = match (args.record, args.from, args.to) {
        (Some(record), _, _) => prove::inclusion_anywhere(&trail, company, record).await,
        (None, Some(from), Some(to)) => prove::consistency_anywhere(&trail, company, (from, to)).await,
        _ => return Err(CliError::Usage("name --record, or --from and --to".to_owned())),
    };
    let found = found.map_err(|error| CliError::Failed(chassis::telemetry::chain(&error)))?;
    let shown = json!(found);
    let text = serde_json::to_string_pretty(&shown).unwrap_or_default();
    Ok(Output::new(shown, text))
}

pub fn judge(args: &ProofArgs, mut env: Env) -> Result<Output, CliError> {
    let keys = if args.verifier_key.is_empty() {
        let keys = AuditKeys::from_env(&mut env);
        env.finish()?;
        keys
    } else {
        AuditKeys::public(&args.verifier_key)
            .ok_or_else(|| CliError::Usage("a verifier key is not name+hash+key".to_owned()))?
    };
    let proof: Proof = serde_json::from_str(&text(&args.file)?)
        .map_err(|error| CliError::Usage(format!("{}: is no proof: {error}", args.file.display())))?;
    let fault = prove::fault(&proof, &keys);
    let shown = json!({ "valid": fault.is_none(), "fault": fault });
    Ok(match fault {
        None => Output::new(shown, "the proof holds".to_owned()),
        Some(fault) => Output::new(shown, format!("the proof does NOT hold: {fault}")).failing(),
    })
}
