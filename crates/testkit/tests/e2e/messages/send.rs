//! A mail leaves once, whatever happens to the answers and to the processes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::e2e::patience::wait_until;

use super::{ADA, BEN, Office, text};
use crate::support::LATER;

/// Asks for a mail; answers where it can be followed.
async fn send(office: &Office, subject: &str) -> Result<String> {
    let mail = json!({"mail": {
        "from": BEN, "to": [{"address": ADA}], "subject": subject, "body": "text",
        "attachments": [{"name": "plan.txt", "content_base64": "cGxhbg=="}],
    }});
    text(&office.tenant.api.post("/api/messages/send", &mail).await?["location"])
}

async fn sent(office: &Office, location: &str) -> Result<()> {
    let waited = wait_until(LATER, "the mail is sent", async || {
        Ok(office.tenant.api.get(location).await?["state"] == "sent")
    });
    match waited.await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(office.tenant.api.get(location).await?.to_string())),
    }
}

/// How often each subject left the stand-in.
async fn left(office: &Office) -> Result<BTreeMap<String, usize>> {
    let outgoing = office.platform.control.get("/microsoft/outgoing").await?;
    let mut left = BTreeMap::new();
    for mail in outgoing["items"].as_array().context("no list")? {
        *left.entry(text(&mail["subject"])?).or_default() += 1;
        ensure!(mail["attachments"].as_array().map(Vec::len) == Some(1), "not one file: {mail}");
    }
    Ok(left)
}

/// Arms a fault for calls by POST.
async fn fault(office: &Office, path: &str, fault: Value) -> Result<()> {
    let spec = json!({"provider": "microsoft", "method": "POST", "path": path, "times": 1, "fault": fault});
    office.platform.control.post("/faults", &spec).await.map(drop)
}

#[tokio::test]
async fn a_mail_leaves_once_although_answers_are_lost_and_processes_die() -> Result<()> {
    let mut office = Office::open(async |_| Ok(())).await?;
    let begun = std::time::Instant::now();
    sent(&office, &send(&office, "plain").await?).await?;
    println!("plain mail: sent and seen after {:?}", begun.elapsed());

    let lost = json!({"kind": "reset", "at": "after_commit"});
    for (subject, path) in
        [("draft lost", "/messages$"), ("file lost", "/attachments$"), ("answer lost", "/send$")]
    {
        fault(&office, path, lost.clone()).await?;
        let begun = std::time::Instant::now();
        sent(&office, &send(&office, subject).await?).await?;
        println!("{subject}: sent and seen after {:?}", begun.elapsed());
    }
    fault(&office, "/send$", json!({"kind": "status_after_commit", "status": 503})).await?;
    sent(&office, &send(&office, "answered by 503").await?).await?;
    let armed = office.platform.control.get("/faults").await?;
    let hits: u64 =
        armed["items"].as_array().into_iter().flatten().filter_map(|fault| fault["hits"].as_u64()).sum();
    ensure!(hits == 4, "not every fault was met: {armed}");

    let mut locations = Vec::new();
    for n in 0..6 {
        locations.push(send(&office, &format!("crash {n}")).await?);
    }
    for process in ["graph-connector", "sync-worker-1", "scheduler"] {
        chassis::time::pause(Duration::from_millis(150)).await;
        office.platform.crash(process).await?;
    }
    office.platform.revive().await?;
    for location in &locations {
        sent(&office, location).await?;
    }
    let expected = ["plain", "draft lost", "file lost", "answer lost", "answered by 503"].map(str::to_owned);
    let expected = expected.into_iter().chain((0..6).map(|n| format!("crash {n}"))).map(|one| (one, 1));
    ensure!(left(&office).await? == expected.collect(), "{:?}", left(&office).await?);
    office.close().await
}
