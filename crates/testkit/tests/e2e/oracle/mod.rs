//! The worker's real code against a model: whatever the feed does, the rows are the documents of the tree.
//!
//! Worker and scheduler run in this process over the test servers; graph-connector is a feed of this test that
//! does everything the documentation allows, and fails now and then. Seeds are printed; `ORACLE_SEED` and
//! `ORACLE_SEEDS` choose others.

mod connector;
mod feed;
mod silence;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use contracts::jobs::{SyncAo, SyncDrive, SyncMode, Trigger, drive_resource};
use domain::drive::model::{Anomaly, DriveModel};
use domain::ids::CompanyId;
use domain::names::name_key;
use domain::taxonomy::Taxonomy;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use store::jobs::NewJob;
use sync_worker::config::{CalendarConfig, DocumentsConfig};
use testkit::Rig;
use testkit::e2e::dice::Dice;
use testkit::e2e::expected::{Difference, Document, Documents, documents_in};
use testkit::e2e::patience::wait_until;
use testkit::e2e::sql::{Sql, quote};

use connector::Connector;

/// Drives at a time.
const AT_ONCE: usize = 6;
const LIMIT: Duration = Duration::from_mins(2);

fn number(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("{name}={text}")),
        _ => Ok(default),
    }
}

/// Seeds that once found a fault.
/// 203663739: a folder renamed from one AO's name to another's freed the reference that it had just taken.
const FOUND: [u64; 1] = [203_663_739];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_feed_gives_the_documents_of_the_tree() -> Result<()> {
    // Other seeds by ORACLE_SEED and ORACLE_SEEDS.
    let first = number("ORACLE_SEED", u64::from(u32::from_be_bytes(chassis::ids::random_bytes())))?;
    let seeds = number("ORACLE_SEEDS", 30)?;
    eprintln!("ORACLE_SEED={first} ORACLE_SEEDS={seeds}");
    let rig = Rig::new().await;
    let connector = Connector::default();
    let connector_url = connector.clone().serve().await?;
    let calendars = CalendarConfig { connector_url: connector_url.clone() };
    let config =
        DocumentsConfig { connector_url, taxonomy: Taxonomy::default(), realtime: false, batch_items: 200 };
    let worker = rig.worker(sync_worker::handlers(&config, &calendars)?);
    let scheduler = rig.scheduler();
    let (rig, connector) = (&rig, &connector);
    stream::iter(FOUND.into_iter().chain(first..first + seeds))
        .map(|seed| async move {
            let mut world = World::new(rig, connector, seed).await?;
            world.run().await.with_context(|| format!("ORACLE_SEED={seed} ORACLE_SEEDS=1"))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    worker.drain().await;
    scheduler.drain().await;
    Ok(())
}

struct World<'a> {
    rig: &'a Rig,
    connector: &'a Connector,
    sql: Sql,
    company: CompanyId,
    drive: String,
    dice: Dice,
}

impl<'a> World<'a> {
    async fn new(rig: &'a Rig, connector: &'a Connector, seed: u64) -> Result<Self> {
        let company = rig.db.company().await;
        let drive = format!("b!oracle-{seed}");
        let mut tx = rig.db.store.tenant(company).await?;
        store::drives::register(&mut tx, company, &drive, "Oracle").await?;
        tx.commit().await?;
        let sql = Sql::new(rig.db.owner_url.clone());
        sql.run(&format!(
            "INSERT INTO sync_settings (company_id, mass_change_share, mass_change_minimum)
             VALUES ('{company}', 1, 1000000)"
        ))
        .await?;
        connector.add(&drive, seed);
        Ok(Self { rig, connector, sql, company, drive, dice: Dice::new(seed) })
    }

    async fn run(&mut self) -> Result<()> {
        for round in 0..3 + self.dice.below(4) {
            let acts = self.dice.below(40);
            let restless = self.dice.once_in(4);
            self.connector.with(&self.drive, |feed| {
                (0..acts).for_each(|_| feed.act());
                feed.restless = restless;
                feed.faulty = true;
            });
            match self.dice.below(6) {
                0 => self.sync_ao().await?,
                1 => self.sync(SyncMode::Full).await?,
                _ => self.sync(SyncMode::Delta).await?,
            }
            if self.dice.once_in(2) {
                self.connector.with(&self.drive, |feed| (feed.restless, feed.faulty) = (false, false));
                self.sync(SyncMode::Delta).await?;
                self.compare().await.with_context(|| format!("round {round}"))?;
            }
        }
        self.connector.with(&self.drive, |feed| (feed.restless, feed.faulty) = (false, false));
        self.sync(SyncMode::Delta).await?;
        self.compare().await.context("at the end")?;
        // A walk over everything finds nothing that the rounds before had missed, and makes no row anew.
        let rows = format!(
            "SELECT id, onedrive_id, created_at, updated_at, deleted_at FROM documents WHERE drive_id = {} ORDER BY id",
            quote(&self.drive)
        );
        let before = self.sql.rows(&rows).await?;
        self.sync(SyncMode::Full).await?;
        self.compare().await.context("after a complete walk")?;
        ensure!(self.sql.rows(&rows).await? == before, "a complete walk over an unchanged drive wrote rows");
        Ok(())
    }

    async fn sync(&self, mode: SyncMode) -> Result<()> {
        self.enqueue(NewJob::new(self.company, &self.run_of(mode, Trigger::Manual), "oracle")?).await
    }

    fn run_of(&self, mode: SyncMode, trigger: Trigger) -> SyncDrive {
        SyncDrive { drive_id: self.drive.clone(), mode, trigger, dry_run: false, approved_removals: None }
    }

    /// One AO by its own folders, where one is known.
    async fn sync_ao(&mut self) -> Result<()> {
        let aos = self
            .sql
            .rows(&format!("SELECT id FROM aos WHERE company_id = '{}' ORDER BY id", self.company))
            .await?;
        let ids: Vec<String> = aos.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect();
        if ids.is_empty() {
            return self.sync(SyncMode::Delta).await;
        }
        let payload = SyncAo {
            ao_id: self.dice.pick(&ids).clone(),
            force: true,
            trigger: Trigger::Manual,
            dry_run: false,
        };
        self.enqueue(NewJob::new(self.company, &payload, "oracle")?).await
    }

    async fn enqueue(&self, job: NewJob) -> Result<()> {
        let mut tx = self.rig.db.store.tenant(self.company).await?;
        store::jobs::enqueue(&mut tx, job.resource(drive_resource(&self.drive))).await?;
        tx.commit().await?;
        let live = format!("SELECT count(*) FROM jobs_live WHERE company_id = '{}'", self.company);
        wait_until(LIMIT, "the drive's jobs end", async || Ok(self.sql.number(&live).await? == 0)).await?;
        let dead = format!("SELECT kind, errors FROM jobs_dead WHERE company_id = '{}'", self.company);
        let dead = self.sql.rows(&dead).await?;
        ensure!(dead.is_empty(), "dead: {dead:?}");
        Ok(())
    }

    async fn compare(&self) -> Result<()> {
        let taxonomy = Taxonomy::default();
        let mut model = DriveModel::new();
        model.apply_full([self.connector.with(&self.drive, |feed| feed.live())]);
        let expected: Documents = model
            .documents(&taxonomy)
            .into_iter()
            .map(|(id, row)| {
                let kind = row.kind.as_str();
                let document = Document {
                    onedrive_id: id.as_str().to_owned(),
                    reference: name_key(&row.reference),
                    category: row.category,
                    path: row.path.trim_start_matches('/').to_owned(),
                    name: row.name,
                    kind: kind.to_owned(),
                    size: row.size.filter(|_| kind == "file"),
                    e_tag: row.e_tag,
                    quick_xor_hash: row.quick_xor_hash.filter(|_| kind == "file"),
                    modified_at: row.modified_at,
                };
                (document.onedrive_id.clone(), document)
            })
            .collect();
        let found = documents_in(&self.sql, self.company.uuid(), &self.drive).await?;
        let difference = Difference::between(&expected, &found);
        if !difference.is_empty() {
            let folders = format!(
                "SELECT item_id, parent_id, name, placement, ao_id, category, deleted_at IS NOT NULL AS gone, changed_seq,
                     placed_seq FROM drive_items
                 WHERE company_id = '{}' AND (placement LIKE 'a/%' OR ao_id IS NOT NULL) ORDER BY item_id",
                self.company
            );
            for row in self.sql.rows(&folders).await? {
                eprintln!("{row}");
            }
            bail!("{difference}");
        }
        let miscounted = format!(
            "SELECT count(*) FROM drives d WHERE drive_id = {} AND ao_count <> (SELECT count(*) FROM aos a
                 WHERE a.company_id = d.company_id AND a.drive_id = d.drive_id)",
            quote(&self.drive)
        );
        ensure!(self.sql.number(&miscounted).await? == 0, "the kept number of AOs is wrong");
        self.compare_duplicates(&model, &taxonomy).await
    }

    /// Every folder that lost its AO reference to another is reported, and no other.
    async fn compare_duplicates(&self, model: &DriveModel, taxonomy: &Taxonomy) -> Result<()> {
        let expected: BTreeMap<String, String> = model
            .anomalies(taxonomy)
            .into_iter()
            .filter_map(|anomaly| match anomaly {
                Anomaly::DuplicateReference { reference, refused, .. } => {
                    Some((refused.as_str().to_owned(), name_key(&reference)))
                }
                _ => None,
            })
            .collect();
        let open = format!(
            "SELECT item_id FROM sync_quarantine WHERE resource_id = {} AND state = 'open'
             AND code = 'duplicate_ao_reference' ORDER BY item_id",
            quote(&self.drive)
        );
        let found = self.sql.rows(&open).await?;
        let found: Vec<&str> = found.iter().filter_map(|row| row["item_id"].as_str()).collect();
        let wanted: Vec<&str> = expected.keys().map(String::as_str).collect();
        ensure!(found == wanted, "duplicate references reported: {found:?}, there are: {expected:?}");
        Ok(())
    }
}
