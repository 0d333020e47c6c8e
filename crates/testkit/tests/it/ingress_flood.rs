//! A flood of notifications about one resource, with a real broker and worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use chassis::ids::new_id;
use contracts::jobs::SyncDrive;
use http::{Request, StatusCode};
use job_runtime::Handlers;
use serde_json::json;
use sha2::{Digest, Sha256};
use testkit::{Rig, eventually, scripted, within};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::ingress_door::Plan;
use crate::support::{end, until};

/// Notifications; `INGRESS_FLOOD` for the figure of the promise, 100,000.
const NOTIFICATIONS: usize = 5_000;
const CONNECTIONS: usize = 100;

#[tokio::test]
async fn a_flood_about_one_resource_becomes_at_most_two_runs() {
    let wanted = std::env::var("INGRESS_FLOOD").ok().and_then(|text| text.parse().ok());
    let each = wanted.unwrap_or(NOTIFICATIONS) / CONNECTIONS;
    let rig = Rig::new().await;
    let digest = hex::encode(Sha256::digest(b"state"));
    rig.db
        .execute(&format!(
            "INSERT INTO microsoft_subscriptions
                 (id, company_id, subscription_id, resource_type, resource_id, client_state_sha256, state)
             VALUES ('{}', '{}', 's', 'drive', 'b!d', decode('{digest}', 'hex'), 'active')",
            new_id(),
            rig.company
        ))
        .await;
    let (runs, started, release) = (Arc::new(AtomicUsize::new(0)), Semaphore::new(0), Semaphore::new(0));
    let (counter, started, release) = (Arc::clone(&runs), Arc::new(started), Arc::new(release));
    let (entered, gate) = (Arc::clone(&started), Arc::clone(&release));
    let handlers = Handlers::new().with(scripted::<SyncDrive, _, _>(move |_, job| {
        let (counter, entered, gate) = (Arc::clone(&counter), Arc::clone(&entered), Arc::clone(&gate));
        async move {
            counter.fetch_add(1, Ordering::SeqCst);
            entered.add_permits(1);
            gate.acquire().await.expect("never closed").forget();
            let tx = job.begin().await?;
            job.commit_done(tx, &json!(null)).await
        }
    }));
    let processes = [rig.worker(handlers), rig.scheduler()];
    let door = Plan::new(&rig.db.store).open();
    let body = json!({ "value": [{ "subscriptionId": "s", "clientState": "state", "resource": "root" }] })
        .to_string();
    let send = async || {
        let request =
            Request::post("/api/webhooks/onedrive").body(Body::from(body.clone())).expect("a request");
        let response = (*door).clone().oneshot(request).await.expect("routers do not fail");
        assert_eq!(response.status(), StatusCode::ACCEPTED);
    };
    send().await;
    within("the first run starts", started.acquire()).await.expect("never closed").forget();
    // The first run holds while the flood comes in.
    let connection = async || {
        for _ in 0..each {
            send().await;
        }
    };
    futures::future::join_all((0..CONNECTIONS).map(|_| connection())).await;
    release.add_permits(10);
    until(&rig, "succeeded", 2).await;
    eventually("nothing to wait", async || {
        (rig.db.number("SELECT count(*) FROM jobs WHERE state <> 'succeeded'").await == 0).then_some(())
    })
    .await;
    assert_eq!(runs.load(Ordering::SeqCst), 2, "of {} notifications", each * CONNECTIONS + 1);
    end(processes).await;
}
