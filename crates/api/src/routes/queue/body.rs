//! A dead letter as scripts read it (CONTRACT, shapes): a job with `payload`, `first_failed_at`, `last_error`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use domain::redact::{redact, redact_text};
use serde::Serialize;
use serde_json::{Value, json};
use store::dead_letters::{BrokerLetter, DeadLetter, Edit};
use store::jobs::JobView;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::routes::jobs::JobBody;

/// A job, or a message, that needs a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterBody {
    #[serde(flatten)]
    job: JobBody,
    /// `ledger`: a dead job. `broker`: a message that no worker could claim.
    source: &'static str,
    /// Version of the payload's type.
    version: i16,
    /// What the job was to do, without secrets; `null` for a message.
    payload: Value,
    first_failed_at: Option<DateTime<Utc>>,
    last_failed_at: DateTime<Utc>,
    /// Newest entry of `errors`.
    last_error: Option<Value>,
    /// The same for failures of one cause.
    fingerprint: Option<String>,
    /// Attempts that ended without a word: a crash, a lost machine.
    interruptions: i32,
    requested_by: Option<String>,
    /// Edits of the payload, oldest first. Only when one dead letter is read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edits: Vec<EditBody>,
    /// The message, when the source is `broker`.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageBody>,
}

/// An edit of a payload.
#[derive(Debug, Serialize, ToSchema)]
pub struct EditBody {
    /// The payload before, without secrets.
    before: Value,
    edited_by: String,
    edited_at: DateTime<Utc>,
    reason: Option<String>,
}

/// A message as it lay in the broker's dead-letter queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BrokerMessageBody)]
pub struct MessageBody {
    /// Job that it rang for, when it can be read.
    job_id: Option<Uuid>,
    /// AMQP headers, without secrets.
    headers: Value,
    /// The body, or its beginning: a text without secrets, or base64.
    body: String,
    /// `text` or `base64`.
    encoding: &'static str,
    /// Bytes of the whole body.
    size: i32,
    /// Whether `body` is only its beginning.
    truncated: bool,
}

impl DeadLetterBody {
    /// A dead job with the edits of its payload.
    pub fn of_job(letter: DeadLetter, edits: Vec<Edit>) -> Self {
        let last_error = letter.last_error().map(redact);
        let payload = redact(&letter.job.payload);
        let errors = redact(&letter.job.errors);
        Self {
            source: "ledger",
            version: letter.version,
            payload,
            first_failed_at: letter.first_failed_at,
            last_failed_at: letter.last_failed_at,
            last_error,
            fingerprint: letter.fingerprint,
            interruptions: letter.interruptions,
            requested_by: letter.requested_by,
            edits: edits.into_iter().map(EditBody::from).collect(),
            message: None,
            job: JobBody::from(JobView { errors, ..letter.job }),
        }
    }

    /// A message.
    pub fn of_message(letter: BrokerLetter) -> Self {
        let error = json!({
            "code": letter.reason,
            "message": format!("no worker could claim the message; the broker gave it up: {}", letter.reason),
        });
        let at = letter.archived_at;
        let job = JobView {
            id: letter.id,
            kind: letter.routing_key.clone(),
            state: if letter.discarded_at.is_some() { "cancelled" } else { "dead" }.to_owned(),
            attempt: 0,
            max_attempts: 0,
            progress_done: 0,
            progress_total: None,
            progress_unit: None,
            result: None,
            errors: json!([error]),
            payload: Value::Null,
            park_reason: None,
            resource_key: None,
            batch_id: None,
            run_at: at,
            created_at: at,
            started_at: None,
            finished_at: Some(letter.discarded_at.unwrap_or(at)),
            traceparent: letter.headers["traceparent"].as_str().map(str::to_owned),
        };
        Self {
            job: JobBody::from(job),
            source: "broker",
            version: 0,
            payload: Value::Null,
            first_failed_at: Some(at),
            last_failed_at: at,
            last_error: Some(error),
            fingerprint: None,
            interruptions: 0,
            requested_by: None,
            edits: Vec::new(),
            message: Some(MessageBody::from(letter)),
        }
    }
}

impl From<Edit> for EditBody {
    fn from(edit: Edit) -> Self {
        Self {
            before: redact(&edit.before),
            edited_by: edit.edited_by,
            edited_at: edit.edited_at,
            reason: edit.reason,
        }
    }
}

impl From<BrokerLetter> for MessageBody {
    fn from(letter: BrokerLetter) -> Self {
        let whole = usize::try_from(letter.size).unwrap_or(usize::MAX);
        let truncated = letter.body.len() < whole;
        let (body, encoding) = match readable(&letter.body, truncated) {
            Some(text) => (redact_text(text), "text"),
            None => (STANDARD.encode(&letter.body), "base64"),
        };
        Self {
            job_id: letter.job_id,
            headers: redact(&letter.headers),
            body,
            encoding,
            size: letter.size,
            truncated,
        }
    }
}

/// The body as a text, if it is one; a cut may go through its last character.
fn readable(body: &[u8], truncated: bool) -> Option<&str> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) if truncated && error.error_len().is_none() => {
            std::str::from_utf8(&body[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().all(plain).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_text_only_when_it_is_readable() {
        assert_eq!(readable("zwölf\n".as_bytes(), false), Some("zwölf\n"));
        assert_eq!(readable(&"zwö".as_bytes()[..3], true), Some("zw"));
        assert_eq!(readable(&"zwö".as_bytes()[..3], false), None);
        assert_eq!(readable(b"a\0b", false), None);
    }
}
