//! Archive, read back, purge, restore: with stores that fail and runs that are cut short.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use archive::{Storage, StorageError, Stores};
use async_trait::async_trait;
use audit_retention::{Steps, restore, retention};
use audit_trail::Trail;
use audit_trail::verify::Depth;
use bytes::Bytes;
use chassis::time::SystemClock;
use domain::audit::Reason;
use domain::audit::retention::{OTHERS, Policy};
use domain::flags::Flag;
use domain::time::Clock;
use job_runtime::JobError;
use serde_json::Value;
use store::audit::{archives, policies};

use super::Scene;

/// Everything at once: archived and purged as soon as it is sealed.
fn eager() -> Policy {
    Policy { class: OTHERS.to_owned(), archive_after_days: 0, purge_after_days: Some(0), legal_hold: false }
}

async fn govern(scene: &Scene, policy: Policy) {
    let mut tx = scene.db.store.tenant(scene.company).await.expect("a transaction");
    policies::replace(&mut tx, scene.company, &[policy], "test").await.expect("policies");
    tx.commit().await.expect("a commit");
}

async fn run(scene: &Scene, trail: &Trail) -> Result<Value, JobError> {
    let steps = Steps::alone(&scene.db.store, scene.company, chassis::ids::new_id());
    retention::run(trail, &steps, SystemClock.now()).await
}

async fn online(scene: &Scene) -> i64 {
    let company = scene.company;
    scene
        .db
        .number(&format!(
            "SELECT count(*) FROM audit_events WHERE company_id = '{company}' AND action = 'schedule.pause'"
        ))
        .await
}

/// A store that counts what is asked of it and fails one call: before it is done, or after.
#[derive(Debug)]
struct Flaky {
    inner: Arc<dyn Storage>,
    calls: Arc<AtomicUsize>,
    fails_at: usize,
    /// The call says that it worked, and nothing is there.
    loses: bool,
}

impl Flaky {
    fn fails(&self) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst) == self.fails_at
    }
}

fn broken(path: &str) -> StorageError {
    StorageError::Failed { path: path.to_owned(), source: "the line was cut".into() }
}

#[async_trait]
impl Storage for Flaky {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        match (self.fails(), self.loses) {
            (true, true) => Ok(()),
            (true, false) => {
                // Half of it arrived under the name, as on a store that is not atomic.
                self.inner.put(path, bytes.slice(..bytes.len() / 2)).await?;
                Err(broken(path))
            }
            _ => self.inner.put(path, bytes).await,
        }
    }

    async fn get(&self, path: &str) -> Result<Bytes, StorageError> {
        if self.fails() { Err(broken(path)) } else { self.inner.get(path).await }
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
        if self.fails() { Err(broken(folder)) } else { self.inner.list(folder).await }
    }
}

/// What must be true whatever happened: a record is in the database or in an archive that was read back.
async fn nothing_is_lost(scene: &Scene, what: &str) {
    let company = scene.company;
    let lost = scene
        .db
        .number(&format!(
            "SELECT count(*) FROM generate_series(1, (SELECT size FROM audit_chains WHERE chain_id = '{company}')) AS n (s)
             WHERE NOT EXISTS (SELECT FROM audit_events e WHERE e.chain_id = '{company}' AND e.sequence = n.s)
                 AND NOT EXISTS (SELECT FROM audit_archives a WHERE a.company_id = '{company}'
                     AND a.verified_at IS NOT NULL AND n.s BETWEEN a.first_sequence AND a.last_sequence)"
        ))
        .await;
    assert_eq!(lost, 0, "{what}");
    let report = scene.verify(Depth::Archives).await;
    assert!(report.valid, "{what}: {report:?}");
}

#[tokio::test]
async fn nothing_is_purged_while_the_switch_is_off() {
    let scene = Scene::new().await;
    scene.keep(50).await;
    govern(&scene, eager()).await;
    crate::switches::throw(&scene.db.store, scene.company, Flag::Purge, None).await;
    let done = run(&scene, &scene.trail).await.expect("a run");
    assert_eq!((&done["archived"], &done["purged"], online(&scene).await), (&50.into(), &0.into(), 50));
    scene.db.execute("DELETE FROM operator_flags").await;
    let done = run(&scene, &scene.trail).await.expect("a run");
    assert_eq!((&done["purged"], online(&scene).await), (&50.into(), 0));
}

