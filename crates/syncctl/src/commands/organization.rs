//! `syncctl add-organization` and its fixed instance `seed-demo`.

use chassis::config::{Env, FromEnv};
use domain::ids::CompanyId;
use serde_json::json;
use store::{DatabaseConfig, Store, companies, drives};
use uuid::Uuid;

use super::DEMO_COMPANY;
use crate::cli::{OrganizationArgs, SeedArgs};
use crate::error::CliError;
use crate::output::Output;

const DEMO_NAME: &str = "Syncline demo";
const DEMO_OWNER: &str = "demo-owner";
const DEMO_DRIVE: &str = "b!demo";

/// An organization to be written; writing it again changes its name and nothing else.
struct Organization<'a> {
    id: Uuid,
    name: &'a str,
    owner: &'a str,
    drives: Vec<(String, &'a str)>,
}

/// `add-organization`
pub async fn add(args: &OrganizationArgs, env: Env) -> Result<Output, CliError> {
    let drives = args.drive_id.iter().map(|id| (id.trim().to_owned(), "")).collect();
    let id = args.id.unwrap_or_else(chassis::ids::new_id);
    write(Organization { id, name: &args.name, owner: &args.owner, drives }, env).await
}

/// `seed-demo`
pub async fn seed_demo(args: &SeedArgs, mut env: Env) -> Result<Output, CliError> {
    let drive = match &args.drive_id {
        Some(id) => id.trim().to_owned(),
        None => env.string("DEMO_DRIVE_ID", DEMO_DRIVE),
    };
    let drives = vec![(drive, "Demo drive")];
    write(Organization { id: DEMO_COMPANY, name: DEMO_NAME, owner: DEMO_OWNER, drives }, env).await
}

async fn write(organization: Organization<'_>, mut env: Env) -> Result<Output, CliError> {
    let database = DatabaseConfig::from_env(&mut env);
    if organization.drives.iter().any(|(id, _)| id.is_empty()) {
        env.fault("--drive-id", "is empty; name a Graph drive id");
    }
    if organization.name.trim().is_empty() {
        env.fault("--name", "is empty; name the organization");
    }
    env.finish()?;
    let Organization { id, name, owner, drives: wanted } = organization;
    let company = CompanyId(id);
    let store = Store::new(&database, "syncctl")?;
    let mut tx = store.tenant(company).await?;
    let new_company = companies::put(&mut tx, company, name).await?;
    companies::put_user(&mut tx, company, owner, None, "owner").await?;
    let mut new_drives = Vec::new();
    for (drive, label) in &wanted {
        if drives::register(&mut tx, company, drive, label).await? {
            new_drives.push(drive.clone());
        }
        // Also for a known drive: what changed while nothing ran was not announced, and the subscription may be
        // gone.
        drives::enqueue_first_sync(&mut tx, company, drive, "syncctl").await?;
    }
    tx.commit().await?;
    store.close().await;
    let ids: Vec<&str> = wanted.iter().map(|(id, _)| id.as_str()).collect();
    let text = format!("organization {id} ({name}), owner {owner}, drives: {}", ids.join(", "));
    Ok(Output::new(
        json!({
            "company_id": id, "company": name, "user": owner, "role": "owner", "drive_id": ids.first(),
            "drives": ids, "created": { "company": new_company, "drives": new_drives },
        }),
        text,
    ))
}
