//! Calendars, and each account's list of them with its own sync token (E41).

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::acl::{Role, Rule};
use super::error::ApiError;
use super::page::{Envelope, Rows};
use super::params::{Caller, ListParams, WriteParams};
use super::record::Calendar;
use super::time::zone;
use super::write::check_match;
use super::{Account, Google};

const DAY: TimeDelta = TimeDelta::days(1);

/// One line of an account's calendar list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub(crate) changed: u64,
    pub(crate) deleted: bool,
    pub(crate) hidden: bool,
    pub(crate) selected: bool,
    pub(crate) summary_override: Option<String>,
    pub(crate) color: Option<String>,
}

fn text(body: &Value, key: &str) -> Option<String> {
    body[key].as_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

fn calendar_json(calendar: &Calendar) -> Value {
    let mut body = json!({
        "kind": "calendar#calendar",
        "etag": calendar.etag_text(),
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.zone.name(),
        "dataOwner": calendar.owner,
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    });
    for (key, value) in [("description", &calendar.description), ("location", &calendar.location)] {
        if let Some(value) = value {
            body[key] = json!(value);
        }
    }
    body
}

impl Google {
    /// Makes an account with its primary calendar; one that exists is left alone.
    ///
    /// # Errors
    /// An unknown time zone.
    pub fn create_account(&mut self, email: &str, zone_name: &str) -> Result<(), ApiError> {
        if self.calendars.contains_key(email) {
            return Ok(());
        }
        let zone = zone(zone_name).ok_or_else(|| ApiError::invalid("Invalid time zone."))?;
        self.accounts.entry(email.to_owned()).or_insert_with(|| Account {
            settings: BTreeMap::from([
                ("timezone".into(), zone_name.to_owned()),
                ("locale".into(), "en".into()),
                ("weekStart".into(), "1".into()),
            ]),
            ..Account::default()
        });
        self.add_calendar(email, email, email, zone);
        Ok(())
    }

    /// E-mail addresses of all accounts.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        self.accounts.keys().map(String::as_str)
    }

    /// The account that owns a calendar.
    ///
    /// # Errors
    /// An unknown calendar.
    pub fn owner_of(&self, calendar: &str) -> Result<String, ApiError> {
        self.calendar(calendar).map(|known| known.owner.clone())
    }

    /// Ids of all calendars.
    pub fn calendar_ids(&self) -> impl Iterator<Item = &str> {
        self.calendars.keys().map(String::as_str)
    }

    fn add_calendar(&mut self, id: &str, owner: &str, summary: &str, zone: chrono_tz::Tz) {
        let changed = self.next_change();
        let calendar = Calendar {
            id: id.to_owned(),
            summary: summary.to_owned(),
            description: None,
            location: None,
            zone,
            owner: owner.to_owned(),
            etag: changed,
            acl: BTreeMap::from([(format!("user:{owner}"), Rule { role: Role::Owner, changed })]),
            records: BTreeMap::new(),
            by_change: BTreeMap::new(),
            uids: BTreeMap::new(),
            tokens_from: 0,
            gone_at_page: None,
            push: true,
        };
        self.calendars.insert(id.to_owned(), calendar);
        self.enlist(owner, id);
    }

    /// Makes a secondary calendar with an id of the caller's choice, without a request.
    ///
    /// # Errors
    /// A known id, an unknown zone or account.
    pub fn create_calendar(
        &mut self,
        owner: &str,
        id: &str,
        summary: &str,
        zone_name: &str,
    ) -> Result<(), ApiError> {
        if self.calendars.contains_key(id) {
            return Err(ApiError::duplicate());
        }
        if !self.accounts.contains_key(owner) {
            return Err(ApiError::not_found());
        }
        let zone = zone(zone_name).ok_or_else(|| ApiError::invalid("Invalid time zone."))?;
        self.add_calendar(id, owner, summary, zone);
        Ok(())
    }

    /// Says whether a calendar can be watched; holiday calendars cannot.
    ///
    /// # Errors
    /// An unknown calendar.
    pub fn set_push(&mut self, calendar: &str, push: bool) -> Result<(), ApiError> {
        self.calendar_mut(calendar)?.push = push;
        Ok(())
    }

    pub(crate) fn enlist(&mut self, account: &str, calendar: &str) {
        let changed = self.next_change();
        let list = &mut self.accounts.entry(account.to_owned()).or_default().list;
        let entry = list.entry(calendar.to_owned()).or_default();
        entry.changed = changed;
        entry.deleted = false;
        entry.selected = true;
        self.ring(&format!("list/{account}"));
    }

    pub(crate) fn unlist(&mut self, account: &str, calendar: &str) {
        let changed = self.next_change();
        if let Some(entry) = self.accounts.get_mut(account).and_then(|account| account.list.get_mut(calendar))
        {
            entry.changed = changed;
            entry.deleted = true;
            self.ring(&format!("list/{account}"));
        }
    }

    /// `calendars.insert`.
    ///
    /// # Errors
    /// No summary, an unknown zone, too many calendars in a day.
    pub fn calendar_insert(&mut self, caller: &Caller<'_>, body: &Value) -> Result<Value, ApiError> {
        self.writable(caller)?;
        let summary = text(body, "summary").ok_or_else(|| ApiError::required("Missing title."))?;
        let zone_name = text(body, "timeZone").unwrap_or_else(|| "UTC".into());
        let zone = zone(&zone_name).ok_or_else(|| ApiError::invalid("Invalid time zone."))?;
        let now_ms = caller.now.timestamp_millis();
        let account = self.accounts.get_mut(caller.account).ok_or_else(ApiError::not_found)?;
        account.made.retain(|at| *at > now_ms - DAY.num_milliseconds());
        if self.switches.calendars_per_day.is_some_and(|most| account.made.len() >= most as usize) {
            return Err(ApiError::quota_exceeded());
        }
        account.made.push_back(now_ms);
        let id = format!("c_{}@group.calendar.google.com", self.new_id());
        self.add_calendar(&id, caller.account, &summary, zone);
        let calendar = self.calendar_mut(&id)?;
        calendar.description = text(body, "description");
        calendar.location = text(body, "location");
        Ok(calendar_json(calendar))
    }

    /// `calendars.get`.
    ///
    /// # Errors
    /// No access.
    pub fn calendar_get(&self, caller: &Caller<'_>, calendar: &str) -> Result<Value, ApiError> {
        let id = self.access(caller, calendar, Role::FreeBusyReader)?;
        self.calendar(&id).map(calendar_json)
    }

    /// `calendars.patch` and `calendars.update`, which differ in what a missing field means.
    ///
    /// # Errors
    /// No owner's access, 412, an unknown zone.
    pub fn calendar_change(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        body: &Value,
        params: &WriteParams,
        whole: bool,
    ) -> Result<Value, ApiError> {
        let id = self.access(caller, calendar, Role::Owner)?;
        check_match(&self.calendar(&id)?.etag_text(), params)?;
        let zone = match body["timeZone"].as_str() {
            None => None,
            Some(name) => Some(zone(name).ok_or_else(|| ApiError::invalid("Invalid time zone."))?),
        };
        let number = self.changes + 1;
        let calendar = self.calendar_mut(&id)?;
        let before = calendar_json(calendar);
        if let Some(summary) = text(body, "summary") {
            calendar.summary = summary;
        } else if whole {
            return Err(ApiError::required("Missing title."));
        }
        calendar.zone = zone.unwrap_or(calendar.zone);
        if whole || body.get("description").is_some() {
            calendar.description = text(body, "description");
        }
        if whole || body.get("location").is_some() {
            calendar.location = text(body, "location");
        }
        if calendar_json(calendar) == before {
            return Ok(before);
        }
        calendar.etag = number;
        let answer = calendar_json(calendar);
        self.next_change();
        let listed: Vec<String> = self
            .accounts
            .iter()
            .filter(|(_, account)| account.list.get(&id).is_some_and(|entry| !entry.deleted))
            .map(|(email, _)| email.clone())
            .collect();
        for email in listed {
            self.enlist(&email, &id);
        }
        Ok(answer)
    }

    /// `calendars.delete`: secondary ones only.
    ///
    /// # Errors
    /// A primary calendar, no owner's access.
    pub fn calendar_delete(&mut self, caller: &Caller<'_>, calendar: &str) -> Result<(), ApiError> {
        let id = self.access(caller, calendar, Role::Owner)?;
        if self.calendar(&id)?.is_primary() {
            return Err(ApiError::new(
                400,
                "calendar",
                "cannotDeletePrimaryCalendar",
                "Cannot delete primary calendar.",
            ));
        }
        self.calendars.remove(&id);
        let emails: Vec<String> = self.accounts.keys().cloned().collect();
        for email in emails {
            self.unlist(&email, &id);
        }
        Ok(())
    }

    /// `calendars.clear`: primary calendars only.
    ///
    /// # Errors
    /// A secondary calendar, no owner's access.
    pub fn calendar_clear(&mut self, caller: &Caller<'_>, calendar: &str) -> Result<(), ApiError> {
        let id = self.access(caller, calendar, Role::Owner)?;
        if !self.calendar(&id)?.is_primary() {
            return Err(ApiError::invalid("Cannot clear a secondary calendar."));
        }
        let live: Vec<String> = self
            .calendar(&id)?
            .records
            .values()
            .filter(|record| !record.cancelled() && record.parent.is_none())
            .map(|record| record.id.clone())
            .collect();
        for event in live {
            self.delete(caller, &id, &event, &WriteParams::default())?;
        }
        Ok(())
    }

    fn entry_json(&self, account: &str, id: &str, entry: &Entry) -> Value {
        let Some(calendar) = self.calendars.get(id).filter(|_| !entry.deleted) else {
            return json!({
                "kind": "calendar#calendarListEntry",
                "etag": format!("\"{:016}\"", entry.changed),
                "id": id,
                "deleted": true,
            });
        };
        let mut body = calendar_json(calendar);
        body["kind"] = json!("calendar#calendarListEntry");
        body["etag"] = json!(format!("\"{:016}\"", entry.changed));
        body["accessRole"] = json!(Self::role(account, calendar).text());
        body["colorId"] = json!(entry.color.as_deref().unwrap_or("14"));
        body["defaultReminders"] = json!([{"method": "popup", "minutes": 10}]);
        body["selected"] = json!(entry.selected);
        if calendar.id == account {
            body["primary"] = json!(true);
        }
        if entry.hidden {
            body["hidden"] = json!(true);
        }
        if let Some(text) = &entry.summary_override {
            body["summaryOverride"] = json!(text);
        }
        body
    }

    /// `calendarList.list`.
    ///
    /// # Errors
    /// Forbidden combinations, bad tokens.
    pub fn calendar_list(
        &mut self,
        caller: &Caller<'_>,
        params: &ListParams,
        show_hidden: Option<bool>,
        least: Option<Role>,
    ) -> Result<Value, ApiError> {
        if params.page_token.is_some() {
            return self.next_page(caller, params, None);
        }
        let refused = [
            ("showDeleted", params.show_deleted == Some(false)),
            ("showHidden", show_hidden == Some(false)),
            ("minAccessRole", least.is_some()),
        ];
        if params.sync_token.is_some()
            && let Some((name, _)) = refused.into_iter().find(|(_, given)| *given)
        {
            return Err(ApiError::parameter(name, format!("Sync token cannot be used with {name}.")));
        }
        let resource = format!("list/{}", caller.account);
        let since = self.sync_start(caller, &resource, 0, params)?.map(|token| token.seq);
        let account = self.accounts.get(caller.account).ok_or_else(ApiError::not_found)?;
        let rows: Rows = account
            .list
            .iter()
            .filter(|(_, entry)| since.is_none_or(|since| entry.changed > since))
            .filter(|(_, entry)| since.is_some() || !entry.deleted || params.show_deleted == Some(true))
            .filter(|(_, entry)| since.is_some() || !entry.hidden || show_hidden == Some(true))
            .filter(|(id, _)| {
                least.is_none_or(|least| {
                    self.calendars.get(*id).is_some_and(|known| Self::role(caller.account, known) >= least)
                })
            })
            .map(|(id, entry)| Some(self.entry_json(caller.account, id, entry)))
            .collect();
        let envelope = Envelope {
            body: json!({"kind": "calendar#calendarList", "etag": format!("\"p{}\"", self.changes)}),
            sync: Some(self.fresh_token(caller, resource, 0, (None, None))),
        };
        self.first_page(caller, params, rows, envelope, (100, 250), None)
    }

    /// `calendarList.get`.
    ///
    /// # Errors
    /// 404 for what is not in the list.
    pub fn list_entry(&self, caller: &Caller<'_>, calendar: &str) -> Result<Value, ApiError> {
        let id = if calendar == "primary" { caller.account } else { calendar };
        let account = self.accounts.get(caller.account).ok_or_else(ApiError::not_found)?;
        let entry = account.list.get(id).filter(|entry| !entry.deleted).ok_or_else(ApiError::not_found)?;
        Ok(self.entry_json(caller.account, id, entry))
    }

    /// `calendarList.insert`: puts a calendar that is shared with the caller into the list.
    ///
    /// # Errors
    /// No access.
    pub fn list_insert(&mut self, caller: &Caller<'_>, body: &Value) -> Result<Value, ApiError> {
        let id = text(body, "id").ok_or_else(|| ApiError::required("Missing calendar id."))?;
        let id = self.access(caller, &id, Role::FreeBusyReader)?;
        self.enlist(caller.account, &id);
        self.list_entry(caller, &id)
    }

    /// `calendarList.patch`.
    ///
    /// # Errors
    /// 404 for what is not in the list.
    pub fn list_change(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let id = if calendar == "primary" { caller.account } else { calendar };
        self.list_entry(caller, id)?;
        let changed = self.next_change();
        let entry = self.accounts.get_mut(caller.account).and_then(|account| account.list.get_mut(id));
        let entry = entry.ok_or_else(ApiError::not_found)?;
        entry.changed = changed;
        if body.get("summaryOverride").is_some() {
            entry.summary_override = text(body, "summaryOverride");
        }
        if let Some(flag) = body["hidden"].as_bool() {
            entry.hidden = flag;
        }
        if let Some(flag) = body["selected"].as_bool() {
            entry.selected = flag;
        }
        if let Some(color) = text(body, "colorId") {
            entry.color = Some(color);
        }
        self.ring(&format!("list/{}", caller.account));
        self.list_entry(caller, id)
    }

    /// `calendarList.delete`.
    ///
    /// # Errors
    /// 403 for the data owner, 404 for what is not in the list.
    pub fn list_delete(&mut self, caller: &Caller<'_>, calendar: &str) -> Result<(), ApiError> {
        let id = if calendar == "primary" { caller.account } else { calendar };
        self.list_entry(caller, id)?;
        if self.calendars.get(id).is_some_and(|known| known.owner == caller.account) {
            return Err(ApiError::forbidden(
                "The data owner of a calendar cannot remove such a calendar from their calendar list.",
            ));
        }
        self.unlist(caller.account, id);
        Ok(())
    }
}