#[tokio::test]
async fn what_is_due_is_archived_purged_and_comes_back() {
    let scene = Scene::new().await;
    scene.keep(50).await;
    // By the default policy nothing is due.
    let done = run(&scene, &scene.trail).await.expect("a run");
    assert_eq!((&done["archived"], &done["purged"]), (&0.into(), &0.into()));
    govern(&scene, eager()).await;
    let done = run(&scene, &scene.trail).await.expect("a run");
    assert_eq!((&done["archived"], &done["purged"], online(&scene).await), (&50.into(), &50.into(), 0));
    nothing_is_lost(&scene, "after the first run").await;

    // The trail goes on behind the archive, and a second one follows.
    scene.keep(5).await;
    assert!(scene.verify(Depth::Archives).await.valid);
    run(&scene, &scene.trail).await.expect("a run");
    let archives =
        scene.db.rows("SELECT id, state, first_sequence FROM audit_archives ORDER BY first_sequence").await;
    assert!(archives.len() >= 2 && archives[0]["state"] == "purged", "{archives:?}");

    let steps = Steps::alone(&scene.db.store, scene.company, chassis::ids::new_id());
    let id = archives[0]["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let restored = restore(&scene.trail, &steps, id).await.expect("restored");
    assert_eq!(restored["records"], 50);
    assert_eq!(
        scene
            .db
            .number("SELECT count(*) FROM audit_restored WHERE record->'record'->>'resource' = 'schedule:7'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_hold_a_pause_and_an_unverified_archive_keep_everything() {
    let scene = Scene::new().await;
    scene.keep(10).await;
    govern(&scene, Policy { legal_hold: true, ..eager() }).await;
    run(&scene, &scene.trail).await.expect("a run");
    assert_eq!(online(&scene).await, 10, "held");
    govern(&scene, eager()).await;
    let mut tx = scene.db.store.tenant(scene.company).await.expect("a transaction");
    policies::switch(&mut tx, scene.company, true, "test", "test").await.expect("paused");
    tx.commit().await.expect("a commit");
    run(&scene, &scene.trail).await.expect("a run");
    assert_eq!(online(&scene).await, 10, "paused");

    let id = chassis::ids::new_id();
    let mut tx = scene.db.store.tenant(scene.company).await.expect("a transaction");
    policies::switch(&mut tx, scene.company, false, "test", "test").await.expect("resumed");
    archives::plan(&mut tx, scene.company, id, (1000, 1001), "x").await.expect("planned");
    let refusal = archives::purge(&mut tx, id, 10).await.expect_err("it was never verified");
    assert!(refusal.is_forbidden(), "{refusal:?}");
}

#[tokio::test]
async fn a_run_that_is_cut_short_at_any_call_is_taken_up() {
    for loses in [false, true] {
        for fails_at in 0.. {
            let scene = Scene::new().await;
            scene.keep(30).await;
            govern(&scene, eager()).await;
            let stores = scene.trail.stores.clone().expect("stores");
            let calls = Arc::new(AtomicUsize::new(0));
            let flaky = Flaky { inner: stores.primary.clone(), calls: calls.clone(), fails_at, loses };
            // No fallback: the failure ends the run, as a kill at this moment would.
            let trail = Trail {
                stores: Some(Stores { primary: Arc::new(flaky), fallback: None }),
                ..scene.trail.clone()
            };
            let first = run(&scene, &trail).await;
            let what = format!("call {fails_at} failed, loses: {loses}, {first:?}");
            nothing_is_lost_yet(&scene, &what).await;
            if calls.load(Ordering::SeqCst) <= fails_at {
                assert!(first.is_ok(), "{what}");
                break;
            }
            run(&scene, &scene.trail).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(online(&scene).await, 0, "{what}");
            nothing_is_lost(&scene, &what).await;
            let twice = "SELECT count(*) - count(DISTINCT first_sequence) FROM audit_archives";
            assert_eq!(scene.db.number(twice).await, 0, "{what}");
        }
    }
}

/// Nothing left the database that is not in an archive that was read back.
async fn nothing_is_lost_yet(scene: &Scene, what: &str) {
    let verified = scene
        .db
        .number("SELECT coalesce(sum(records), 0)::bigint FROM audit_archives WHERE verified_at IS NOT NULL")
        .await;
    assert!(online(scene).await == 30 || verified >= 30, "{what}");
}

#[tokio::test]
async fn the_fallback_store_serves_while_the_primary_is_away_and_is_reconciled() {
    #[derive(Debug)]
    struct Away;
    #[async_trait]
    impl Storage for Away {
        async fn put(&self, path: &str, _: Bytes) -> Result<(), StorageError> {
            Err(broken(path))
        }
        async fn get(&self, path: &str) -> Result<Bytes, StorageError> {
            Err(broken(path))
        }
        async fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
            Err(broken(folder))
        }
    }
    let scene = Scene::new().await;
    scene.keep(10).await;
    govern(&scene, eager()).await;
    let stores = scene.trail.stores.clone().expect("stores");
    let away = Stores { primary: Arc::new(Away), fallback: stores.fallback.clone() };
    let trail = Trail { stores: Some(away), ..scene.trail.clone() };
    run(&scene, &trail).await.expect("a run");
    let archives = "SELECT store, reconciled_at IS NOT NULL AS home FROM audit_archives";
    let rows = scene.db.rows(archives).await;
    assert_eq!((&rows[0]["store"], &rows[0]["home"]), (&"fallback".into(), &false.into()));
    assert_eq!(online(&scene).await, 0);
    run(&scene, &scene.trail).await.expect("a run");
    assert_eq!(scene.db.rows(archives).await[0]["home"], true);
    nothing_is_lost(&scene, "reconciled").await;
}

#[tokio::test]
async fn an_edited_archive_and_an_edited_manifest_are_named_and_stop_the_purge() {
    let scene = Scene::new().await;
    scene.keep(10).await;
    govern(&scene, Policy { purge_after_days: None, ..eager() }).await;
    run(&scene, &scene.trail).await.expect("a run");
    let row = scene.db.rows("SELECT id, path FROM audit_archives").await.remove(0);
    let id = format!("archive:{}", row["id"].as_str().expect("an id"));
    let folder = scene.folder.join("primary").join(row["path"].as_str().expect("a path"));
    let part = folder.join("part-0001.jsonl.zst");
    let whole = std::fs::read(&part).expect("a part");
    let mut edited = whole.clone();
    edited[whole.len() / 2] ^= 1;
    std::fs::write(&part, &edited).expect("written");
    assert_eq!(Scene::named(&scene.verify(Depth::Archives).await, Reason::ArchiveAltered), id);
    govern(&scene, eager()).await;
    run(&scene, &scene.trail).await.expect_err("it is broken");
    assert_eq!(online(&scene).await, 10, "nothing was purged");
    assert_eq!(scene.db.number("SELECT count(*) FROM audit_retention_state WHERE paused").await, 1);
    assert_eq!(
        scene.db.number("SELECT count(*) FROM audit_retention_events WHERE event = 'purge.paused'").await,
        1
    );
    std::fs::write(&part, &whole).expect("written");

    let manifest = folder.join("manifest.note");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, text.replacen("\"records\":10", "\"records\":11", 1)).expect("written");
    assert_eq!(Scene::named(&scene.verify(Depth::Online).await, Reason::ManifestAltered), id);
    std::fs::write(&manifest, &text).expect("written");
    scene
        .attack("UPDATE audit_archives SET manifest = replace(manifest, '\"records\":10', '\"records\":11')")
        .await;
    assert_eq!(Scene::named(&scene.verify(Depth::Online).await, Reason::ManifestAltered), id);
    std::fs::remove_file(&manifest).expect("removed");
    scene
        .attack("UPDATE audit_archives SET manifest = replace(manifest, '\"records\":11', '\"records\":10')")
        .await;
    assert_eq!(Scene::named(&scene.verify(Depth::Online).await, Reason::ArchiveAltered), id);
}
