//! How long records stay where: online, in an archive, nowhere. Pure decisions.
//!
//! The chain of an organization is one, whatever the classes of its records, so what leaves is a beginning of it: a
//! range leaves when every record in it may. A class that stays longer, or is held, holds what lies behind it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The class that has no policy of its own.
pub const OTHERS: &str = "*";
/// Longest age of a policy, in days.
pub const MAX_DAYS: i32 = 36_500;

/// What holds for the records of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// First word of the action, such as `schedule`; [`OTHERS`] for every class without a policy.
    pub class: String,
    /// Age in days after which a record is archived.
    pub archive_after_days: i32,
    /// Age in days after which an archived record leaves the database; `None`: never.
    pub purge_after_days: Option<i32>,
    /// Nothing of the class is purged, whatever its age.
    #[serde(default)]
    pub legal_hold: bool,
}

impl Policy {
    /// What holds where nothing was said: archived after 90 days, purged after a year.
    pub fn default_of(class: &str) -> Self {
        Self {
            class: class.to_owned(),
            archive_after_days: 90,
            purge_after_days: Some(365),
            legal_hold: false,
        }
    }

    /// What is wrong with it; `None` when it can be used.
    pub fn fault(&self) -> Option<String> {
        let class_ok = self.class == OTHERS
            || (!self.class.is_empty()
                && self.class.len() <= 64
                && self.class.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        if !class_ok {
            return Some("class is the first word of an action, in lower case, or `*`".to_owned());
        }
        if !(0..=MAX_DAYS).contains(&self.archive_after_days) {
            return Some(format!("archive_after_days is 0 to {MAX_DAYS}"));
        }
        match self.purge_after_days {
            Some(days) if !(0..=MAX_DAYS).contains(&days) => {
                Some(format!("purge_after_days is 0 to {MAX_DAYS}"))
            }
            Some(days) if days < self.archive_after_days => Some(
                "purge_after_days is not below archive_after_days: nothing is purged unarchived".to_owned(),
            ),
            _ => None,
        }
    }
}

/// The line of a class: records that are older are due. `None`: none ever is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Class; [`OTHERS`] for the rest.
    pub class: String,
    /// Older ones are due.
    pub before: Option<DateTime<Utc>>,
}

/// The lines of archiving.
pub fn archive_lines(policies: &[Policy], now: DateTime<Utc>) -> Vec<Line> {
    lines(policies, |policy| Some(age(now, policy.archive_after_days)))
}

/// The lines of purging; a held class has none.
pub fn purge_lines(policies: &[Policy], now: DateTime<Utc>) -> Vec<Line> {
    lines(policies, |policy| {
        policy.purge_after_days.filter(|_| !policy.legal_hold).map(|days| age(now, days))
    })
}

fn lines(policies: &[Policy], of: impl Fn(&Policy) -> Option<DateTime<Utc>>) -> Vec<Line> {
    let mut all: Vec<Line> =
        policies.iter().map(|policy| Line { class: policy.class.clone(), before: of(policy) }).collect();
    if !all.iter().any(|line| line.class == OTHERS) {
        all.push(Line { class: OTHERS.to_owned(), before: of(&Policy::default_of(OTHERS)) });
    }
    all
}

fn age(now: DateTime<Utc>, days: i32) -> DateTime<Utc> {
    now.checked_sub_signed(TimeDelta::days(i64::from(days))).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Whether a record of this class and time is due.
pub fn is_due(lines: &[Line], class: &str, occurred_at: DateTime<Utc>) -> bool {
    let own = lines.iter().find(|line| line.class == class);
    let line = own.or_else(|| lines.iter().find(|line| line.class == OTHERS));
    line.and_then(|line| line.before).is_some_and(|before| occurred_at < before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: u32) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(i64::from(n))
    }

    #[test]
    fn a_class_has_its_own_line_and_the_rest_has_the_default() {
        let held = Policy { legal_hold: true, ..Policy::default_of("grant") };
        let short = Policy {
            class: "schedule".to_owned(),
            archive_after_days: 1,
            purge_after_days: None,
            legal_hold: false,
        };
        let policies = [held, short];
        let (archive, purge) = (archive_lines(&policies, day(1000)), purge_lines(&policies, day(1000)));
        assert!(is_due(&archive, "schedule", day(998)) && !is_due(&archive, "schedule", day(999)));
        assert!(is_due(&archive, "grant", day(900)), "a hold keeps nothing from being archived");
        assert!(!is_due(&purge, "grant", day(1)), "held");
        assert!(!is_due(&purge, "schedule", day(1)), "kept for ever");
        assert!(is_due(&purge, "job", day(634)) && !is_due(&purge, "job", day(635)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let fine = Policy::default_of(OTHERS);
        assert_eq!(fine.fault(), None);
        for wrong in [
            Policy { class: "Big.".to_owned(), ..fine.clone() },
            Policy { archive_after_days: -1, ..fine.clone() },
            Policy { purge_after_days: Some(1), ..fine.clone() },
            Policy { purge_after_days: Some(MAX_DAYS + 1), ..fine.clone() },
        ] {
            assert!(wrong.fault().is_some(), "{wrong:?}");
        }
    }
}
