//! The message that rings the bell: it names a job and an attempt, never the work itself.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Body of every message on exchange `jobs`.
///
/// The ledger row of the job decides; a lost, doubled or reordered bell changes no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bell {
    /// `jobs.id`.
    pub job_id: Uuid,
    /// Epoch that the job had when the bell was written; a claim with another epoch is refused.
    pub epoch: i64,
    /// `companies.id` of the job.
    pub company_id: Uuid,
}

/// Exchange that carries bells (topic, durable); the routing key is the job's kind.
pub const EXCHANGE: &str = "jobs";
/// Exchange that takes what no worker could even claim.
pub const DEAD_LETTER_EXCHANGE: &str = "jobs.dlx";
/// Queue behind [`DEAD_LETTER_EXCHANGE`].
pub const DEAD_LETTER_QUEUE: &str = "jobs.dead";

impl Bell {
    /// The body as JSON bytes.
    pub fn encode(&self) -> Vec<u8> {
        format!(r#"{{"job_id":"{}","epoch":{},"company_id":"{}"}}"#, self.job_id, self.epoch, self.company_id)
            .into_bytes()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The JSON error when the body is not a bell; such a message belongs in the dead-letter queue.
    pub fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes() {
        let bell = Bell { job_id: Uuid::from_u128(7), epoch: -3, company_id: Uuid::from_u128(9) };
        assert_eq!(Bell::decode(&bell.encode()).expect("a bell"), bell);
        assert!(Bell::decode(b"{}").is_err());
    }
}
