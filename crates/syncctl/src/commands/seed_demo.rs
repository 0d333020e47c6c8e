//! `syncctl seed-demo`

use chassis::config::{Env, FromEnv};
use domain::ids::CompanyId;
use serde_json::json;
use store::{DatabaseConfig, Store, companies, drives};

use super::DEMO_COMPANY;
use crate::cli::SeedArgs;
use crate::error::CliError;
use crate::output::Output;

const COMPANY_NAME: &str = "Syncline demo";
const USER: &str = "demo-owner";
const DEFAULT_DRIVE: &str = "b!demo";

pub async fn run(args: &SeedArgs, mut env: Env) -> Result<Output, CliError> {
    let database = DatabaseConfig::from_env(&mut env);
    let drive = match &args.drive_id {
        Some(id) => id.trim().to_owned(),
        None => env.string("DEMO_DRIVE_ID", DEFAULT_DRIVE),
    };
    if drive.is_empty() {
        env.fault("--drive-id", "is empty; name a Graph drive id");
    }
    env.finish()?;
    let company = CompanyId(DEMO_COMPANY);
    let store = Store::new(&database, "syncctl")?;
    let mut tx = store.tenant(company).await?;
    let new_company = companies::put(&mut tx, company, COMPANY_NAME).await?;
    companies::put_user(&mut tx, company, USER, None, "owner").await?;
    let new_drive = drives::register(&mut tx, company, &drive, "Demo drive").await?;
    // Also for a known drive: what changed while nothing ran was not announced, and the subscription may be gone.
    drives::enqueue_first_sync(&mut tx, company, &drive, "syncctl").await?;
    tx.commit().await?;
    store.close().await;
    Ok(Output::new(
        json!({
            "company_id": DEMO_COMPANY, "company": COMPANY_NAME, "user": USER, "role": "owner", "drive_id": drive,
            "created": { "company": new_company, "drive": new_drive },
        }),
        format!("organization {DEMO_COMPANY} ({COMPANY_NAME}), owner {USER}, drive {drive}"),
    ))
}
