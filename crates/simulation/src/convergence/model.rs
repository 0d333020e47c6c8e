//! A small model of Google Calendar: what the engine relies on, and no more.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::calendar::event::Original;
use domain::calendar::identity::{split_instance, valid};
use serde_json::{Map, Value, json};

use super::provider::{Provider, Refusal};

#[derive(Clone, Debug)]
struct Stored {
    json: Map<String, Value>,
    /// Position in the order of changes.
    change: u64,
    visible_at: DateTime<Utc>,
    /// An exception of a deleted series: out of sight until the series comes back.
    hidden: bool,
}

/// A listing that is being paged through, frozen as of its first page.
#[derive(Clone, Debug)]
struct Listing {
    epoch: u64,
    items: Vec<Value>,
    token: String,
}

/// One calendar.
#[derive(Clone, Debug, Default)]
pub struct Model {
    events: BTreeMap<String, Stored>,
    changes: u64,
    epoch: u64,
    made: u64,
    listings: Vec<Listing>,
    refuse_undelete: bool,
    inconsistency: i64,
    writes: u64,
}

fn refuse<T>(status: u16, reason: &str, message: &str) -> Result<T, Refusal> {
    let body = json!({"error": {"code": status, "message": message,
        "errors": [{"domain": "global", "reason": reason, "message": message}]}});
    Err(Refusal { status, body })
}

fn is_cancelled(json: &Map<String, Value>) -> bool {
    json.get("status").is_some_and(|status| status == "cancelled")
}

impl Model {
    fn exists(&self, id: &str) -> bool {
        self.events.contains_key(id)
    }

    fn live(&self, id: &str) -> Option<&Stored> {
        self.events.get(id).filter(|stored| !is_cancelled(&stored.json))
    }

    /// An occurrence of which there is no exception yet.
    fn virtual_instance(&self, id: &str) -> Option<Map<String, Value>> {
        let (master, original) = split_instance(id)?;
        let master = self.live(master)?;
        master.json.get("recurrence")?;
        let mut json = master.json.clone();
        json.remove("recurrence");
        let (start, end) = (json.get("start")?.clone(), json.get("end")?.clone());
        match original {
            Original::On(day) => {
                let first = start["date"].as_str()?.parse::<chrono::NaiveDate>().ok()?;
                let last = end["date"].as_str()?.parse::<chrono::NaiveDate>().ok()?;
                json.insert("start".to_owned(), json!({ "date": day }));
                json.insert("end".to_owned(), json!({ "date": day + (last - first) }));
                json.insert("originalStartTime".to_owned(), json!({ "date": day }));
            }
            Original::At(instant) => {
                let zone = start["timeZone"].as_str()?;
                let tz: chrono_tz::Tz = zone.parse().ok()?;
                let first = DateTime::parse_from_rfc3339(start["dateTime"].as_str()?).ok()?;
                let last = DateTime::parse_from_rfc3339(end["dateTime"].as_str()?).ok()?;
                let render = |at: DateTime<Utc>| json!({ "dateTime": at.with_timezone(&tz).to_rfc3339(), "timeZone": zone });
                json.insert("start".to_owned(), render(instant));
                json.insert("end".to_owned(), render(instant + (last - first)));
                json.insert("originalStartTime".to_owned(), render(instant));
            }
        }
        json.insert("id".to_owned(), json!(id));
        json.insert("recurringEventId".to_owned(), json!(split_instance(id)?.0));
        Some(json)
    }

    fn found(&self, now: DateTime<Utc>, id: &str) -> Result<Map<String, Value>, Refusal> {
        match self.events.get(id) {
            Some(stored) if stored.visible_at <= now && !stored.hidden => Ok(stored.json.clone()),
            Some(_) => refuse(404, "notFound", "Not Found"),
            None => self.virtual_instance(id).map_or_else(|| refuse(404, "notFound", "Not Found"), Ok),
        }
    }

