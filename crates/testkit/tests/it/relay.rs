//! The relay: everything goes out, nobody is kept waiting by somebody else's flood, and it costs little.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use broker::{Broker, Consumer};
use chassis::time::pause;
use chrono::DateTime;
use contracts::bell::{Bell, decode_all};
use contracts::jobs::{Queue, SweepDrives, Trigger};
use domain::ids::CompanyId;
use serde_json::json;
use store::jobs::{Enqueued, NewJob, enqueue_many};
use testkit::meter::{meter, metered};
use testkit::{Rig, eventually, within};
use uuid::Uuid;

use crate::support::{end, sweep, until};

fn sweep_of(company: CompanyId) -> NewJob {
    NewJob::new(company, &SweepDrives { trigger: Trigger::Manual }, "test").expect("a payload")
}

async fn enqueue_all(rig: &Rig, company: CompanyId, jobs: Vec<NewJob>) -> Vec<Enqueued> {
    let mut tx = rig.db.store.tenant(company).await.expect("a transaction");
    let enqueued = enqueue_many(&mut tx, jobs).await.expect("jobs");
    tx.commit().await.expect("a commit");
    enqueued
}

/// What a worker hears, acknowledged at once.
struct Ear {
    consumer: Consumer,
    /// Of a message that rang for several.
    heard: VecDeque<Bell>,
}

impl Ear {
    fn new(broker: &Broker, prefetch: u16) -> Self {
        Self { consumer: broker.consumer(Queue::Maintenance, prefetch), heard: VecDeque::new() }
    }

    async fn bell(&mut self) -> Bell {
        while self.heard.is_empty() {
            let delivery = within("a bell", self.consumer.next()).await.expect("not draining");
            delivery.ack().await;
            self.heard.extend(decode_all(delivery.body()).expect("bells"));
        }
        self.heard.pop_front().expect("a bell")
    }
}

#[tokio::test]
async fn ten_thousand_jobs_in_one_call_are_all_relayed_once() {
    let rig = Rig::new().await;
    let due = DateTime::from_timestamp(4_000_000_000, 0).expect("a time");
    let mut jobs: Vec<NewJob> = (0..10_000)
        .map(|n| sweep(&rig).resource(format!("r{n}")).priority(n % 8).max_attempts(7).deadline(due))
        .collect();
    // Two that coalesce, and one whose time has not come.
    jobs[4999] = sweep(&rig).dedupe("k");
    jobs[9999] = sweep(&rig).dedupe("k");
    jobs[5000] = sweep(&rig).run_at(due);
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.id.uuid()).collect();
    let enqueued = enqueue_all(&rig, rig.company, jobs).await;
    assert_eq!(enqueued.len(), 10_000);
    for (position, (enqueued, id)) in enqueued.iter().zip(&ids).enumerate() {
        match enqueued {
            Enqueued::New(new) => assert_eq!((new.uuid(), position == 9999), (*id, false), "{position}"),
            Enqueued::Coalesced(into) => assert_eq!((into.uuid(), position), (ids[4999], 9999)),
        }
    }
    let stored = "SELECT count(*) FROM jobs WHERE max_attempts = 7 AND deadline IS NOT NULL";
    assert_eq!(rig.db.number(stored).await, 9997);
    assert_eq!(rig.db.number("SELECT count(*) FROM outbox").await, 9998);
    let lanes = "SELECT count(DISTINCT priority) FROM outbox WHERE queue = 'jobs.maintenance'";
    assert_eq!(rig.db.number(lanes).await, 8);
    assert_eq!((rig.count("queued").await, rig.count("scheduled").await), (9998, 1));

    let (broker, process) = rig.bare_broker();
    let processes = [rig.trusting_scheduler(), rig.trusting_scheduler(), process];
    let mut bells = Ear::new(&broker, 500);
    let mut rung = HashSet::new();
    for _ in 0..9998 {
        assert!(rung.insert(bells.bell().await.job_id), "a bell came twice");
    }
    let expected: HashSet<Uuid> =
        ids.iter().copied().filter(|id| *id != ids[9999] && *id != ids[5000]).collect();
    assert_eq!(rung, expected);
    eventually("the outbox is empty", async || {
        (rig.db.number("SELECT count(*) FROM outbox").await == 0).then_some(())
    })
    .await;
    end(processes).await;
}

