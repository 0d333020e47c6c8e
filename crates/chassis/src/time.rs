//! The wall clock, the only allowed sleep, and deadlines that say what they were waiting for.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::time::Clock;

/// The operating system's clock. Services receive it as a [`domain::time::SharedClock`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
        Utc::now()
    }
}

/// Waits for `d`, for back-offs and poll intervals. Never a means to synchronise with something
/// else: wait for the event itself, with a [`deadline`].
pub async fn pause(d: Duration) {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
    tokio::time::sleep(d).await;
}

/// A wait that took longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} took longer than {limit:?}")]
pub struct Elapsed {
    /// What was waited for.
    pub what: &'static str,
    /// How long it was allowed to take.
    pub limit: Duration,
}

/// Runs `f` for at most `d`; `what` names it in the error ("commit", "publisher confirm").
///
/// # Errors
/// [`Elapsed`] when the time is over. `f` is dropped then: its outcome is unknown, not failed.
pub async fn deadline<F: Future>(what: &'static str, d: Duration, f: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout(d, f).await.map_err(|_| Elapsed { what, limit: d })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_names_what_it_waited_for() {
        let limit = Duration::from_millis(3);
        let late = deadline("the confirm", limit, std::future::pending::<()>()).await;
        assert_eq!(late, Err(Elapsed { what: "the confirm", limit }));
        assert_eq!(late.unwrap_err().to_string(), "the confirm took longer than 3ms");
        assert_eq!(deadline("nothing", Duration::from_secs(3), async { 7 }).await, Ok(7));
    }
}
