//! Cut connections at random moments of a load: the end state is that of an undisturbed run.

use std::time::Duration;

use chassis::time::{deadline, pause};
use job_runtime::RuntimeConfig;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use testkit::Rig;

use crate::support::{effect, end, sweep, until};

/// Jobs of one run.
const JOBS: i64 = 400;

#[tokio::test]
async fn cut_connections_lose_nothing_and_double_nothing() {
    let seed = u64::from_be_bytes(chassis::ids::random_bytes());
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let rig = Rig::new().await;
    let (mut proxies, mut processes) = (Vec::new(), Vec::new());
    let config = RuntimeConfig { queues: None, concurrency: 4, lease_seconds: 6 };
    for _ in 0..2 {
        let (database, broker, place) = rig.proxied().await;
        proxies.extend([database, broker]);
        processes.push(place.worker(effect(), config.clone()));
        processes.push(place.scheduler(Vec::new()));
    }
    let storm = async {
        loop {
            pause(Duration::from_millis(rng.random_range(20..250))).await;
            let proxy = &proxies[rng.random_range(0..proxies.len())];
            proxy.cut();
            if rng.random_bool(0.1) {
                proxy.close();
                pause(Duration::from_millis(rng.random_range(50..1500))).await;
                proxy.open();
            }
        }
    };
    let load = async {
        for n in 0..JOBS {
            rig.enqueue(sweep(&rig).resource(format!("r{}", n % 25))).await;
            pause(Duration::from_millis(10)).await;
        }
    };
    let (stormy, ()) = tokio::join!(deadline("the storm", Duration::from_secs(8), storm), load);
    assert!(stormy.is_err(), "the storm ends by its deadline");
    for proxy in &proxies {
        proxy.open();
    }
    until(&rig, "succeeded", JOBS).await;
    let causes =
        rig.db.number("SELECT count(DISTINCT requested_by) FROM jobs WHERE state = 'scheduled'").await;
    assert_eq!((rig.count("scheduled").await, causes), (JOBS, JOBS), "seed {seed}");
    end(processes).await;
}