#[tokio::test]
async fn a_flood_keeps_nobody_else_waiting() {
    let rig = Rig::new().await;
    let (flooded, patient, urgent) = (rig.company, rig.db.company().await, rig.db.company().await);
    let mut flood: Vec<NewJob> = (0..20_000).map(|_| sweep_of(flooded).priority(7)).collect();
    flood[5000].priority = 0;
    let low = flood[5000].id.uuid();
    enqueue_all(&rig, flooded, flood).await;
    let (broker, process) = rig.bare_broker();
    let scheduler = rig.trusting_scheduler();
    // Workers that take about 300 bells a second.
    let mut bells = Ear::new(&broker, 20);
    let next = async |bells: &mut Ear| {
        pause(Duration::from_millis(3)).await;
        bells.bell().await
    };
    for _ in 0..500 {
        next(&mut bells).await;
    }
    enqueue_all(&rig, patient, (0..5).map(|_| sweep_of(patient)).collect()).await;
    enqueue_all(&rig, urgent, vec![sweep_of(urgent).priority(9)]).await;
    let (mut before_urgent, mut before_patient, mut others) = (None, None, 0);
    let mut patients = 0;
    let mut low_came = false;
    while before_urgent.is_none() || before_patient.is_none() {
        let bell = next(&mut bells).await;
        low_came |= bell.job_id == low;
        if bell.company_id == urgent.uuid() {
            before_urgent = Some(others);
        } else if bell.company_id == patient.uuid() {
            patients += 1;
            before_patient = (patients == 5).then_some(others);
        } else {
            others += 1;
        }
        assert!(others < 5_000, "{before_urgent:?} {before_patient:?} {patients}");
    }
    println!(
        "bells of the flood before the urgent one {before_urgent:?}, before five others {before_patient:?}"
    );
    assert!(before_urgent < Some(1500) && before_patient < Some(1500), "a few seconds' worth");
    // A low priority is late; its turn comes when it is the oldest, long before the flood has passed.
    while !low_came {
        others += 1;
        assert!(others < 12_000, "the low priority starves");
        low_came = bells.bell().await.job_id == low;
    }
    end([scheduler, process]).await;
}

#[tokio::test]
async fn a_kind_that_no_queue_takes_is_parked_and_counted() {
    meter("jobs_unroutable_total", &[]);
    let rig = Rig::new().await;
    let mut job = sweep(&rig);
    job.kind = "nowhere.at_all";
    rig.enqueue(job).await;
    rig.enqueue(sweep(&rig)).await;
    let scheduler = rig.trusting_scheduler();
    until(&rig, "parked", 1).await;
    let parked = "SELECT park_reason, errors -> -1 ->> 'code' AS code FROM jobs_live WHERE state = 'parked'";
    assert_eq!(rig.db.rows(parked).await, [json!({ "park_reason": "unknown_kind", "code": "unroutable" })]);
    eventually("the outbox is empty", async || {
        (rig.db.number("SELECT count(*) FROM outbox").await == 0).then_some(())
    })
    .await;
    metered("jobs_unroutable_total", &[], 1.0).await;
    assert!(meter("publish_returned_total", &[]) >= 3.0);
    assert_eq!(rig.count("queued").await, 1, "the other one is rung");
    end([scheduler]).await;
}

#[tokio::test]
async fn an_old_transaction_does_not_make_looks_expensive() {
    let rig = Rig::new().await;
    let (broker, process) = rig.bare_broker();
    let scheduler = rig.trusting_scheduler();
    // From here on nothing that is removed can be cleaned away; this one's own job commits late.
    let mut old = rig.db.store.tenant(rig.company).await.expect("a transaction");
    let late = enqueue_many(&mut old, vec![sweep(&rig)]).await.expect("a job")[0].id();
    let mut bells = Ear::new(&broker, 500);
    enqueue_all(&rig, rig.company, (0..5000).map(|_| sweep(&rig)).collect()).await;
    for _ in 0..5000 {
        bells.bell().await;
    }
    // Index entries visited: dead ones count here too.
    let visited =
        "SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE relname = 'outbox'";
    let mut before = rig.db.number(visited).await;
    let mut cheap = 0;
    within("relaying a job visits few dead ones", async {
        while cheap < 5 {
            for _ in 0..20 {
                rig.enqueue(sweep(&rig)).await;
                bells.bell().await;
            }
            let now = rig.db.number(visited).await;
            // From the beginning it would be 5,000 for every look of every job.
            cheap = if now - before < 20 * 1000 { cheap + 1 } else { 0 };
            println!("{} index entries for 20 jobs", now - before);
            before = now;
        }
    })
    .await;
    old.commit().await.expect("a commit");
    assert_eq!(bells.bell().await.job_id, late.uuid(), "a late commit is found");
    end([scheduler, process]).await;
}

#[tokio::test]
async fn an_idle_scheduler_asks_the_database_less_than_five_times_a_second() {
    const WINDOW: Duration = Duration::from_secs(6);
    let rig = Rig::new().await;
    let scheduler = rig.place().scheduler_losing(Vec::new(), Duration::from_secs(20));
    rig.enqueue(sweep(&rig)).await;
    eventually("it works", async || (rig.db.number("SELECT count(*) FROM outbox").await == 0).then_some(()))
        .await;
    rig.db.store.close().await;
    let commits =
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    // A rate needs a stretch of time. Autovacuum's transactions count too, so not every stretch tells.
    let mut rates = Vec::new();
    for _ in 0..12 {
        let before = rig.db.number(commits).await;
        pause(WINDOW).await;
        // Two are this test's own.
        rates.push(rig.db.number(commits).await - before - 2);
        if rates.last() < Some(&(5 * i64::try_from(WINDOW.as_secs()).expect("small"))) {
            break;
        }
    }
    println!("{rates:?} transactions in {WINDOW:?} each");
    assert!(rates.len() < 12, "never below five a second: {rates:?}");
    end([scheduler]).await;
}
