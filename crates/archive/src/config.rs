//! `AUDIT_ARCHIVE_URL`, `AUDIT_ARCHIVE_FALLBACK_URL` and what S3 needs.

use std::time::Duration;

use chassis::config::{Env, FromEnv, SecretSource};

/// Where archives go.
#[derive(Debug, Clone)]
pub struct ArchiveConfig {
    /// `AUDIT_ARCHIVE_URL` (default `file:data/audit-archives`): `file:<folder>` or `s3://<bucket>/<folder>`. Required
    /// in production.
    pub primary: String,
    /// `AUDIT_ARCHIVE_FALLBACK_URL` (default `file:data/audit-archives-fallback` outside production).
    pub fallback: Option<String>,
    /// `AWS_REGION` (default `us-east-1`).
    pub region: String,
    /// `AWS_ENDPOINT_URL`: another server than Amazon's. `http:` is taken outside production alone.
    pub endpoint: Option<String>,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key: Option<String>,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: Option<SecretSource>,
    /// `AUDIT_ARCHIVE_TIMEOUT_SECONDS` (default 60): longest request to S3.
    pub timeout: Duration,
    /// Whether `http:` may be spoken.
    pub plain: bool,
}

impl FromEnv for ArchiveConfig {
    fn from_env(env: &mut Env) -> Self {
        let production = env.production();
        let primary = if let Some(url) = env.optional("AUDIT_ARCHIVE_URL") {
            url
        } else {
            if production {
                env.fault(
                    "AUDIT_ARCHIVE_URL",
                    "is required in production, got nothing; write s3://bucket/folder",
                );
            }
            "file:data/audit-archives".to_owned()
        };
        let fallback = env
            .optional("AUDIT_ARCHIVE_FALLBACK_URL")
            .or_else(|| (!production).then(|| "file:data/audit-archives-fallback".to_owned()));
        for (name, url) in
            [("AUDIT_ARCHIVE_URL", Some(&primary)), ("AUDIT_ARCHIVE_FALLBACK_URL", fallback.as_ref())]
        {
            if url.is_some_and(|url| !url.starts_with("file:") && !url.starts_with("s3://")) {
                env.fault(name, "is neither file:<folder> nor s3://<bucket>/<folder>; correct it");
            }
        }
        if fallback.as_ref() == Some(&primary) {
            env.fault("AUDIT_ARCHIVE_FALLBACK_URL", "is the primary store itself; name another place");
        }
        Self {
            primary,
            fallback,
            region: env.string("AWS_REGION", "us-east-1"),
            endpoint: env.optional("AWS_ENDPOINT_URL"),
            access_key: env.optional("AWS_ACCESS_KEY_ID"),
            secret_key: env.secret("AWS_SECRET_ACCESS_KEY"),
            timeout: env.seconds("AUDIT_ARCHIVE_TIMEOUT_SECONDS", 60),
            plain: !production,
        }
    }
}
