//! What must not happen by itself: mass deletion, loss of a bad item, mixing of tenants, a storm of runs.

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use outbound::Method;
use serde_json::{Value, json};
use testkit::e2e::caller::{Caller, encode};
use testkit::e2e::patience::wait_until;
use testkit::e2e::sql::quote;
use testkit::e2e::{Options, Platform, Tenant};

use crate::support::{LATER, PHOTOS, SOON, STUDIES, document, drive_id, imported, mutate, subscribed};

async fn parked(tenant: &Tenant) -> Result<Vec<Value>> {
    Ok(tenant.api.get("/api/sync/parked").await?["items"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn a_mass_deletion_waits_for_a_person() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = imported(&platform, 21, 400, json!({})).await?;
    let before = tenant.found(&platform).await?.len();
    platform.graph.remove(&tenant.drive, STUDIES).await?;
    platform.graph.upload(&tenant.drive, "OneDrive-JLM/autre.txt", b"x").await?;
    tenant.sync_to_end(&platform, SOON).await?;
    ensure!(tenant.expected(&platform).await?.is_empty(), "everything is gone at the provider");
    ensure!(tenant.found(&platform).await?.len() == before, "documents were removed without asking");

    let waiting = parked(&tenant).await?;
    ensure!(waiting.len() == 1, "{waiting:?}");
    ensure!(waiting[0]["would_delete"] == before, "{waiting:?}");
    // Asking again neither removes nor makes a second question.
    tenant.sync_to_end(&platform, SOON).await?;
    ensure!(
        parked(&tenant).await?.len() == 1 && tenant.found(&platform).await?.len() == before,
        "parked twice"
    );

    let id = waiting[0]["id"].as_str().context("a parked run has an id")?;
    tenant.api.post(&format!("/api/sync/parked/{id}/approve"), &json!({})).await?;
    tenant.quiet(&platform, SOON).await?;
    ensure!(tenant.compare(&platform).await? == 0, "the approved removal was not carried out");
    ensure!(parked(&tenant).await?.is_empty(), "the question is still open");
    platform.stop().await
}

#[tokio::test]
async fn a_bad_item_is_set_aside_and_the_rest_goes_on() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = Tenant::generated(&platform, &drive_id(), 4, 200, json!({})).await?;
    let start = format!("{}/drives/{}/root/delta", graph_base(&platform), encode(&tenant.drive));
    let page = json!({"value": [
        {"id": "poison-1", "name": {"not": "a name"}, "file": {}},
        {"name": "nobody's", "file": {}},
        "no item at all",
    ], "@odata.nextLink": start});
    platform.fault("root.*delta", Some(1), json!({"kind": "status", "status": 200, "body": page})).await?;
    tenant.register().await?;
    tenant.quiet(&platform, SOON).await?;
    tenant.compare(&platform).await?;
    let page = tenant.api.get("/api/sync/quarantine?code=poison").await?;
    let rows = page["items"].as_array().context("a page")?;
    ensure!(rows.iter().any(|row| row["item_id"] == "poison-1"), "{rows:?}");
    let raw = "SELECT count(*) FROM sync_quarantine WHERE code = 'poison' AND raw <> ''";
    ensure!(platform.sql.number(raw).await? >= 2, "the raw items were not kept: {rows:?}");
    platform.stop().await
}

fn graph_base(platform: &Platform) -> String {
    platform.graph_url.trim_end_matches('/').to_owned()
}

#[tokio::test]
async fn force_reconciles_by_set_difference() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = imported(&platform, 8, 300, json!({})).await?;
    let drive = quote(&tenant.drive);
    // The index and the documents go wrong in every way, as if by an old bug: a lost row, a changed one,
    // one that should not be.
    let files = format!(
        "SELECT i.item_id FROM drive_items i JOIN documents d ON d.onedrive_id = i.item_id
         WHERE d.drive_id = {drive} AND d.entity_id = 'ao-2501' ORDER BY d.path"
    );
    platform
        .sql
        .run(&format!(
            "CREATE TEMP TABLE f AS {files};
             DELETE FROM documents WHERE onedrive_id IN (SELECT item_id FROM f OFFSET 0 LIMIT 2);
             DELETE FROM drive_items WHERE item_id IN (SELECT item_id FROM f OFFSET 0 LIMIT 2);
             UPDATE drive_items SET name = 'faux ' || name, e_tag = 'wrong'
                 WHERE item_id IN (SELECT item_id FROM f OFFSET 2 LIMIT 2);
             UPDATE documents SET name = 'faux ' || name, e_tag = 'wrong'
                 WHERE onedrive_id IN (SELECT item_id FROM f OFFSET 2 LIMIT 2);
             INSERT INTO drive_items (drive_no, item_id, company_id, parent_id, name, kind, size, e_tag, generation,
                     changed_seq)
                 SELECT drive_no, 'ghost', company_id, parent_id, 'ghost.txt', 'file', 1, 'g', generation, changed_seq
                 FROM drive_items WHERE item_id IN (SELECT item_id FROM f OFFSET 4 LIMIT 1);
             INSERT INTO documents (company_id, entity_id, name, category, path, onedrive_id, drive_id)
                 SELECT company_id, entity_id, 'ghost.txt', category, 'ghost.txt', 'ghost', drive_id
                 FROM documents WHERE onedrive_id IN (SELECT item_id FROM f OFFSET 4 LIMIT 1);"
        ))
        .await?;
    ensure!(!tenant.difference(&platform).await?.is_empty(), "nothing was spoilt");
    tenant.api.post("/api/sync/onedrive/ao-2501?force=true", &json!({})).await?;
    tenant.quiet(&platform, SOON).await?;
    tenant.compare(&platform).await?;
    platform.stop().await
}

