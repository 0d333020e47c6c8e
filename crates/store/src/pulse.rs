//! What the scheduler has to do now, in one statement, so that an idle scheduler costs next to nothing.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::config::DatabaseConfig;
use crate::error::{Doing, Result};

/// What is due.
#[expect(clippy::struct_excessive_bools, reason = "four independent answers of one statement")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// Bells to ring.
    pub bells: bool,
    /// Delayed jobs whose time has come.
    pub jobs: bool,
    /// Leases that expired.
    pub leases: bool,
    /// Occurrences of schedules.
    pub occurrences: bool,
}

impl Due {
    /// Whether anything is due.
    pub fn any(self) -> bool {
        self.bells || self.jobs || self.leases || self.occurrences
    }
}

/// One connection that stays in the dispatch role, so that a look is one statement and no transaction.
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
            .options([("statement_timeout", "10s")]);
        let pool = PgPoolOptions::new()
            .max_connections(1)
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
    pub async fn read(&self) -> Result<Due> {
        sqlx::query_as!(
            Due,
            r#"SELECT
                EXISTS (SELECT FROM outbox
                    WHERE claimed_until IS NULL OR claimed_until < clock_timestamp()) AS "bells!",
                EXISTS (SELECT FROM jobs_live
                    WHERE state IN ('scheduled', 'retrying') AND run_at <= clock_timestamp()) AS "jobs!",
                EXISTS (SELECT FROM jobs_live
                    WHERE state = 'running' AND lease_expires_at < clock_timestamp()) AS "leases!",
                EXISTS (SELECT FROM schedules
                    WHERE next_run_at IS NULL OR next_run_at <= clock_timestamp()) AS "occurrences!""#
        )
        .fetch_one(&self.pool)
        .await
        .doing("looking for due work")
    }

    /// Closes the connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
