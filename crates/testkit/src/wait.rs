//! Waiting for what a test expects, with a deadline instead of a guess.

use std::time::Duration;

use chassis::time::{deadline, pause};

/// Longest wait for something to come true.
const LIMIT: Duration = Duration::from_mins(1);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until `look` finds something.
///
/// # Panics
/// After a minute, naming `what`.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = deadline(
        "what the test expects",
        LIMIT,
        Box::pin(async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                pause(LOOK).await;
            }
        }),
    );
    found.await.unwrap_or_else(|_| panic!("not within {LIMIT:?}: {what}"))
}

/// Waits for `future`.
///
/// # Panics
/// After a minute, naming `what`.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    deadline("what the test waits for", LIMIT, Box::pin(future))
        .await
        .unwrap_or_else(|_| panic!("not within {LIMIT:?}: {what}"))
}
