//! Unusual names and unusual items: each has a rule, none is skipped silently.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use testkit::e2e::{Options, Platform};

use crate::support::{PHOTOS, SOON, STUDIES, SUPPLIERS, document, imported, subscribed};

#[tokio::test]
async fn unusual_names_and_items() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = imported(&platform, 5, 200, json!({})).await?;
    subscribed(&platform, &tenant).await?;
    let (graph, drive) = (&platform.graph, tenant.drive.as_str());
    let folder = format!("{STUDIES}/AO-2501/{PHOTOS}");
    let long = format!("{}.txt", "long ".repeat(40).trim());
    let names = [
        "devis #2 (100%).txt",
        "l'été à l'œuvre.txt",
        "prix 50%25 remise %2F.txt",
        "a+b & c = d; e.txt",
        "[brouillon] {v1} ^2.txt",
        "deux  espaces.txt",
        "points . . fin.txt",
        ".caché",
        "sans extension",
        "re\u{301}sume\u{301} NFD.txt",
        "r\u{e9}sum\u{e9} NFC.txt",
        "plan \u{1f4d0}\u{200d}\u{2705}.txt",
        "日本語のファイル.txt",
        "quote\u{2019}s \u{ab}guillemets\u{bb}.txt",
        &long,
    ];
    for name in names {
        graph
            .upload(drive, &format!("{folder}/{name}"), name.as_bytes())
            .await
            .with_context(|| name.to_owned())?;
    }
    for name in names {
        let row = document(&platform, &tenant, name, "true").await?;
        ensure!(row["path"] == format!("{folder}/{name}"), "{name}: path {}", row["path"]);
    }
    // Composed and decomposed spellings of one name are two files, both kept, and someone is told.
    for name in ["te\u{301}moin.txt", "t\u{e9}moin.txt"] {
        graph.upload(drive, &format!("{folder}/{name}"), b"x").await?;
        document(&platform, &tenant, name, "true").await?;
    }

    graph.upload(drive, &format!("{folder}/vide.txt"), b"").await?;
    let empty = document(&platform, &tenant, "vide.txt", "size = 0").await?;
    ensure!(empty["kind"] == "file", "{empty}");

    let items = format!("/drives/{}/items", testkit::e2e::caller::encode(drive));
    let plant = async |body| platform.control.post(&items, &body).await;
    plant(json!({"kind": "package", "path": format!("{folder}/Carnet")})).await?;
    plant(json!({"kind": "remote_item", "path": format!("{folder}/Partagé"), "drive": "b!other", "item": "01X"})).await?;
    plant(json!({"kind": "malware", "path": format!("{folder}/facture.exe.txt")})).await?;
    let package = document(&platform, &tenant, "Carnet", "kind = 'package'").await?;
    ensure!(package["quick_xor_hash"].is_null(), "a package has no hash: {package}");
    document(&platform, &tenant, "Partagé", "kind = 'remote'").await?;

    // A category that a person renamed by its number is still that category.
    graph
        .relocate(drive, &format!("{STUDIES}/AO-2501/{SUPPLIERS}"), None, "2 - Fournisseurs (à trier)")
        .await?;
    graph.upload(drive, &format!("{STUDIES}/AO-2501/2 - Fournisseurs (à trier)/offre.txt"), b"offer").await?;
    let offer = document(&platform, &tenant, "offre.txt", "true").await?;
    ensure!(offer["category"] == SUPPLIERS, "{offer}");

    // Two folders with one AO reference: one is the AO, the other is reported.
    for name in ["AO-3001", "AO- 3001"] {
        graph.folder(drive, STUDIES, name).await?;
        graph.folder(drive, &format!("{STUDIES}/{name}"), PHOTOS).await?;
        graph.upload(drive, &format!("{STUDIES}/{name}/{PHOTOS}/{name}.txt"), b"twice").await?;
    }
    tenant.settled(&platform, SOON).await?;
    let page = tenant.api.get("/api/sync/quarantine?limit=200").await?;
    let codes: Vec<&str> =
        page["items"].as_array().into_iter().flatten().filter_map(|item| item["code"].as_str()).collect();
    for code in ["duplicate_ao_reference", "malware", "name_collision"] {
        ensure!(codes.contains(&code), "{code} is not in quarantine: {codes:?}");
    }

    // Which of the two it is does not depend on the order of events: a complete walk agrees.
    platform.sql.run("TRUNCATE microsoft_sync_state").await?;
    tenant.sync_to_end(&platform, SOON).await?;
    tenant.compare(&platform).await?;

    // Once one of them is renamed, the files of both are documents and the report is closed.
    graph.relocate(drive, &format!("{STUDIES}/AO- 3001"), None, "AO-7777").await?;
    document(&platform, &tenant, "AO- 3001.txt", "path LIKE '%/AO-7777/%'").await?;
    document(&platform, &tenant, "AO-3001.txt", "entity_id = 'ao-3001'").await?;
    tenant.settled(&platform, SOON).await?;
    let open =
        "SELECT count(*) FROM sync_quarantine WHERE code = 'duplicate_ao_reference' AND state = 'open'";
    ensure!(platform.sql.number(open).await? == 0, "the duplicate is still reported");
    platform.stop().await
}
