//! Outlook's calendar with real processes: the same two-way guarantees as Google's, through the same engine.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use chassis::time::SystemClock;
use chrono::{Days, NaiveDate};
use domain::time::Clock;
use http::Method;
use serde_json::{Value, json};
use testkit::e2e::caller::encode;
use testkit::e2e::patience::wait_until;
use testkit::e2e::sql::quote;
use testkit::e2e::{Options, Platform, Tenant};

use crate::support::SOON;

mod resync;
mod series;
mod single;

/// Whose calendar it is.
const BEN: &str = "ben@example.org";

/// A platform with a connected calendar of Outlook, read once and watched.
struct Outlook {
    platform: Platform,
    tenant: Tenant,
    connection: String,
}

impl Outlook {
    async fn connect() -> Result<Self> {
        let platform = Platform::start(Options::default()).await?;
        let tenant = Tenant::new(&platform, "outlook").await?;
        let company = tenant.company;
        let member = format!(
            "INSERT INTO company_users (company_id, user_id, role) VALUES ('{company}', 'tester', 'admin')
             ON CONFLICT DO NOTHING"
        );
        platform.sql.run(&member).await?;
        let asked = json!({"provider": "microsoft", "mailbox": BEN});
        let made = tenant.api.post("/api/connections", &asked).await?;
        ensure!(made["provider"] == "microsoft" && made["account"] == BEN, "{made}");
        let connection = text(&made["id"])?;
        let outlook = Self { platform, tenant, connection };
        let ready = format!(
            "SELECT count(*) FROM google_calendar_connections c JOIN microsoft_subscriptions s
                 ON s.resource_type = 'events' AND s.resource_id = c.calendar_id AND s.state = 'active'
             WHERE c.company_id = '{company}' AND sync_token IS NOT NULL"
        );
        outlook
            .until("the calendar is read and watched", async || Ok(outlook.number(&ready).await? == 1))
            .await?;
        outlook.quiet().await?;
        Ok(outlook)
    }

    async fn number(&self, sql: &str) -> Result<i64> {
        self.platform.sql.number(sql).await
    }

    async fn quiet(&self) -> Result<()> {
        self.tenant.quiet(&self.platform, SOON).await
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        if let Err(error) = wait_until(SOON, what, async || holds().await).await {
            let rows = self.platform.sql.rows("SELECT title, deleted_at, link FROM events").await?;
            let queue = self
                .platform
                .sql
                .rows("SELECT action, status, error_message FROM google_calendar_sync_queue")
                .await?;
            return Err(
                error.context(format!("rows {rows:?}, queue {queue:?}, Outlook {:?}", self.listed().await?))
            );
        }
        println!("{what} after {:?}", begun.elapsed());
        Ok(())
    }

    /// An address of the calendar at Outlook.
    fn at(path: &str) -> String {
        format!("/users/{}{path}", encode(BEN))
    }

    /// Single events and series at Outlook.
    async fn listed(&self) -> Result<Vec<Value>> {
        let page = self.platform.graph.get(&Self::at("/events?$top=1000")).await?;
        Ok(page["value"].as_array().cloned().unwrap_or_default())
    }

    /// The event of a subject at Outlook.
    async fn find(&self, subject: &str) -> Result<Value> {
        Ok(self.listed().await?.into_iter().find(|event| event["subject"] == subject).unwrap_or_default())
    }

    /// Living rows that fulfil a condition.
    async fn rows(&self, condition: &str) -> Result<Vec<Value>> {
        let rows = format!(
            "SELECT to_jsonb(e) AS event FROM events e WHERE company_id = '{}' AND deleted_at IS NULL AND {condition}
             ORDER BY start_at, id",
            self.tenant.company
        );
        Ok(self.platform.sql.rows(&rows).await?.into_iter().map(|row| row["event"].clone()).collect())
    }

    /// Whether exactly one living row has this title.
    async fn has(&self, title: &str) -> Result<bool> {
        Ok(self.rows(&format!("title = {}", quote(title))).await?.len() == 1)
    }

    /// The application makes an event; answers its id.
    async fn insert(&self, title: &str, day: NaiveDate) -> Result<String> {
        let event = json!({"title": title, "start_at": format!("{day}T09:00:00Z"), "end_at": format!("{day}T10:00:00Z"),
            "time_zone": "Europe/Paris"});
        text(&self.tenant.api.post("/api/events", &event).await?["id"])
    }

    /// Somebody makes an event at Outlook; answers it.
    async fn make(&self, subject: &str, day: NaiveDate) -> Result<Value> {
        self.platform.graph.post(&Self::at("/events"), &body(subject, day)).await
    }

    /// Somebody changes an event at Outlook.
    async fn change(&self, id: &str, change: &Value) -> Result<Value> {
        self.platform
            .graph
            .expect(Method::PATCH, &Self::at(&format!("/events/{}", encode(id))), Some(change))
            .await
    }

    /// Somebody deletes an event at Outlook.
    async fn remove(&self, id: &str) -> Result<()> {
        self.platform.graph.delete(&Self::at(&format!("/events/{}", encode(id)))).await.map(drop)
    }

    /// Whether nothing waits to be told.
    async fn told(&self) -> Result<bool> {
        let waiting = "SELECT count(*) FROM google_calendar_sync_queue WHERE status <> 'completed'";
        Ok(self.number(waiting).await? == 0)
    }

    /// No notification arrives from now on.
    async fn silence(&self) -> Result<()> {
        self.platform.fault(".", None, json!({"kind": "notification", "action": "drop"})).await
    }

    async fn close(self) -> Result<()> {
        let left = self.platform.dead_letters().await?;
        ensure!(left.is_empty(), "dead letters: {left:?}");
        self.platform.stop().await
    }
}

/// An event of an hour, from nine in Paris.
fn body(subject: &str, day: NaiveDate) -> Value {
    let at = |hour: u32| json!({"dateTime": format!("{day}T{hour:02}:00:00"), "timeZone": "Europe/Paris"});
    json!({"subject": subject, "start": at(9), "end": at(10), "body": {"contentType": "text", "content": "cake & tea"}})
}

/// A day ahead of today.
fn day(ahead: u64) -> NaiveDate {
    SystemClock.now().date_naive() + Days::new(ahead)
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("{value} is no text"))
}
