//! `events.delete`: a tombstone, never a free id.

use super::Google;
use super::error::ApiError;
use super::find::find;
use super::guests::MailKind;
use super::params::{Caller, SendUpdates, WriteParams};
use super::record::Status;
use super::write::{Touch, check_match};

impl Google {
    /// `events.delete`.
    ///
    /// # Errors
    /// 410 for what is deleted, 404 for what never was (E21), 412, no access.
    pub fn delete(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        event: &str,
        params: &WriteParams,
    ) -> Result<(), ApiError> {
        let id = self.write_access(caller, calendar)?;
        let now_ms = caller.now.timestamp_millis();
        let found = find(self.calendar(&id)?, event, now_ms)?;
        let mut record = found.record;
        if record.cancelled() {
            return Err(ApiError::deleted());
        }
        check_match(&record.etag_text(), params)?;
        record.status = Status::Cancelled;
        let is_series = record.series.is_some();
        self.store(&id, record.clone(), now_ms, Touch::ALL);
        if is_series {
            self.settle_exceptions(&id, &record, now_ms);
        }
        if record.organizer == id {
            self.mail(&record, record.attendees(), MailKind::Cancel, params, now_ms);
            // Nobody told: the meeting stays on the guests' calendars (A5).
            if params.send_updates != SendUpdates::None {
                self.propagate(&id, &record.id, record.attendees(), params, now_ms);
            }
        } else {
            self.decline(&id, &record, now_ms);
        }
        Ok(())
    }
}
