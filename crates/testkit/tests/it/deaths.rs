//! Messages that their consumers keep giving back until the broker gives them up.

use std::time::Duration;

use broker::Broker;
use chassis::time::deadline;
use contracts::jobs::Queue;
use serde_json::json;
use testkit::meter::{meter, metered};
use testkit::{Rig, within};

/// What died last may have been the last one.
const PATIENCE: Duration = Duration::from_millis(200);

use crate::support::{effect, end, sweep, until};

/// A consumer that dies of whatever it gets, with all that it has fetched, until as many messages are archived.
async fn kill_consumers(rig: &Rig, broker: &Broker, archived: i64) {
    let mut victim = broker.consumer(Queue::Maintenance, 4);
    let archive = "SELECT count(*) FROM broker_dead_letters WHERE reason = 'delivery_limit'";
    while rig.db.number(archive).await < archived {
        for _ in 0..5 {
            if deadline("a delivery", PATIENCE, victim.next()).await.is_ok() {
                victim.pause().await;
            }
        }
    }
}

#[tokio::test]
async fn innocents_that_die_with_a_culprit_run_and_a_culprit_is_buried_in_the_end() {
    meter("bells_died_total", &[]);
    let rig = Rig::new().await;
    for _ in 0..4 {
        rig.enqueue(sweep(&rig)).await;
    }
    let (broker, process) = rig.bare_broker();
    let scheduler = rig.trusting_scheduler();
    within("four messages die", kill_consumers(&rig, &broker, 4)).await;
    metered("bells_died_total", &[r#"followed="rung_again""#], 4.0).await;
    let worker = rig.worker(effect());
    until(&rig, "succeeded", 4).await;
    assert_eq!((rig.count("scheduled").await, rig.count("dead").await), (4, 0));
    worker.drain().await;

    let culprit = rig.enqueue(sweep(&rig).resource("r")).await.id();
    within("three messages of it die", kill_consumers(&rig, &broker, 7)).await;
    until(&rig, "dead", 1).await;
    let dead = rig
        .db
        .rows("SELECT id, error_fingerprint, last_error ->> 'message' AS message FROM dead_letters")
        .await;
    assert_eq!(
        (&dead[0]["id"], &dead[0]["error_fingerprint"]),
        (&json!(culprit.uuid()), &json!("delivery_limit"))
    );
    let message = dead[0]["message"].as_str().expect("a message");
    assert!(message.contains("delivery limit"), "{message}");
    let kept = format!("SELECT count(*) FROM broker_dead_letters WHERE job_id = '{culprit}'");
    assert!(rig.db.number(&kept).await >= 3, "their bodies and headers are kept");
    end([scheduler, process]).await;
}
