//! Settings of the service.

use archive::ArchiveConfig;
use broker::BrokerConfig;
use chassis::config::{Env, FromEnv};
use job_runtime::RuntimeConfig;
use outbound::audit_keys::AuditKeys;
use outbound::audit_subjects::SubjectKeys;
use store::DatabaseConfig;

/// Everything that the service reads from its environment.
#[derive(Debug)]
pub struct AuditConfig {
    /// `DATABASE_URL` and limits.
    pub database: DatabaseConfig,
    /// `AMQP_URL`.
    pub broker: BrokerConfig,
    /// `WORKER_*`, `LEASE_SECONDS`.
    pub runtime: RuntimeConfig,
    /// `AUDIT_HMAC_KEYS`.
    pub keys: AuditKeys,
    /// `AUDIT_SUBJECT_KEYS`.
    pub subjects: SubjectKeys,
    /// `AUDIT_ARCHIVE_URL`, `AUDIT_ARCHIVE_FALLBACK_URL`, `AWS_*`.
    pub archives: ArchiveConfig,
}

impl FromEnv for AuditConfig {
    fn from_env(env: &mut Env) -> Self {
        Self {
            database: DatabaseConfig::from_env(env),
            broker: BrokerConfig::from_env(env),
            runtime: RuntimeConfig::from_env(env),
            keys: AuditKeys::from_env(env),
            subjects: SubjectKeys::from_env(env),
            archives: ArchiveConfig::from_env(env),
        }
    }
}
