//! AOs and the folders that are theirs, when people change one or the other.

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::e2e::caller::encode;
use testkit::e2e::{Options, Platform, Tenant};

use crate::support::{LATER, PHOTOS, SOON, STUDIES, document, drive_id, imported};

/// A drive with one AO folder and a file in it.
async fn with_ao(
    platform: &Platform,
    tenant: &Tenant,
    drive: &str,
    reference: &str,
    file: &str,
) -> Result<()> {
    let folder = format!("AO-{reference}");
    platform.graph.folder(drive, STUDIES, &folder).await?;
    platform.graph.folder(drive, &format!("{STUDIES}/{folder}"), PHOTOS).await?;
    platform.graph.upload(drive, &format!("{STUDIES}/{folder}/{PHOTOS}/{file}"), file.as_bytes()).await?;
    tenant.sync_to_end(platform, SOON).await
}

#[tokio::test]
async fn an_ao_with_another_reference_leaves_its_folder() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = imported(&platform, 31, 150, json!({})).await?;
    with_ao(&platform, &tenant, &tenant.drive, "8001", "plan.txt").await?;
    document(&platform, &tenant, "plan.txt", "entity_id = 'ao-8001'").await?;

    // The AO goes on under another reference; the folder still says 8001, which is a new AO then.
    tenant.api.put("/api/aos/ao-8001", &json!({"reference": "8002"})).await?;
    tenant.sync_to_end(&platform, SOON).await?;
    let moved = document(&platform, &tenant, "plan.txt", "entity_id <> 'ao-8001'").await?;
    let owner = format!("/api/aos/{}", moved["entity_id"].as_str().unwrap_or_default());
    ensure!(tenant.api.get(&owner).await?["reference"] == "8001", "{moved}");

    with_ao(&platform, &tenant, &tenant.drive, "8002", "coupe.txt").await?;
    document(&platform, &tenant, "coupe.txt", "entity_id = 'ao-8001'").await?;
    platform.stop().await
}

#[tokio::test]
async fn one_reference_in_two_drives_has_one_holder() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = imported(&platform, 32, 150, json!({})).await?;
    // The generated drives share references, too: one loses many documents to the other, which is not the point.
    tenant.without_mass_change_limit().await?;
    let other = Tenant { drive: drive_id(), ..tenant.clone() };
    let spec = json!({"id": other.drive, "kind": "generated", "seed": 33, "items": 150, "options": {}});
    platform.control.post("/drives", &spec).await?;
    other.register().await?;
    with_ao(&platform, &tenant, &tenant.drive, "9001", "ici.txt").await?;
    with_ao(&platform, &tenant, &other.drive, "9001", "là.txt").await?;

    // Whichever folder has the lesser id holds it; twice more, so that the one that lost has been looked at again.
    for _ in 0..2 {
        tenant.sync_to_end(&platform, SOON).await?;
    }
    let held = "name IN ('ici.txt', 'là.txt') AND entity_id = 'ao-9001' AND deleted_at IS NULL";
    let rows = tenant.rows(&platform, held).await?;
    ensure!(rows.len() == 1, "one folder holds the reference: {rows:?}");
    let reported =
        "SELECT count(*) FROM sync_quarantine WHERE code = 'duplicate_ao_reference' AND state = 'open'
         AND reason LIKE '%9001%'";
    ensure!(platform.sql.number(reported).await? == 1, "the other folder is reported");
    platform.stop().await
}

#[tokio::test]
async fn a_locked_site_parks_its_drive_until_asked_again() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = Tenant::generated(&platform, &drive_id(), 34, 150, json!({})).await?;
    let locked = json!({"kind": "status", "status": 423, "body": {"error": {"code": "notAllowed",
        "message": "Site is locked.", "innerError": {"code": "resourceLocked"}}}});
    let path = format!("{}.*delta", encode(&tenant.drive).trim_start_matches("b%21"));
    platform.fault(&path, Some(1), locked).await?;
    tenant.register().await?;
    let parked = format!(
        "SELECT count(*) FROM jobs WHERE company_id = '{}' AND state = 'parked' AND park_reason = 'locked'",
        tenant.company
    );
    testkit::e2e::patience::wait_until(SOON, "the drive's job is parked", async || {
        Ok(platform.sql.number(&parked).await? == 1)
    })
    .await?;
    ensure!(tenant.found(&platform).await?.is_empty(), "nothing was read");

    // Unlocked: the next request is served.
    tenant.sync_to_end(&platform, LATER).await?;
    ensure!(tenant.compare(&platform).await? > 0, "the drive has documents");
    ensure!(platform.dead_letters().await?.is_empty(), "nothing died");
    platform.stop().await
}
