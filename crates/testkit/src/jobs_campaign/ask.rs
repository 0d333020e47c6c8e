//! Enqueueing with a note of what was asked for, in the same transaction.

use std::fmt::Write as _;

use domain::ids::CompanyId;
use store::jobs::{Enqueued, NewJob, enqueue_many};
use store::{StoreError, Tx, admin};
use uuid::Uuid;

use super::payload::{Behaviour, ChaosEffect, ChaosMessage, Expect};
use crate::e2e::sql::quote;

/// A job and how it must end.
#[derive(Debug, Clone)]
pub struct Request {
    /// The job.
    pub job: NewJob,
    /// Its end.
    pub expect: Expect,
    /// The document that wants it.
    pub document: Option<String>,
    /// Follow-up jobs that it enqueues.
    pub spawns: u32,
    /// Steps that it takes.
    pub steps: i64,
}

impl Request {
    /// A job with this behaviour; `message` puts it on the other queue.
    ///
    /// # Errors
    /// When the payload does not serialise.
    pub fn new(company: CompanyId, behaviour: Behaviour, message: bool) -> Result<Self, StoreError> {
        Self::for_document(company, behaviour, message, None)
    }

    /// As [`Request::new`], for a document: coalesces with what waits for the same one.
    ///
    /// # Errors
    /// As [`Request::new`].
    pub fn for_document(
        company: CompanyId,
        behaviour: Behaviour,
        message: bool,
        document: Option<String>,
    ) -> Result<Self, StoreError> {
        let expect = match behaviour {
            Behaviour::NeverSucceeds | Behaviour::Refuses => Expect::Dead,
            Behaviour::Kills => Expect::CrashLoop,
            _ => Expect::Effect,
        };
        let spawns = if let Behaviour::Spawns { count } = behaviour { count } else { 0 };
        let steps = if let Behaviour::Steps { count, .. } = behaviour { count } else { 0 };
        let payload = ChaosEffect { behaviour, document: document.clone() };
        let mut job = if message {
            NewJob::new(company, &ChaosMessage(payload), "chaos")?
        } else {
            NewJob::new(company, &payload, "chaos")?
        };
        if let Some(key) = &document {
            job = job.dedupe(key.clone());
        }
        Ok(Self { job, expect, document, spawns, steps })
    }
}

/// Enqueues all of them in the caller's transaction, with one note each.
///
/// # Errors
/// As every statement.
pub async fn ask(
    tx: &mut Tx,
    requests: Vec<Request>,
    parent: Option<Uuid>,
) -> Result<Vec<Enqueued>, StoreError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let mut wishes = String::new();
    for (company, key) in requests.iter().filter_map(|r| Some((r.job.company, r.document.as_ref()?))) {
        let _ = write!(
            wishes,
            "INSERT INTO chaos_documents AS d (company_id, key, wanted) VALUES ('{company}', {}, 1)
                 ON CONFLICT (company_id, key) DO UPDATE SET wanted = d.wanted + 1;",
            quote(key)
        );
    }
    if !wishes.is_empty() {
        admin::execute_in(tx, &wishes).await?;
    }
    let jobs = requests.iter().map(|request| request.job.clone()).collect();
    let results = enqueue_many(tx, jobs).await?;
    let mut notes = String::from(
        "INSERT INTO chaos_asked (job_id, company_id, parent, coalesced, expect, resource, priority, run_at,
             document, spawns, steps) VALUES ",
    );
    for (n, (request, result)) in requests.iter().zip(&results).enumerate() {
        let job = &request.job;
        let text = |value: Option<&str>| value.map_or_else(|| "NULL".to_owned(), quote);
        let _ = write!(
            notes,
            "{}('{}', '{}', {}, {}, '{}', {}, {}, {}, {}, {}, {})",
            if n == 0 { "" } else { ", " },
            result.id(),
            job.company,
            parent.map_or_else(|| "NULL".to_owned(), |id| format!("'{id}'")),
            matches!(result, Enqueued::Coalesced(_)),
            request.expect.as_str(),
            text(job.resource_key.as_deref()),
            job.priority,
            text(job.run_at.map(|at| at.to_rfc3339()).as_deref()),
            text(request.document.as_deref()),
            request.spawns,
            request.steps,
        );
    }
    admin::execute_in(tx, &notes).await?;
    Ok(results)
}
