//! PostgreSQL, the truth: schema, repositories, row-level security, leases.
//!
//! This is the only crate that names sqlx. A repository is a module of functions over a [`Tx`]; whoever
//! begins the transaction decides what commits together.

pub mod admin;
pub mod aos;
pub mod audit;
pub mod calendar;
pub mod companies;
pub mod config;
mod connections;
pub mod dead_letters;
pub mod documents_read;
pub mod door;
pub mod drive_index;
pub mod drives;
pub mod effects;
pub mod error;
pub mod explain;
pub mod flags;
pub mod hints;
pub mod history;
pub mod idempotency;
pub mod jobs;
pub mod mailboxes;
pub mod messages;
pub mod migrate;
pub mod operations;
pub mod outgoing;
pub mod parked;
pub mod parked_jobs;
pub mod pool;
pub mod pulse;
pub mod purge;
pub mod quarantine;
pub mod receipts;
pub mod retention_rules;
pub mod schedules;
pub mod settings;
pub mod subscriptions;
pub mod sync_state;
pub mod teams;
pub mod watch;

pub use config::DatabaseConfig;
pub use error::{Result, StoreError};
pub use pool::{Store, Tx};
