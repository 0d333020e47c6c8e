//! The real program, killed with -9 at every step of a retention run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contracts::jobs::{RunRetention, audit_resource};
use domain::audit::retention::{OTHERS, Policy};
use store::audit::policies;
use store::jobs::{NewJob, enqueue};
use testkit::e2e::caller::http;
use testkit::e2e::ports::Ports;
use testkit::e2e::process::{Launch, Process};
use testkit::eventually;
use testkit::rig::{Place, broker_config, clean_broker};
use testkit::servers::{amqp_url, postgres_url};

use super::{OLD, Scene};

const START: Duration = Duration::from_mins(1);
/// Each stops the program inside of the transaction that takes the step.
const STEPS: [&str; 6] = ["planned", "uploaded", "verified", "purging", "delete", "purged"];

/// Stops whoever takes a step that `stalled` names, for as long as it does.
const STALL: &str = "
    CREATE TABLE stalled (step text);
    CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        WHILE EXISTS (SELECT FROM public.stalled s
                      WHERE s.step = CASE TG_OP WHEN 'DELETE' THEN 'delete' ELSE NEW.state END) LOOP
            PERFORM pg_sleep(0.02);
        END LOOP;
        RETURN NEW;
    END $$;
    CREATE TRIGGER a_stall BEFORE INSERT OR UPDATE OF state ON audit_archives FOR EACH ROW EXECUTE FUNCTION stall();
    CREATE FUNCTION stall_delete() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        WHILE EXISTS (SELECT FROM public.stalled s WHERE s.step = 'delete') LOOP
            PERFORM pg_sleep(0.02);
        END LOOP;
        RETURN NULL;
    END $$;
    CREATE TRIGGER a_stall BEFORE DELETE ON audit_events FOR EACH STATEMENT EXECUTE FUNCTION stall_delete();";

/// Records that are neither in the database nor in an archive that was read back.
async fn lost(scene: &Scene) -> i64 {
    let company = scene.company;
    scene
        .db
        .number(&format!(
            "SELECT count(*) FROM generate_series(1, (SELECT size FROM audit_chains WHERE chain_id = '{company}')) AS n (s)
             WHERE NOT EXISTS (SELECT FROM audit_events e WHERE e.chain_id = '{company}' AND e.sequence = n.s)
                 AND NOT EXISTS (SELECT FROM audit_archives a WHERE a.company_id = '{company}'
                     AND a.verified_at IS NOT NULL AND n.s BETWEEN a.first_sequence AND a.last_sequence)"
        ))
        .await
}

#[tokio::test]
async fn a_run_that_is_killed_at_any_step_is_taken_up() {
    let scene = Scene::new().await;
    let broker = broker_config(&amqp_url());
    let place = Place { database: scene.db.config.clone(), broker: broker.clone() };
    let scheduler = place.scheduler(Vec::new());
    std::fs::create_dir_all(&scene.folder).expect("a folder");
    let mut ports = Ports::take().expect("ports");
    let admin = ports.address().expect("a port");
    let mut process = Process::new(Launch {
        program: "audit-retention".to_owned(),
        label: "audit-retention".to_owned(),
        args: Vec::new(),
        env: BTreeMap::from(
            [
                ("DATABASE_URL", scene.db.app_url.clone()),
                ("AMQP_URL", amqp_url()),
                ("AMQP_PREFIX", broker.prefix.clone()),
                ("AUDIT_RETENTION_ADMIN_ADDR", admin.to_string()),
                ("AUDIT_HMAC_KEYS", OLD.to_owned()),
                ("AUDIT_ARCHIVE_URL", format!("file:{}", scene.folder.join("primary").display())),
                ("AUDIT_ARCHIVE_FALLBACK_URL", format!("file:{}", scene.folder.join("fallback").display())),
                ("LEASE_SECONDS", "6".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        ),
        ready: Some(format!("http://{admin}/readyz")),
        logs: scene.folder.clone(),
    });
    let client = http().expect("a client");
    scene.db.execute(STALL).await;
    let name = scene.db.app_url.rsplit('/').next().expect("a database").to_owned();
    let mut tx = scene.db.store.tenant(scene.company).await.expect("a transaction");
    let eager = Policy {
        class: OTHERS.to_owned(),
        archive_after_days: 0,
        purge_after_days: Some(0),
        legal_hold: false,
    };
    policies::replace(&mut tx, scene.company, &[eager], "test").await.expect("policies");
    tx.commit().await.expect("a commit");

    for step in STEPS {
        scene.keep(30).await;
        scene.db.execute(&format!("INSERT INTO stalled VALUES ('{step}')")).await;
        process.start().expect("the program, built with `cargo build --bins`");
        process.ready(&client, START).await.expect("a ready program");
        let job = NewJob::new(scene.company, &RunRetention { dry_run: false }, "test").expect("a job");
        let mut tx = scene.db.store.tenant(scene.company).await.expect("a transaction");
        let job = job.resource(audit_resource(scene.company.uuid()));
        let job = enqueue(&mut tx, job).await.expect("a job").id();
        tx.commit().await.expect("a commit");
        eventually(&format!("the step {step}"), async || {
            let there =
                format!("SELECT 1 FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'PgSleep'");
            let rows = store::admin::rows(&postgres_url(), &there).await.expect("what sessions do");
            (!rows.is_empty()).then_some(())
        })
        .await;
        process.kill().await.expect("a killed process");
        assert_eq!(lost(&scene).await, 0, "killed at {step}");
        scene.db.execute("DELETE FROM stalled").await;
        process.start().expect("the program");
        process.ready(&client, START).await.expect("a ready program");
        eventually(&format!("the end of the run that was killed at {step}"), async || {
            let done =
                format!("SELECT count(*) FROM jobs WHERE id = '{}' AND state = 'succeeded'", job.uuid());
            (scene.db.number(&done).await == 1).then_some(())
        })
        .await;
        process.kill().await.expect("a killed process");
        // One record of what the job changed; those of the runs before it are in archives.
        let told = format!(
            "SELECT count(*) FROM audit_events WHERE action = 'job.done' AND job_id = '{}'",
            job.uuid()
        );
        let done = scene.db.number("SELECT count(*) FROM audit_events WHERE action = 'job.done'").await;
        assert_eq!((scene.db.number(&told).await, done), (1, 1), "killed at {step}");
        let online = "SELECT count(*) FROM audit_events WHERE action = 'schedule.pause'";
        assert_eq!((lost(&scene).await, scene.db.number(online).await), (0, 0), "killed at {step}");
    }
    let report = scene.verify(audit_trail::verify::Depth::Archives).await;
    assert!(report.valid, "{report:?}");
    // Nothing is archived twice: the ranges follow one another, and the store has no other folder than theirs.
    let rows =
        scene.db.rows("SELECT first_sequence, last_sequence, path FROM audit_archives ORDER BY 1").await;
    let mut next = 1;
    for row in &rows {
        assert_eq!(row["first_sequence"], next, "{rows:?}");
        next = row["last_sequence"].as_i64().expect("a number") + 1;
    }
    let wanted: BTreeSet<String> =
        rows.iter().filter_map(|row| row["path"].as_str().map(str::to_owned)).collect();
    let stores = scene.trail.stores.as_ref().expect("stores");
    let found = stores.primary.list(&format!("{}/archives", scene.company)).await.expect("a listing");
    let found: BTreeSet<String> =
        found.iter().filter_map(|name| name.rsplit_once('/').map(|(folder, _)| folder.to_owned())).collect();
    assert_eq!(found, wanted);
    scheduler.drain().await;
    clean_broker(&broker);
}
