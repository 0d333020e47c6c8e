//! Acknowledgements at the door, beside a bare handler that stores one durable row for each request.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chassis::time::pause;
use testkit::e2e::patience::wait_until;
use testkit::proxy::Proxy;

use crate::jobs::world::{World, median, stop};
use crate::jobs::{bare, knobs};
use crate::report::Report;

/// Goals: share of the bare handler, and the 99th percentile at half the maximum, in milliseconds.
const SHARE: f64 = 0.50;
const P99_MS: f64 = 10.0;
const CONNECTIONS: u32 = 100;
const SECONDS: u32 = 5;
/// Resources that the notifications are about.
const SUBSCRIPTIONS: u32 = 4;
/// Requests of one statement of the bare handler.
const BATCH: u32 = 256;
/// Longest wait for a server, or for the spool to be replayed.
const LONG: Duration = Duration::from_mins(2);

/// What the load generator saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let (mut ours, mut limit, mut spooled) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..knobs::rounds()? {
        ours.push(product(false).await?);
        limit.push(bare_door().await?);
        spooled.push(product(true).await?);
    }
    let middle = |all: &[[Seen; 2]], figure: fn(&Seen) -> f64, which: usize| {
        median(all.iter().map(|pair| figure(&pair[which])).collect())
    };
    let limit = median(limit.iter().map(|seen| seen.per_second).collect());
    report.note(
        format!("bare handler, one durable row each, {CONNECTIONS} connections"),
        format!("{limit:.0}/s"),
    );
    for (what, all) in [("acknowledgements", &ours), ("    with PostgreSQL stopped (spool)", &spooled)] {
        let (rate, p50, p99) =
            (middle(all, |s| s.per_second, 0), middle(all, |s| s.p50_ms, 0), middle(all, |s| s.p99_ms, 0));
        report.note(what, format!("{rate:.0}/s, p50 {p50:.1} ms, p99 {p99:.1} ms"));
        let share = rate / limit;
        let shown = (format!("{:.0} %", share * 100.0), format!(">= {:.0} %", SHARE * 100.0));
        report.goal("    share of the bare handler", shown.0, shown.1, share >= SHARE);
        let p99 = middle(all, |s| s.p99_ms, 1);
        report.goal(
            "    p99 at half of that",
            format!("{p99:.1} ms"),
            format!("< {P99_MS:.0} ms"),
            p99 < P99_MS,
        );
    }
    Ok(())
}

/// The product at its maximum and at half of it.
async fn product(stopped: bool) -> Result<[Seen; 2]> {
    let mut world = World::new().await?;
    for n in 0..SUBSCRIPTIONS {
        world
            .sql
            .run(&format!(
                "INSERT INTO microsoft_subscriptions
                     (id, company_id, subscription_id, resource_type, resource_id, client_state_sha256, state)
                 VALUES (gen_random_uuid(), '{}', 'bench-{n}', 'drive', 'b!bench-{n}', sha256('bench state'), 'active')",
                world.company
            ))
            .await?;
    }
    let (proxy, url) = Proxy::before(world.app_url(), 5432).await;
    let address = world.address()?;
    let spool = world.folder.join("spool");
    let mut env = vec![
        ("WEBHOOK_INGRESS_HTTP_ADDR", address.to_string()),
        ("SPOOL_DIR", spool.display().to_string()),
        ("SPOOL_MAX_BYTES", (4_u64 << 30).to_string()),
    ];
    if stopped {
        // The detour is taken only by the run in which nothing goes through it.
        env.push(("DATABASE_URL", url));
    }
    let mut door = world.service("webhook-ingress", &env)?;
    world.started(&mut door).await?;
    // Every subscription is known before the database goes away.
    load(&world, address.port(), true, 1, 0).await?;
    if stopped {
        proxy.close();
    }
    let full = load(&world, address.port(), true, SECONDS, 0).await?;
    let half = load(&world, address.port(), true, SECONDS, half_of(full.per_second)).await?;
    if stopped {
        let jobs = world.sql.number("SELECT count(*) FROM jobs").await?;
        ensure!(jobs == i64::from(SUBSCRIPTIONS), "{jobs} jobs before the replay");
        world.sql.run("DELETE FROM jobs; DELETE FROM outbox").await?;
        proxy.open();
        wait_until(LONG, "an empty spool", async || Ok(segments(&spool) == 0)).await?;
    }
    let jobs = world.sql.number("SELECT count(*) FROM jobs").await?;
    ensure!(jobs == i64::from(SUBSCRIPTIONS), "{jobs} jobs of {SUBSCRIPTIONS} resources");
    stop(vec![door]).await?;
    world.finish()?;
    Ok([full, half])
}

async fn bare_door() -> Result<Seen> {
    let mut world = World::new().await?;
    let port = world.address()?.port();
    let mut door = bare::worker(&world, "door", &[("port", port.into()), ("batch", BATCH)])?;
    door.start()?;
    wait_until(LONG, "the bare handler", async || {
        Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok())
    })
    .await?;
    pause(Duration::from_millis(200)).await;
    let seen = load(&world, port, false, SECONDS, 0).await?;
    door.kill().await?;
    world.finish()?;
    Ok(seen)
}

async fn load(world: &World, port: u16, product: bool, seconds: u32, rate: u32) -> Result<Seen> {
    let numbers = [
        ("port", port.into()),
        ("connections", CONNECTIONS),
        ("seconds", seconds),
        ("rate", rate),
        ("subscriptions", SUBSCRIPTIONS),
        ("product", u32::from(product)),
    ];
    let seen = bare::call(world, "load", &numbers).await?;
    ensure!(seen["failed"] == 0, "not every request was accepted: {seen}");
    let number = |name: &str| seen[name].as_f64().with_context(|| format!("no {name} in {seen}"));
    Ok(Seen {
        per_second: number("per_second")?,
        p50_ms: number("p50_us")? / 1e3,
        p99_ms: number("p99_us")? / 1e3,
    })
}

fn segments(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "spool")).count()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate far below four billion")]
fn half_of(rate: f64) -> u32 {
    (rate / 2.0) as u32
}
