//! Retry-all: plan, canary, success, abort.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chassis::time::SystemClock;
use chrono::TimeDelta;
use domain::time::Clock;
use http::StatusCode;
use job_runtime::JobError;
use serde_json::{Value, json};

use super::{Dead, Desk, audited, dead, handlers, refused, waiting};
use crate::support::end;

#[tokio::test]
async fn a_plan_does_nothing_until_it_is_started() {
    let desk = Desk::new().await;
    desk.dead_sweeps(120).await;
    let other = Dead { code: "other", message: "something else", ..Dead::default() };
    dead(&desk.rig.db, desk.rig.company, 30, &other).await;
    let planned =
        desk.post("/api/queue/retry-all", json!({ "plan_only": true, "reason": "look first" })).await;
    assert_eq!(planned.status, StatusCode::ACCEPTED, "{planned:?}");
    let plan = &planned.body;
    assert_eq!(
        (&plan["state"], &plan["planned"], &plan["retried"]),
        (&json!("planned"), &json!(150), &json!(0))
    );
    assert_eq!(
        planned.headers["location"],
        format!("/api/queue/operations/{}", plan["id"].as_str().expect("an id"))
    );
    assert_eq!((&plan["groups"][0]["planned"], &plan["groups"][1]["planned"]), (&json!(120), &json!(30)));
    assert!(plan["wave"]["estimated"].as_u64().is_some_and(|n| n > 3), "{plan}");
    assert_eq!(desk.rig.count("dead").await, 150);
    assert_eq!(desk.rig.db.number("SELECT count(*) FROM jobs_live").await, 0, "nothing is queued for a plan");
    let some = desk
        .post("/api/queue/retry-all", json!({ "plan_only": true, "error": "other", "limit": 7 }))
        .await
        .body;
    assert_eq!(some["planned"], 7);
    for wrong in [json!({ "limit": 0 }), json!({ "since": "now" }), json!({ "all": true })] {
        let answer = desk.post("/api/queue/retry-all", wrong).await;
        refused(&answer, StatusCode::UNPROCESSABLE_ENTITY, "invalid_request");
    }

    let id = plan["id"].as_str().expect("an id").to_owned();
    // One is mended by hand meanwhile, one is thrown away.
    let items = desk.get(&format!("/api/queue/operations/{id}/items?limit=2")).await.body;
    let jobs: Vec<&str> = (0..2).map(|n| items["items"][n]["job_id"].as_str().expect("an id")).collect();
    desk.rig.db.execute(&format!("DELETE FROM jobs_dead WHERE id = '{}'", jobs[0])).await;
    let discard = format!("/api/queue/dead-letter/{}", jobs[1]);
    desk.call(http::Method::DELETE, &discard, None).await;

    let started = desk.post(&format!("/api/queue/operations/{id}/start"), json!({})).await;
    assert_eq!(
        (started.status, &started.body["state"]),
        (StatusCode::ACCEPTED, &json!("running")),
        "{started:?}"
    );
    let again = desk.post(&format!("/api/queue/operations/{id}/start"), json!({})).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    assert_eq!(desk.rig.db.number("SELECT count(*) FROM jobs_live").await, 1, "one step waits");
    let processes = [desk.rig.scheduler(), desk.rig.worker(handlers(|| Ok(())))];
    let done = desk.settled(&id).await;
    assert_eq!(
        (&done["state"], &done["planned"], &done["retried"]),
        (&json!("succeeded"), &json!(150), &json!(148))
    );
    assert_eq!((&done["skipped"], &done["aborted"]), (&json!(2), &json!(0)), "{done}");
    assert_eq!(done["results"]["succeeded"], 148);
    assert_eq!(done["groups"][0]["succeeded"], 118);
    let skipped = desk.get(&format!("/api/queue/operations/{id}/items?result=skipped")).await.body;
    assert_eq!(skipped["items"].as_array().map(Vec::len), Some(2), "{skipped}");
    let waves = format!(
        "SELECT wave, count(*) AS n FROM operation_items WHERE operation_id = '{id}' GROUP BY wave ORDER BY wave"
    );
    let sizes: Vec<i64> = desk.rig.db.rows(&waves).await.iter().filter_map(|row| row["n"].as_i64()).collect();
    assert_eq!(sizes, [2, 4, 8, 16, 32, 64, 24], "a canary, then twice as many");
    assert_eq!(desk.rig.count("dead").await, 0);
    let late = desk.post(&format!("/api/queue/operations/{id}/start"), json!({})).await;
    refused(&late, StatusCode::CONFLICT, "operation_ended");
    assert_eq!(audited(&desk.rig.db, "operation.plan").await[0]["reason"], "look first");
    let listed = desk.get("/api/queue/operations").await.body;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    let nowhere = format!("/api/queue/operations/{}", chassis::ids::new_id());
    for rest in ["", "/items"] {
        refused(&desk.get(&format!("{nowhere}{rest}")).await, StatusCode::NOT_FOUND, "not_found");
    }
    for rest in ["start", "cancel"] {
        refused(
            &desk.post(&format!("{nowhere}/{rest}"), json!({})).await,
            StatusCode::NOT_FOUND,
            "not_found",
        );
    }
    end(processes).await;
}

