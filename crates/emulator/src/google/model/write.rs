//! What every write does: conditions, change numbers, bells, and what a change of a series does to its
//! exceptions.

use serde_json::Value;

use super::Google;
use super::acl::Role;
use super::error::ApiError;
use super::params::{Caller, WriteParams};
use super::record::{Record, Status};
use super::render;
use super::switches::Orphans;

/// What a change touches beside the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) etag: bool,
    pub(crate) delta: bool,
    /// `updated`: changes of main data only (E24).
    pub(crate) main: bool,
}

impl Touch {
    pub(crate) const ALL: Self = Self { etag: true, delta: true, main: true };
}

/// E15: `If-Match`.
pub(crate) fn check_match(etag: &str, params: &WriteParams) -> Result<(), ApiError> {
    match params.if_match.as_deref() {
        None | Some("*") => Ok(()),
        Some(wanted) if wanted.split(',').any(|one| one.trim() == etag) => Ok(()),
        Some(_) => Err(ApiError::condition()),
    }
}

impl Google {
    /// The calendar that the caller may write events to, now.
    pub(crate) fn write_access(&self, caller: &Caller<'_>, calendar: &str) -> Result<String, ApiError> {
        let id = self.access(caller, calendar, Role::Writer)?;
        self.writable(caller)?;
        Ok(id)
    }

    /// Stores a record as changed.
    pub(crate) fn store(&mut self, calendar: &str, mut record: Record, now_ms: i64, touch: Touch) {
        let number = self.next_change();
        let Some(target) = self.calendars.get_mut(calendar) else { return };
        let old = target.records.get(&record.id);
        let revived = old.is_some_and(Record::cancelled) && !record.cancelled() && record.series.is_some();
        let id = record.id.clone();
        let (old_etag, old_changed) = old.map_or((number, number), |old| (old.etag, old.changed));
        record.etag = if touch.etag { number } else { old_etag };
        record.changed = if touch.delta { number } else { old_changed };
        if touch.main {
            record.updated = now_ms.max(record.updated);
        }
        target.put(record);
        if revived {
            self.revive(calendar, &id);
        }
        if touch.delta {
            self.ring(&format!("events/{calendar}"));
        }
    }

    /// What a change of a series does to its exceptions (E19). Those of a deleted series wait for it to come
    /// back. Those without a place end; when their place comes back, it is as the series has it.
    pub(crate) fn settle_exceptions(&mut self, calendar: &str, series: &Record, now_ms: i64) {
        let Some(target) = self.calendars.get(calendar) else { return };
        let exceptions: Vec<Record> = target.exceptions(&series.id).cloned().collect();
        for mut exception in exceptions {
            if series.cancelled() {
                if self.switches.deleted_series == Orphans::Tombstone && !exception.cancelled() {
                    self.store(calendar, exception, now_ms, Touch::ALL);
                }
                continue;
            }
            let place = exception.original.filter(|original| {
                series.series.as_ref().is_some_and(|rules| rules.has(&series.start, original))
            });
            match (place, exception.orphan) {
                (Some(_), false) | (None, true) => {}
                (Some(when), true) => {
                    let mut back = series.instance(when);
                    // In another zone the same instant has the same name.
                    back.id.clone_from(&exception.id);
                    self.store(calendar, back, now_ms, Touch::ALL);
                }
                (None, false) if self.switches.orphans == Orphans::Vanish => {
                    if let Some(target) = self.calendars.get_mut(calendar) {
                        target.forget(&exception.id);
                    }
                }
                (None, false) => {
                    exception.status = Status::Cancelled;
                    exception.orphan = true;
                    self.store(calendar, exception, now_ms, Touch::ALL);
                }
            }
        }
    }

    /// A series that comes back brings its exceptions along.
    fn revive(&mut self, calendar: &str, series: &str) {
        let Some(target) = self.calendars.get(calendar) else { return };
        let exceptions: Vec<Record> =
            target.exceptions(series).filter(|exception| !exception.orphan).cloned().collect();
        for exception in exceptions {
            self.store(calendar, exception, 0, Touch { etag: true, delta: true, main: false });
        }
    }

    /// A change of a series reaches exceptions that had the old value, when the switch says so.
    pub(crate) fn inherit(&mut self, calendar: &str, old: &Record, new: &Record, now_ms: i64) {
        if !self.switches.exceptions_inherit || new.series.is_none() {
            return;
        }
        let Some(target) = self.calendars.get(calendar) else { return };
        let keys: Vec<&String> = old
            .fields
            .keys()
            .chain(new.fields.keys())
            .filter(|key| *key != "recurrence" && old.fields.get(*key) != new.fields.get(*key))
            .collect();
        let mut changed = Vec::new();
        for exception in
            target.exceptions(&new.id).filter(|exception| !exception.cancelled() && !exception.orphan)
        {
            let mut next = exception.clone();
            for key in &keys {
                if next.fields.get(*key) == old.fields.get(*key) {
                    match new.fields.get(*key) {
                        Some(value) => next.fields.insert((*key).clone(), value.clone()),
                        None => next.fields.remove(*key),
                    };
                }
            }
            if !next.same(exception) {
                changed.push(next);
            }
        }
        for next in changed {
            self.store(calendar, next, now_ms, Touch::ALL);
        }
    }

    /// The stored event as the answer of a write.
    pub(crate) fn answer(
        &self,
        caller: &Caller<'_>,
        calendar: &str,
        record: &Record,
        params: &WriteParams,
    ) -> Result<Value, ApiError> {
        let calendar = self.calendar(calendar)?;
        let view = Self::view(caller, calendar, None, params.max_attendees)?;
        let stored = calendar.records.get(&record.id).unwrap_or(record);
        Ok(render::event(calendar, stored, &view))
    }
}
