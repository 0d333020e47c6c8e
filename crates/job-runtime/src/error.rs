//! How a handler says what went wrong, and what should follow.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use domain::retry::{ParkReason, Verdict};
use store::StoreError;

/// Most causes that are kept in the job's error chain.
const MAX_CHAIN: usize = 16;

/// A failed attempt: a short code, a message, the causes, and whether trying again can help.
#[derive(Debug)]
pub struct JobError {
    code: String,
    message: String,
    ending: Ending,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What follows the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The attempt failed; the verdict decides about the next one.
    Failed(Verdict),
    /// The attempt no longer owns the job: nothing more is written for it.
    Fenced,
    /// The handler stopped because it was asked to.
    Cancelled,
}

impl JobError {
    /// The attempt failed with this verdict.
    pub fn new(verdict: Verdict, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), ending: Ending::Failed(verdict), source: None }
    }

    /// Transient: another attempt follows after a jittered delay.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Verdict::Retry, code, message)
    }

    /// Transient, and the other side named the earliest moment of the next attempt.
    pub fn retry_after(after: Duration, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Verdict::RetryAfter(after), code, message)
    }

    /// A person has to mend something first.
    pub fn park(reason: ParkReason, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Verdict::Park(reason), code, message)
    }

    /// Permanent: the job becomes a dead letter at once.
    pub fn fail(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, code, message)
    }

    /// The handler stopped because [`crate::JobContext::cancelled`] told it to.
    pub fn cancelled() -> Self {
        Self {
            code: "cancelled".to_owned(),
            message: "the job was asked to stop".to_owned(),
            ending: Ending::Cancelled,
            source: None,
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Short code, such as `throttled`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What went wrong, without the causes.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The judgement about another attempt; `None` when the attempt was fenced or cancelled.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.ending {
            Ending::Failed(verdict) => Some(verdict),
            Ending::Fenced | Ending::Cancelled => None,
        }
    }

    /// Whether the attempt lost its job to another one.
    pub fn is_fenced(&self) -> bool {
        self.ending == Ending::Fenced
    }

    pub(crate) fn ending(&self) -> Ending {
        self.ending
    }

    /// The causes, outermost first.
    pub(crate) fn chain(&self) -> Vec<String> {
        let mut chain = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            if chain.len() == MAX_CHAIN {
                chain.push("(more causes left out)".to_owned());
                break;
            }
            chain.push(cause.to_string());
            next = cause.source();
        }
        chain
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for JobError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A fenced attempt is abandoned; an unreachable server or a lost race of transactions is tried again;
/// everything else is the same at every attempt.
impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        let (code, ending) = match &error {
            StoreError::Fenced { .. } => ("fenced", Ending::Fenced),
            StoreError::Unavailable { .. } => ("database_unavailable", Ending::Failed(Verdict::Retry)),
            transient if transient.is_transient() => ("database_busy", Ending::Failed(Verdict::Retry)),
            StoreError::Constraint { .. } => ("database_constraint", Ending::Failed(Verdict::Fail)),
            StoreError::Malformed { .. } => ("database_malformed", Ending::Failed(Verdict::Fail)),
            _ => ("database_refused", Ending::Failed(Verdict::Fail)),
        };
        let message = error.to_string();
        // The message is the error's own text; its causes follow in the chain.
        let source = match error {
            StoreError::Unavailable { source, .. } | StoreError::Refused { source, .. } => {
                Some(Box::new(source) as Box<dyn Error + Send + Sync>)
            }
            _ => None,
        };
        Self { code: code.to_owned(), message, ending, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_are_listed_outermost_first_and_bounded() {
        let error =
            JobError::retry("reset", "the page was cut off").because(Outer(std::io::Error::other("inner")));
        assert_eq!(error.to_string(), "the page was cut off");
        assert_eq!(error.chain(), ["outer", "inner"]);
        assert_eq!(error.verdict(), Some(Verdict::Retry));
    }

    #[test]
    fn store_errors_decide_what_follows() {
        let fenced = JobError::from(StoreError::Fenced { job_id: uuid::Uuid::nil(), epoch: 3 });
        assert!(fenced.is_fenced() && fenced.verdict().is_none());
        let broken = JobError::from(StoreError::Constraint { doing: "x", constraint: "y".to_owned() });
        assert_eq!((broken.code(), broken.verdict()), ("database_constraint", Some(Verdict::Fail)));
    }
}
