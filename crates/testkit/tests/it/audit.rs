//! The audit trail over a real database and real files: honest, attacked, archived, cut short.

mod attacks;
mod backup;
mod erasure;
mod killed;
mod retention;
mod routes;
mod s3;
mod trail;

use std::path::PathBuf;
use std::sync::Arc;

use archive::{ArchiveConfig, ObjectStorage, Storage, Stores};
use audit_retention::seal::Sealer;
use audit_trail::Trail;
use audit_trail::verify::{Depth, verify};
use chassis::config::{Env, FromEnv};
use chassis::time::SystemClock;
use domain::audit::{Reason, Report};
use domain::ids::CompanyId;
use outbound::audit_keys::AuditKeys;
use outbound::audit_subjects::SubjectKeys;
use serde_json::json;
use store::audit::{AuditEntry, record};
use testkit::{TestDb, fresh_database};

/// Key `k1`, and the ring in which `k2` has replaced it.
pub const OLD: &str = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
pub const NEW: &str =
    "k2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=,k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// A database, two folders for archives, and a company whose actions are recorded.
pub struct Scene {
    pub db: TestDb,
    pub company: CompanyId,
    pub folder: PathBuf,
    pub trail: Trail,
}

impl Scene {
    pub async fn new() -> Self {
        let db = fresh_database().await;
        let company = db.company().await;
        let folder = std::env::temp_dir().join(format!("audit-{}", chassis::ids::new_id()));
        let stores =
            Stores { primary: file(&folder.join("primary")), fallback: Some(file(&folder.join("fallback"))) };
        let keys = Arc::new(AuditKeys::parse(OLD).expect("keys"));
        let subjects = Some(Arc::new(SubjectKeys::development()));
        let trail = Trail { store: db.store.clone(), stores: Some(stores), keys, subjects };
        Self { db, company, folder, trail }
    }

    /// The same trail, kept with other keys.
    pub fn keyed(&self, ring: &str) -> Trail {
        Trail { keys: Arc::new(AuditKeys::parse(ring).expect("keys")), ..self.trail.clone() }
    }

    /// Records `number` actions of a company.
    pub async fn act(&self, company: CompanyId, number: usize) {
        let mut tx = self.db.store.tenant(company).await.expect("a transaction");
        for n in 0..number {
            let entry = AuditEntry {
                actor: format!("user-{n}"),
                role: "admin".to_owned(),
                action: "schedule.pause".to_owned(),
                resource: format!("schedule:{n}"),
                reason: Some("für später".to_owned()),
                request_id: None,
                trace_id: None,
                details: json!({ "n": n, "share": 0.1, "big": 1e300, "nested": { "b": [1, null], "a": "x" } }),
            };
            record(&mut tx, Some(company), &entry).await.expect("a record");
        }
        tx.commit().await.expect("a commit");
    }

    /// Records, seals, signs and publishes.
    pub async fn keep(&self, number: usize) {
        self.act(self.company, number).await;
        let sealer = sealer(&self.trail);
        sealer.seal_all().await.expect("sealed");
        sealer.sign_due(true).await.expect("signed");
        sealer.publish_all().await.expect("published");
    }

    pub async fn verify(&self, depth: Depth) -> Report {
        verify(&self.trail, Some(self.company), depth).await.expect("a judgement")
    }

    /// Edits the database as its owner, past every trigger.
    pub async fn attack(&self, sql: &str) {
        let tables = ["audit_events", "audit_checkpoints", "audit_chains", "audit_archives"];
        let triggers =
            |switch: &str| tables.map(|table| format!("ALTER TABLE {table} {switch} TRIGGER USER;")).concat();
        self.db.execute(&triggers("DISABLE")).await;
        self.db.execute(sql).await;
        self.db.execute(&triggers("ENABLE")).await;
    }

    /// The first fault, after an attack.
    #[track_caller]
    pub fn named(report: &Report, reason: Reason) -> String {
        let fault = report.first_fault.as_ref().unwrap_or_else(|| panic!("nothing was found: {report:?}"));
        assert!(!report.valid);
        assert_eq!(fault.reason, reason, "{fault:?}");
        fault.id.clone()
    }

    /// Id of the record at a place.
    pub async fn id(&self, sequence: u64) -> String {
        let company = self.company;
        let rows = self
            .db
            .rows(&format!(
                "SELECT id FROM audit_events WHERE company_id = '{company}' AND sequence = {sequence} ORDER BY id"
            ))
            .await;
        rows[0]["id"].as_str().expect("an id").to_owned()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

pub fn sealer(trail: &Trail) -> Sealer {
    Sealer { trail: trail.clone(), clock: Arc::new(SystemClock) }
}

pub fn file(folder: &std::path::Path) -> Arc<dyn Storage> {
    let config = ArchiveConfig::from_env(&mut Env::from_pairs::<&str, &str>([]));
    let url = format!("file:{}", folder.display());
    Arc::new(ObjectStorage::open(&url, &config).expect("a folder"))
}
