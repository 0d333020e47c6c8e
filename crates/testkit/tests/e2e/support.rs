//! What the end-to-end tests share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::e2e::patience::wait_until;
use testkit::e2e::sql::quote;
use testkit::e2e::{Platform, Tenant};

/// Longest wait for anything that a working platform does at once.
pub const SOON: Duration = Duration::from_mins(2);
/// Longest wait where faults cost retries.
pub const LATER: Duration = Duration::from_mins(3);

/// The folder above all AOs of the generated and demo drives.
pub const STUDIES: &str = "OneDrive-JLM/01 - ETUDES AO";
/// The first category of the default taxonomy.
pub const PHOTOS: &str = "01-DCE-Cotes-Photos";
/// The second.
pub const SUPPLIERS: &str = "02-Etudes-fournisseurs";

/// A folder of this test that is removed with this value.
#[derive(Debug)]
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A new empty folder.
    pub fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("syncline-drive-{}", testkit::servers::unique()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// A path in it.
    pub fn join(&self, below: impl AsRef<Path>) -> PathBuf {
        self.0.join(below)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left over is only disk space in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A drive id that no other test has.
pub fn drive_id() -> String {
    format!("b!{}", testkit::servers::unique())
}

/// A tenant with a generated drive that was imported and compared.
pub async fn imported(platform: &Platform, seed: u64, items: u32, options: Value) -> Result<Tenant> {
    let tenant = Tenant::generated(platform, &drive_id(), seed, items, options).await?;
    tenant.register().await?;
    tenant.quiet(platform, SOON).await?;
    let documents = tenant.compare(platform).await?;
    ensure!(documents > 0, "the drive has no documents: the test would prove nothing");
    Ok(tenant)
}

/// Waits until the drive has a push subscription.
pub async fn subscribed(platform: &Platform, tenant: &Tenant) -> Result<()> {
    let query = format!(
        "SELECT count(*) FROM microsoft_subscriptions WHERE state = 'active' AND resource_id = {}",
        quote(&tenant.drive)
    );
    wait_until(SOON, "a push subscription", async || Ok(platform.sql.number(&query).await? == 1)).await
}

/// Waits until exactly one live document of the name exists, with a further condition.
pub async fn document(platform: &Platform, tenant: &Tenant, name: &str, condition: &str) -> Result<Value> {
    let condition = format!("deleted_at IS NULL AND name = {} AND {condition}", quote(name));
    wait_until(SOON, &format!("document {name} ({condition})"), async || {
        Ok(tenant.rows(platform, &condition).await?.len() == 1)
    })
    .await?;
    tenant.rows(platform, &condition).await?.pop().context("the document has gone again")
}

/// Waits until no live document has the name.
pub async fn no_document(platform: &Platform, tenant: &Tenant, name: &str) -> Result<()> {
    let condition = format!("deleted_at IS NULL AND name = {}", quote(name));
    wait_until(SOON, &format!("no document {name}"), async || {
        Ok(tenant.rows(platform, &condition).await?.is_empty())
    })
    .await
}

/// Seeded changes to a drive.
pub async fn mutate(platform: &Platform, tenant: &Tenant, seed: u64, count: u32) -> Result<Value> {
    let path = format!("/drives/{}/mutate", testkit::e2e::caller::encode(&tenant.drive));
    platform.control.post(&path, &json!({"seed": seed, "count": count})).await
}

/// Identity of every row ever written: id, item, times. What must not change when nothing changed.
pub async fn identities(platform: &Platform, tenant: &Tenant) -> Result<Vec<Value>> {
    platform
        .sql
        .rows(&format!(
            "SELECT id, onedrive_id, created_at, deleted_at FROM documents WHERE company_id = '{}' ORDER BY id",
            tenant.company
        ))
        .await
}
