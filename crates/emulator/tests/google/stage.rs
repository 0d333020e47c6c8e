//! A model with two accounts and a hand on its clock.

use std::borrow::Borrow;

use chrono::{DateTime, TimeDelta, Utc};
use emulator::google::{ApiError, Caller, Google, ListParams, Switches, WriteParams};
use serde_json::{Value, json};

pub const ANNA: &str = "anna@example.org";
pub const BEN: &str = "ben@example.org";
pub const CLIENT: &str = "client-1";

pub struct Stage {
    pub google: Google,
    pub now: DateTime<Utc>,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(Switches::default())
    }

    pub fn with(switches: Switches) -> Self {
        let mut google = Google::new(switches, 7);
        google.create_account(ANNA, "Europe/Paris").unwrap();
        google.create_account(BEN, "UTC").unwrap();
        Self { google, now: DateTime::from_timestamp(1_795_000_000, 0).unwrap() }
    }

    pub fn wait(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
    }

    pub fn caller(&self, account: &'static str) -> Caller<'static> {
        Caller { account, client: CLIENT, now: self.now }
    }

    /// Anna's event.
    pub fn insert(&mut self, body: impl Borrow<Value>) -> Value {
        self.try_insert(body).unwrap()
    }

    pub fn try_insert(&mut self, body: impl Borrow<Value>) -> Result<Value, ApiError> {
        let caller = self.caller(ANNA);
        self.google.insert(&caller, "primary", body.borrow(), &WriteParams::default())
    }

    pub fn patch(&mut self, id: &str, body: impl Borrow<Value>) -> Value {
        self.try_patch(id, body, &WriteParams::default()).unwrap()
    }

    pub fn try_patch(
        &mut self,
        id: &str,
        body: impl Borrow<Value>,
        params: &WriteParams,
    ) -> Result<Value, ApiError> {
        self.wait(1);
        let caller = self.caller(ANNA);
        self.google.patch(&caller, "primary", id, body.borrow(), params)
    }

    pub fn put(&mut self, id: &str, body: impl Borrow<Value>) -> Result<Value, ApiError> {
        self.wait(1);
        let caller = self.caller(ANNA);
        self.google.update(&caller, "primary", id, body.borrow(), &WriteParams::default())
    }

    pub fn delete(&mut self, id: &str) -> Result<(), ApiError> {
        self.wait(1);
        let caller = self.caller(ANNA);
        self.google.delete(&caller, "primary", id, &WriteParams::default())
    }

    pub fn get(&self, id: &str) -> Result<Value, ApiError> {
        self.google.get(&self.caller(ANNA), "primary", id, &ListParams::default())
    }

    pub fn list(&mut self, params: &ListParams) -> Result<Value, ApiError> {
        let caller = self.caller(ANNA);
        self.google.list(&caller, "primary", params)
    }

    /// All pages of a run: items, number of pages, sync token.
    pub fn run(&mut self, params: &ListParams) -> Result<Run, ApiError> {
        let mut run = Run::default();
        let mut next = params.clone();
        loop {
            let page = self.list(&next)?;
            run.pages.push(page["items"].as_array().unwrap().len());
            run.items.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(token) = page["nextPageToken"].as_str() else {
                run.token = page["nextSyncToken"].as_str().map(ToOwned::to_owned);
                return Ok(run);
            };
            assert!(page.get("nextSyncToken").is_none(), "both tokens: {page}");
            next.page_token = Some(token.to_owned());
        }
    }

    pub fn full(&mut self) -> Run {
        self.run(&ListParams::default()).unwrap()
    }

    pub fn delta(&mut self, token: Option<String>) -> Run {
        self.run(&ListParams { sync_token: token, ..ListParams::default() }).unwrap()
    }
}

#[derive(Debug, Default)]
pub struct Run {
    pub items: Vec<Value>,
    pub pages: Vec<usize>,
    pub token: Option<String>,
}

impl Run {
    pub fn find(&self, id: &str) -> Option<&Value> {
        self.items.iter().find(|item| item["id"] == json!(id))
    }
}

/// An hour on 25 November 2026, ten o'clock in Paris.
pub fn event(id: &str) -> Value {
    json!({
        "id": id, "summary": "Meeting",
        "start": {"dateTime": "2026-11-25T10:00:00+01:00", "timeZone": "Europe/Paris"},
        "end": {"dateTime": "2026-11-25T11:00:00+01:00", "timeZone": "Europe/Paris"},
    })
}

/// The same every week, four times.
pub fn series(id: &str) -> Value {
    let mut body = event(id);
    body["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=4"]);
    body
}

#[track_caller]
pub fn refused<T: std::fmt::Debug>(outcome: Result<T, ApiError>, status: u16, reason: &str) -> ApiError {
    let error = outcome.unwrap_err();
    assert_eq!((error.status, error.reason), (status, reason), "{error}");
    error
}
