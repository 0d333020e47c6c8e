//! Losing what only remembers loses nothing; crashes resume; shutdown hands back.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::e2e::patience::wait_until;
use testkit::e2e::{Options, Platform, Tenant};

use crate::support::{LATER, SOON, drive_id, identities, imported, mutate};

#[tokio::test]
async fn lost_cursors_cost_a_walk_and_nothing_else() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = imported(&platform, 61, 400, json!({})).await?;
    let before = identities(&platform, &tenant).await?;
    platform.sql.run("TRUNCATE microsoft_sync_state").await?;
    tenant.sync_to_end(&platform, SOON).await?;
    tenant.compare(&platform).await?;
    ensure!(identities(&platform, &tenant).await? == before, "rows came, went or were born again");

    tenant.without_mass_change_limit().await?;
    // The same with changes in between: deletions too are found by the walk alone.
    platform.sql.run("TRUNCATE microsoft_sync_state").await?;
    mutate(&platform, &tenant, 7, 60).await?;
    tenant.sync_to_end(&platform, SOON).await?;
    tenant.compare(&platform).await?;
    platform.stop().await
}

#[tokio::test]
async fn an_emptied_broker_loses_no_job() -> Result<()> {
    let mut platform = Platform::start(Options::default()).await?;
    let tenant = imported(&platform, 62, 300, json!({})).await?;
    platform.process("sync-worker-1")?.kill().await?;
    tenant.without_mass_change_limit().await?;
    mutate(&platform, &tenant, 9, 40).await?;
    tenant.sync().await?;
    let bells = "SELECT count(*) FROM outbox";
    wait_until(SOON, "the bell is at the broker", async || Ok(platform.sql.number(bells).await? == 0))
        .await?;
    platform.wipe_broker();
    platform.process("sync-worker-1")?.start()?;
    tenant.quiet(&platform, LATER).await?;
    tenant.compare(&platform).await?;
    platform.revive().await?;
    platform.stop().await
}

#[tokio::test]
async fn crashes_in_the_middle_of_an_import_resume() -> Result<()> {
    let mut platform = Platform::start(Options { workers: 2, ..Options::default() }).await?;
    let tenant = Tenant::generated(&platform, &drive_id(), 63, 1500, json!({})).await?;
    platform.fault("delta", None, json!({"kind": "delay", "ms": 40})).await?;
    tenant.register().await?;
    for (label, least) in
        [("sync-worker-1", 100), ("graph-connector", 250), ("sync-worker-2", 400), ("scheduler", 500)]
    {
        let stored = format!("SELECT count(*) FROM drive_items WHERE company_id = '{}'", tenant.company);
        wait_until(LATER, &format!("{least} items are stored"), async || {
            Ok(platform.sql.number(&stored).await? >= least)
        })
        .await?;
        platform.crash(label).await?;
    }
    tenant.quiet(&platform, LATER).await?;
    tenant.compare(&platform).await?;
    let (calls, _) = platform.calls(0).await?;
    let pages =
        calls.iter().filter(|call| call["path"].as_str().is_some_and(|path| path.contains("delta"))).count();
    // 60 pages; what was stored is not asked for again, only what was fetched ahead.
    ensure!(pages < 150, "{pages} delta calls: the import did not resume");
    ensure!(platform.dead_letters().await?.is_empty(), "dead letters");
    platform.revive().await?;
    platform.stop().await
}

#[tokio::test]
async fn a_stopping_worker_hands_its_job_over() -> Result<()> {
    let mut platform =
        Platform::start(Options { workers: 2, ..Options::default() }.env("LEASE_SECONDS", "60")).await?;
    let tenant = Tenant::generated(&platform, &drive_id(), 64, 1000, json!({})).await?;
    platform.fault("delta", None, json!({"kind": "delay", "ms": 150})).await?;
    tenant.register().await?;
    let stored = format!("SELECT count(*) FROM drive_items WHERE company_id = '{}'", tenant.company);
    wait_until(LATER, "the import runs", async || Ok(platform.sql.number(&stored).await? >= 50)).await?;
    for label in ["sync-worker-1", "sync-worker-2"] {
        // Graceful, one after the other: the job moves to the other worker without waiting for its lease.
        let status = platform.process(label)?.terminate(Duration::from_secs(15)).await?;
        ensure!(status.success(), "{label} ended with {status}");
        if label == "sync-worker-1" {
            let so_far = platform.sql.number(&stored).await?;
            wait_until(Duration::from_secs(20), "the import goes on", async || {
                Ok(platform.sql.number(&stored).await? > so_far)
            })
            .await?;
            platform.process(label)?.start()?;
        }
    }
    tenant.quiet(&platform, LATER).await?;
    tenant.compare(&platform).await?;
    let failed = "SELECT count(*) FROM jobs_finished WHERE kind = 'documents.sync_drive' AND attempt > 1";
    ensure!(platform.sql.number(failed).await? == 0, "a graceful stop cost an attempt");
    platform.revive().await?;
    platform.stop().await
}
