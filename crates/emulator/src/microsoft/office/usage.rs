//! What callers were told not to do: calls at once, calls in a second, polling of Teams.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

/// Calls of one application to one channel in a second (throttling-limits).
const CHANNEL_RATE: usize = 4;
const SECOND_MS: i64 = 1000;
const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

#[derive(Debug, Default)]
struct Place {
    recent: VecDeque<i64>,
    reads: u64,
    most_in_a_second: usize,
    too_fast: u64,
    /// List and delta reads of the running day, and the most of any day: the policy allows one.
    day: i64,
    polls_today: u64,
    most_polls_in_a_day: u64,
}

/// Counters of what the limits are about.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    places: BTreeMap<String, Place>,
    minutes: BTreeMap<String, (i64, u32)>,
    mailboxes: BTreeMap<String, (u32, u32, u64)>,
}

/// Where an application is in its minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Minute {
    pub(crate) used: u32,
    /// Seconds to its end.
    pub(crate) reset: i64,
}

impl Usage {
    /// Counts a call to a channel or chat; true when it is above the rate. `poll` when it lists.
    pub(crate) fn teams_call(&mut self, place: &str, poll: bool, now: i64) -> bool {
        let one = self.places.entry(place.to_owned()).or_default();
        one.reads += 1;
        one.recent.retain(|at| *at > now - SECOND_MS);
        one.recent.push_back(now);
        one.most_in_a_second = one.most_in_a_second.max(one.recent.len());
        let too_fast = one.recent.len() > CHANNEL_RATE;
        one.too_fast += u64::from(too_fast);
        if poll {
            if one.day != now / DAY_MS {
                (one.day, one.polls_today) = (now / DAY_MS, 0);
            }
            one.polls_today += 1;
            one.most_polls_in_a_day = one.most_polls_in_a_day.max(one.polls_today);
        }
        too_fast
    }

    /// Counts a call of an application in its minute.
    pub(crate) fn minute(&mut self, account: &str, now: i64) -> Minute {
        let minute = now / MINUTE_MS;
        let entry = self.minutes.entry(account.to_owned()).or_default();
        if entry.0 != minute {
            *entry = (minute, 0);
        }
        entry.1 += 1;
        Minute { used: entry.1, reset: ((minute + 1) * MINUTE_MS - now + 999) / 1000 }
    }

    /// A call to a mailbox begins; false when there are `limit` already.
    pub(crate) fn enter(&mut self, mailbox: &str, limit: u32) -> bool {
        let entry = self.mailboxes.entry(mailbox.to_owned()).or_default();
        if entry.0 >= limit {
            entry.2 += 1;
            return false;
        }
        entry.0 += 1;
        entry.1 = entry.1.max(entry.0);
        true
    }

    pub(crate) fn leave(&mut self, mailbox: &str) {
        if let Some(entry) = self.mailboxes.get_mut(mailbox) {
            entry.0 = entry.0.saturating_sub(1);
        }
    }

    pub(crate) fn json(&self) -> Value {
        let places: BTreeMap<&String, Value> = self
            .places
            .iter()
            .map(|(id, one)| {
                let shown = json!({
                    "calls": one.reads,
                    "most_in_a_second": one.most_in_a_second,
                    "too_fast": one.too_fast,
                    "most_polls_in_a_day": one.most_polls_in_a_day,
                });
                (id, shown)
            })
            .collect();
        let mailboxes: BTreeMap<&String, Value> = self
            .mailboxes
            .iter()
            .map(|(id, (_, most, refused))| (id, json!({"most_at_once": most, "refused": refused})))
            .collect();
        json!({"teams": places, "mailboxes": mailboxes})
    }
}
