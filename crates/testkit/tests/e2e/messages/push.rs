//! By push: nothing but notifications starts a run here (the schedules of the platform under test sleep for a day).

use std::time::Instant;

use anyhow::{Result, ensure};
use http::Method;
use serde_json::json;
use testkit::e2e::sql::quote;

use super::{BEN, Office, says, subject};

/// Times that everything is written.
const ROUNDS: usize = 3;

#[tokio::test]
async fn what_people_write_arrives_by_push() -> Result<()> {
    let office = Office::open(async |_| Ok(())).await?;
    let mut slowest = std::time::Duration::ZERO;
    for n in 0..ROUNDS {
        let begun = Instant::now();
        let title = format!("pushed {n}");
        office.mail(&title).await?;
        slowest = slowest.max(office.arrives("mail", &subject(&title), begun).await?);

        let (begun, body) = (Instant::now(), format!("root {n}"));
        let root = office.channel_message(&body, None).await?;
        slowest = slowest.max(office.arrives("channel message", &says("channel", &body), begun).await?);

        let (begun, body) = (Instant::now(), format!("answer {n}"));
        office.channel_message(&body, Some(&root)).await?;
        let reply = format!("{} AND reply_to_id = {}", says("channel", &body), quote(&root));
        slowest = slowest.max(office.arrives("reply", &reply, begun).await?);

        let (begun, body) = (Instant::now(), format!("whisper {n}"));
        office.chat_message(&body).await?;
        slowest = slowest.max(office.arrives("chat message", &says("chat", &body), begun).await?);

        let (begun, name) = (Instant::now(), format!("pushed {n}.txt"));
        office.file(&name).await?;
        slowest = slowest.max(office.document(&name, begun).await?);
    }
    println!("slowest of {} by push: {slowest:?}", ROUNDS * 5);
    office.close().await
}

#[tokio::test]
async fn edits_moves_and_deletions_arrive_by_push() -> Result<()> {
    let office = Office::open(async |_| Ok(())).await?;
    let begun = Instant::now();
    let mail = office.mail("to be moved").await?;
    let said = office.channel_message("with a tipo", None).await?;
    office.arrives("mail", &subject("to be moved"), begun).await?;
    office.arrives("channel message", &says("channel", "with a tipo"), begun).await?;

    let begun = Instant::now();
    office.change(Method::PATCH, &said, "with a type").await?;
    office.arrives("edit", &says("channel", "with a type"), begun).await?;
    ensure!(office.count("source = 'channel'").await? == 1, "the edit made another message");
    let begun = Instant::now();
    office.change(Method::DELETE, &said, "").await?;
    office.leaves("deletion in the channel", "source = 'channel'", begun).await?;

    let begun = Instant::now();
    let of = format!("{} AND folder_id <> ", subject("to be moved"));
    let inbox = "SELECT folder_id FROM messages WHERE subject = 'to be moved'";
    let inbox = office.platform.sql.value(inbox).await?;
    let archive = json!({"user": BEN, "id": mail, "folder": "archive"});
    let moved = office.platform.control.post("/microsoft/mail/move", &archive).await?;
    let elsewhere = format!("{of}{}", quote(inbox.as_str().unwrap_or_default()));
    office.arrives("move", &elsewhere, begun).await?;
    let begun = Instant::now();
    let forever = json!({"user": BEN, "id": moved["id"], "forever": true});
    office.platform.control.post("/microsoft/mail/delete", &forever).await?;
    office.leaves("deletion of the mail", &subject("to be moved"), begun).await?;
    office.close().await
}
