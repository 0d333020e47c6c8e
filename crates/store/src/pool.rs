//! Connections, and transactions that carry a tenant or the dispatch role.
//!
//! A transaction that commits together with its last statement costs a job three round trips: begin, effect, end.
//! So the connections are pooled here and not by the driver, whose pool makes another one each time that it gets a
//! connection back.

use std::time::Duration;

use domain::ids::CompanyId;
use sqlx::PgConnection;

use crate::config::DatabaseConfig;
use crate::connections::{self, Connections, Lease};
use crate::error::{Doing, Result, StoreError};

/// A pool of connections as the application role.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Connections,
}

/// Each tenant's transaction takes its own role, whatever a connection was used for before.
const OWN_ROLE: &str = "SET LOCAL ROLE NONE";

/// Time after which a connection that nobody uses is closed.
const IDLE: Duration = Duration::from_mins(2);

/// A transaction. Dropped without [`Tx::commit`] it rolls back.
#[derive(Debug)]
pub struct Tx {
    lease: Lease,
}

impl Store {
    /// A pool that connects when it is first used.
    ///
    /// # Errors
    /// [`crate::StoreError::Refused`] when the URL is not one.
    pub fn new(config: &DatabaseConfig, application_name: &str) -> Result<Self> {
        connections::open(config, application_name).doing("reading DATABASE_URL").map(|pool| Self { pool })
    }

    /// Begins a transaction that sees one company.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection can be had.
    pub async fn tenant(&self, company: CompanyId) -> Result<Tx> {
        // One round trip: a UUID prints as hex digits and dashes, so it cannot break out of the quotes.
        self.begin(format!("BEGIN; {OWN_ROLE}; SET LOCAL app.company_id = '{company}'")).await
    }

    /// As [`Store::tenant`], for statements over many rows: each is planned for the size that its tables have
    /// now. A plan kept from when a table was nearly empty scans it whole for every row, until the next ANALYZE:
    /// a first import of 100,000 items spent a minute that way. Index scans only: a bitmap scan never marks the index
    /// entries of dead rows, so that each later one visits all of them again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection can be had.
    pub async fn tenant_bulk(&self, company: CompanyId) -> Result<Tx> {
        self.begin(format!(
            "BEGIN; {OWN_ROLE}; SET LOCAL app.company_id = '{company}'; SET LOCAL plan_cache_mode = force_custom_plan; \
             SET LOCAL enable_bitmapscan = off"
        ))
        .await
    }

    /// As [`Store::tenant`], on behalf of a user (`app.user_id`).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection can be had.
    pub async fn tenant_user(&self, company: CompanyId, user: &str) -> Result<Tx> {
        let mut tx = self.tenant(company).await?;
        tx.on_behalf_of(user).await?;
        Ok(tx)
    }

    /// Begins a transaction as `syncline_dispatch`: job tables of all companies, nothing else of theirs.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection can be had.
    pub async fn dispatch(&self) -> Result<Tx> {
        self.begin("BEGIN; SET LOCAL ROLE syncline_dispatch".to_owned()).await
    }

    /// Round trip to the server.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server does not answer.
    pub async fn ping(&self) -> Result<()> {
        let mut tx = self.begin("BEGIN; SELECT 1".to_owned()).await?;
        tx.lease.end("COMMIT").await.doing("ping")
    }

    /// Number of the newest applied migration, as far as the application role may see it. Closes connections that
    /// nobody has used for two minutes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server does not answer; `Refused` before the first
    /// migration.
    pub async fn schema_version(&self) -> Result<i64> {
        connections::close_unused(&self.pool, IDLE);
        let mut tx = self.begin("BEGIN".to_owned()).await?;
        let version = sqlx::query_scalar::<_, i64>("SELECT schema_version()")
            .fetch_one(tx.conn())
            .await
            .doing("reading the schema version")?;
        tx.commit().await?;
        Ok(version)
    }

    /// Closes every connection that is not in use, and opens no more.
    pub async fn close(&self) {
        connections::close(&self.pool).await;
    }

    async fn begin(&self, statement: String) -> Result<Tx> {
        let begun = self.begin_once(&statement).await;
        match begun {
            // A connection that died while it lay in the pool, and so very likely did all the others.
            Err((StoreError::Unavailable { .. }, true)) => {
                connections::close_unused(&self.pool, Duration::ZERO);
                self.begin_once(&statement).await.map_err(|(error, _)| error)
            }
            other => other.map_err(|(error, _)| error),
        }
    }

    /// The error comes with whether the connection had been used before.
    async fn begin_once(&self, statement: &str) -> Result<Tx, (StoreError, bool)> {
        const DOING: &str = "beginning a transaction";
        let mut lease = connections::lease(&self.pool).await.doing(DOING).map_err(|error| (error, false))?;
        match lease.begin(statement).await.doing(DOING) {
            Ok(()) => Ok(Tx { lease }),
            Err(error) => Err((error, lease.was_used())),
        }
    }
}

impl Tx {
    /// What follows is on behalf of a user (`app.user_id`): row-level security leaves what is theirs.
    ///
    /// # Errors
    /// As every statement.
    pub async fn on_behalf_of(&mut self, user: &str) -> Result<()> {
        sqlx::query_scalar!("SELECT set_config('app.user_id', $1, true)", user)
            .fetch_one(self.conn())
            .await
            .doing("setting the user")
            .map(drop)
    }

    /// Commits.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the connection broke; the outcome is then unknown.
    pub async fn commit(mut self) -> Result<()> {
        self.lease.end("COMMIT").await.doing("committing")
    }

    /// Runs a last statement and commits, in one round trip: an error of the statement undoes everything.
    pub(crate) async fn commit_after(mut self, last: &str, doing: &'static str) -> Result<()> {
        self.lease.end(&format!("{last}; COMMIT")).await.doing(doing)
    }

    /// Rolls back.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the connection broke; the server then rolls back by itself.
    pub async fn rollback(mut self) -> Result<()> {
        self.lease.end("ROLLBACK").await.doing("rolling back")
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.lease.connection()
    }
}
