//! How far the provider's clock is from ours, learnt from `Date` headers (pain 36).

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::http::Response;

/// Offset of a provider's clock. `Date` has whole seconds, so the offset is exact to about a second.
#[derive(Debug, Default)]
pub struct ServerSkew {
    millis: AtomicI64,
}

impl ServerSkew {
    /// Learns from an answer.
    pub fn learn(&self, response: &Response, now: DateTime<Utc>) {
        let date = response.header("date").and_then(|text| DateTime::parse_from_rfc2822(text).ok());
        if let Some(date) = date {
            let offset = date.with_timezone(&Utc).signed_duration_since(now).num_milliseconds();
            // Below the header's resolution there is nothing to correct.
            self.millis.store(if offset.abs() < 1_500 { 0 } else { offset }, Ordering::Relaxed);
        }
    }

    /// `now` on the provider's clock.
    pub fn provider_time(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let offset = TimeDelta::milliseconds(self.millis.load(Ordering::Relaxed));
        now.checked_add_signed(offset).unwrap_or(now)
    }
}
