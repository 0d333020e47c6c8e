//! The message that rings the bell: it names jobs and attempts, never the work itself.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a message on exchange `jobs` says of one job. Its body is one of these as a JSON object, or, where many jobs
/// of one kind and company wait, an array of them ([`encode_all`]).
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

/// Most bells of one message.
pub const MOST: usize = 32;

/// Why a body is none of ours; such a message belongs in the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub enum BellError {
    /// Neither a bell nor an array of them.
    #[error("the body is not a bell")]
    Json(#[from] serde_json::Error),
    /// An array of none, or of more than [`MOST`].
    #[error("a message rings for 1 to {MOST} jobs, this one for {0}")]
    Number(usize),
}

/// The body of a message that rings for these, as JSON bytes; one is an object, several are an array.
pub fn encode_all(bells: &[Bell]) -> Vec<u8> {
    let mut body = String::with_capacity(bells.len() * 128);
    for (at, bell) in bells.iter().enumerate() {
        body.push(if at == 0 { '[' } else { ',' });
        bell.write(&mut body);
    }
    body.push(']');
    if bells.len() == 1 { body[1..body.len() - 1].into() } else { body.into_bytes() }
}

/// Reads a body; between one and [`MOST`] bells.
///
/// # Errors
/// [`BellError`] when it is something else.
pub fn decode_all(body: &[u8]) -> Result<Vec<Bell>, BellError> {
    if body.first() != Some(&b'[') {
        return Ok(vec![serde_json::from_slice(body)?]);
    }
    let bells: Vec<Bell> = serde_json::from_slice(body)?;
    if (1..=MOST).contains(&bells.len()) { Ok(bells) } else { Err(BellError::Number(bells.len())) }
}

impl Bell {
    fn write(&self, body: &mut String) {
        let Self { job_id, epoch, company_id } = self;
        let written = write!(body, r#"{{"job_id":"{job_id}","epoch":{epoch},"company_id":"{company_id}"}}"#);
        debug_assert!(written.is_ok(), "a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bell(number: u128) -> Bell {
        Bell { job_id: Uuid::from_u128(number), epoch: -3, company_id: Uuid::from_u128(9) }
    }

    #[test]
    fn what_is_encoded_decodes() {
        for number in [1, 2, MOST] {
            let bells: Vec<Bell> = (0..number as u128).map(bell).collect();
            assert_eq!(decode_all(&encode_all(&bells)).expect("bells"), bells);
        }
        let one: Bell = serde_json::from_slice(&encode_all(&[bell(7)])).expect("an object");
        assert_eq!(one, bell(7));
    }

    #[test]
    fn what_is_no_bell_is_refused() {
        for body in [&b"{}"[..], b"", b"[{}]", b"null", b"[1]", b"\xff"] {
            assert!(matches!(decode_all(body), Err(BellError::Json(_))));
        }
        assert!(matches!(decode_all(b"[]"), Err(BellError::Number(0))));
        let many: Vec<Bell> = (0..=MOST as u128).map(bell).collect();
        assert!(matches!(decode_all(&encode_all(&many)), Err(BellError::Number(33))));
    }
}
