//! Operations whose worker dies, and operations that a person ends.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use job_runtime::RuntimeConfig;
use serde_json::json;
use testkit::eventually;
use tokio::sync::Semaphore;

use super::{Desk, audited, handlers, refused};
use crate::support::end;

/// A worker on a runtime of its own, so that it can die as a process does: no word, no hand-back.
fn doomed(desk: &Desk) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let place = desk.rig.place();
    runtime.spawn(async move {
        let config = RuntimeConfig { queues: None, concurrency: 8, lease_seconds: 6 };
        let worker = place.worker(handlers(|| Ok(())), config);
        worker.tasks.wait().await;
    });
    runtime
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_changes_nothing_about_the_end() {
    let desk = Desk::new().await;
    desk.dead_sweeps(400).await;
    let started = desk.post("/api/queue/retry-all", json!({})).await.body;
    let id = started["id"].as_str().expect("an id").to_owned();
    let scheduler = desk.rig.scheduler();
    for waves in [2, 4] {
        let victim = doomed(&desk);
        eventually("the operation is under way", async || {
            let sql = format!("SELECT wave::bigint FROM operations WHERE id = '{id}'");
            (desk.rig.db.number(&sql).await >= waves).then_some(())
        })
        .await;
        victim.shutdown_timeout(Duration::ZERO);
    }
    let worker = desk.rig.worker(handlers(|| Ok(())));
    let done = desk.settled(&id).await;
    assert_eq!((&done["state"], &done["results"]["succeeded"]), (&json!("succeeded"), &json!(400)), "{done}");
    let doubled = desk.rig.db.number(
        "SELECT count(*) FROM (SELECT requested_by FROM jobs WHERE state = 'scheduled'
             GROUP BY requested_by HAVING count(*) > 1) twice",
    );
    assert_eq!(doubled.await, 0, "no effect twice");
    assert_eq!(desk.rig.db.number("SELECT count(*) FROM jobs WHERE state = 'scheduled'").await, 400);
    let others =
        format!("SELECT count(*) FROM operation_items WHERE operation_id = '{id}' AND result <> 'succeeded'");
    assert_eq!(desk.rig.db.number(&others).await, 0);
    end([scheduler, worker]).await;
}

#[tokio::test]
async fn a_cancelled_operation_takes_back_what_has_not_begun() {
    let desk = Desk::new().await;
    desk.dead_sweeps(300).await;
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (inside, opened) = (entered.clone(), gate.clone());
    let held =
        job_runtime::Handlers::new().with(sync_worker::maintenance::RetryHandler).with(testkit::scripted::<
            contracts::jobs::SweepDrives,
            _,
            _,
        >(
            move |_, job| {
                let (inside, opened) = (inside.clone(), opened.clone());
                async move {
                    inside.add_permits(1);
                    opened.acquire().await.expect("never closed").forget();
                    crate::support::leave_effect(&job).await
                }
            },
        ));
    let config = RuntimeConfig { queues: None, concurrency: 2, lease_seconds: 30 };
    let processes = [desk.rig.scheduler(), desk.rig.worker_with(held, config)];
    let started = desk.post("/api/queue/retry-all", json!({})).await.body;
    let id = started["id"].as_str().expect("an id").to_owned();
    // Three are the canary: two run, one waits.
    testkit::within("two jobs run", entered.acquire_many(2)).await.expect("open").forget();
    let path = format!("/api/queue/operations/{id}/cancel");
    let cancelled = desk.post(&path, json!({ "reason": "wrong filter" })).await;
    assert_eq!(
        (cancelled.status, &cancelled.body["state"]),
        (StatusCode::OK, &json!("cancelled")),
        "{cancelled:?}"
    );
    assert_eq!((&cancelled.body["aborted"], &cancelled.body["results"]["open"]), (&json!(298), &json!(2)));
    refused(&desk.post(&path, json!({})).await, StatusCode::CONFLICT, "operation_ended");
    assert_eq!(desk.rig.count("dead").await, 298);
    gate.add_permits(10);
    let done = desk.settled(&id).await;
    assert_eq!((&done["state"], &done["results"]["succeeded"]), (&json!("cancelled"), &json!(2)), "{done}");
    assert_eq!(done["ended_because"], "cancelled by user-1");
    assert_eq!((desk.rig.count("dead").await, desk.rig.count("scheduled").await), (298, 2));
    assert_eq!(audited(&desk.rig.db, "operation.cancel").await[0]["reason"], "wrong filter");

    let plan = desk.post("/api/queue/retry-all", json!({ "plan_only": true })).await.body;
    let path = format!("/api/queue/operations/{}/cancel", plan["id"].as_str().expect("an id"));
    let dropped = desk.post(&path, json!({})).await.body;
    assert_eq!((&dropped["state"], &dropped["aborted"]), (&json!("cancelled"), &json!(298)), "{dropped}");
    assert!(dropped["settled_at"].is_string());
    end(processes).await;
}
