//! What the scheduler has to do now, in one statement, so that an idle scheduler costs next to nothing.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::config::DatabaseConfig;
use crate::error::{Doing, Result};

/// Where a look begins. Index entries of rows that are gone stay while any transaction is old enough to see
/// them: a look from the beginning would walk them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Smallest `outbox.id` that may still wait.
    pub bell: i64,
    /// Earliest `run_at` of a job that may still be scheduled.
    pub run_at: DateTime<Utc>,
    /// Earliest `started_at` of a job that may still run; `None` looks for no expired leases.
    pub started_at: Option<DateTime<Utc>>,
    /// Earliest `run_at` of an app write to a calendar that may have come since the last look.
    pub export: DateTime<Utc>,
}

/// What is due.
#[expect(clippy::struct_excessive_bools, reason = "four independent answers of one statement")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Bells to ring.
    pub bells: bool,
    /// Delayed jobs whose time has come.
    pub jobs: bool,
    /// Leases that expired.
    pub leases: bool,
    /// Occurrences of schedules.
    pub occurrences: bool,
    /// The server's clock.
    pub now: DateTime<Utc>,
    /// Smallest id in the outbox, from where the look began.
    pub oldest_bell: Option<i64>,
    /// Newest id that was given to a bell, committed or not.
    pub newest_bell: i64,
    /// Start of the job that has run longest, from where the look began.
    pub oldest_run: Option<DateTime<Utc>>,
    /// App writes to calendars that are due, from where the look began, 1,000 at most.
    pub exports: i64,
    /// Latest `run_at` of theirs.
    pub newest_export: Option<DateTime<Utc>>,
}

impl Due {
    /// Whether anything is due, but for app writes: they stay due until a worker takes them.
    pub fn any(self) -> bool {
        self.bells || self.jobs || self.leases || self.occurrences
    }
}

/// Connections that stay in the dispatch role, so that a look is one statement and no transaction: one for the
/// beat, one for the relay while there is work.
#[derive(Debug, Clone)]
pub struct Pulse {
    pool: PgPool,
}

impl Pulse {
    /// Connects when it is first used.
    ///
    /// # Errors
    /// [`crate::StoreError::Refused`] when the URL is not one.
    pub fn new(config: &DatabaseConfig, application_name: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(config.url.current().expose())
            .doing("reading DATABASE_URL")?
            .application_name(application_name)
            .options([("statement_timeout", "10s"), ("jit", "off")]);
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(config.acquire.min(Duration::from_secs(10)))
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query("SET ROLE syncline_dispatch").execute(connection).await.map(drop)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Looks.
    ///
    /// # Errors
    /// As every statement.
    pub async fn read(&self, from: Marks) -> Result<Due> {
        sqlx::query_as!(
            Due,
            r#"SELECT
                EXISTS (SELECT FROM outbox
                    WHERE id >= $1 AND (not_before IS NULL OR not_before <= clock_timestamp())) AS "bells!",
                EXISTS (SELECT FROM jobs_live
                    WHERE state IN ('scheduled', 'retrying') AND run_at >= $2
                        AND run_at <= clock_timestamp()) AS "jobs!",
                EXISTS (SELECT FROM jobs_live
                    WHERE state = 'running' AND started_at >= $3 AND lease_expires_at < clock_timestamp()
                    ) AS "leases!",
                EXISTS (SELECT FROM schedules
                    WHERE next_run_at IS NULL OR next_run_at <= clock_timestamp()) AS "occurrences!",
                clock_timestamp() AS "now!",
                (SELECT min(id) FROM outbox WHERE id >= $1) AS oldest_bell,
                (SELECT last_value FROM outbox_id_seq) AS "newest_bell!",
                (SELECT min(started_at) FROM jobs_live WHERE state = 'running' AND started_at >= $3) AS oldest_run,
                (SELECT count(*) FROM (SELECT FROM google_calendar_sync_queue
                    WHERE status = 'pending' AND run_at >= $4 AND run_at <= clock_timestamp() LIMIT 1000) due
                    ) AS "exports!",
                (SELECT max(run_at) FROM google_calendar_sync_queue
                    WHERE status = 'pending' AND run_at >= $4 AND run_at <= clock_timestamp()) AS newest_export"#,
            from.bell,
            from.run_at,
            from.started_at,
            from.export,
        )
        .fetch_one(&self.pool)
        .await
        .doing("looking for due work")
    }

    /// Looks for bells alone, often; the newest id that was given to one comes along.
    ///
    /// # Errors
    /// As every statement.
    pub async fn bells(&self, from: i64) -> Result<(bool, i64)> {
        let row = sqlx::query!(
            r#"SELECT EXISTS (SELECT FROM outbox
                   WHERE id >= $1 AND (not_before IS NULL OR not_before <= clock_timestamp())) AS "due!",
                   (SELECT last_value FROM outbox_id_seq) AS "newest!""#,
            from,
        )
        .fetch_one(&self.pool)
        .await
        .doing("looking for bells")?;
        Ok((row.due, row.newest))
    }

    /// Closes the connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
