//! What is in the database when a campaign has come to rest.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use super::payload::Expect;
use crate::e2e::sql::Sql;

/// Everything that the invariants speak about.
#[derive(Debug, Default)]
pub struct Facts {
    /// Jobs that were asked for and did not coalesce, with what became of each.
    pub jobs: Vec<JobFacts>,
    /// Effects of jobs that nobody asked for.
    pub strays: Vec<Value>,
    /// Documents whose newest wish was not fulfilled.
    pub documents: Vec<Value>,
    /// Jobs of transactions that were rolled back, of which something is left.
    pub ghosts: Vec<Value>,
    /// Requests that coalesced.
    pub coalesced: i64,
    /// Messages that the broker gave up.
    pub broker_dead: i64,
}

/// A job and what became of it.
#[derive(Debug, Clone, Deserialize)]
pub struct JobFacts {
    /// The job.
    pub job_id: String,
    /// Its owner.
    pub company_id: String,
    /// Who enqueued it, when a job did.
    pub parent: Option<String>,
    /// How it must end.
    pub expect: Expect,
    /// Resource.
    pub resource: Option<String>,
    /// Priority.
    pub priority: i32,
    /// Not before, in microseconds since 1970.
    pub run_at: Option<i64>,
    /// Document.
    pub document: Option<String>,
    /// Follow-up jobs of its effect.
    pub spawns: i64,
    /// Steps.
    pub steps: i64,
    /// Whether someone asked for its cancellation.
    pub cancel: bool,
    /// State; `None` when there is no row.
    pub state: Option<String>,
    /// Order of arrival.
    #[serde(default)]
    pub seq: Option<i64>,
    /// The job that serves it, when it was a follow-up that was folded.
    pub folded_into: Option<String>,
    /// Fingerprint of the last error.
    pub fingerprint: Option<String>,
    /// Attempts.
    pub attempt: Option<i64>,
    /// Most attempts.
    pub max_attempts: Option<i64>,
    /// Errors that were no interruptions.
    pub failures: i64,
    /// Interruptions among its errors.
    pub interrupted: i64,
    /// Its last error.
    pub last_error: Option<Value>,
    /// Its effects.
    pub effects: Vec<Effect>,
    /// Steps done, in their order.
    pub done_steps: Vec<Step>,
}

/// A row of the effect table.
#[derive(Debug, Clone, Deserialize)]
pub struct Effect {
    /// Order in which effects were written.
    pub n: i64,
    /// Fencing token.
    pub epoch: i64,
    /// Begin of the run, in microseconds since 1970 on the database's clock.
    pub started_at: i64,
    /// Moment of the effect, likewise.
    pub at: i64,
}

/// A step with the fencing token of the attempt that did it.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    /// Fencing token.
    pub epoch: i64,
    /// Number, from 0.
    pub step: i64,
}

const JOBS: &str = "
    SELECT a.job_id, a.company_id, a.parent, a.expect, a.resource, a.priority, a.document, a.spawns, a.steps,
        (extract(epoch FROM a.run_at) * 1000000)::bigint AS run_at,
        EXISTS (SELECT FROM chaos_cancels c WHERE c.job_id = a.job_id) AS cancel,
        j.state, j.seq, j.result ->> 'coalesced_into' AS folded_into, j.error_fingerprint AS fingerprint,
        j.attempt, j.max_attempts, j.errors -> -1 AS last_error,
        (SELECT count(*) FROM jsonb_array_elements(j.errors) e WHERE e ->> 'code' <> 'interrupted') AS failures,
        (SELECT count(*) FROM jsonb_array_elements(j.errors) e WHERE e ->> 'code' = 'interrupted') AS interrupted,
        coalesce(e.effects, '[]') AS effects, coalesce(s.steps, '[]') AS done_steps
    FROM chaos_asked a
    LEFT JOIN jobs j ON j.id = a.job_id
    LEFT JOIN (SELECT job_id, jsonb_agg(jsonb_build_object('n', n, 'epoch', epoch,
            'started_at', (extract(epoch FROM started_at) * 1000000)::bigint,
            'at', (extract(epoch FROM at) * 1000000)::bigint) ORDER BY n) AS effects
        FROM chaos_effects GROUP BY job_id) e ON e.job_id = a.job_id
    LEFT JOIN (SELECT job_id, jsonb_agg(jsonb_build_object('epoch', epoch, 'step', step) ORDER BY n) AS steps
        FROM chaos_steps GROUP BY job_id) s ON s.job_id = a.job_id
    WHERE NOT a.coalesced ORDER BY a.n";

impl Facts {
    /// Reads them, past row-level security; `ghosts` are the jobs of transactions that were rolled back.
    ///
    /// # Errors
    /// When the database does not answer, or a row has another shape.
    pub async fn read(sql: &Sql, ghosts: &[uuid::Uuid]) -> Result<Self> {
        let mut jobs = Vec::new();
        for row in sql.rows(JOBS).await? {
            let text = row.to_string();
            jobs.push(serde_json::from_value(row).with_context(|| format!("reading {text}"))?);
        }
        let strays = sql
            .rows("SELECT * FROM chaos_effects e WHERE NOT EXISTS (SELECT FROM chaos_asked a WHERE a.job_id = e.job_id)")
            .await?;
        let documents = sql.rows("SELECT * FROM chaos_documents WHERE applied <> wanted").await?;
        let list: Vec<String> = ghosts.iter().map(|id| format!("'{id}'")).collect();
        let ghosts = if list.is_empty() {
            Vec::new()
        } else {
            let list = list.join(", ");
            sql.rows(&format!(
                "SELECT 'job' AS of, id AS job_id FROM jobs WHERE id IN ({list})
                 UNION ALL SELECT 'bell', job_id FROM outbox WHERE job_id IN ({list})
                 UNION ALL SELECT 'effect', job_id FROM chaos_effects WHERE job_id IN ({list})"
            ))
            .await?
        };
        Ok(Self {
            jobs,
            strays,
            documents,
            ghosts,
            coalesced: sql.number("SELECT count(*) FROM chaos_asked WHERE coalesced").await?,
            broker_dead: sql.number("SELECT count(*) FROM broker_dead_letters").await?,
        })
    }

    /// Follow-up jobs by the job that enqueued them.
    pub fn children(&self) -> BTreeMap<&str, i64> {
        let mut children = BTreeMap::new();
        for parent in self.jobs.iter().filter_map(|job| job.parent.as_deref()) {
            *children.entry(parent).or_default() += 1;
        }
        children
    }
}
