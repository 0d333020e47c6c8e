//! Guests: who gets mail, and the copies on the calendars of guests who have an account here.

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Value, json};

use super::Google;
use super::error::ApiError;
use super::find::find;
use super::params::{Caller, SendUpdates, WriteParams};
use super::record::{Record, Status};
use super::write::Touch;

/// Why a mail was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    /// The guest is new.
    Invite,
    /// Something that matters to guests changed.
    Update,
    /// The event is off, or the guest is not wanted any more.
    Cancel,
}

/// One mail of the ledger (E26).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mail {
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// E-mail address of the guest.
    pub to: String,
    /// Why.
    pub kind: MailKind,
    /// Calendar of the organizer.
    pub calendar: String,
    /// Event id.
    pub event: String,
}

fn emails(attendees: &[Value]) -> Vec<String> {
    attendees.iter().filter_map(|row| row["email"].as_str()).map(ToOwned::to_owned).collect()
}

fn domain(address: &str) -> &str {
    address.split_once('@').map_or("", |(_, domain)| domain)
}

impl Google {
    /// Mails that were sent, oldest first.
    pub fn mails(&self) -> &[Mail] {
        &self.mails
    }

    pub(crate) fn mail(
        &mut self,
        record: &Record,
        to: &[Value],
        kind: MailKind,
        params: &WriteParams,
        now_ms: i64,
    ) {
        // A secondary calendar has an address of its own; its people are in the creator's domain.
        let home = domain(&record.creator).to_owned();
        for address in emails(to) {
            let told = match params.send_updates {
                SendUpdates::All => true,
                SendUpdates::ExternalOnly => domain(&address) != home,
                SendUpdates::None => false,
            };
            if told && address != record.organizer && address != record.creator {
                self.mails.push(Mail {
                    time_ms: now_ms,
                    to: address,
                    kind,
                    calendar: record.organizer.clone(),
                    event: record.id.clone(),
                });
            }
        }
    }

    /// Counts new guests against the account's limit (E33) and writes the mails of an organizer's change.
    pub(crate) fn invite(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        old: Option<&Record>,
        new: &Record,
        params: &WriteParams,
    ) -> Result<(), ApiError> {
        let before = old.map(|old| emails(old.attendees())).unwrap_or_default();
        let fresh: Vec<Value> = new
            .attendees()
            .iter()
            .filter(|row| {
                let address = row["email"].as_str().unwrap_or_default();
                address != calendar && !before.iter().any(|known| known == address)
            })
            .cloned()
            .collect();
        let now_ms = caller.now.timestamp_millis();
        if let Some(most) = self.switches.guests_per_day {
            let pause = TimeDelta::minutes(self.switches.read_only_minutes).num_milliseconds();
            let account = self.accounts.entry(caller.account.to_owned()).or_default();
            account.invited.retain(|at| *at > now_ms - TimeDelta::days(1).num_milliseconds());
            if account.invited.len() + fresh.len() > most as usize {
                account.read_only_until = now_ms + pause;
                return Err(ApiError::quota_exceeded());
            }
            account.invited.extend(fresh.iter().map(|_| now_ms));
        }
        self.mail(new, &fresh, MailKind::Invite, params, now_ms);
        if let Some(old) = old {
            let after = emails(new.attendees());
            let (kept, gone): (Vec<Value>, Vec<Value>) = old
                .attendees()
                .iter()
                .cloned()
                .partition(|row| after.iter().any(|address| row["email"] == json!(address)));
            self.mail(old, &gone, MailKind::Cancel, params, now_ms);
            let shown = ["summary", "description", "location"];
            let matters = !new.same_schedule(old)
                || shown.iter().any(|key| old.fields.get(*key) != new.fields.get(*key));
            if matters {
                self.mail(new, &kept, MailKind::Update, params, now_ms);
            }
        }
        Ok(())
    }

