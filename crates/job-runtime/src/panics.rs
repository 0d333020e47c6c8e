//! A panic of a handler is a failed attempt, with its place and backtrace in the job's error chain.

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use futures::FutureExt;

use crate::error::JobError;

/// Longest backtrace that is stored with a job.
const MAX_BACKTRACE: usize = 4096;

thread_local! {
    /// The newest panic of this thread; read right after it was caught, on the same thread.
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

#[derive(Debug)]
struct Panic {
    message: String,
    location: String,
    backtrace: String,
}

/// The cause of a failed attempt, as its error chain shows it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Backtraced(String);

/// Makes panics leave their place and backtrace behind, besides what the hook before did.
pub(crate) fn remember_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let panic = Panic {
                message: info.payload_as_str().unwrap_or("(no message)").to_owned(),
                location: info.location().map(ToString::to_string).unwrap_or_default(),
                backtrace: Backtrace::force_capture().to_string(),
            };
            LAST.with(|last| *last.borrow_mut() = Some(panic));
            before(info);
        }));
    });
}

/// Runs `attempt`; a panic becomes a [`JobError`] with verdict retry.
pub(crate) async fn catch<T>(attempt: impl Future<Output = Result<T, JobError>>) -> Result<T, JobError> {
    match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(result) => result,
        Err(_) => Err(describe(LAST.with(|last| last.borrow_mut().take()))),
    }
}

fn describe(panic: Option<Panic>) -> JobError {
    let Some(panic) = panic else {
        return JobError::retry("panic", "the handler panicked");
    };
    let mut backtrace = below_the_hook(panic.backtrace);
    backtrace.truncate(backtrace.floor_char_boundary(MAX_BACKTRACE));
    JobError::retry("panic", format!("the handler panicked at {}: {}", panic.location, panic.message))
        .because(Backtraced(backtrace))
}

/// The frames of whoever panicked: those of the hook and of the machinery above them would use up the room.
fn below_the_hook(backtrace: String) -> String {
    let panicking = backtrace.rfind("core::panicking::").or_else(|| backtrace.rfind("std::panicking::"));
    let start = panicking.and_then(|at| Some(at + backtrace[at..].find('\n')? + 1));
    match start {
        Some(start) if start < backtrace.len() => backtrace[start..].to_owned(),
        _ => backtrace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_with_place_and_backtrace() {
        remember_panics();
        let error = catch::<()>(async { panic!("on purpose {}", 7) }).await.expect_err("it panicked");
        assert_eq!(error.code(), "panic");
        assert!(
            error.message().contains("panics.rs") && error.message().ends_with("on purpose 7"),
            "{error}"
        );
        let trace = &error.chain()[0];
        assert!(trace.contains("panics::tests") && !trace.contains("remember_panics"), "{trace}");
        assert!(trace.len() <= MAX_BACKTRACE);
    }
}
