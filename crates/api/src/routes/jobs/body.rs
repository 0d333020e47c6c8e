//! A job as scripts read it (CONTRACT, shapes).

use chassis::trace::TraceContext;
use chrono::{DateTime, Utc};
use domain::ids::JobId;
use serde::Serialize;
use serde_json::Value;
use store::jobs::JobView;
use utoipa::ToSchema;
use uuid::Uuid;

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobBody {
    id: Uuid,
    /// Such as `documents.sync_ao`.
    kind: String,
    /// scheduled, queued, running, succeeded, retrying, parked, dead or cancelled.
    state: String,
    attempt: i32,
    max_attempts: i32,
    progress: Progress,
    /// What it did, once it has succeeded.
    result: Option<Value>,
    /// One entry per failed attempt, oldest first.
    errors: Vec<Value>,
    /// Why it waits for a person.
    park_reason: Option<String>,
    /// Jobs on one resource run one after the other.
    resource: Option<String>,
    batch_id: Option<Uuid>,
    run_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// Trace of the request that caused it.
    trace_id: Option<String>,
}

/// How far a job is.
#[derive(Debug, Serialize, ToSchema)]
struct Progress {
    done: i64,
    total: Option<i64>,
    unit: Option<String>,
}

impl From<JobView> for JobBody {
    fn from(job: JobView) -> Self {
        let trace = TraceContext { traceparent: job.traceparent, tracestate: None };
        Self {
            id: job.id,
            kind: job.kind,
            state: job.state,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            progress: Progress {
                done: job.progress_done,
                total: job.progress_total,
                unit: job.progress_unit,
            },
            result: job.result,
            errors: match job.errors {
                Value::Array(errors) => errors,
                _ => Vec::new(),
            },
            park_reason: job.park_reason,
            resource: job.resource_key,
            batch_id: job.batch_id,
            run_at: job.run_at,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            trace_id: trace.trace_id().map(str::to_owned),
        }
    }
}

/// A job that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    job_id: Uuid,
    /// `queued`.
    status: &'static str,
    /// Where to follow it; also in the `Location` header.
    pub location: String,
}

impl Accepted {
    /// Answer for a queued job.
    pub fn new(job: JobId) -> Self {
        Self { job_id: job.uuid(), status: "queued", location: location(job.uuid()) }
    }
}

/// Address of a job.
pub fn location(job: Uuid) -> String {
    format!("/api/sync/jobs/{job}")
}