    /// Brings the copies on guests' own calendars up to date with the organizer's event.
    pub(crate) fn propagate(
        &mut self,
        calendar: &str,
        event: &str,
        before: &[Value],
        _params: &WriteParams,
        now_ms: i64,
    ) {
        let Some(record) = self.calendars.get(calendar).and_then(|known| known.records.get(event)).cloned()
        else {
            return;
        };
        let after = emails(record.attendees());
        for address in emails(before).into_iter().chain(after.clone()) {
            if address == calendar || !self.calendars.contains_key(&address) {
                continue;
            }
            let wanted = after.contains(&address) && !record.cancelled();
            let known = self.calendars.get(&address).and_then(|known| known.records.get(event)).cloned();
            let Some(mut copy) = guest_copy(&record, known.as_ref(), wanted) else { continue };
            if known
                .as_ref()
                .is_some_and(|known| known.organizer != record.organizer && known.organizer == address)
            {
                // An event of the guest's own under this id.
                continue;
            }
            copy.organizer.clone_from(&record.organizer);
            if known.as_ref().is_some_and(|known| known.same(&copy)) {
                continue;
            }
            let is_series = copy.series.is_some() || known.is_some_and(|known| known.series.is_some());
            self.store(&address, copy.clone(), now_ms, Touch::ALL);
            if is_series {
                self.settle_exceptions(&address, &copy, now_ms);
            }
        }
    }

    /// A guest's answer reaches the organizer and the other guests.
    pub(crate) fn respond(&mut self, calendar: &str, copy: &Record, now_ms: i64) {
        let Some(own) = copy.attendees().iter().find(|row| row["email"] == json!(calendar)).cloned() else {
            return;
        };
        let organizer = copy.organizer.clone();
        let Some(found) = self.calendars.get(&organizer).and_then(|known| find(known, &copy.id, now_ms).ok())
        else {
            return;
        };
        let mut record = found.record;
        let Some(Value::Array(rows)) = record.fields.get_mut("attendees") else { return };
        let Some(row) = rows.iter_mut().find(|row| row["email"] == own["email"]) else { return };
        if *row == own {
            return;
        }
        *row = own;
        self.store(&organizer, record.clone(), now_ms, Touch::ALL);
        self.propagate(&organizer, &record.id, record.attendees(), &WriteParams::default(), now_ms);
    }

    /// A guest who deletes the own copy declines.
    pub(crate) fn decline(&mut self, calendar: &str, copy: &Record, now_ms: i64) {
        let mut answer = copy.clone();
        if let Some(Value::Array(rows)) = answer.fields.get_mut("attendees") {
            for row in rows.iter_mut().filter(|row| row["email"] == json!(calendar)) {
                row["responseStatus"] = json!("declined");
            }
        }
        self.respond(calendar, &answer, now_ms);
        // What came back with the answer does not bring the copy back.
        if let Some(target) = self.calendars.get(calendar)
            && let Some(mut stored) = target.records.get(&copy.id).cloned()
            && !stored.cancelled()
        {
            stored.status = Status::Cancelled;
            self.store(calendar, stored, now_ms, Touch::ALL);
        }
    }
}

/// The guest's copy: shared fields from the organizer, own fields from what the guest had.
fn guest_copy(record: &Record, known: Option<&Record>, wanted: bool) -> Option<Record> {
    let mut copy = record.clone();
    copy.visible_from = 0;
    if !wanted {
        let mut gone = known?.clone();
        gone.status = Status::Cancelled;
        return Some(gone);
    }
    for key in ["reminders", "colorId", "transparency", "visibility"] {
        match known.and_then(|known| known.fields.get(key)) {
            Some(value) => copy.fields.insert(key.into(), value.clone()),
            None => copy.fields.remove(key),
        };
    }
    copy.fields.entry("reminders").or_insert_with(|| json!({"useDefault": true}));
    let private = known
        .and_then(|known| known.fields.get("extendedProperties"))
        .map(|all| all["private"].clone())
        .filter(|private| !private.is_null());
    let mut properties = copy.fields.remove("extendedProperties").unwrap_or_else(|| json!({}));
    if let Some(all) = properties.as_object_mut() {
        all.remove("private");
        if let Some(private) = private {
            all.insert("private".into(), private);
        }
        if !all.is_empty() {
            copy.fields.insert("extendedProperties".into(), properties);
        }
    }
    Some(copy)
}
