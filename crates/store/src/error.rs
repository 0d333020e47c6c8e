//! What can go wrong between us and PostgreSQL.

use uuid::Uuid;

/// Result of a repository call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A failed repository call.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server is away, refuses us, or the connection broke: the outcome of a commit is unknown.
    #[error("PostgreSQL is not reachable while {doing}")]
    Unavailable {
        /// The call.
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// The statement itself failed.
    #[error("PostgreSQL refused {doing}")]
    Refused {
        /// The call.
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// A unique or check constraint was violated.
    #[error("{doing} violates {constraint}")]
    Constraint {
        /// The call.
        doing: &'static str,
        /// Name of the constraint.
        constraint: String,
    },
    /// The job's lease is gone: another attempt owns the work, and nothing may be written for this one.
    #[error("job {job_id} is no longer ours (epoch {epoch}): the lease expired or the job was taken over")]
    Fenced {
        /// The job.
        job_id: Uuid,
        /// The epoch that we held.
        epoch: i64,
    },
    /// A stored value does not have the shape that this build expects.
    #[error("stored {what} cannot be read: {value:?}")]
    Malformed {
        /// The column.
        what: &'static str,
        /// What was found.
        value: String,
    },
    /// A migration failed or does not fit what is in the database.
    #[error("migration failed")]
    Migration(#[source] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// Whether `finish_job_or_fail` refused because the attempt no longer owns the job.
    pub(crate) fn is_lost_job(&self) -> bool {
        matches!(self, StoreError::Refused { source: sqlx::Error::Database(e), .. }
            if e.code().as_deref() == Some("SJ001"))
    }

    /// Whether row-level security or a missing grant refused it.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, StoreError::Refused { source: sqlx::Error::Database(e), .. }
            if e.code().as_deref() == Some("42501"))
    }

    /// Whether a text holds a character that PostgreSQL keeps in no text (U+0000).
    pub fn is_unstorable_text(&self) -> bool {
        matches!(self, StoreError::Refused { source: sqlx::Error::Database(e), .. }
            if matches!(e.code().as_deref(), Some("22021" | "22P05")))
    }

    /// Whether what was to be written is at fault (classes 22 and 23 of SQLSTATE): another row can still be written,
    /// and this one never.
    pub fn is_about_data(&self) -> bool {
        match self {
            StoreError::Constraint { .. } | StoreError::Malformed { .. } => true,
            StoreError::Refused { source: sqlx::Error::Database(e), .. } => {
                e.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
            }
            _ => false,
        }
    }

    /// Whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Unavailable { .. } => true,
            StoreError::Refused { source: sqlx::Error::Database(e), .. } => {
                // Serialization failure, deadlock, too many connections, admin shutdown, cannot connect now.
                matches!(
                    e.code().as_deref(),
                    Some("40001" | "40P01" | "53300" | "57P01" | "57P02" | "57P03" | "55P03" | "57014")
                )
            }
            _ => false,
        }
    }
}

/// Adds the call's name to a driver error.
pub(crate) trait Doing<T> {
    fn doing(self, what: &'static str) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|source| match &source {
            sqlx::Error::Database(e) => {
                if let Some(constraint) = e.constraint().filter(|_| {
                    e.is_unique_violation() || e.is_check_violation() || e.is_foreign_key_violation()
                }) {
                    return StoreError::Constraint { doing, constraint: constraint.to_owned() };
                }
                match e.code().as_deref() {
                    Some("57P01" | "57P02" | "57P03" | "53300") => StoreError::Unavailable { doing, source },
                    _ => StoreError::Refused { doing, source },
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => StoreError::Unavailable { doing, source },
            _ => StoreError::Refused { doing, source },
        })
    }
}
