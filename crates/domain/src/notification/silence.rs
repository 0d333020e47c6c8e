//! Whether a push subscription that looks alive has stopped talking.

use chrono::{DateTime, TimeDelta, Utc};

/// How late a notification about a drive may be before it counts as lost: Graph promises one minute on average and
/// five at most for driveItem (change-notifications-overview, Graph v1.0, "Latency").
pub const LATEST: TimeDelta = TimeDelta::minutes(10);
/// Both clocks may differ by this much.
const CLOCKS: TimeDelta = TimeDelta::minutes(1);

/// Judges by a change that was found without having been announced. True when the change is older than any
/// notification may be late, and nothing was heard since it happened, though the subscription existed.
///
/// `change`: newest change, as the provider dates it. `since`: when the subscription began. `heard`: its last
/// notification.
#[must_use]
pub fn is_silent(
    change: DateTime<Utc>,
    since: DateTime<Utc>,
    heard: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> bool {
    change < now - LATEST && heard.map_or(since, |heard| heard.max(since)) < change - CLOCKS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    #[test]
    fn silence_needs_an_old_change_that_nothing_announced() {
        for (change, since, heard, silent) in [
            (100, 0, None, true),
            (100, 0, Some(50), true),
            // announced, or something after it was
            (100, 0, Some(100), false),
            (100, 0, Some(110), false),
            // the clocks may differ
            (100, 0, Some(99), false),
            // it may still come
            (191, 0, None, false),
            // from before the subscription, or just at its beginning
            (100, 150, None, false),
            (100, 100, Some(50), false),
        ] {
            let found = is_silent(at(change), at(since), heard.map(at), at(200));
            assert_eq!(found, silent, "change {change}, since {since}, heard {heard:?}");
        }
    }
}
