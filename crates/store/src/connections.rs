//! The pool's connections: how they are made, lent and taken back.

use std::str::FromStr;
use std::time::Duration;

use chassis::config::SecretSource;
use chassis::time::deadline;
use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult, Timeouts,
};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::config::DatabaseConfig;

/// Age at which a connection is replaced: the server's memory for its statements grows.
const MAX_AGE: Duration = Duration::from_mins(30);
/// Deadline of rolling back for somebody who went away.
const ROLLBACK: Duration = Duration::from_secs(5);
/// Deadline of saying goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// The pool.
pub(crate) type Connections = Pool<Maker>;

/// Makes connections.
#[derive(Debug)]
pub(crate) struct Maker {
    url: SecretSource,
    application_name: String,
}

impl Maker {
    fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        Ok(PgConnectOptions::from_str(self.url.current().expose())?
            .application_name(&self.application_name)
            // A forgotten transaction must not pin the oldest snapshot, nor a stalled one hold its locks.
            .options([
                ("idle_in_transaction_session_timeout", "60s"),
                ("lock_timeout", "20s"),
                ("statement_timeout", "300s"),
                // Compiling takes seconds where these statements take milliseconds.
                ("jit", "off"),
            ]))
    }
}

impl Manager for Maker {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        Box::pin(PgConnection::connect_with(&self.options()?)).await
    }

    async fn recycle(&self, _: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        // Nothing is asked of the server: whoever begins a transaction will see.
        if metrics.age() < MAX_AGE { Ok(()) } else { Err(RecycleError::message("old enough")) }
    }
}

/// A pool that connects when it is first used. The last connection that came back is lent first, so that the others can
/// be closed.
pub(crate) fn open(config: &DatabaseConfig, application_name: &str) -> Result<Connections, sqlx::Error> {
    let maker = Maker { url: config.url.clone(), application_name: application_name.to_owned() };
    maker.options()?;
    let wait = Some(config.acquire);
    Pool::builder(maker)
        .max_size(usize::try_from(config.max_connections).unwrap_or(usize::MAX))
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait, create: wait, recycle: None })
        .build()
        .map_err(|error| sqlx::Error::Configuration(error.into()))
}

/// Closes connections that nobody has used for `time`.
pub(crate) fn close_unused(pool: &Connections, time: Duration) {
    pool.retain(|_, metrics| metrics.last_used() < time);
}

/// Closes the pool and every connection that is not lent.
pub(crate) async fn close(pool: &Connections) {
    let removed = pool.retain(|_, _| false).removed;
    pool.close();
    for connection in removed {
        // Whatever it says, the connection is closed afterwards.
        let _ = deadline("closing a connection", GOODBYE, connection.close()).await;
    }
}

/// Lends a connection.
pub(crate) async fn lease(pool: &Connections) -> Result<Lease, sqlx::Error> {
    let connection = pool.get().await.map_err(|error| match error {
        PoolError::Backend(error) => error,
        PoolError::Closed => sqlx::Error::PoolClosed,
        PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            sqlx::Error::PoolTimedOut
        }
    })?;
    Ok(Lease { connection: Some(connection), clean: true })
}

/// A connection that is lent. Given back in the middle of a transaction, it is rolled back first.
#[derive(Debug)]
pub(crate) struct Lease {
    /// `None` once it is given back.
    connection: Option<Object<Maker>>,
    /// No transaction is open, and no answer is awaited.
    clean: bool,
}

impl Lease {
    /// Whether somebody used it before.
    pub(crate) fn was_used(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| Object::metrics(connection).recycled.is_some())
    }

    /// Sends statements of which the first is BEGIN.
    pub(crate) async fn begin(&mut self, statements: &str) -> Result<(), sqlx::Error> {
        // From here on the server may be in a transaction, also when nobody waits for its answer.
        self.clean = false;
        self.send(statements).await
    }

    /// Sends statements of which the last is COMMIT or ROLLBACK.
    pub(crate) async fn end(&mut self, statements: &str) -> Result<(), sqlx::Error> {
        self.send(statements).await?;
        self.clean = true;
        Ok(())
    }

    /// The connection.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        let Some(connection) = self.connection.as_mut() else {
            unreachable!("given back when it is dropped only")
        };
        connection
    }

    async fn send(&mut self, statements: &str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(self.connection()).await.map(drop)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.clean {
            return drop(connection);
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return drop(Object::take(connection));
        };
        // Ends within seconds, whoever has gone away.
        runtime.spawn(async move {
            let mut connection = connection;
            let rollback = sqlx::raw_sql("ROLLBACK").execute(&mut *connection);
            if !matches!(deadline("rolling back", ROLLBACK, rollback).await, Ok(Ok(_))) {
                // The server rolls back when it sees that nobody is there.
                drop(Object::take(connection));
            }
        });
    }
}
