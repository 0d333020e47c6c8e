//! Forgetting the cursors and reading everything again changes nothing, and finds what changed meanwhile.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::e2e::caller::encode;

use super::{BEN, Office, text};

/// Mails that are there from the start.
const MAILS: usize = 300;

/// Every row of a message ever written, with what a second reading must not change.
async fn rows(office: &Office) -> Result<Vec<Value>> {
    let rows = "SELECT id, provider_id, folder_id, internet_message_id, subject, body, is_read, received_at,
            created_at, deleted_at
         FROM messages ORDER BY id";
    office.platform.sql.rows(rows).await
}

/// What Graph lists in the mailbox.
async fn listed(office: &Office) -> Result<BTreeSet<String>> {
    let path = format!("/users/{}/messages?$select=internetMessageId&$top=1000", encode(BEN));
    let page = office.platform.graph.get(&path).await?;
    ensure!(page["@odata.nextLink"].is_null(), "more than one page");
    page["value"].as_array().context("no list")?.iter().map(|one| text(&one["internetMessageId"])).collect()
}

async fn stored(office: &Office) -> Result<BTreeSet<String>> {
    let rows = "SELECT internet_message_id AS id FROM messages WHERE source = 'mail' AND deleted_at IS NULL";
    office.platform.sql.rows(rows).await?.iter().map(|row| text(&row["id"])).collect()
}

async fn reset_and_read(office: &Office, between: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let mailbox = json!({"userId": BEN, "resourceType": "messages"});
    let reset = office.tenant.api.post("/api/sync/reset", &mailbox).await?;
    ensure!(reset["cursors"].as_u64() >= Some(3), "no cursor was forgotten: {reset}");
    between().await?;
    office.tenant.api.post("/api/sync/full", &mailbox).await?;
    office.quiet().await
}

#[tokio::test]
async fn a_mailbox_that_is_read_again_is_as_before() -> Result<()> {
    let office = Office::open(async |platform| {
        let mails = json!({"user": BEN, "count": MAILS, "seed": 5});
        platform.control.post("/microsoft/mail/generate", &mails).await.map(drop)
    })
    .await?;
    let gone = office.mail("to be deleted").await?;
    let at = std::time::Instant::now();
    office.arrives("the last mail", &super::subject("to be deleted"), at).await?;
    office.quiet().await?;
    let before = rows(&office).await?;
    ensure!(before.len() == MAILS + 1, "{} rows", before.len());
    ensure!(stored(&office).await? == listed(&office).await?, "the tables hold something else than Graph");

    reset_and_read(&office, async || Ok(())).await?;
    let after = rows(&office).await?;
    let differs: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).take(3).collect();
    ensure!(after.len() == before.len() && differs.is_empty(), "{} rows, {differs:?}", after.len());

    // Nobody tells what happens between the reset and the reading: the enumeration alone finds it.
    office.platform.fault(".", None, json!({"kind": "notification", "action": "drop"})).await?;
    reset_and_read(&office, async || {
        office.mail("meanwhile").await?;
        let forever = json!({"user": BEN, "id": gone, "forever": true});
        office.platform.control.post("/microsoft/mail/delete", &forever).await.map(drop)
    })
    .await?;
    ensure!(stored(&office).await? == listed(&office).await?, "the tables hold something else than Graph");
    ensure!(office.count(&super::subject("meanwhile")).await? == 1);
    ensure!(office.count(&super::subject("to be deleted")).await? == 0);
    office.close().await
}
