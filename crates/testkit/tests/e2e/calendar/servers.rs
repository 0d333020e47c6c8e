//! PostgreSQL and RabbitMQ are killed while edits are on their way.

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::e2e::Options;
use testkit::e2e::stack::Stack;

use super::{Calendar, fault, titles};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_servers_double_nothing_and_lose_nothing() -> Result<()> {
    if !Stack::installed() {
        eprintln!("PostgreSQL and RabbitMQ are not installed here: nothing is killed");
        return Ok(());
    }
    let stack = Stack::start("calendar-test").await?;
    let options =
        Options { postgres: stack.postgres.clone(), amqp: stack.amqp.clone(), ..Options::default() };
    let calendar = Calendar::connect(options).await?;
    let company = calendar.tenant.company;
    // Slow answers: something is always between call and commit.
    fault(
        &calendar,
        "POST",
        r"/calendar/v3/calendars/[^/]+/events(\?|$)",
        40,
        json!({"kind": "delay", "ms": 150}),
    )
    .await?;
    calendar
        .app(&format!(
            "INSERT INTO events (company_id, title, start_date, end_date)
             SELECT '{company}', 'push ' || lpad(n::text, 2, '0'), '2027-03-01'::date + n, '2027-03-02'::date + n
             FROM generate_series(1, 40) n"
        ))
        .await?;
    for (least, victims) in
        [(3, &["postgres"][..]), (12, &["rabbitmq"]), (20, &["postgres", "rabbitmq"]), (28, &["postgres"])]
    {
        calendar
            .until("some more have arrived", async || Ok(calendar.at_google().await?.len() >= least))
            .await?;
        for victim in victims {
            stack.kill(victim).await?;
        }
        stack.revive().await?;
    }
    let expected: Vec<String> = (1..=40).map(|n| format!("push {n:02}")).collect();
    calendar
        .until("forty events are at Google, once each", async || Ok(titles(&calendar).await? == expected))
        .await?;
    calendar
        .until("every row knows its event, and nothing waits", async || {
            let linked = "SELECT count(DISTINCT google_event_id) FROM events WHERE deleted_at IS NULL";
            let waiting = "SELECT count(*) FROM google_calendar_sync_queue WHERE status <> 'completed'";
            Ok(calendar.platform.sql.number(linked).await? == 40
                && calendar.platform.sql.number(waiting).await? == 0)
        })
        .await?;
    // The other way works as before, and nothing came twice.
    let made = json!({"summary": "push 41", "start": {"date": "2027-06-01"}, "end": {"date": "2027-06-02"}});
    calendar.google.post("/calendars/primary/events", &made).await?;
    calendar
        .until("Google to app goes on", async || {
            Ok(calendar.platform.sql.number("SELECT count(*) FROM events WHERE deleted_at IS NULL").await?
                == 41)
        })
        .await?;
    let conflicts = calendar.platform.sql.number("SELECT count(*) FROM sync_conflicts").await?;
    let left = calendar.platform.dead_letters().await?;
    ensure!(conflicts == 0 && left.is_empty(), "{conflicts} conflicts, {left:?}");
    ensure!(titles(&calendar).await?.len() == 41, "{:?}", titles(&calendar).await?);
    calendar.platform.stop().await
}
