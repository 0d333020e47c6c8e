//! Mail, Teams and sending, against the real database and broker and a provider in memory.

mod mail;
mod rest;
mod send;
mod teams;

use contracts::jobs::{JobPayload, SyncMailbox, SyncMode, Trigger, mailbox_resource};
use domain::ids::CompanyId;
use job_runtime::Handlers;
use store::hints::{self, NewHint};
use store::jobs::NewJob;
use store::mailboxes::{self, MailboxChange};
use sync_worker::messages::{
    EnsureSubscriptionHandler, Graph, SendMessageHandler, SweepMessagesHandler, SyncChannelHandler,
    SyncChatHandler, SyncMailboxHandler,
};
use testkit::rig::Process;
use testkit::{Rig, eventually};

use crate::fake_connector::Fake;
use crate::fake_graph::FakeGraph;

/// A company with a worker of mail and Teams, and the provider behind it.
pub struct Scene {
    pub rig: Rig,
    pub graph: FakeGraph,
    processes: Vec<Process>,
}

impl Scene {
    pub async fn new() -> Self {
        let rig = Rig::new().await;
        let (fake, url) = Fake::start().await;
        let graph = Graph::new(chassis::grpc::channel(&url).expect("an address"));
        let handlers = Handlers::new()
            .with(SyncMailboxHandler(graph.clone()))
            .with(SyncChannelHandler(graph.clone()))
            .with(SyncChatHandler(graph.clone()))
            .with(SendMessageHandler(graph.clone()))
            .with(SweepMessagesHandler { realtime: true })
            .with(EnsureSubscriptionHandler { graph, realtime: true });
        let processes = vec![rig.worker(handlers), rig.scheduler()];
        Self { rig, graph: fake.graph, processes }
    }

    pub fn company(&self) -> CompanyId {
        self.rig.company
    }

    /// Registers Ann's mailbox, with an inbox and an archive.
    pub async fn mailbox(&self, change: MailboxChange) {
        let mut tx = self.rig.db.store.tenant(self.company()).await.expect("a transaction");
        mailboxes::put(&mut tx, self.company(), "ann", ("ann@example.com", "Ann"), &change)
            .await
            .expect("a mailbox");
        tx.commit().await.expect("a commit");
        let mut state = self.graph.state();
        state.folders.insert("in".to_owned(), "Inbox".to_owned());
        state.folders.insert("old".to_owned(), "Archive".to_owned());
    }

    /// Runs a job to its end; answers its result.
    pub async fn run<P: JobPayload>(&self, payload: &P, key: &str) -> serde_json::Value {
        let job = NewJob::new(self.company(), payload, "test").expect("a job").resource(key);
        let id = self.rig.enqueue(job).await.id();
        eventually("the job has ended", async || {
            let sql = format!("SELECT result, errors FROM jobs_finished WHERE id = '{id}'");
            let rows = self.rig.db.rows(&sql).await;
            rows.first().map(|row| {
                assert!(row["result"] != serde_json::Value::Null, "the job failed: {row}");
                row["result"].clone()
            })
        })
        .await
    }

    pub async fn sync(&self, mode: SyncMode, trigger: Trigger) -> serde_json::Value {
        let payload = SyncMailbox { user_id: "ann".to_owned(), mode, trigger, approved_removals: None };
        self.run(&payload, &mailbox_resource("ann")).await
    }

    /// A notification names messages.
    pub async fn hint(&self, resource_key: &str, names: &[&str]) {
        let hinted: Vec<NewHint> = names
            .iter()
            .map(|name| NewHint {
                company: self.company(),
                resource_key: resource_key.to_owned(),
                hint: (*name).to_owned(),
                change_type: "updated".to_owned(),
            })
            .collect();
        let mut tx = self.rig.db.store.tenant(self.company()).await.expect("a transaction");
        hints::add(&mut tx, &hinted).await.expect("hints");
        tx.commit().await.expect("a commit");
    }

    /// Living messages as `id@folder`, sorted.
    pub async fn stored(&self) -> Vec<String> {
        let sql = "SELECT provider_id || '@' || coalesce(folder_id, '') AS m FROM messages WHERE deleted_at IS NULL ORDER BY 1";
        self.rig.db.rows(sql).await.iter().map(|row| row["m"].as_str().expect("text").to_owned()).collect()
    }

    /// What the provider holds, the same way.
    pub fn theirs(&self) -> Vec<String> {
        let state = self.graph.state();
        let place = |m: &contracts::graph::v1::MailMessage| {
            format!("{}@{}", m.id, m.folder_id.clone().unwrap_or_default())
        };
        let mut all: Vec<String> = state.messages.values().map(place).collect();
        all.sort_unstable();
        all
    }

    pub fn calls(&self, name: &str) -> usize {
        self.graph.state().calls.iter().filter(|call| **call == name).count()
    }

    pub async fn end(self) {
        for process in self.processes {
            process.stop().await;
        }
    }
}
