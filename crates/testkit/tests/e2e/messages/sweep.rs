//! By sweep: every notification is lost.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use serde_json::json;
use testkit::e2e::patience::wait_until;
use testkit::e2e::sql::quote;

use super::{Office, says, subject};
use crate::support::SOON;

#[tokio::test]
async fn what_no_notification_told_is_found_by_sweep() -> Result<()> {
    let office = Office::open(async |_| Ok(())).await?;
    office.platform.fault(".", None, json!({"kind": "notification", "action": "drop"})).await?;
    office.mail("swept").await?;
    let root = office.channel_message("swept root", None).await?;
    office.channel_message("swept answer", Some(&root)).await?;
    office.chat_message("swept whisper").await?;
    office.file("swept.txt").await?;
    // Root and answer may be told of in one delivery.
    wait_until(SOON, "notifications of four subscriptions are lost", async || {
        let tried = office.platform.control.get("/notifications").await?;
        let items = tried["items"].as_array().cloned().unwrap_or_default();
        let lost = items.iter().filter(|one| one["action"] == "drop");
        Ok(lost.filter_map(|one| one["subscription"].as_str()).collect::<BTreeSet<_>>().len() == 4)
    })
    .await?;
    office.quiet().await?;
    let known = office.count("(subject = 'swept' OR body LIKE '%swept%')").await?;
    ensure!(known == 0 && office.documents("swept.txt").await? == 0, "something told of {known} messages");

    // Microsoft allows one look a day at a channel or chat: yesterday's was the last.
    let yesterday = "UPDATE microsoft_sync_state SET last_run_at = last_run_at - interval '1 day'
        WHERE resource_type = 'teams'";
    office.platform.sql.run(yesterday).await?;
    let mut begun = Instant::now();
    for schedule in ["sweep-messages", "sweep-drives"] {
        let path = format!("/api/schedules/{schedule}/trigger");
        // The scheduler writes the schedules of a new organization within half a minute.
        wait_until(SOON, "the schedule is there", async || {
            begun = Instant::now();
            let answer = office.tenant.api.call(Method::POST, &path, None).await?;
            let text = String::from_utf8_lossy(&answer.body);
            ensure!(answer.status.is_success() || answer.status == StatusCode::NOT_FOUND, "{path}: {text}");
            Ok(answer.status.is_success())
        })
        .await?;
    }
    office.arrives("mail by sweep", &subject("swept"), begun).await?;
    office.arrives("channel message by sweep", &says("channel", "swept root"), begun).await?;
    let reply = format!("{} AND reply_to_id = {}", says("channel", "swept answer"), quote(&root));
    office.arrives("reply by sweep", &reply, begun).await?;
    office.arrives("chat message by sweep", &says("chat", "swept whisper"), begun).await?;
    office.document("swept.txt", begun).await?;
    office.close().await
}
