//! Exactly one reason for every job that is not running.

use std::collections::BTreeMap;

use chassis::time::SystemClock;
use chrono::TimeDelta;
use domain::time::Clock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::World;

/// A way for a job to wait, as columns and as the reason that must be given.
const WAYS: [(&str, &str, &str); 13] = [
    ("scheduled", "run_at = now() + interval '1 hour'", "not_due"),
    ("scheduled", "run_at = now() - interval '9 seconds'", "scheduler"),
    (
        "retrying",
        "run_at = now() + interval '1 minute', errors = '[{\"code\": \"503\", \"message\": \"m\"}]'",
        "retry_delay",
    ),
    (
        "retrying",
        "run_at = now() + interval '1 minute', errors = '[{\"code\": \"activityLimitReached\"}]'",
        "rate_limited",
    ),
    (
        "retrying",
        "run_at = now() + interval '1 minute', errors = '[{\"code\": \"circuitBreakerOpen\"}]'",
        "breaker_open",
    ),
    ("parked", "park_reason = 'consent'", "parked"),
    (
        "running",
        "lease_owner = id, lease_expires_at = now() + interval '1 minute', started_at = now()",
        "running",
    ),
    (
        "running",
        "lease_owner = id, lease_expires_at = now() + interval '1 minute', cancel_requested = true",
        "cancelling",
    ),
    ("queued", "deadline = now() - interval '1 second'", "deadline_passed"),
    ("queued", "resource_key = 'held'", "resource_busy"),
    ("queued", "resource_key = 'lined'", "behind_another"),
    ("queued", "kind = 'audit.x', queue = 'jobs.audit', queued_at = now() - interval '1 hour'", "no_worker"),
    ("queued", "queued_at = now()", "worker"),
];

async fn job(world: &World, state: &str, columns: &str) -> Uuid {
    let (id, company) = (chassis::ids::new_id(), world.company);
    world
        .db
        .execute(&format!(
            "INSERT INTO jobs_live (id, company_id, kind, version, queue, payload, state, max_attempts, run_at, queued_at,
                 attempt_seconds)
             VALUES ('{id}', '{company}', 'documents.sync_ao', 1, 'jobs.documents', '{{}}', '{state}', 5, now(), now(), 60);
             UPDATE jobs_live SET {columns} WHERE id = '{id}'"
        ))
        .await;
    id
}

async fn reason(world: &World, id: Uuid) -> Value {
    world.get(&format!("/api/sync/jobs/{id}/explain")).await.body
}

#[tokio::test]
async fn every_job_that_waits_has_one() {
    let world = World::new().await;
    let company = world.company;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    // Somebody holds one resource and stands first in the line of another.
    let holder =
        job(&world, "running", "lease_expires_at = now() + interval '1 minute', resource_key = 'held'").await;
    world
        .db
        .execute(&format!(
            "INSERT INTO resource_leases (company_id, resource_key, job_id, epoch, owner, expires_at)
             VALUES ('{company}', 'held', '{holder}', 1, '{holder}', now() + interval '1 minute')"
        ))
        .await;
    let first = job(&world, "queued", "resource_key = 'lined', priority = 9").await;
    let mut expected = BTreeMap::new();
    for (state, columns, why) in WAYS {
        expected.insert(job(&world, state, columns).await, why);
    }
    for _ in 0..60 {
        let (state, columns, why) = WAYS[rng.random_range(0..WAYS.len())];
        expected.insert(job(&world, state, columns).await, why);
    }
    for (id, why) in &expected {
        let answer = reason(&world, *id).await;
        assert_eq!(answer["reason"], *why, "seed {seed}: {answer}");
        assert!(answer["detail"].as_str().is_some_and(|text| text.len() > 5), "{answer}");
        let by = match *why {
            "resource_busy" => json!(holder),
            "behind_another" => json!(first),
            _ => Value::Null,
        };
        assert_eq!(answer["blocked_by"], by, "{answer}");
    }
    let reasons: std::collections::BTreeSet<_> = expected.values().collect();
    assert_eq!(reasons.len(), WAYS.len(), "every way was tried");
}

#[tokio::test]
async fn a_message_on_its_way_names_the_turn_or_the_relay() {
    let world = World::new().await;
    let company = world.company;
    let (one, two, three) = (
        job(&world, "queued", "epoch = 0").await,
        job(&world, "queued", "epoch = 0").await,
        job(&world, "queued", "epoch = 0").await,
    );
    for (id, refusals) in [(one, 0), (two, 0), (three, 4)] {
        let sql = format!(
            "INSERT INTO outbox (company_id, job_id, epoch, routing_key, refusals)
             VALUES ('{company}', '{id}', 0, 'documents.sync_ao', {refusals})"
        );
        world.db.execute(&sql).await;
    }
    assert_eq!(reason(&world, one).await["reason"], "relay");
    let second = reason(&world, two).await;
    assert_eq!(second["reason"], "tenants_turn", "{second}");
    assert!(second["detail"].as_str().is_some_and(|text| text.contains("1 messages")), "{second}");
    let third = reason(&world, three).await;
    assert_eq!(third["reason"], "relay");
    assert!(
        third["detail"].as_str().is_some_and(|text| text.contains("refused its message 4 times")),
        "{third}"
    );
}

#[tokio::test]
async fn an_ended_job_says_how_and_the_connector_says_until_when() {
    let world = World::new().await;
    let id = super::dead(&world.db, world.company, 1, &super::Dead::default()).await[0];
    let dead = reason(&world, id).await;
    assert_eq!(dead["reason"], "dead");
    assert!(dead["detail"].as_str().is_some_and(|text| text.contains("/api/queue/retry/")), "{dead}");
    world
        .call(web::auth::Role::Operator, http::Method::DELETE, &format!("/api/queue/dead-letter/{id}"), None)
        .await;
    assert_eq!(reason(&world, id).await["reason"], "ended");

    let retry = "run_at = now() + interval '1 minute', errors = '[{\"code\": \"503\"}]'";
    let id = job(&world, "retrying", retry).await;
    let later = SystemClock.now() + TimeDelta::hours(1);
    world.connector.set(|status| status.throttled_until_us = Some(later.timestamp_micros()));
    testkit::eventually("the connector's window is seen", async || {
        let answer = reason(&world, id).await;
        (answer["reason"] == "rate_limited").then_some(answer)
    })
    .await;
    world.connector.set(|status| status.breaker_state = 2);
    let open = testkit::eventually("the open breaker is seen", async || {
        let answer = reason(&world, id).await;
        (answer["reason"] == "breaker_open").then_some(answer)
    })
    .await;
    assert!(open["until"].is_string(), "{open}");
    // Work that does not touch Microsoft does not care.
    let other = job(&world, "retrying", &format!("{retry}, kind = 'maintenance.sweep_drives'")).await;
    assert_eq!(reason(&world, other).await["reason"], "retry_delay");
}