#[tokio::test]
async fn a_cause_that_is_not_mended_costs_a_few_attempts_and_leaves_the_rest_alone() {
    let desk = Desk::new().await;
    desk.dead_sweeps(2_000).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = attempts.clone();
    let failing = handlers(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(JobError::retry("always", "failed always"))
    });
    let processes = [desk.rig.scheduler(), desk.rig.worker(failing)];
    let started = desk.post("/api/queue/retry-all", json!({ "reason": "the provider is back" })).await.body;
    let id = started["id"].as_str().expect("an id");
    let done = desk.settled(id).await;
    assert_eq!((&done["state"], &done["planned"]), (&json!("aborted"), &json!(2_000)), "{done}");
    assert!(done["ended_because"].as_str().is_some_and(|text| text.contains("failed again")), "{done}");
    let (failed, aborted) = (&done["results"]["failed_again"], &done["aborted"]);
    let sum = failed.as_i64().expect("a number") + aborted.as_i64().expect("a number");
    assert_eq!(sum, 2_000, "each is accounted for: {done}");
    assert!(attempts.load(Ordering::SeqCst) <= 60, "{} attempts", attempts.load(Ordering::SeqCst));
    assert_eq!(desk.rig.count("dead").await, 2_000, "and dead as before");
    assert_eq!(desk.rig.db.number("SELECT count(*) FROM jobs_live").await, 0);
    let row = &audited(&desk.rig.db, "operation.abort").await[0];
    assert_eq!((&row["actor"], &row["role"]), (&json!("sync-worker"), &json!("service")));

    let again = desk.post("/api/queue/retry-all", json!({ "plan_only": true })).await.body;
    assert_eq!(again["planned"], 2_000, "they can be retried again");
    end(processes).await;
}

#[tokio::test]
async fn what_fails_now_and_then_goes_on_by_itself() {
    let desk = Desk::new().await;
    desk.dead_sweeps(200).await;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let flaky = handlers(move || match counted.fetch_add(1, Ordering::SeqCst) % 4 {
        3 => Err(JobError::retry("flaky", "now and then")),
        _ => Ok(()),
    });
    let served = Dead { dedupe: Some("drive:1"), ..Dead::default() };
    dead(&desk.rig.db, desk.rig.company, 2, &served).await;
    desk.rig
        .enqueue(waiting(desk.rig.company, "drive:1").run_at(SystemClock.now() + TimeDelta::hours(1)))
        .await;
    let processes = [desk.rig.scheduler(), desk.rig.worker(flaky)];
    let started = desk.post("/api/queue/retry-all", json!({})).await.body;
    let done = desk.settled(started["id"].as_str().expect("an id")).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    let results = &done["results"];
    let ended = ["succeeded", "failed_again"].map(|name| results[name].as_i64().unwrap_or(0));
    assert_eq!((ended.iter().sum::<i64>(), &results["coalesced"]), (200, &json!(2)), "{done}");
    assert!(ended[0] >= 190, "three attempts are enough for nearly all: {done}");
    assert_eq!(desk.rig.count("dead").await, ended[1]);
    end(processes).await;
}

#[tokio::test]
async fn a_double_click_is_one_operation() {
    let desk = Desk::new().await;
    desk.dead_sweeps(40).await;
    let clicks =
        (0..6).map(|_| desk.post("/api/queue/retry-all", json!({ "kind": "maintenance.sweep_drives" })));
    let answers = futures::future::join_all(clicks).await;
    let first = &answers[0].body["id"];
    assert!(answers.iter().all(|answer| answer.body["id"] == *first), "{answers:?}");
    let accepted = answers.iter().filter(|answer| answer.status == StatusCode::ACCEPTED).count();
    assert_eq!(accepted, 1, "the others are told of the one that runs");
    assert_eq!(desk.rig.db.number("SELECT count(*) FROM operations").await, 1);
    assert_eq!(audited(&desk.rig.db, "operation.start").await.len(), 1);
    let other = desk.post("/api/queue/retry-all", json!({ "error": "always" })).await;
    assert_eq!(other.status, StatusCode::ACCEPTED, "another filter is another operation");

    let processes = [desk.rig.scheduler(), desk.rig.worker(handlers(|| Ok(())))];
    let mut retried = 0;
    for id in [first, &other.body["id"]] {
        retried += desk.settled(id.as_str().expect("an id")).await["retried"].as_i64().expect("a number");
    }
    assert_eq!(retried, 40, "each dead letter once, whichever operation took it");
    let effects = "SELECT count(*) FROM jobs WHERE state = 'scheduled'";
    assert_eq!(desk.rig.db.number(effects).await, 40);
    let empty: Value = desk.post("/api/queue/retry-all", json!({})).await.body;
    assert_eq!((&empty["state"], &empty["planned"]), (&json!("succeeded"), &json!(0)));
    end(processes).await;
}
