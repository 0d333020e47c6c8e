//! Forward-only migrations, embedded in the binary.

use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

use crate::error::{Doing, Result, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Applies what is missing, as the owner role.
///
/// # Errors
/// [`StoreError::Unavailable`] when the server is away, [`StoreError::Migration`] when a migration fails
/// or an applied one was edited.
pub async fn migrate(owner_url: &str) -> Result<usize> {
    let mut connection = PgConnection::connect(owner_url).await.doing("connecting to migrate")?;
    let before = applied(&mut connection).await;
    MIGRATIONS.run(&mut connection).await.map_err(StoreError::Migration)?;
    let after = applied(&mut connection).await;
    connection.close().await.doing("closing after migration")?;
    Ok(after.saturating_sub(before))
}

/// Number of the newest migration in this build.
pub fn newest() -> i64 {
    MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0)
}

async fn applied(connection: &mut PgConnection) -> usize {
    sqlx::query_scalar::<_, i64>("SELECT count(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(connection)
        .await
        .ok()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0)
}
