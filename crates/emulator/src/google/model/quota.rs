//! E33: sliding windows of one minute, for a project and for each user in it.

use std::collections::{BTreeMap, VecDeque};

use super::Google;
use super::error::ApiError;
use super::params::Caller;

const WINDOW_MS: i64 = 60_000;

/// What a request costs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost<'a> {
    /// The calendar that it writes to.
    pub writes: Option<&'a str>,
    /// True for `events.patch`.
    pub patch: bool,
}

/// Times of the requests of the last minute, one for each unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Windows {
    projects: BTreeMap<String, VecDeque<i64>>,
    users: BTreeMap<(String, String), VecDeque<i64>>,
    writes: BTreeMap<(String, String), VecDeque<i64>>,
}

fn full(window: &mut VecDeque<i64>, units: u32, most: u32, now_ms: i64) -> bool {
    while window.front().is_some_and(|at| *at <= now_ms - WINDOW_MS) {
        window.pop_front();
    }
    window.len() + units as usize > most as usize
}

impl Google {
    /// Meters one request; each part of a batch is one. A refused request costs nothing.
    ///
    /// # Errors
    /// 403 or 429 with the reasons of A7.
    pub fn meter(&mut self, caller: &Caller<'_>, cost: Cost<'_>) -> Result<(), ApiError> {
        let Some(quota) = self.switches.quota else { return Ok(()) };
        let now_ms = caller.now.timestamp_millis();
        let units = if cost.patch { quota.patch_units.max(1) } else { 1 };
        let user = (caller.client.to_owned(), caller.account.to_owned());
        let limited =
            || ApiError::new(quota.status, "usageLimits", "rateLimitExceeded", "Rate Limit Exceeded");
        let project = self.windows.projects.entry(user.0.clone()).or_default();
        if full(project, units, quota.per_project, now_ms) {
            return Err(limited());
        }
        let own = self.windows.users.entry(user).or_default();
        if full(own, units, quota.per_user, now_ms) {
            return Err(if quota.status == 429 {
                limited()
            } else {
                ApiError::new(403, "usageLimits", "userRateLimitExceeded", "User Rate Limit Exceeded")
            });
        }
        if let (Some(calendar), Some(most)) = (cost.writes, quota.per_calendar_writes) {
            let key = (caller.account.to_owned(), calendar.to_owned());
            let window = self.windows.writes.entry(key).or_default();
            if full(window, 1, most, now_ms) {
                return Err(limited());
            }
            window.push_back(now_ms);
        }
        project.extend((0..units).map(|_| now_ms));
        own.extend((0..units).map(|_| now_ms));
        Ok(())
    }
}
