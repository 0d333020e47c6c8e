//! `syncctl audit`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use uuid::Uuid;

/// Commands of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Judge the trail: in the database (DATABASE_URL, AUDIT_HMAC_KEYS), or from an export alone
    Verify(VerifyArgs),
    /// Write the trail to a file that can be judged without the database
    Export(ExportArgs),
    /// Show the retention policies and what they would do now (over REST)
    Policies {
        /// Organization (companies.id)
        #[arg(long, default_value_t = crate::commands::DEMO_COMPANY)]
        org: Uuid,
    },
    /// Archive and purge what is due, now (over REST)
    Run {
        /// Organization (companies.id)
        #[arg(long, default_value_t = crate::commands::DEMO_COMPANY)]
        org: Uuid,
        /// Change nothing; the job's result says what would be done
        #[arg(long)]
        dry_run: bool,
        /// Why, for those who look later
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Options of `audit verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Organization (companies.id)
    #[arg(long, default_value_t = crate::commands::DEMO_COMPANY, conflicts_with = "file")]
    pub org: Uuid,
    /// An export, instead of the database
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// A checkpoint that was handed over by another way; may be repeated
    #[arg(long, requires = "file")]
    pub checkpoint: Vec<PathBuf>,
    /// A public key (name+hash+key) instead of AUDIT_HMAC_KEYS: judges tree and signatures; may be repeated
    #[arg(long, requires = "file")]
    pub verifier_key: Vec<String>,
    /// Also read every archive back
    #[arg(long, conflicts_with = "file")]
    pub archives: bool,
}

/// Options of `audit export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Organization (companies.id)
    #[arg(long, default_value_t = crate::commands::DEMO_COMPANY)]
    pub org: Uuid,
    /// File to write; it must not exist
    #[arg(long)]
    pub file: PathBuf,
}
