//! Spreading occurrences of many schedules that name the same moment.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// How much later than its occurrence a job starts: from 0 to `most`, in milliseconds, decided by the schedule
/// and the occurrence alone, so that every scheduler says the same.
pub fn share(schedule: i64, occurrence: DateTime<Utc>, most: Duration) -> Duration {
    let mut hash = Sha256::new();
    hash.update(schedule.to_be_bytes());
    hash.update(occurrence.timestamp_micros().to_be_bytes());
    let digest = hash.finalize();
    let mut word = [0; 8];
    word.copy_from_slice(&digest[..8]);
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(most.checked_add(1).map_or(0, |values| u64::from_be_bytes(word) % values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_spread_bounded_and_repeatable() {
        let most = Duration::from_mins(1);
        let at = |n: i64| DateTime::from_timestamp(n * 3600, 0).expect("in range");
        let shares: Vec<Duration> = (0..1000).map(|n| share(7, at(n), most)).collect();
        assert!(shares.iter().all(|share| *share <= most));
        let mean = shares.iter().sum::<Duration>() / 1000;
        assert!((Duration::from_secs(27)..Duration::from_secs(33)).contains(&mean), "{mean:?}");
        assert_eq!(share(7, at(1), most), shares[1]);
        assert_ne!(share(8, at(1), most), shares[1]);
        assert_eq!(share(7, at(1), Duration::ZERO), Duration::ZERO);
        assert!(share(7, at(1), Duration::MAX) <= Duration::MAX);
    }
}
