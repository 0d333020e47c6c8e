//! Teams: when its resources may be read again, and in which windows.
//!
//! Changes come by notification. Reading the same resource to see whether something changed is polling, which
//! Microsoft allows once a day (resources/teams-api-overview, Graph v1.0).

use chrono::{DateTime, TimeDelta, Utc};

/// Least time between two repair reads of a resource, in hours: a day, less what a schedule may be early.
const REPAIR_HOURS: i64 = 23;
/// Least time between repair reads after notifications were lost, in minutes.
const GAP_MINUTES: i64 = 15;
/// Windows overlap by this, since clocks differ and edits carry the provider's time, in minutes.
const OVERLAP_MINUTES: i64 = 10;
/// Replies can come to a thread for long; those of threads with an answer in this time are read, in days.
const LIVELY_DAYS: i64 = 14;

/// Why a repair read would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// The daily look at what notifications missed.
    Routine,
    /// Notifications are known to be lost, or could not come: a subscription began or lapsed.
    Gap,
    /// A person asked.
    Manual,
}

/// Whether a repair read may run now; `last`: when the one before began.
pub fn may_repair(why: Repair, last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    let Some(last) = last else { return true };
    match why {
        Repair::Routine => now - last >= TimeDelta::hours(REPAIR_HOURS),
        Repair::Gap => now - last >= TimeDelta::minutes(GAP_MINUTES),
        Repair::Manual => true,
    }
}

/// The next window of `lastModifiedDateTime` of a chat: from a little before the end of the last one (everything when
/// there is none) to `now`.
pub fn chat_window(
    read_to: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> (Option<DateTime<Utc>>, DateTime<Utc>) {
    let now = read_to.map_or(now, |to| now.max(to));
    (read_to.map(|to| to - TimeDelta::minutes(OVERLAP_MINUTES)), now)
}

/// Threads whose last message is younger than this have their replies read by a routine repair.
pub fn lively_since(now: DateTime<Utc>) -> DateTime<Utc> {
    now - TimeDelta::days(LIVELY_DAYS)
}

/// Whether a report of a message is to be stored over another: the feed repeats messages in any order and a filter may
/// answer older states (microsoft-graph-docs issue 9063), so the later modification wins and a deletion stays.
pub fn supersedes(stored: (Option<DateTime<Utc>>, bool), reported: (Option<DateTime<Utc>>, bool)) -> bool {
    match (stored, reported) {
        ((_, true), (_, false)) => false,
        ((Some(stored), _), (Some(reported), _)) => reported >= stored,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    proptest! {
        #[test]
        fn routine_reads_are_at_most_one_a_day(
            ticks in proptest::collection::vec(1i64..40_000, 1..200),
        ) {
            let (mut now, mut last, mut reads) = (0, None, 0);
            for tick in ticks {
                now += tick;
                if may_repair(Repair::Routine, last, at(now)) {
                    last = Some(at(now));
                    reads += 1;
                }
            }
            prop_assert!(reads <= now / (REPAIR_HOURS * 3600) + 1);
        }

        #[test]
        fn windows_leave_nothing_between_them(nows in proptest::collection::vec(0i64..10_000_000, 1..50)) {
            let mut read_to = None;
            for now in nows {
                let (from, to) = chat_window(read_to, at(now));
                prop_assert!(from.is_none() == read_to.is_none());
                prop_assert!(from.is_none_or(|from| from < read_to.expect("a window before") && from < to));
                prop_assert!(read_to.is_none_or(|before| to >= before), "a clock that goes back reads nothing twice over");
                read_to = Some(to);
            }
        }

        #[test]
        fn the_order_of_reports_does_not_matter(mut reports in proptest::collection::vec((0i64..50, any::<bool>()), 1..20)) {
            // A deletion is the last thing that happens to a message.
            let last = reports.iter().map(|r| r.0).max().expect("one");
            for report in &mut reports {
                report.1 &= report.0 == last;
            }
            if let Some(report) = reports.iter().position(|r| r.1) {
                let gone = reports[report];
                reports.retain(|r| r.0 != last);
                reports.push(gone);
            }
            let end = |reports: &[(i64, bool)]| {
                reports.iter().fold((None, false), |stored, (when, gone)| {
                    let reported = (Some(at(*when)), *gone);
                    if supersedes(stored, reported) { reported } else { stored }
                })
            };
            let forwards = end(&reports);
            reports.reverse();
            prop_assert_eq!(forwards, end(&reports));
        }
    }
}
