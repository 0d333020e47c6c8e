//! `events.update` (PUT) and `events.patch`: one way in, two ways to make the new whole.

use serde_json::{Map, Value, json};

use super::Google;
use super::draft::{self, Draft};
use super::error::ApiError;
use super::find::find;
use super::insert::{SERVER_OWNED, object};
use super::params::{Caller, WriteParams};
use super::record::{Record, Status};
use super::switches::Undelete;
use super::write::{Touch, check_match};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Put,
    Patch,
}

/// Fields of one's own copy; everything else is shared with the other guests.
const PRIVATE: [&str; 4] = ["reminders", "colorId", "transparency", "visibility"];
/// E43: what a locked copy refuses.
const LOCKED: [&str; 4] = ["summary", "description", "location", "recurrence"];

impl Google {
    /// `events.update`: everything that is not sent is gone (E17).
    ///
    /// # Errors
    /// 412, 404, 403 and the 400s of a bad body.
    pub fn update(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        event: &str,
        body: &Value,
        params: &WriteParams,
    ) -> Result<Value, ApiError> {
        self.change(caller, calendar, event, body, params, Mode::Put)
    }

    /// `events.patch`: objects are merged, arrays replaced, null deletes (E16).
    ///
    /// # Errors
    /// As [`Google::update`].
    pub fn patch(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        event: &str,
        body: &Value,
        params: &WriteParams,
    ) -> Result<Value, ApiError> {
        self.change(caller, calendar, event, body, params, Mode::Patch)
    }

    fn change(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        event: &str,
        body: &Value,
        params: &WriteParams,
        mode: Mode,
    ) -> Result<Value, ApiError> {
        let id = self.write_access(caller, calendar)?;
        let body = object(body)?;
        let now_ms = caller.now.timestamp_millis();
        let known = self.calendar(&id)?;
        let zone = known.zone;
        let found = find(known, event, now_ms)?;
        let old = found.record;
        check_match(&old.etag_text(), params)?;
        let wanted = body.get("status").and_then(Value::as_str);
        if old.orphan {
            return Err(ApiError::forbidden("Forbidden"));
        }
        if old.cancelled() {
            if wanted != Some("confirmed") && wanted != Some("tentative") {
                return Err(ApiError::forbidden("Forbidden"));
            }
            if self.switches.undelete == Undelete::Forbidden || old.organizer != id {
                return Err(ApiError::forbidden("Forbidden"));
            }
        } else if wanted == Some("cancelled") {
            self.delete(caller, &id, event, params)?;
            return self.answer(caller, &id, &old, params);
        }
        let form = self.whole(&id, &old, body, params, mode);
        let draft = draft::read(&form, zone, old.parent.is_some(), &self.switches)?;
        let new = self.next_record(&id, &old, draft, body)?;
        if found.stored && new.same(&old) && self.switches.identical_keeps_etag {
            return self.answer(caller, &id, &old, params);
        }
        if old.organizer == id {
            self.invite(caller, &id, Some(&old), &new, params)?;
        }
        let touch = self.touch(&old, &new, found.stored);
        self.store(&id, new.clone(), now_ms, touch);
        if old.series.is_some() || new.series.is_some() {
            self.settle_exceptions(&id, &new, now_ms);
            self.inherit(&id, &old, &new, now_ms);
        }
        if old.organizer == id {
            self.propagate(&id, &new.id, old.attendees(), params, now_ms);
        } else {
            self.respond(&id, &new, now_ms);
        }
        self.answer(caller, &id, &new, params)
    }

