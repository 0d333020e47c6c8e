//! The pool, and transactions that carry a tenant or the dispatch role.

use std::str::FromStr;
use std::time::Duration;

use domain::ids::CompanyId;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, SqlSafeStr, Transaction};

use crate::config::DatabaseConfig;
use crate::error::{Doing, Result};

/// A pool of connections as the application role.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
}

/// A beginning that was given up halfway (its future dropped at a deadline) leaves a transaction open that the driver
/// does not know of, and the next one on that connection continues in it: as the dispatch role, past row-level
/// security, if the first one was a dispatcher's. So each tenant's transaction takes its own role back.
const OWN_ROLE: &str = "SET LOCAL ROLE NONE";

/// A transaction. Dropped without [`Tx::commit`] it rolls back.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Postgres>,
}

impl Store {
    /// A pool that connects when it is first used.
    ///
    /// # Errors
    /// [`crate::StoreError::Refused`] when the URL is not one.
    pub fn new(config: &DatabaseConfig, application_name: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(config.url.current().expose())
            .doing("reading DATABASE_URL")?
            .application_name(application_name)
            // A forgotten transaction must not pin the oldest snapshot, nor a stalled one hold its locks.
            .options([
                ("idle_in_transaction_session_timeout", "60s"),
                ("lock_timeout", "20s"),
                ("statement_timeout", "300s"),
                // Compiling takes seconds where these statements take milliseconds.
                ("jit", "off"),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .min_connections(0)
            .acquire_timeout(config.acquire)
            .idle_timeout(Duration::from_mins(2))
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Begins a transaction that sees one company.
    ///
    /// # Errors
    /// [`crate::StoreError::Unavailable`] when no connection can be had.
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
    /// [`crate::StoreError::Unavailable`] when no connection can be had.
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
    /// [`crate::StoreError::Unavailable`] when no connection can be had.
    pub async fn tenant_user(&self, company: CompanyId, user: &str) -> Result<Tx> {
        let mut tx = self.tenant(company).await?;
        sqlx::query_scalar!("SELECT set_config('app.user_id', $1, true)", user)
            .fetch_one(tx.conn())
            .await
            .doing("setting the user")?;
        Ok(tx)
    }

    /// Begins a transaction as `syncline_dispatch`: job tables of all companies, nothing else of theirs.
    ///
    /// # Errors
    /// [`crate::StoreError::Unavailable`] when no connection can be had.
    pub async fn dispatch(&self) -> Result<Tx> {
        self.begin("BEGIN; SET LOCAL ROLE syncline_dispatch".to_owned()).await
    }

    /// Round trip to the server.
    ///
    /// # Errors
    /// [`crate::StoreError::Unavailable`] when the server does not answer.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.doing("ping").map(drop)
    }

    /// Number of the newest applied migration, as far as the application role may see it.
    ///
    /// # Errors
    /// [`crate::StoreError::Unavailable`] when the server does not answer; `Refused` before the first
    /// migration.
    pub async fn schema_version(&self) -> Result<i64> {
        sqlx::query_scalar::<_, i64>("SELECT schema_version()")
            .fetch_one(&self.pool)
            .await
            .doing("reading the schema version")
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn begin(&self, statement: String) -> Result<Tx> {
        for _ in 0..2 {
            match self.try_begin(statement.clone()).await {
                // A connection that died while it lay in the pool: take another, once for each that is left.
                Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => {}
                other => return other.doing("beginning a transaction"),
            }
        }
        self.try_begin(statement).await.doing("beginning a transaction")
    }

    /// Begins to the end, even when the caller is dropped meanwhile: sqlx forgets a BEGIN that nobody waits for, and
    /// the next user of the connection would go on in that transaction, with its role.
    async fn try_begin(&self, statement: String) -> Result<Tx, sqlx::Error> {
        let connection = self.pool.acquire().await?;
        let begin = async move {
            Transaction::begin(connection, Some(AssertSqlSafe(statement).into_sql_str())).await
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with one answer of the server, whoever waits for it"
        )]
        let answer = tokio::spawn(begin).await;
        answer.map_err(|_| sqlx::Error::WorkerCrashed)?.map(|inner| Tx { inner })
    }
}

impl Tx {
    /// Commits.
    ///
    /// # Errors
    /// [`crate::StoreError::Unavailable`] when the connection broke; the outcome is then unknown.
    pub async fn commit(self) -> Result<()> {
        self.inner.commit().await.doing("committing")
    }

    /// Runs a last statement and commits, in one round trip: an error of the statement undoes everything. The
    /// server begins an empty transaction in the same breath, which the driver's rollback ends together with the
    /// check that it makes anyway when a connection returns to the pool.
    pub(crate) async fn commit_after(mut self, last: &str, doing: &'static str) -> Result<()> {
        let both = format!("{last}; COMMIT AND CHAIN");
        sqlx::raw_sql(AssertSqlSafe(both)).execute(self.conn()).await.doing(doing).map(drop)
    }

    /// Rolls back.
    ///
    /// # Errors
    /// [`crate::StoreError::Unavailable`] when the connection broke; the server then rolls back by itself.
    pub async fn rollback(self) -> Result<()> {
        self.inner.rollback().await.doing("rolling back")
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
