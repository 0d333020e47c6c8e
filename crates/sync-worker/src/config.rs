//! Settings of the worker.

use broker::BrokerConfig;
use chassis::config::{Env, FromEnv};
use domain::taxonomy::Taxonomy;
use job_runtime::RuntimeConfig;
use store::DatabaseConfig;

/// Everything that the worker reads from its environment.
#[derive(Debug)]
pub struct WorkerConfig {
    /// `DATABASE_URL` and limits.
    pub database: DatabaseConfig,
    /// `AMQP_URL`.
    pub broker: BrokerConfig,
    /// `WORKER_*`, `LEASE_SECONDS`.
    pub runtime: RuntimeConfig,
    /// The document sync.
    pub documents: DocumentsConfig,
    /// The calendar sync.
    pub calendars: CalendarConfig,
}

/// Settings of the calendar sync.
#[derive(Debug, Clone)]
pub struct CalendarConfig {
    /// `GCAL_CONNECTOR_URL` (default `http://127.0.0.1:50052`).
    pub connector_url: String,
}

impl FromEnv for CalendarConfig {
    fn from_env(env: &mut Env) -> Self {
        Self { connector_url: env.string("GCAL_CONNECTOR_URL", "http://127.0.0.1:50052") }
    }
}

/// Settings of the document sync.
#[derive(Debug, Clone)]
pub struct DocumentsConfig {
    /// `GRAPH_CONNECTOR_URL` (default `http://127.0.0.1:50051`).
    pub connector_url: String,
    /// `ONEDRIVE_TAXONOMY_CONFIG`: JSON laid over the default structure.
    pub taxonomy: Taxonomy,
    /// `ENABLE_REALTIME_SYNC` (default true): keep push subscriptions.
    pub realtime: bool,
    /// `ONEDRIVE_BATCH_ITEMS` (default 4000): most items stored in one transaction.
    pub batch_items: usize,
}

impl FromEnv for WorkerConfig {
    fn from_env(env: &mut Env) -> Self {
        Self {
            database: DatabaseConfig::from_env(env),
            broker: BrokerConfig::from_env(env),
            runtime: RuntimeConfig::from_env(env),
            documents: DocumentsConfig::from_env(env),
            calendars: CalendarConfig::from_env(env),
        }
    }
}

impl FromEnv for DocumentsConfig {
    fn from_env(env: &mut Env) -> Self {
        let taxonomy = match env.optional("ONEDRIVE_TAXONOMY_CONFIG") {
            None => Taxonomy::default(),
            Some(json) => Taxonomy::from_json_override(&json).unwrap_or_else(|e| {
                env.fault("ONEDRIVE_TAXONOMY_CONFIG", e.to_string());
                Taxonomy::default()
            }),
        };
        Self {
            connector_url: env.string("GRAPH_CONNECTOR_URL", "http://127.0.0.1:50051"),
            taxonomy,
            realtime: env.flag("ENABLE_REALTIME_SYNC", true),
            batch_items: env.parse("ONEDRIVE_BATCH_ITEMS", 4000_usize).clamp(200, 10_000),
        }
    }
}
