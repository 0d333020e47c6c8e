//! `events.move`: another calendar becomes the organizer.

use serde_json::{Value, json};

use super::Google;
use super::error::ApiError;
use super::find::find;
use super::params::{Caller, WriteParams};
use super::record::{Record, Status};
use super::render;
use super::write::{Touch, check_match};

impl Google {
    /// `events.move`. The answer says `cancelled` although the event lives at its destination (A5).
    ///
    /// # Errors
    /// Instances and special types cannot be moved; 409 when the destination has the id; no access.
    pub fn move_event(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        event: &str,
        destination: &str,
        params: &WriteParams,
    ) -> Result<Value, ApiError> {
        let from = self.write_access(caller, calendar)?;
        let to = self.write_access(caller, destination)?;
        let now_ms = caller.now.timestamp_millis();
        let source = self.calendar(&from)?;
        let record = find(source, event, now_ms)?.record;
        if record.cancelled() {
            return Err(ApiError::deleted());
        }
        check_match(&record.etag_text(), params)?;
        if record.parent.is_some() {
            return Err(ApiError::new(
                400,
                "calendar",
                "cannotChangeOrganizerOfInstance",
                "Cannot change the organizer of an instance.",
            ));
        }
        if record.event_type() != "default" {
            return Err(ApiError::event_type(record.event_type()));
        }
        if record.organizer != from {
            return Err(ApiError::new(
                400,
                "calendar",
                "cannotChangeOrganizer",
                "Cannot change the organizer of the event.",
            ));
        }
        // Those without a place too: the series may get it back.
        let exceptions: Vec<Record> = source.exceptions(event).cloned().collect();
        // A tombstone there is what an earlier move left behind.
        if self.calendar(&to)?.records.get(event).is_some_and(|known| !known.cancelled()) {
            return Err(ApiError::duplicate());
        }
        for mut one in std::iter::once(record.clone()).chain(exceptions) {
            one.organizer.clone_from(&to);
            self.store(&to, one, now_ms, Touch::ALL);
        }
        let mut gone = record.clone();
        gone.status = Status::Cancelled;
        // Its organizer is the other calendar now: nobody brings it back here but by moving it back.
        gone.organizer.clone_from(&to);
        self.store(&from, gone.clone(), now_ms, Touch::ALL);
        // They went along: nothing waits here for the series to come back.
        let stay: Vec<String> = self.calendar(&from)?.exceptions(event).map(|one| one.id.clone()).collect();
        for one in stay {
            self.calendar_mut(&from)?.forget(&one);
        }
        self.propagate(&to, &record.id, record.attendees(), params, now_ms);
        let target = self.calendar(&to)?;
        let view = Self::view(caller, target, None, params.max_attendees)?;
        let mut body = render::event(target, target.records.get(&record.id).unwrap_or(&record), &view);
        if self.switches.move_answers_cancelled {
            body["status"] = json!("cancelled");
        }
        Ok(body)
    }
}