#[tokio::test]
async fn tenants_do_not_see_each_other() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let first = imported(&platform, 31, 200, json!({})).await?;
    let second = imported(&platform, 32, 300, json!({})).await?;
    for (tenant, other) in [(&first, &second), (&second, &first)] {
        let mine = tenant.found(&platform).await?;
        let mut seen = 0;
        let mut cursor = String::new();
        loop {
            let page = tenant.api.get(&format!("/api/documents?limit=200{cursor}")).await?;
            for document in page["items"].as_array().context("a page")? {
                let id = document["onedrive_id"].as_str().context("an item id")?;
                ensure!(mine.contains_key(id), "a document of another organization: {document}");
                seen += 1;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encode(next)),
                None => break,
            }
        }
        ensure!(seen == mine.len(), "{seen} of {} documents over REST", mine.len());

        let path = format!("/api/drives/{}", encode(&other.drive));
        let taken = tenant.api.call(Method::PUT, &path, Some(&json!({}))).await?;
        ensure!(taken.status.as_u16() == 409, "another organization's drive: {}", taken.status);
        let job = other.sync().await?;
        let foreign = tenant.api.call(Method::GET, &format!("/api/sync/jobs/{job}"), None).await?;
        ensure!(foreign.status.as_u16() == 404, "another organization's job: {}", foreign.status);
        other.quiet(&platform, SOON).await?;
    }
    let nobody = platform.public.call(Method::GET, "/api/documents", None).await?;
    ensure!(nobody.status.as_u16() == 401, "without a token: {}", nobody.status);
    platform.stop().await
}

#[tokio::test]
async fn a_hundred_notifications_are_a_few_runs() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = imported(&platform, 41, 200, json!({})).await?;
    subscribed(&platform, &tenant).await?;
    tenant.quiet(&platform, SOON).await?;
    let drive = quote(&tenant.drive);
    platform
        .sql
        .run(&format!(
            "UPDATE microsoft_subscriptions SET client_state_sha256 = sha256('known') WHERE resource_id = {drive}"
        ))
        .await?;
    let id = platform
        .sql
        .value(&format!("SELECT subscription_id FROM microsoft_subscriptions WHERE resource_id = {drive} AND state = 'active'"))
        .await?;
    let runs = format!("SELECT count(*) FROM sync_history WHERE company_id = '{}'", tenant.company);
    let before = platform.sql.number(&runs).await?;
    let door = Caller::new(platform.http.clone(), &platform.webhook_url, None)?;
    let notification = |state: &str| {
        json!({"value": [{"subscriptionId": id, "clientState": state, "changeType": "updated",
            "resource": format!("drives/{}/root", tenant.drive), "tenantId": testkit::e2e::platform::AZURE_TENANT}]})
    };
    let (good, forged) = (notification("known"), notification("guessed"));
    let send = |body: Value| {
        let door = &door;
        async move {
            // As the provider does, delivered again when it could not be stored.
            for _ in 0..5 {
                let answer = door.call(Method::POST, "/api/webhooks/onedrive", Some(&body)).await?;
                match answer.status.as_u16() {
                    202 => return Ok(()),
                    503 => {}
                    _ => anyhow::bail!("{} {:?}", answer.status, answer.json::<Value>()),
                }
            }
            anyhow::bail!("never stored")
        }
    };
    for _ in 0..10 {
        try_join_all((0..10).map(|_| send(good.clone()))).await?;
    }
    try_join_all((0..5).map(|_| send(forged.clone()))).await?;
    tenant.quiet(&platform, SOON).await?;
    let receipts = |result: &str| {
        format!(
            "SELECT count(*) FROM webhook_receipts WHERE result = '{result}' AND subscription_id = {}",
            quote(id.as_str().unwrap_or_default())
        )
    };
    let (accepted, refused) =
        (platform.sql.number(&receipts("accepted")).await?, platform.sql.number(&receipts("refused")).await?);
    // Those that a waiting job serves leave no receipt of their own.
    ensure!((1..=100).contains(&accepted), "{accepted} receipts");
    ensure!(refused >= 1, "forged notifications left no trace");
    let runs = platform.sql.number(&runs).await? - before;
    ensure!((1..=25).contains(&runs), "100 notifications made {runs} runs");
    platform.stop().await
}

