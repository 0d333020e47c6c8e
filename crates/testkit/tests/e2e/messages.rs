//! Mail, Teams and drives with real processes: what people write reaches the tables, what is sent leaves once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::{Value, json};
use testkit::e2e::caller::encode;
use testkit::e2e::patience::wait_until;
use testkit::e2e::sql::quote;
use testkit::e2e::{Options, Platform, Tenant};

use crate::support::{PHOTOS, SOON, STUDIES, drive_id};

mod push;
mod resync;
mod send;
mod sweep;

/// The person whose mailbox is synchronised.
const BEN: &str = "ben@example.org";
/// Somebody else.
const ADA: &str = "ada@example.org";

/// A platform with a drive, a mailbox, a channel and a chat, each read once and watched.
struct Office {
    platform: Platform,
    tenant: Tenant,
    team: String,
    channel: String,
    chat: String,
}

impl Office {
    /// Starts the platform; `before` fills the stand-in before anything is registered.
    async fn open(before: impl AsyncFnOnce(&Platform) -> Result<()>) -> Result<Self> {
        let platform = Platform::start(Options::default()).await?;
        before(&platform).await?;
        let tenant = Tenant::generated(&platform, &drive_id(), 71, 200, json!({})).await?;
        tenant.register().await?;
        let teams = platform.control.get("/microsoft/teams").await?;
        let chats = platform.control.get("/microsoft/chats").await?;
        let team = text(&teams["items"][0]["id"])?;
        let channel = text(&teams["items"][0]["channels"][0]["id"])?;
        let chat = text(&chats["items"][0]["id"])?;
        let mailbox = format!("/api/mailboxes/{}", encode(BEN));
        tenant.api.put(&mailbox, &json!({"bodies": true})).await?;
        let place = format!("/api/teams/channels/{}/{}", encode(&team), encode(&channel));
        tenant.api.put(&place, &json!({"name": "General"})).await?;
        tenant.api.put(&format!("/api/teams/chats/{}", encode(&chat)), &json!({})).await?;
        let office = Self { platform, tenant, team, channel, chat };
        office.watched().await?;
        office.quiet().await?;
        Ok(office)
    }

    /// Waits until drive, mailbox, channel and chat have a push subscription.
    async fn watched(&self) -> Result<()> {
        let active = format!(
            "SELECT count(DISTINCT resource_type) FROM microsoft_subscriptions
             WHERE company_id = '{}' AND state = 'active'",
            self.tenant.company
        );
        wait_until(
            SOON,
            "four push subscriptions",
            async || Ok(self.platform.sql.number(&active).await? == 4),
        )
        .await
    }

    /// Waits until no job is under way.
    async fn quiet(&self) -> Result<()> {
        self.tenant.quiet(&self.platform, SOON).await
    }

    /// Living messages that fulfil a condition.
    async fn count(&self, condition: &str) -> Result<i64> {
        let rows = format!(
            "SELECT count(*) FROM messages WHERE company_id = '{}' AND deleted_at IS NULL AND {condition}",
            self.tenant.company
        );
        self.platform.sql.number(&rows).await
    }

    /// Waits until exactly one living message fulfils a condition; prints and answers how long it took since `begun`.
    async fn arrives(&self, what: &str, condition: &str, begun: Instant) -> Result<Duration> {
        wait_until(SOON, what, async || Ok(self.count(condition).await? == 1)).await?;
        let took = begun.elapsed();
        println!("{what} after {took:?}");
        Ok(took)
    }

    /// Waits until no living message fulfils a condition; prints how long it took since `begun`.
    async fn leaves(&self, what: &str, condition: &str, begun: Instant) -> Result<()> {
        wait_until(SOON, what, async || Ok(self.count(condition).await? == 0)).await?;
        println!("{what} after {:?}", begun.elapsed());
        Ok(())
    }

    /// A mail of that subject arrives in Ben's inbox; answers its id.
    async fn mail(&self, subject: &str) -> Result<String> {
        let mail = json!({"user": BEN, "from": ADA, "subject": subject, "body": "text"});
        text(&self.platform.control.post("/microsoft/mail", &mail).await?["id"])
    }

    /// Somebody writes in the channel, or answers a message there; answers the message's id.
    async fn channel_message(&self, body: &str, reply_to: Option<&str>) -> Result<String> {
        let mut message = json!({"team": self.team, "channel": self.channel, "from": ADA, "body": body});
        if let Some(root) = reply_to {
            message["reply_to"] = json!(root);
        }
        text(&self.platform.control.post("/microsoft/channel-message", &message).await?["id"])
    }

    /// Somebody writes in the chat; answers the message's id.
    async fn chat_message(&self, body: &str) -> Result<String> {
        let message = json!({"chat": self.chat, "from": ADA, "body": body});
        text(&self.platform.control.post("/microsoft/chat-message", &message).await?["id"])
    }

    /// Somebody edits (PATCH) or deletes (DELETE) a message of the channel.
    async fn change(&self, method: Method, id: &str, body: &str) -> Result<()> {
        let change = json!({"team": self.team, "channel": self.channel, "id": id, "body": body});
        self.platform.control.expect(method, "/microsoft/channel-message", Some(&change)).await.map(drop)
    }

    /// Somebody puts a file where a document is made of it.
    async fn file(&self, name: &str) -> Result<()> {
        let path = format!("{STUDIES}/AO-2501/{PHOTOS}/{name}");
        self.platform.graph.upload(&self.tenant.drive, &path, b"content").await.map(drop)
    }

    /// Living documents of a name.
    async fn documents(&self, name: &str) -> Result<usize> {
        let condition = format!("deleted_at IS NULL AND name = {}", quote(name));
        Ok(self.tenant.rows(&self.platform, &condition).await?.len())
    }

    /// Waits for the document of a file; prints and answers how long it took since `begun`.
    async fn document(&self, name: &str, begun: Instant) -> Result<Duration> {
        wait_until(SOON, name, async || Ok(self.documents(name).await? == 1)).await?;
        let took = begun.elapsed();
        println!("document {name} after {took:?}");
        Ok(took)
    }

    /// Ends the platform, when no job has failed for good.
    async fn close(self) -> Result<()> {
        let left = self.platform.dead_letters().await?;
        anyhow::ensure!(left.is_empty(), "dead letters: {left:?}");
        self.platform.stop().await
    }
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("{value} is no text"))
}

/// A mail by its subject.
fn subject(text: &str) -> String {
    format!("source = 'mail' AND subject = {}", quote(text))
}

/// A message of Teams by what it says.
fn says(source: &str, body: &str) -> String {
    format!("source = {} AND body LIKE {}", quote(source), quote(&format!("%{body}%")))
}
