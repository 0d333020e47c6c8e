//! (f) `POST /api/queue/retry-all` over many dead letters whose cause is mended: plan, canary, doubling waves,
//! and the effects of the jobs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use contracts::jobs::JobPayload as _;
use outbound::Method;
use serde_json::{Value, json};
use testkit::bench_job::OneEffect;
use testkit::e2e::caller::Caller;
use testkit::e2e::patience::wait_for;
use testkit::e2e::platform::JWT_SECRET;
use web::auth::{Claims, Role, mint};

use super::knobs;
use super::world::{World, stop};
use crate::report::Report;

/// Longest operation.
const LIMIT: Duration = Duration::from_mins(20);
/// Lifetime of the token.
const TOKEN: Duration = Duration::from_hours(1);

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let letters = knobs::letters()?;
    let mut world = World::new().await?;
    bury(&world, letters).await?;
    let mut processes = vec![world.scheduler(&[]).await?];
    let address = world.address()?;
    let secret = ("JWT_SECRET", JWT_SECRET.to_owned());
    let api_settings = [secret, ("API_HTTP_ADDR", address.to_string())];
    // The operation's own job is one of the platform's; the letters' jobs are ours.
    for mut process in [
        world.service("api", &api_settings)?,
        world.service("sync-worker", &[])?,
        world.worker(knobs::concurrency()?)?,
    ] {
        world.started(&mut process).await?;
        processes.push(process);
    }
    let claims = Claims::new("bench", world.company, Role::Admin, "syncline", "syncline");
    let now = domain::time::Clock::now(&chassis::time::SystemClock);
    let token = mint(&JWT_SECRET.to_owned().into(), claims, now, TOKEN)?;
    let api = Caller::new(world.http.clone(), &format!("http://{address}"), Some(token))?;

    let started = Instant::now();
    let operation = api
        .expect(
            Method::POST,
            "/api/queue/retry-all",
            Some(&json!({"kind": OneEffect::KIND, "reason": "bench"})),
        )
        .await?;
    let planned = started.elapsed();
    let done = follow(&api, &operation).await?;
    world.effects("bench_effects", letters).await?;
    let seconds = started.elapsed().as_secs_f64();
    world.exactly_once("bench_effects", letters).await?;
    ensure!(done["retried"] == letters, "not every letter was retried: {done}");
    report.note(
        format!("(f) retry-all of {letters} dead letters to their effects"),
        format!("{seconds:.1} s, {:.0} jobs/s", f64::from(letters) / seconds),
    );
    report.note(
        "    answer to the request, with its plan",
        format!("{:.0} ms", planned.as_secs_f64() * 1000.0),
    );
    report.note("    waves, results per item, exactly once each", done["wave"]["number"].to_string());
    for process in &processes {
        report.note(
            format!("    peak memory of {}", process.label()),
            crate::report::mib(process.peak_memory()?),
        );
    }
    stop(processes).await?;
    world.finish()
}

/// Dead letters as a past outage leaves them; the jobs that made them would take an hour of retries.
async fn bury(world: &World, letters: u32) -> Result<()> {
    let error = json!([{"attempt": 5, "code": "provider_down", "message": "503 from the provider", "chain": [],
        "fingerprint": "bench"}]);
    let payload = json!({"asked_us": 0});
    world
        .sql
        .run(&format!(
            "INSERT INTO jobs_dead (id, company_id, kind, version, queue, payload, state, attempt, max_attempts,
                 epoch, run_at, attempt_seconds, errors, error_fingerprint, first_failed_at, requested_by,
                 finished_at)
             SELECT gen_random_uuid(), '{}', '{}', {}, '{}', '{payload}', 'dead', 5, 5, 5, now(), {}, '{error}',
                 'bench', now(), 'bench', now()
             FROM generate_series(1, {letters});
             ANALYZE jobs_dead",
            world.company,
            OneEffect::KIND,
            OneEffect::VERSION,
            OneEffect::QUEUE.name(),
            OneEffect::DEADLINE_SECONDS,
        ))
        .await
}

/// Waits until every job of the operation has ended.
async fn follow(api: &Caller, operation: &Value) -> Result<Value> {
    let id = operation["id"].as_str().with_context(|| format!("an operation without an id: {operation}"))?;
    let path = format!("/api/queue/operations/{id}");
    let ended = wait_for(LIMIT, "the operation ends", async || {
        chassis::time::pause(Duration::from_millis(300)).await;
        let now = api.get(&path).await?;
        Ok((now["state"] != "running" && !now["settled_at"].is_null()).then_some(now))
    })
    .await?;
    ensure!(ended["state"] == "succeeded", "the operation ended as {ended}");
    Ok(ended)
}
