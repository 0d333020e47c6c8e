//! How a command fails.

use std::error::Error;

use chassis::config::ConfigFaults;
use outbound::http::HttpError;
use serde_json::{Value, json};
use store::StoreError;

/// Exit code of a command or configuration that cannot be used.
pub const USAGE: u8 = 64;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The environment cannot be used.
    #[error("the configuration cannot be used")]
    Config(Vec<String>),
    /// An option cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The database did not do it.
    #[error("the database did not do it")]
    Store(#[from] StoreError),
    /// The API did not answer.
    #[error("the API did not answer")]
    Http(#[from] HttpError),
    /// The API refused (RFC 9457 problem).
    #[error("the API answered {status}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        detail: String,
        /// The whole problem.
        problem: Value,
    },
    /// It was done, but not with the wished end.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// Exit code: 64 for what the caller must correct before trying again, else 1.
    pub fn code(&self) -> u8 {
        match self {
            CliError::Config(_) | CliError::Usage(_) => USAGE,
            _ => 1,
        }
    }

    /// One line per fault on standard error; with `json`, one object on standard output as well.
    pub(crate) fn print(&self, json: bool) {
        if json {
            let mut answer = json!({ "error": self.to_string(), "causes": self.causes() });
            match self {
                CliError::Config(faults) => answer["faults"] = json!(faults),
                CliError::Refused { problem, .. } => answer["problem"] = problem.clone(),
                _ => {}
            }
            println!("{answer}");
        }
        if let CliError::Config(faults) = self {
            for fault in faults {
                eprintln!("{fault}");
            }
            return;
        }
        eprintln!("error: {self}");
        for cause in self.causes() {
            eprintln!("  because: {cause}");
        }
    }

    fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }
}

impl From<ConfigFaults> for CliError {
    fn from(faults: ConfigFaults) -> Self {
        CliError::Config(faults.to_string().lines().map(str::to_owned).collect())
    }
}
