//! The queue over REST: dead letters, retry-all, parked jobs, reasons.

mod audit;
mod broker;
mod dead_letters;
mod edit;
mod explain;
mod operations;
mod parked;
mod retry;
mod stopped;

use axum::Router;
use contracts::jobs::{SweepDrives, Trigger};
use domain::ids::CompanyId;
use http::{Method, StatusCode};
use job_runtime::{Handlers, JobError};
use serde_json::{Value, json};
use store::jobs::NewJob;
use sync_worker::maintenance::RetryHandler;
use testkit::{Rig, TestDb, eventually, scripted};
use uuid::Uuid;
use web::auth::Role;

use super::{Answer, NOWHERE, request, router, send, token};

/// The API over a rig with broker, workers and schedulers.
pub struct Desk {
    pub rig: Rig,
    router: Router,
}

impl Desk {
    pub async fn new() -> Self {
        let rig = Rig::new().await;
        let router = router(&rig.db.store, NOWHERE);
        Self { rig, router }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let token = token(self.rig.company, Role::Operator);
        send(&self.router, request(Some(&token), method, path, body)).await
    }

    /// The operation once it and everything that it retried has ended.
    pub async fn settled(&self, id: &str) -> Value {
        let path = format!("/api/queue/operations/{id}");
        eventually("the operation settles", async || {
            let operation = self.get(&path).await.body;
            operation["settled_at"].is_string().then_some(operation)
        })
        .await
    }

    /// Dead letters that a worker can run.
    pub async fn dead_sweeps(&self, number: usize) -> Vec<Uuid> {
        dead(&self.rig.db, self.rig.company, number, &Dead::default()).await
    }
}

/// What dead letters look like.
pub struct Dead {
    pub kind: &'static str,
    pub payload: Value,
    pub code: &'static str,
    pub message: &'static str,
    pub dedupe: Option<&'static str>,
    pub resource: Option<&'static str>,
}

impl Default for Dead {
    fn default() -> Self {
        Self {
            kind: "maintenance.sweep_drives",
            payload: json!({ "trigger": "manual" }),
            code: "always",
            message: "failed always",
            dedupe: None,
            resource: None,
        }
    }
}

/// Writes dead jobs; the first is the oldest, each a second after the one before.
pub async fn dead(db: &TestDb, company: CompanyId, number: usize, like: &Dead) -> Vec<Uuid> {
    let quoted = |text: Option<&str>| text.map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'"));
    let fingerprint = domain::job::error_fingerprint(like.kind, like.code, like.message);
    let entry = json!([{
        "attempt": 3, "code": like.code, "message": like.message, "chain": ["the cause"], "fingerprint": fingerprint,
    }]);
    let ids: Vec<Uuid> = (0..number).map(|_| chassis::ids::new_id()).collect();
    let list: Vec<String> = ids.iter().map(|id| format!("'{id}'::uuid")).collect();
    let queue = like.kind.split('.').next().unwrap_or_default();
    db.execute(&format!(
        "INSERT INTO jobs_dead (id, company_id, kind, version, queue, payload, dedupe_key, resource_key, state,
             attempt, max_attempts, epoch, run_at, attempt_seconds, errors, error_fingerprint, first_failed_at,
             requested_by, traceparent, deadline, checkpoint, finished_at)
         SELECT id, '{company}', '{kind}', 1, 'jobs.{queue}', '{payload}', {dedupe}, {resource}, 'dead', 3, 3, 3,
             now() - interval '2 hours', 60, '{entry}', '{fingerprint}', now() - interval '1 hour', 'user-1',
             '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', now() - interval '1 minute', '{{\"page\": 1}}',
             now() - interval '1 hour' + position * interval '1 second'
         FROM UNNEST(ARRAY[{list}]) WITH ORDINALITY AS t (id, position) ORDER BY position",
        kind = like.kind,
        payload = like.payload.to_string().replace('\'', "''"),
        dedupe = quoted(like.dedupe),
        resource = quoted(like.resource),
        entry = entry.to_string().replace('\'', "''"),
        list = list.join(","),
    ))
    .await;
    ids
}

/// A worker's handlers: operations, and sweeps that end as `judge` says.
pub fn handlers(judge: impl Fn() -> Result<(), JobError> + Send + Sync + Clone + 'static) -> Handlers {
    Handlers::new().with(RetryHandler).with(scripted::<SweepDrives, _, _>(move |_, job| {
        let judge = judge.clone();
        async move {
            judge()?;
            crate::support::leave_effect(&job).await
        }
    }))
}

/// How often a job left its effect.
pub async fn effects(db: &TestDb, job: Uuid) -> i64 {
    db.number(&format!("SELECT count(*) FROM jobs WHERE state = 'scheduled' AND requested_by = '{job}'"))
        .await
}

/// A job that waits under a dedupe key.
pub fn waiting(company: CompanyId, dedupe: &str) -> NewJob {
    NewJob::new(company, &SweepDrives { trigger: Trigger::Manual }, "test").expect("a payload").dedupe(dedupe)
}

/// The audit rows of an action, oldest first.
pub async fn audited(db: &TestDb, action: &str) -> Vec<Value> {
    db.rows(&format!(
        "SELECT actor, role, resource, reason, request_id, trace_id, details FROM audit_events
         WHERE action = '{action}' ORDER BY occurred_at"
    ))
    .await
}

/// Asserts status and code of a refusal.
#[track_caller]
pub fn refused(answer: &Answer, status: StatusCode, code: &str) {
    assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{answer:?}");
}
