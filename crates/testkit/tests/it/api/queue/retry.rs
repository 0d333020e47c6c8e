//! Retrying one dead letter.

use http::StatusCode;
use serde_json::{Value, json};
use testkit::eventually;

use super::{Dead, Desk, audited, dead, effects, handlers, refused, waiting};
use crate::support::{end, until};

#[tokio::test]
async fn retrying_twice_at_once_runs_once() {
    let desk = Desk::new().await;
    let id = desk.dead_sweeps(1).await[0];
    let path = format!("/api/queue/retry/{id}");
    let requests = (0..8).map(|_| desk.post(&path, json!({ "reason": "mended" })));
    let answers = futures::future::join_all(requests).await;
    let accepted = answers.iter().filter(|answer| answer.status == StatusCode::ACCEPTED).count();
    let known =
        answers.iter().filter(|a| a.status == StatusCode::OK && a.body["outcome"] == "already_retried");
    assert_eq!((accepted, known.count()), (1, 7), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.body["id"] == json!(id)));

    let row = &desk
        .rig
        .db
        .rows("SELECT state, attempt, epoch, interruptions, deadline, checkpoint FROM jobs_live")
        .await[0];
    assert_eq!(
        row,
        &json!({
            "state": "queued", "attempt": 0, "epoch": 4, "interruptions": 0, "deadline": null,
            "checkpoint": { "page": 1 },
        })
    );
    let processes = [desk.rig.scheduler(), desk.rig.worker(handlers(|| Ok(())))];
    until(&desk.rig, "succeeded", 1).await;
    assert_eq!(effects(&desk.rig.db, id).await, 1);
    let late = desk.post(&path, json!({})).await;
    assert_eq!((late.status, &late.body["state"]), (StatusCode::OK, &json!("succeeded")));
    let job = desk.get(&format!("/api/sync/jobs/{id}")).await.body;
    assert_eq!(job["errors"][0]["message"], "failed always", "the old errors are kept");
    let rows = audited(&desk.rig.db, "dead_letter.retry").await;
    assert_eq!((rows.len(), &rows[0]["reason"], &rows[0]["role"]), (1, &json!("mended"), &json!("operator")));
    let nowhere = desk.post(&format!("/api/queue/retry/{}", chassis::ids::new_id()), json!({})).await;
    refused(&nowhere, StatusCode::NOT_FOUND, "not_found");
    end(processes).await;
}

#[tokio::test]
async fn a_retried_job_is_first_in_its_line_again() {
    let desk = Desk::new().await;
    let early = Dead { resource: Some("drive:1"), ..Dead::default() };
    let first = dead(&desk.rig.db, desk.rig.company, 1, &early).await[0];
    let later = desk.rig.enqueue(crate::support::sweep(&desk.rig).resource("drive:1")).await.id();
    let before = desk.get(&format!("/api/sync/jobs/{later}/explain")).await.body;
    assert_ne!(before["reason"], "behind_another");
    desk.post(&format!("/api/queue/retry/{first}"), json!({})).await;
    let behind = desk.get(&format!("/api/sync/jobs/{later}/explain")).await.body;
    assert_eq!((&behind["reason"], &behind["blocked_by"]), (&json!("behind_another"), &json!(first)));
    let processes = [desk.rig.scheduler(), desk.rig.worker(handlers(|| Ok(())))];
    until(&desk.rig, "succeeded", 2).await;
    let order = desk.rig.db.rows("SELECT id FROM jobs WHERE state = 'succeeded' ORDER BY started_at").await;
    assert_eq!(order, [json!({ "id": first }), json!({ "id": later.uuid() })]);
    end(processes).await;
}

#[tokio::test]
async fn a_waiting_job_with_the_same_key_serves_the_dead_letter() {
    let desk = Desk::new().await;
    let same = Dead { dedupe: Some("drive:1"), ..Dead::default() };
    let ids = dead(&desk.rig.db, desk.rig.company, 3, &same).await;
    let live = desk.rig.enqueue(waiting(desk.rig.company, "drive:1")).await.id();
    let answer = desk.post(&format!("/api/queue/retry/{}", ids[0]), json!({})).await;
    assert_eq!(
        (answer.status, &answer.body["outcome"]),
        (StatusCode::ACCEPTED, &json!("coalesced")),
        "{answer:?}"
    );
    assert_eq!((&answer.body["id"], &answer.body["retried"]), (&json!(live.uuid()), &json!(ids[0])));
    let old = desk.get(&format!("/api/sync/jobs/{}", ids[0])).await.body;
    assert_eq!((&old["state"], &old["result"]["coalesced_into"]), (&json!("cancelled"), &json!(live.uuid())));
    let again = desk.post(&format!("/api/queue/retry/{}", ids[0]), json!({})).await;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::OK, &json!(live.uuid())), "{again:?}");

    // A parked one is asked for again, as by any request.
    let mend = "UPDATE jobs_live SET state = 'parked', park_reason = 'consent', queued_at = NULL; DELETE FROM outbox";
    desk.rig.db.execute(mend).await;
    let served = desk.post(&format!("/api/queue/retry/{}", ids[1]), json!({})).await;
    assert_eq!(
        (&served.body["state"], &served.body["park_reason"]),
        (&json!("queued"), &Value::Null),
        "{served:?}"
    );

    // An edited payload asks for something else: it runs by itself.
    let path = format!("/api/queue/dead-letter/{}", ids[2]);
    let edited =
        desk.call(http::Method::PUT, &path, Some(json!({ "payload": { "trigger": "sweep" } }))).await;
    assert_eq!(edited.status, StatusCode::OK, "{edited:?}");
    let own = desk.post(&format!("/api/queue/retry/{}", ids[2]), json!({})).await;
    assert_eq!((&own.body["outcome"], &own.body["id"]), (&json!("queued"), &json!(ids[2])));
    let processes = [desk.rig.scheduler(), desk.rig.worker(handlers(|| Ok(())))];
    until(&desk.rig, "succeeded", 2).await;
    eventually("no message is left", async || {
        (desk.rig.db.number("SELECT count(*) FROM outbox").await == 0).then_some(())
    })
    .await;
    end(processes).await;
}