#[tokio::test]
async fn secrets_rotate_without_a_restart() -> Result<()> {
    let platform = Platform::start(Options::default().env("AZURE_CLIENT_SECRET_NEXT", "next-secret")).await?;
    let tenant = imported(&platform, 51, 200, json!({})).await?;
    let app = json!({"tenant": testkit::e2e::platform::AZURE_TENANT, "client_id": testkit::e2e::platform::AZURE_CLIENT,
        "secrets": ["expired:e2e-secret", "next-secret"]});
    platform.control.put("/apps", &app).await?;
    platform.control.post("/tokens/revoke", &json!({})).await?;
    tenant.without_mass_change_limit().await?;
    mutate(&platform, &tenant, 1, 30).await?;
    tenant.sync_to_end(&platform, LATER).await?;
    tenant.settled(&platform, SOON).await?;

    // No secret is good: the job waits for a person, it does not die.
    platform
        .control
        .put("/apps", &json!({"tenant": app["tenant"], "client_id": app["client_id"], "secrets": ["other"]}))
        .await?;
    platform.control.post("/tokens/revoke", &json!({})).await?;
    let job = tenant.sync().await?;
    wait_until(LATER, "the job is parked", async || {
        Ok(tenant.api.get(&format!("/api/sync/jobs/{job}")).await?["state"] == "parked")
    })
    .await?;
    let shown = tenant.api.get(&format!("/api/sync/jobs/{job}")).await?.to_string();
    ensure!(shown.contains("7000215"), "the operator is not told which error it was: {shown}");
    ensure!(!shown.contains("next-secret") && !shown.contains("e2e-secret"), "a secret is shown");
    for entry in std::fs::read_dir(&platform.folder)? {
        let path = entry?.path();
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        ensure!(
            !text.contains("next-secret") && !text.contains("e2e-secret"),
            "a secret is in {}",
            path.display()
        );
    }
    platform.stop().await
}

#[tokio::test]
async fn a_missing_permission_parks_and_names_it() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant =
        Tenant::generated(&platform, &drive_id(), 6, 200, json!({"deny_subscriptions": true})).await?;
    let refusal = json!({"kind": "status", "status": 403, "body": {"error": {"code": "accessDenied", "message": "Access denied"}}});
    platform.fault("delta", Some(1), refusal).await?;
    tenant.register().await?;
    let parked = format!(
        "SELECT count(*) FROM jobs_live WHERE company_id = '{}' AND state = 'parked'",
        tenant.company
    );
    wait_until(LATER, "both jobs are parked", async || Ok(platform.sql.number(&parked).await? == 2)).await?;
    wait_until(SOON, "the missing permission is named", async || {
        Ok(tenant.api.get("/api/auth/health").await?.to_string().contains("Files.Read"))
    })
    .await?;
    // Once granted, the next request takes the parked job's place.
    platform.graph.upload(&tenant.drive, &format!("{STUDIES}/AO-2501/{PHOTOS}/enfin.txt"), b"x").await?;
    tenant.sync().await?;
    document(&platform, &tenant, "enfin.txt", "true").await?;
    tenant.settled(&platform, SOON).await?;
    platform.stop().await
}
