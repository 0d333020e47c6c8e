//! The statements of enqueue. Times within one are those of its start, so that a job and its bell agree on
//! whether it is due.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::NewJob;
use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Jobs without dedupe keys: every one is new, and its bell needs nothing that is not known here.
pub(super) async fn all(tx: &mut Tx, columns: &Columns) -> Result<()> {
    sqlx::query!(
        r#"WITH asked AS (
            SELECT * FROM UNNEST(
                $1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::text[], $6::jsonb[], $7::text[],
                $8::smallint[], $9::integer[], $10::integer[], $11::timestamptz[], $12::timestamptz[],
                $13::uuid[], $14::text[], $15::text[], $16::text[]
            ) WITH ORDINALITY AS t (id, company_id, kind, version, queue, payload, resource_key, priority,
                max_attempts, attempt_seconds, run_at, deadline, batch_id, requested_by, traceparent, tracestate,
                position)
        ), written AS (
            INSERT INTO jobs_live (id, company_id, kind, version, queue, payload, resource_key, priority, state,
                max_attempts, attempt_seconds, run_at, queued_at, deadline, batch_id, requested_by, traceparent,
                tracestate)
            SELECT id, company_id, kind, version, queue, payload, resource_key, priority,
                CASE WHEN run_at > statement_timestamp() THEN 'scheduled' ELSE 'queued' END,
                max_attempts, attempt_seconds, coalesce(run_at, statement_timestamp()),
                CASE WHEN run_at > statement_timestamp() THEN NULL ELSE statement_timestamp() END, deadline,
                batch_id, requested_by, traceparent, tracestate
            FROM asked ORDER BY position
        )
        INSERT INTO outbox (company_id, job_id, epoch, routing_key, queue, priority, traceparent, tracestate)
        SELECT company_id, id, 0, kind, queue, priority, traceparent, tracestate FROM asked
        WHERE run_at IS NULL OR run_at <= statement_timestamp()
        ORDER BY position"#,
        &columns.id,
        &columns.company,
        &columns.kind,
        &columns.version,
        &columns.queue,
        &columns.payload,
        &columns.resource as &[Option<String>],
        &columns.priority,
        &columns.max_attempts,
        &columns.attempt_seconds,
        &columns.run_at as &[Option<DateTime<Utc>>],
        &columns.deadline as &[Option<DateTime<Utc>>],
        &columns.batch as &[Option<Uuid>],
        &columns.requested_by,
        &columns.traceparent as &[Option<String>],
        &columns.tracestate as &[Option<String>],
    )
    .execute(tx.conn())
    .await
    .doing("enqueueing jobs")
    .map(drop)
}

/// Jobs of which some have dedupe keys; says of each whether it is new.
pub(super) async fn coalescing(tx: &mut Tx, columns: &Columns) -> Result<Vec<bool>> {
    sqlx::query_scalar!(
        r#"WITH asked AS (
            SELECT * FROM UNNEST(
                $1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::text[], $6::jsonb[], $7::text[],
                $8::text[], $9::smallint[], $10::integer[], $11::integer[], $12::timestamptz[],
                $13::timestamptz[], $14::uuid[], $15::text[], $16::text[], $17::text[]
            ) WITH ORDINALITY AS t (id, company_id, kind, version, queue, payload, dedupe_key,
                resource_key, priority, max_attempts, attempt_seconds, run_at, deadline, batch_id,
                requested_by, traceparent, tracestate, position)
        ), written AS (
            INSERT INTO jobs_live AS live (id, company_id, kind, version, queue, payload, dedupe_key,
                resource_key, priority, state, max_attempts, attempt_seconds, run_at, queued_at, deadline,
                batch_id, requested_by, traceparent, tracestate)
            SELECT id, company_id, kind, version, queue, payload, dedupe_key, resource_key, priority,
                CASE WHEN run_at > statement_timestamp() THEN 'scheduled' ELSE 'queued' END,
                max_attempts, attempt_seconds, coalesce(run_at, statement_timestamp()),
                CASE WHEN run_at > statement_timestamp() THEN NULL ELSE statement_timestamp() END, deadline,
                batch_id, requested_by, traceparent, tracestate
            FROM asked ORDER BY position
            ON CONFLICT (company_id, kind, dedupe_key)
                WHERE dedupe_key IS NOT NULL AND state IN ('scheduled', 'queued', 'retrying', 'parked')
                DO NOTHING
            RETURNING id, company_id, kind, queue, priority, epoch, state, traceparent, tracestate
        ), bells AS (
            INSERT INTO outbox (company_id, job_id, epoch, routing_key, queue, priority, traceparent, tracestate)
            SELECT company_id, id, epoch, kind, queue, priority, traceparent, tracestate FROM written
            WHERE state = 'queued'
        )
        SELECT w.id IS NOT NULL AS "new!" FROM asked a LEFT JOIN written w ON w.id = a.id ORDER BY a.position"#,
        &columns.id,
        &columns.company,
        &columns.kind,
        &columns.version,
        &columns.queue,
        &columns.payload,
        &columns.dedupe as &[Option<String>],
        &columns.resource as &[Option<String>],
        &columns.priority,
        &columns.max_attempts,
        &columns.attempt_seconds,
        &columns.run_at as &[Option<DateTime<Utc>>],
        &columns.deadline as &[Option<DateTime<Utc>>],
        &columns.batch as &[Option<Uuid>],
        &columns.requested_by,
        &columns.traceparent as &[Option<String>],
        &columns.tracestate as &[Option<String>],
    )
    .fetch_all(tx.conn())
    .await
    .doing("enqueueing jobs")
}

/// The jobs of a statement, column by column.
#[derive(Default)]
pub(super) struct Columns {
    id: Vec<Uuid>,
    company: Vec<Uuid>,
    kind: Vec<String>,
    version: Vec<i16>,
    queue: Vec<String>,
    payload: Vec<Value>,
    dedupe: Vec<Option<String>>,
    resource: Vec<Option<String>>,
    priority: Vec<i16>,
    max_attempts: Vec<i32>,
    attempt_seconds: Vec<i32>,
    run_at: Vec<Option<DateTime<Utc>>>,
    deadline: Vec<Option<DateTime<Utc>>>,
    batch: Vec<Option<Uuid>>,
    requested_by: Vec<String>,
    traceparent: Vec<Option<String>>,
    tracestate: Vec<Option<String>>,
}

impl Columns {
    pub(super) fn of(jobs: Vec<NewJob>) -> Self {
        let mut c = Columns::default();
        for job in jobs {
            c.id.push(job.id.uuid());
            c.company.push(job.company.uuid());
            c.kind.push(job.kind.to_owned());
            c.version.push(job.version);
            c.queue.push(job.queue.to_owned());
            c.payload.push(job.payload);
            c.dedupe.push(job.dedupe_key);
            c.resource.push(job.resource_key);
            c.priority.push(job.priority);
            c.max_attempts.push(job.max_attempts);
            c.attempt_seconds.push(job.attempt_seconds);
            c.run_at.push(job.run_at);
            c.deadline.push(job.deadline);
            c.batch.push(job.batch);
            c.requested_by.push(job.requested_by);
            c.traceparent.push(job.trace.traceparent);
            c.tracestate.push(job.trace.tracestate);
        }
        c
    }
}
