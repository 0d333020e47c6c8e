//! `events.import`: a private copy of an event that someone else organizes.

use serde_json::{Map, Value, json};

use super::Google;
use super::draft;
use super::error::ApiError;
use super::insert::{SERVER_OWNED, object};
use super::params::{Caller, WriteParams};
use super::record::Record;
use super::switches::ImportExisting;
use super::write::Touch;

impl Google {
    /// `events.import`.
    ///
    /// # Errors
    /// No iCalUID, a known one when the switch says so, a bad body, no access.
    pub fn import(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        body: &Value,
        params: &WriteParams,
    ) -> Result<Value, ApiError> {
        let id = self.write_access(caller, calendar)?;
        let given = object(body)?;
        let uid = given
            .get("iCalUID")
            .and_then(Value::as_str)
            .filter(|uid| !uid.is_empty())
            .ok_or_else(|| ApiError::required("Missing iCalUID."))?
            .to_owned();
        let organizer =
            given.get("organizer").and_then(|one| one["email"].as_str()).unwrap_or(&id).to_owned();
        let mut form = given.clone();
        form.retain(|key, _| !SERVER_OWNED.contains(&key.as_str()));
        // Other types are silently converted.
        form.insert("eventType".into(), json!("default"));
        let calendar = self.calendar(&id)?;
        let known = calendar.uids.get(&uid).and_then(|event| calendar.records.get(event)).cloned();
        let zone = calendar.zone;
        self.gate(&mut form, &known.as_ref().map_or_else(Map::new, |record| record.fields.clone()), params);
        let draft = draft::read(&form, zone, false, &self.switches)?;
        if known.is_some() && self.switches.import_existing == ImportExisting::Duplicate {
            return Err(ApiError::duplicate());
        }
        let now_ms = caller.now.timestamp_millis();
        let sequence = form.get("sequence").and_then(Value::as_i64).unwrap_or(0);
        if let Some(known) = &known
            && self.switches.stale_sequence_refused
            && sequence < known.sequence
        {
            return Err(ApiError::invalid(
                "Invalid sequence value. The specified sequence number is below the current sequence number of the resource. Re-fetch the resource and use its sequence number on the following request.",
            ));
        }
        let event = match &known {
            Some(known) => known.id.clone(),
            None => self.new_id(),
        };
        let record = Record {
            uid,
            id: event,
            fields: draft.fields,
            start: draft.start,
            end: draft.end,
            series: draft.series,
            parent: None,
            original: None,
            status: draft.status,
            sequence,
            private_copy: organizer != id,
            organizer,
            creator: caller.account.to_owned(),
            locked: false,
            orphan: false,
            created: known.as_ref().map_or(now_ms, |known| known.created),
            updated: now_ms,
            etag: 0,
            changed: 0,
            visible_from: now_ms,
        };
        self.store(&id, record.clone(), now_ms, Touch::ALL);
        self.settle_exceptions(&id, &record, now_ms);
        self.answer(caller, &id, &record, params)
    }

    /// E43: marks an event as a locked copy, whose main fields cannot be changed.
    ///
    /// # Errors
    /// An unknown event.
    pub fn set_locked(&mut self, calendar: &str, event: &str, locked: bool) -> Result<(), ApiError> {
        let target = self.calendar_mut(calendar)?;
        target.records.get_mut(event).ok_or_else(ApiError::not_found)?.locked = locked;
        Ok(())
    }
}