    /// The new whole, as the caller would have sent it.
    fn whole(
        &mut self,
        calendar: &str,
        old: &Record,
        body: &Map<String, Value>,
        params: &WriteParams,
        mode: Mode,
    ) -> Map<String, Value> {
        let mut sent = body.clone();
        sent.retain(|key, _| !SERVER_OWNED.contains(&key.as_str()));
        // One's own answer alone: the other guests stay as they are (A5).
        if sent.remove("attendeesOmitted") == Some(json!(true))
            && let Some(Value::Array(rows)) = sent.get("attendees").cloned()
        {
            let own = rows.iter().find(|row| row["email"].as_str() == Some(calendar));
            let all = old.attendees().iter().map(|row| match own {
                Some(own) if row["email"] == own["email"] => own.clone(),
                _ => row.clone(),
            });
            sent.insert("attendees".into(), Value::Array(all.collect()));
        }
        let mut form = match mode {
            Mode::Put => {
                sent.entry("eventType").or_insert_with(|| json!(old.event_type()));
                sent
            }
            Mode::Patch => {
                let mut form = old.input();
                if let Some(Value::Object(data)) = sent.get("conferenceData")
                    && data.contains_key("createRequest")
                {
                    // A request for a new conference is no change of the old one.
                    form.remove("conferenceData");
                }
                draft::merge(&mut form, &sent);
                form
            }
        };
        self.gate(&mut form, &old.fields, params);
        form
    }

    fn next_record(
        &self,
        calendar: &str,
        old: &Record,
        draft: Draft,
        body: &Map<String, Value>,
    ) -> Result<Record, ApiError> {
        let kind = old.event_type();
        if draft.fields["eventType"] != json!(kind) {
            return Err(ApiError::event_type(kind));
        }
        draft::check_type(&draft)?;
        let mut new = Record {
            fields: draft.fields,
            start: draft.start,
            end: draft.end,
            series: draft.series,
            status: draft.status,
            ..old.clone()
        };
        if !draft::check_edit(kind, &old.fields, &new.fields, !new.same_schedule(old)) {
            return Err(ApiError::event_type(kind));
        }
        if old.locked {
            let moved = new.start != old.start || new.end != old.end;
            if moved || LOCKED.iter().any(|key| old.fields.get(*key) != new.fields.get(*key)) {
                return Err(ApiError::forbidden("The main fields of a locked event cannot be changed."));
            }
        }
        let shared = old.organizer != calendar && !old.private_copy && !guests_can_modify(old);
        if shared && shared_changed(calendar, old, &new) {
            return Err(ApiError::organizer_only());
        }
        let given = body.get("sequence").and_then(Value::as_i64);
        if given.is_some_and(|given| given < old.sequence) && self.switches.stale_sequence_refused {
            return Err(ApiError::invalid(
                "Invalid sequence value. The specified sequence number is below the current sequence number of the resource. Re-fetch the resource and use its sequence number on the following request.",
            ));
        }
        new.sequence = match given {
            Some(given) if given > old.sequence => given,
            _ if !new.same_schedule(old) || (old.cancelled() && !new.cancelled()) => old.sequence + 1,
            _ => old.sequence,
        };
        Ok(new)
    }

    /// E24: reminders are not main data.
    fn touch(&self, old: &Record, new: &Record, stored: bool) -> Touch {
        let mut without = (old.clone(), new.clone());
        without.0.fields.remove("reminders");
        without.1.fields.remove("reminders");
        if stored && without.0.same(&without.1) && !new.same(old) {
            return Touch {
                etag: self.switches.reminders_move_etag,
                delta: self.switches.reminders_in_delta,
                main: false,
            };
        }
        Touch::ALL
    }
}

fn guests_can_modify(record: &Record) -> bool {
    record.fields.get("guestsCanModify") == Some(&json!(true))
}

/// True when more changed than what is a guest's own.
fn shared_changed(calendar: &str, old: &Record, new: &Record) -> bool {
    if !new.same_schedule(old) || (old.status != new.status && new.status != Status::Cancelled) {
        return true;
    }
    let others = |record: &Record| -> Vec<Value> {
        record.attendees().iter().filter(|row| row["email"] != json!(calendar)).cloned().collect()
    };
    let rest = |record: &Record| -> Map<String, Value> {
        let mut fields = record.fields.clone();
        fields.retain(|key, _| !PRIVATE.contains(&key.as_str()) && key != "attendees");
        if let Some(Value::Object(all)) = fields.get_mut("extendedProperties") {
            all.remove("private");
            if all.is_empty() {
                fields.remove("extendedProperties");
            }
        }
        fields
    };
    others(old) != others(new) || rest(old) != rest(new)
}
