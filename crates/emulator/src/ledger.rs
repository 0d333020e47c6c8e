//! The ledger of calls: what was asked, and whether someone asked while told to stay away.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Number of calls that are remembered.
const CAPACITY: usize = 200_000;

/// One call to a provider.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    /// Number of the call, from 1.
    pub(crate) seq: u64,
    /// Arrival, milliseconds since the epoch (virtual time).
    pub(crate) time_ms: i64,
    pub(crate) provider: &'static str,
    pub(crate) method: String,
    /// Path and query; the secret of a pre-authenticated URL is left out.
    pub(crate) path: String,
    /// 0 when the connection was broken without an answer.
    pub(crate) status: u16,
    pub(crate) account: Option<String>,
    pub(crate) inside_throttle_window: bool,
    /// Bytes of the answer's body.
    pub(crate) bytes: u64,
    /// The call is an item of a `$batch`.
    pub(crate) in_batch: bool,
    /// A bearer token was sent to a URL that needs none.
    pub(crate) bearer_leaked: bool,
    /// The fault that hit it.
    pub(crate) fault: Option<String>,
    pub(crate) client_request_id: Option<String>,
    pub(crate) user_agent: Option<String>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    last: u64,
}

/// A bounded list of calls; the oldest fall out.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    ring: Mutex<Ring>,
}

impl Ledger {
    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, mut entry: Entry) {
        let mut ring = self.ring();
        ring.last += 1;
        entry.seq = ring.last;
        if ring.entries.len() == CAPACITY {
            ring.entries.pop_front();
        }
        ring.entries.push_back(entry);
    }

    /// Calls after `since`, which is a sequence number, or milliseconds when `by_time`.
    pub(crate) fn since(
        &self,
        since: i64,
        by_time: bool,
        provider: Option<&str>,
        limit: usize,
    ) -> (Vec<Entry>, u64) {
        let ring = self.ring();
        let items = ring
            .entries
            .iter()
            .filter(|entry| if by_time { entry.time_ms >= since } else { entry.seq as i64 > since })
            .filter(|entry| provider.is_none_or(|wanted| wanted == entry.provider))
            .take(limit)
            .cloned()
            .collect();
        (items, ring.last)
    }

    pub(crate) fn clear(&self) {
        *self.ring() = Ring::default();
    }
}

/// A target with the secrets of pre-authenticated URLs taken out.
pub(crate) fn redact(target: &str) -> String {
    // Secrets of Google's token endpoints may come in the query.
    let secrets = ["tempauth=", "access_token=", "authtoken=", "sig="];
    let start = if target.starts_with("/revoke") { target.find("token=").map(|at| at + 6) } else { None };
    let start = start.or_else(|| secrets.iter().find_map(|name| target.find(name).map(|at| at + name.len())));
    match start {
        Some(at) => format!("{}redacted", &target[..at]),
        None => target.to_owned(),
    }
}