    fn put(&mut self, now: DateTime<Utc>, mut json: Map<String, Value>, touch: bool) -> Value {
        self.changes += 1;
        self.writes += 1;
        json.insert("etag".to_owned(), json!(format!("\"{}\"", self.changes)));
        if touch || !json.contains_key("updated") {
            json.insert(
                "updated".to_owned(),
                json!(now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
            );
        }
        let id = json["id"].as_str().unwrap_or_default().to_owned();
        let visible_at = self.events.get(&id).map_or(now, |stored| stored.visible_at);
        let value = Value::Object(json.clone());
        self.events.insert(id, Stored { json, change: self.changes, visible_at, hidden: false });
        value
    }

    /// Deletes, and with a series its exceptions, of which nothing is told.
    fn cancel(&mut self, now: DateTime<Utc>, mut json: Map<String, Value>) {
        let id = json["id"].as_str().unwrap_or_default().to_owned();
        self.hide_exceptions(&id, true);
        json.insert("status".to_owned(), json!("cancelled"));
        self.put(now, json, true);
    }

    fn hide_exceptions(&mut self, id: &str, hidden: bool) {
        let prefix = format!("{id}_");
        for (_, stored) in self.events.iter_mut().filter(|(other, _)| other.starts_with(&prefix)) {
            if stored.hidden != hidden {
                self.changes += 1;
                stored.change = self.changes;
                stored.hidden = hidden;
            }
        }
    }

    fn drop_exceptions(&mut self, id: &str) {
        let prefix = format!("{id}_");
        self.events.retain(|other, _| !other.starts_with(&prefix));
    }

    /// As a list shows it: a tombstone is bare.
    fn shown(json: &Map<String, Value>) -> Value {
        if !is_cancelled(json) {
            return Value::Object(json.clone());
        }
        // Only id and place are promised; the rest comes or not.
        let etag = json["etag"].as_str().unwrap_or_default();
        let mut kept = vec!["id", "status", "recurringEventId", "originalStartTime"];
        if !etag.contains('3') {
            kept.push("updated");
        }
        if !etag.contains('7') {
            kept.push("etag");
        }
        let bare = json.iter().filter(|(key, _)| kept.contains(&key.as_str()));
        Value::Object(bare.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// What storing does to a body: markup is sanitised, invitations get an answer, nulls vanish.
fn stored(json: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = json.get_mut("description") {
        while let (Some(from), Some(to)) = (text.find("<script>"), text.find("</script>")) {
            if from >= to {
                break;
            }
            text.replace_range(from..to + "</script>".len(), "");
        }
    }
    for attendee in json.get_mut("attendees").and_then(Value::as_array_mut).into_iter().flatten() {
        if attendee["responseStatus"].is_null() {
            attendee["responseStatus"] = json!("needsAction");
        }
    }
    json.retain(|_, value| !value.is_null());
    for key in ["start", "end", "reminders"] {
        if let Some(Value::Object(inner)) = json.get_mut(key) {
            inner.retain(|_, value| !value.is_null());
        }
    }
    for (key, default) in [("visibility", "default"), ("transparency", "opaque")] {
        if json.get(key).is_some_and(|value| value == default) {
            json.remove(key);
        }
    }
}

/// Objects merge field by field, everything else is replaced.
fn apply(json: &mut Map<String, Value>, body: &Value) {
    for (key, value) in body.as_object().into_iter().flatten() {
        match (json.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                for (key, value) in new {
                    old.insert(key.clone(), value.clone());
                }
            }
            _ => {
                json.insert(key.clone(), value.clone());
            }
        }
    }
    stored(json);
}

fn matches(json: &Map<String, Value>, if_match: Option<&str>) -> Result<(), Refusal> {
    match if_match {
        Some(etag) if json.get("etag").and_then(Value::as_str) != Some(etag) => {
            refuse(412, "conditionNotMet", "Precondition Failed")
        }
        _ => Ok(()),
    }
}

impl Provider for Model {
    fn insert(&mut self, now: DateTime<Utc>, body: &Value) -> Result<Value, Refusal> {
        let mut json = Map::from_iter([("status".to_owned(), json!("confirmed"))]);
        apply(&mut json, body);
        if json.get("id").is_none() {
            self.made += 1;
            json.insert("id".to_owned(), json!(format!("made{:04}", self.made)));
        }
        let id = json["id"].as_str().unwrap_or_default().to_owned();
        if !valid(&id) {
            return refuse(400, "invalid", "Invalid resource id value.");
        }
        if self.exists(&id) {
            return refuse(409, "duplicate", "The requested identifier already exists.");
        }
        json.insert("iCalUID".to_owned(), json!(format!("{id}@model")));
        let value = self.put(now, json, true);
        if let Some(stored) = self.events.get_mut(&id) {
            stored.visible_at = now + TimeDelta::milliseconds(self.inconsistency);
        }
        Ok(value)
    }

    fn get(&self, now: DateTime<Utc>, id: &str) -> Result<Value, Refusal> {
        self.found(now, id).map(Value::Object)
    }

    fn patch(
        &mut self,
        now: DateTime<Utc>,
        id: &str,
        if_match: Option<&str>,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let old = self.found(now, id)?;
        matches(&old, if_match)?;
        let mut new = old.clone();
        apply(&mut new, body);
        if is_cancelled(&old) && !is_cancelled(&new) {
            let instance = old.contains_key("recurringEventId");
            if self.refuse_undelete && !instance {
                return refuse(403, "forbidden", "Forbidden");
            }
        }
        if let Some(Value::Array(lines)) = new.get("recurrence")
            && lines.is_empty()
        {
            new.remove("recurrence");
        }
        if new == old && self.exists(id) {
            return Ok(Value::Object(old));
        }
        if is_cancelled(&old) && !is_cancelled(&new) {
            self.hide_exceptions(id, false);
        }
        if !new.contains_key("recurrence") {
            self.drop_exceptions(id);
        }
        let mut main = new.clone();
        main.insert("reminders".to_owned(), old.get("reminders").cloned().unwrap_or_default());
        let mut before = old;
        before.entry("reminders").or_insert(Value::Null);
        Ok(self.put(now, new, main != before))
    }

    fn delete(&mut self, now: DateTime<Utc>, id: &str, if_match: Option<&str>) -> Result<(), Refusal> {
        let old = self.found(now, id)?;
        if is_cancelled(&old) {
            return refuse(410, "deleted", "Resource has been deleted");
        }
        matches(&old, if_match)?;
        self.cancel(now, old);
        Ok(())
    }

    fn list(
        &mut self,
        sync_token: Option<&str>,
        page_token: Option<&str>,
        size: usize,
    ) -> Result<Value, Refusal> {
        let gone =
            || refuse(410, "fullSyncRequired", "Sync token is no longer valid, a full sync is required.");
        let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
        let since = match sync_token.map(|token| token.split_once('-').unwrap_or((token, ""))) {
            Some((epoch, _)) if number(epoch) != self.epoch => return gone(),
            Some((_, change)) => number(change),
            None => 0,
        };
        let (index, offset) = if let Some(token) = page_token {
            let (index, offset) = token.split_once('-').unwrap_or((token, ""));
            let place = usize::try_from(number(index)).unwrap_or(usize::MAX);
            match self.listings.get(place) {
                Some(listing) if listing.epoch == self.epoch => {
                    (place, usize::try_from(number(offset)).unwrap_or(0))
                }
                _ => return gone(),
            }
        } else {
            let mut found: Vec<&Stored> =
                self.events.values().filter(|stored| stored.change > since && !stored.hidden).collect();
            found.sort_by_key(|stored| stored.change);
            let items = found.into_iter().map(|stored| Self::shown(&stored.json)).collect();
            let token = format!("{}-{}", self.epoch, self.changes);
            self.listings.push(Listing { epoch: self.epoch, items, token });
            (self.listings.len() - 1, 0)
        };
        let listing = &self.listings[index];
        // Every third page is empty, as the provider's filtered pages may be.
        let empty = self.changes.is_multiple_of(3)
            && offset == 0
            && page_token.is_none()
            && !listing.items.is_empty();
        let end = if empty { 0 } else { (offset + size).min(listing.items.len()) };
        let mut page = json!({ "items": listing.items[offset..end].to_vec() });
        if end < listing.items.len() {
            // The empty page leads to another token than the first.
            page["nextPageToken"] = json!(format!("{index}-{end}"));
        } else {
            page["nextSyncToken"] = json!(listing.token);
        }
        Ok(page)
    }

    fn void_tokens(&mut self, forget: bool) {
        self.epoch += 1;
        if forget {
            self.events.retain(|_, stored| {
                !is_cancelled(&stored.json) || stored.json.contains_key("recurringEventId")
            });
        }
    }

    fn refuse_undelete(&mut self, refuse: bool) {
        self.refuse_undelete = refuse;
    }

    fn inconsistency(&mut self, millis: i64) {
        self.inconsistency = millis;
    }

    fn dump(&self) -> Vec<Value> {
        self.events
            .values()
            .filter(|stored| !stored.hidden)
            .map(|stored| Value::Object(stored.json.clone()))
            .collect()
    }

    fn effective_writes(&self) -> u64 {
        self.writes
    }
}
