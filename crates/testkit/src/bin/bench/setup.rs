//! Platforms and imports as the benchmarks want them: the product's own settings, no push.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testkit::e2e::{Options, Platform, Tenant};

/// Longest import of a million items.
pub const LONG: Duration = Duration::from_mins(30);

/// The settings that services have by default where the tests' are faster.
pub fn options(workers: usize) -> Options {
    Options { workers, ..Options::default() }
        .env("GRAPH_PAGE_SIZE", "200")
        .env("LEASE_SECONDS", "30")
        .env("LOST_BELL_SECONDS", "30")
        .env("ONEDRIVE_RETRY_INITIAL_MS", "1000")
        .env("ONEDRIVE_RETRY_MAX_MS", "15000")
        .env("ONEDRIVE_BREAKER_RESET_SECONDS", "60")
        .env("ONEDRIVE_BREAKER_TIMEOUT_SECONDS", "90")
        .env("ENABLE_REALTIME_SYNC", "false")
}

/// CPU seconds that the stand-in has used.
pub async fn stand_in_cpu(platform: &Platform) -> Result<f64> {
    let usage = platform.control.get("/usage").await?;
    usage["cpu_seconds"].as_f64().context("usage without cpu_seconds")
}

/// A generated drive of a new organization, not registered yet.
pub async fn drive(platform: &Platform, seed: u64, items: u32) -> Result<Tenant> {
    let id = format!("b!bench-{}", testkit::servers::unique());
    let tenant = Tenant::generated(platform, &id, seed, items, json!({})).await?;
    tenant.without_mass_change_limit().await?;
    Ok(tenant)
}

/// Imports the drive and waits for the end; returns the run's row of `sync_history`.
pub async fn import(platform: &Platform, tenant: &Tenant) -> Result<Value> {
    tenant.register().await?;
    tenant.quiet(platform, LONG).await?;
    last_run(platform, tenant).await
}

/// The newest run of the organization.
pub async fn last_run(platform: &Platform, tenant: &Tenant) -> Result<Value> {
    let query = format!(
        "SELECT status, errors, provider_calls, documents_added, documents_updated, documents_deleted,
             extract(epoch FROM finished_at - started_at)::float8 AS seconds
         FROM sync_history WHERE company_id = '{}' ORDER BY started_at DESC LIMIT 1",
        tenant.company
    );
    let run = platform.sql.rows(&query).await?.pop().context("no run")?;
    anyhow::ensure!(run["status"] == "success", "the run failed: {run}");
    Ok(run)
}

/// Number of processors.
pub fn cores() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    f64::from(u32::try_from(cores).unwrap_or(1))
}
