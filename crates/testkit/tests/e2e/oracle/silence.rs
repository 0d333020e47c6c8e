//! A drive's subscription that stopped talking is made anew; one that talks is left alone.

use anyhow::{Result, ensure};
use contracts::jobs::{SyncMode, Trigger};
use domain::taxonomy::Taxonomy;
use store::jobs::NewJob;
use sync_worker::config::{CalendarConfig, DocumentsConfig};
use testkit::Rig;
use testkit::e2e::patience::wait_until;

use super::connector::Connector;
use super::feed::Feed;
use super::{LIMIT, World};

const SEED: u64 = 7;
/// The feed dates its changes in October 2025.
const LONG_BEFORE: &str = "'2025-02-01T00:00:00Z'";

/// A sweep that finds a change.
async fn sweep(world: &World<'_>) -> Result<()> {
    world.connector.with(&world.drive, Feed::act);
    let job = NewJob::new(world.company, &world.run_of(SyncMode::Delta, Trigger::Sweep), "test")?;
    let mut tx = world.rig.db.store.tenant(world.company).await?;
    let job = store::jobs::enqueue(&mut tx, job).await?.id();
    tx.commit().await?;
    let done = format!("SELECT count(*) FROM jobs WHERE id = '{}' AND state = 'succeeded'", job.uuid());
    wait_until(LIMIT, "the sweep ends", async || Ok(world.sql.number(&done).await? == 1)).await
}

async fn heard(world: &World<'_>, at: &str) -> Result<()> {
    let text = format!("UPDATE microsoft_subscriptions SET last_notification_at = {at}");
    world.sql.run(&text).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drives_subscription_that_stopped_talking_is_made_anew() -> Result<()> {
    let rig = Rig::new().await;
    let connector = Connector::default();
    let connector_url = connector.clone().serve().await?;
    let calendars = CalendarConfig { connector_url: connector_url.clone() };
    let config =
        DocumentsConfig { connector_url, taxonomy: Taxonomy::default(), realtime: true, batch_items: 200 };
    let worker = rig.worker(sync_worker::handlers(&config, &calendars)?);
    let scheduler = rig.scheduler();
    let world = World::new(&rig, &connector, SEED).await?;
    world.sync(SyncMode::Delta).await?;
    let (company, drive) = (world.company, &world.drive);
    let row = format!(
        "INSERT INTO microsoft_subscriptions (id, company_id, subscription_id, resource_type, resource_id,
             client_state_sha256, state, created_at)
         VALUES (gen_random_uuid(), '{company}', 's', 'drive', '{drive}', sha256('state'), 'active', '2025-01-01T00:00:00Z')"
    );
    world.sql.run(&row).await?;
    let again = "SELECT count(*) FROM jobs WHERE kind = 'maintenance.ensure_subscription'
                     AND payload->>'intent' = 'recreate' AND payload->>'resource_type' = 'drive'";

    heard(&world, "now()").await?;
    sweep(&world).await?;
    ensure!(world.sql.number(again).await? == 0, "the subscription talks");
    heard(&world, LONG_BEFORE).await?;
    sweep(&world).await?;
    ensure!(world.sql.number(again).await? == 1, "the subscription is silent");
    worker.drain().await;
    scheduler.drain().await;
    Ok(())
}
