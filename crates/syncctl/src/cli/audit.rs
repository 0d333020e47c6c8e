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
    /// Write the records of an archive to a file, once all of it was found right
    Restore(RestoreArgs),
    /// Forget people in audit records: their keys are destroyed, every proof stays valid (over REST)
    Erase(EraseArgs),
    /// Prove a record, or a checkpoint from an earlier one, out of database and archives
    Prove(ProveArgs),
    /// Judge a proof from its file alone
    VerifyProof(ProofArgs),
    /// Show the newest sealed records (over REST)
    Records {
        /// Organization (companies.id)
        #[arg(long, default_value_t = crate::commands::DEMO_COMPANY)]
        org: Uuid,
        /// How many, 1 to 200
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
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

/// Options of `audit restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Organization (companies.id)
    #[arg(long, default_value_t = crate::commands::DEMO_COMPANY)]
    pub org: Uuid,
    /// Archive (audit_archives.id)
    #[arg(long)]
    pub archive: Uuid,
    /// File to write, JSON lines; it must not exist
    #[arg(long)]
    pub file: PathBuf,
}

/// Options of `audit erase`.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// Organization (companies.id)
    #[arg(long, default_value_t = crate::commands::DEMO_COMPANY)]
    pub org: Uuid,
    /// A name under which records may know the person: token subject, e-mail address, account id; may be repeated
    #[arg(long, required = true)]
    pub subject: Vec<String>,
    /// Legal basis, such as "GDPR Art. 17(1)(b)"; it stays in the trail and may name nobody
    #[arg(long)]
    pub basis: String,
    /// Why, for those who look later
    #[arg(long)]
    pub reason: Option<String>,
}

/// Options of `audit prove`.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// Organization (companies.id)
    #[arg(long, default_value_t = crate::commands::DEMO_COMPANY)]
    pub org: Uuid,
    /// Prove that this record is under a signed checkpoint
    #[arg(long, required_unless_present = "from")]
    pub record: Option<u64>,
    /// Prove that the records of this checkpoint are the beginning of those of `--to`
    #[arg(long, requires = "to", conflicts_with = "record")]
    pub from: Option<i64>,
    /// The newer checkpoint
    #[arg(long, requires = "from")]
    pub to: Option<i64>,
}

/// Options of `audit verify-proof`.
#[derive(Debug, Args)]
pub struct ProofArgs {
    /// The proof: what `audit prove --json` or the REST interface gave
    pub file: PathBuf,
    /// A public key (name+hash+key) instead of AUDIT_HMAC_KEYS; may be repeated
    #[arg(long)]
    pub verifier_key: Vec<String>,
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
