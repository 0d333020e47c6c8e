//! The first import, and changes that arrive by push.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::e2e::process::program_dir;
use testkit::e2e::{Options, Platform, Tenant};

use crate::support::{
    LATER, PHOTOS, SOON, STUDIES, SUPPLIERS, Scratch, document, drive_id, imported, mutate, no_document,
    subscribed,
};

#[tokio::test]
async fn a_real_folder_and_what_a_person_does_in_it() -> Result<()> {
    let folder = Scratch::new()?;
    let seeded = std::process::Command::new(program_dir()?.join("emulator"))
        .arg("seed-folder")
        .arg(&folder.0)
        .status()?;
    ensure!(seeded.success(), "seed-folder failed");
    let drive = drive_id();
    let platform = Platform::start(Options::default().folder_drive(&drive, &folder.0)).await?;
    let tenant = Tenant::new(&platform, &drive).await?;
    tenant.register().await?;
    tenant.quiet(&platform, SOON).await?;
    let documents = tenant.compare(&platform).await?;
    ensure!(documents >= 200, "only {documents} documents");
    subscribed(&platform, &tenant).await?;

    let ao = folder.join(STUDIES).join("AO-2501");
    let first = ao.join(PHOTOS).join("relevé neuf #1.txt");
    fs::write(&first, "one line\n")?;
    let row = document(&platform, &tenant, "relevé neuf #1.txt", "size = 9").await?;

    fs::write(&first, "one line\nand a second\n")?;
    let changed = document(&platform, &tenant, "relevé neuf #1.txt", "size = 22").await?;
    ensure!(
        changed["id"] == row["id"] && changed["created_at"] == row["created_at"],
        "a change made a new row"
    );

    fs::rename(&first, ao.join(PHOTOS).join("relevé renommé.txt"))?;
    let renamed = document(&platform, &tenant, "relevé renommé.txt", "true").await?;
    ensure!(renamed["onedrive_id"] == row["onedrive_id"], "a rename made another item");

    let moved_to = folder.join(STUDIES).join("AO-2502").join(SUPPLIERS);
    fs::rename(ao.join(PHOTOS).join("relevé renommé.txt"), moved_to.join("relevé renommé.txt"))?;
    let moved =
        document(&platform, &tenant, "relevé renommé.txt", &format!("category = '{SUPPLIERS}'")).await?;
    ensure!(moved["id"] == row["id"] && moved["entity_id"] == "ao-2502", "moved to {moved}");

    fs::remove_file(moved_to.join("relevé renommé.txt"))?;
    no_document(&platform, &tenant, "relevé renommé.txt").await?;
    tenant.settled(&platform, SOON).await?;

    let swept = platform
        .sql
        .number("SELECT count(*) FROM sync_history WHERE triggered_by IN ('sweep', 'schedule')")
        .await?;
    ensure!(swept == 0, "{swept} sweeps: the changes need not have come by push");
    ensure!(platform.dead_letters().await?.is_empty(), "dead letters");
    platform.stop().await
}

#[tokio::test]
async fn folders_move_into_and_out_of_scope() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = imported(&platform, 11, 400, json!({})).await?;
    subscribed(&platform, &tenant).await?;
    let (graph, drive) = (&platform.graph, tenant.drive.as_str());

    // A folder with files moves out of its category's AO, and back into another category.
    graph.folder(drive, &format!("{STUDIES}/AO-2501/{PHOTOS}"), "Lot neuf").await?;
    for n in 0..5 {
        graph
            .upload(drive, &format!("{STUDIES}/AO-2501/{PHOTOS}/Lot neuf/pièce {n}.txt"), b"content")
            .await?;
    }
    let inside = document(&platform, &tenant, "pièce 4.txt", "true").await?;
    ensure!(inside["category"] == PHOTOS, "{inside}");
    graph
        .relocate(drive, &format!("{STUDIES}/AO-2501/{PHOTOS}/Lot neuf"), Some("OneDrive-JLM"), "Lot sorti")
        .await?;
    no_document(&platform, &tenant, "pièce 4.txt").await?;
    let target = format!("{STUDIES}/AO-2502/{SUPPLIERS}");
    graph.relocate(drive, "OneDrive-JLM/Lot sorti", Some(&target), "Lot rentré").await?;
    let back = document(&platform, &tenant, "pièce 4.txt", "true").await?;
    ensure!(back["category"] == SUPPLIERS && back["entity_id"] == "ao-2502", "{back}");
    ensure!(back["id"] == inside["id"], "an item that came back has another row");

    // The AO's own folder is renamed: another AO, the same rows.
    graph.relocate(drive, &format!("{STUDIES}/AO-2502"), None, "AO-9902 bis").await?;
    document(&platform, &tenant, "pièce 4.txt", "path LIKE '%/AO-9902 bis/%'").await?;
    tenant.settled(&platform, SOON).await?;

    // Deleted and made again under the same name: another item.
    let path = format!("{STUDIES}/AO-2501/{PHOTOS}/phénix.txt");
    graph.upload(drive, &path, b"first").await?;
    let first = document(&platform, &tenant, "phénix.txt", "size = 5").await?;
    graph.remove(drive, &path).await?;
    graph.upload(drive, &path, b"second").await?;
    let second = document(&platform, &tenant, "phénix.txt", "size = 6").await?;
    ensure!(first["onedrive_id"] != second["onedrive_id"], "the same item came back from the dead");
    tenant.settled(&platform, SOON).await?;

    // A crowd of changes at once, of every kind.
    tenant.without_mass_change_limit().await?;
    for seed in 1..=5 {
        mutate(&platform, &tenant, seed, 60).await?;
    }
    tenant.settled(&platform, LATER).await?;
    ensure!(platform.dead_letters().await?.is_empty(), "dead letters");
    platform.stop().await
}

#[tokio::test]
async fn every_behaviour_of_a_feed_gives_the_same_documents() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let behaviours = [
        json!({"drive_type": "personal"}),
        json!({"shuffle": true, "repeats": true, "deletes_first": false}),
        json!({"shuffle": true, "deleted_files": true, "empty_page_every": 2}),
        json!({"path_in_delta": false, "download_url_in_delta": false, "link_style": "function"}),
        json!({"link_style": "namespaced", "lose_deletes_in_full_round": true}),
    ];
    let runs = behaviours.into_iter().zip(1..).map(|(options, seed)| {
        let platform = &platform;
        async move {
            let tenant = imported(platform, seed, 300, options.clone()).await?;
            tenant.without_mass_change_limit().await?;
            for round in 0..3 {
                mutate(platform, &tenant, seed * 10 + round, 40).await?;
                tenant.sync_to_end(platform, LATER).await?;
                tenant
                    .settled(platform, SOON)
                    .await
                    .map_err(|error| error.context(format!("{options} {round}")))?;
            }
            anyhow::Ok(())
        }
    });
    futures::future::try_join_all(runs).await?;
    ensure!(platform.dead_letters().await?.is_empty(), "dead letters");
    platform.stop().await
}
