//! `syncctl token`

use std::time::Duration;

use chassis::config::{Env, FromEnv};
use chassis::time::SystemClock;
use domain::ids::CompanyId;
use domain::time::{Clock, after};
use serde_json::json;
use web::auth::{Claims, JwtConfig, KeySource, Role, mint};

use crate::cli::{RoleArg, TokenArgs};
use crate::error::CliError;
use crate::output::Output;

pub fn run(args: &TokenArgs, mut env: Env) -> Result<Output, CliError> {
    let config = JwtConfig::from_env(&mut env);
    env.finish()?;
    let KeySource::Secret(secret) = &config.keys else {
        return Err(CliError::Usage(
            "JWT_JWKS_URL is set: tokens come from that issuer; set JWT_SECRET instead to mint one here"
                .to_owned(),
        ));
    };
    let ttl = Duration::from_secs(args.ttl_seconds.into());
    let now = SystemClock.now();
    let claims =
        Claims::new(&args.sub, CompanyId(args.org), role(args.role), &config.issuer, &config.audience);
    let token = mint(&secret.current(), claims, now, ttl)
        .map_err(|error| CliError::Failed(format!("no token can be minted: {error}")))?;
    let json = json!({
        "token": token.expose(), "org": args.org, "sub": args.sub, "role": role(args.role),
        "expires_at": after(now, ttl),
    });
    Ok(Output::new(json, token.expose()))
}

fn role(arg: RoleArg) -> Role {
    match arg {
        RoleArg::Viewer => Role::Viewer,
        RoleArg::Operator => Role::Operator,
        RoleArg::Admin => Role::Admin,
        RoleArg::Owner => Role::Owner,
    }
}
