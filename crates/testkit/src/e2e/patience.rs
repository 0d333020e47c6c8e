//! Waiting for something to become true, with a deadline; never for time to pass.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Pause between two looks.
const STEP: Duration = Duration::from_millis(50);

/// Looks until `look` gives a value, at most for `limit`. An error of `look` is tried again until then.
///
/// # Errors
/// The error of the last look, or that `what` did not happen in time.
pub async fn wait_for<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        let seen = look().await;
        if let Ok(Some(value)) = seen {
            return Ok(value);
        }
        if began.elapsed() >= limit {
            match seen {
                Err(error) => return Err(error.context(format!("waiting {limit:?} for {what}"))),
                Ok(_) => bail!("{what} did not happen within {limit:?}"),
            }
        }
        chassis::time::pause(STEP).await;
    }
}

/// As [`wait_for`], for a condition.
///
/// # Errors
/// As [`wait_for`].
pub async fn wait_until(
    limit: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    wait_for(limit, what, async || Ok(holds().await?.then_some(()))).await
}
