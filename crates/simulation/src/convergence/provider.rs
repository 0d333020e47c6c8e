//! The provider: one calendar of the emulator's model, another one beside it that is not synchronised, and
//! two who call: the engine and the people.

use chrono::{DateTime, TimeDelta, Utc};
use emulator::google::{
    ApiError, Caller, ErrorShape, Google, ListParams, Orphans, Role, Switches, Tombstones, Undelete,
    WriteParams,
};
use serde_json::{Value, json};

use super::dice::Dice;

/// The account whose grant the engine has.
const OURS: &str = "ours@example.org";
/// The people's account, which shares its calendars.
const PEOPLE: &str = "people@example.org";
const CLIENT: &str = "simulation";
/// The calendar that is synchronised.
const CALENDAR: &str = "calendar";
/// The calendar that events are moved to and from.
const ASIDE: &str = "aside";

/// A refusal: status and body.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error body.
    pub body: Value,
}

/// The provider of one run.
pub struct Provider {
    google: Google,
    /// Who calls.
    account: &'static str,
    granted: bool,
    /// The page of the listing under way, from 0.
    page: u32,
    /// Tombstones of lists lack what is not promised, whenever this falls on 0.
    bare: u64,
    writes: u64,
}

impl Provider {
    /// An empty provider; which of its unverified behaviours it has is thrown.
    pub fn new(dice: &mut Dice, now: DateTime<Utc>) -> Self {
        let mut google = Google::new(switches(dice), dice.next());
        let caller = Caller { account: PEOPLE, client: CLIENT, now };
        let made = google
            .create_account(OURS, "Europe/Paris")
            .and_then(|()| google.create_account(PEOPLE, "Europe/Paris"))
            .and_then(|()| google.create_calendar(PEOPLE, CALENDAR, "both", "Europe/Paris"))
            .and_then(|()| google.create_calendar(PEOPLE, ASIDE, "aside", "Europe/Paris"))
            .and_then(|()| google.share(&caller, CALENDAR, OURS, Role::Writer).map(drop));
        made.expect("an empty model takes two accounts");
        Self { google, account: OURS, granted: true, page: 0, bare: dice.next(), writes: 0 }
    }

    /// Says whether it is people who call from now on.
    pub fn by_hand(&mut self, people: bool) {
        self.account = if people { PEOPLE } else { OURS };
    }

    fn caller(&self, now: DateTime<Utc>) -> Result<Caller<'static>, Refusal> {
        if self.account == OURS && !self.granted {
            return Err(Refusal { status: 400, body: json!({"error": "invalid_grant"}) });
        }
        Ok(Caller { account: self.account, client: CLIENT, now })
    }

    /// Runs a write and counts it when it changed something.
    fn write<T>(&mut self, act: impl FnOnce(&mut Google) -> Result<T, ApiError>) -> Result<T, Refusal> {
        let before = self.google.changes();
        let answer = act(&mut self.google);
        self.writes += u64::from(self.google.changes() != before);
        answer.map_err(|error| self.refusal(&error))
    }

    fn refusal(&self, error: &ApiError) -> Refusal {
        Refusal { status: error.status, body: error.body(self.google.switches().error_shape) }
    }

    /// `events.insert`.
    ///
    /// # Errors
    /// The provider's refusal.
    pub fn insert(&mut self, now: DateTime<Utc>, body: &Value) -> Result<Value, Refusal> {
        let caller = self.caller(now)?;
        self.write(|google| google.insert(&caller, CALENDAR, body, &WriteParams::default()))
    }

    /// `events.get`.
    ///
    /// # Errors
    /// The provider's refusal.
    pub fn get(&self, now: DateTime<Utc>, id: &str) -> Result<Value, Refusal> {
        let caller = self.caller(now)?;
        let answer = self.google.get(&caller, CALENDAR, id, &ListParams::default());
        answer.map_err(|error| self.refusal(&error))
    }

    /// `events.patch`.
    ///
    /// # Errors
    /// The provider's refusal.
    pub fn patch(
        &mut self,
        now: DateTime<Utc>,
        id: &str,
        if_match: Option<&str>,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let caller = self.caller(now)?;
        let params = WriteParams { if_match: if_match.map(str::to_owned), ..WriteParams::default() };
        // An occurrence that cannot be brought back waits for a person: the two sides have nothing to agree on.
        let refuses = self.google.switches().undelete == Undelete::Forbidden && id.contains('_');
        if refuses {
            self.refuse_undelete(false);
        }
        let answer = self.write(|google| google.patch(&caller, CALENDAR, id, body, &params));
        if refuses {
            self.refuse_undelete(true);
        }
        answer
    }

    /// `events.delete`.
    ///
    /// # Errors
    /// The provider's refusal.
    pub fn delete(&mut self, now: DateTime<Utc>, id: &str, if_match: Option<&str>) -> Result<(), Refusal> {
        let caller = self.caller(now)?;
        let params = WriteParams { if_match: if_match.map(str::to_owned), ..WriteParams::default() };
        self.write(|google| google.delete(&caller, CALENDAR, id, &params))
    }

    /// `events.move` out of the synchronised calendar, or back into it.
    ///
    /// # Errors
    /// The provider's refusal.
    pub fn relocate(&mut self, now: DateTime<Utc>, id: &str, back: bool) -> Result<Value, Refusal> {
        let caller = self.caller(now)?;
        let (from, to) = if back { (ASIDE, CALENDAR) } else { (CALENDAR, ASIDE) };
        self.write(|google| google.move_event(&caller, from, id, to, &WriteParams::default()))
    }

    /// `events.list` with `singleEvents=false` and `showDeleted=true`; rows of a page count from the first.
    ///
    /// # Errors
    /// The provider's refusal.
    pub fn list(
        &mut self,
        now: DateTime<Utc>,
        sync_token: Option<&str>,
        page_token: Option<&str>,
        size: usize,
    ) -> Result<Value, Refusal> {
        let caller = self.caller(now)?;
        let params = ListParams {
            max_results: Some(size),
            page_token: page_token.map(str::to_owned),
            sync_token: sync_token.map(str::to_owned),
            show_deleted: Some(true),
            ..ListParams::default()
        };
        let answer = self.google.list(&caller, CALENDAR, &params);
        self.page = if page_token.is_some() { self.page + 1 } else { 0 };
        let mut page = answer.map_err(|error| self.refusal(&error))?;
        for item in page["items"].as_array_mut().into_iter().flatten() {
            self.thin(item);
        }
        Ok(page)
    }

    /// Only id and place are promised of a tombstone; the rest comes or not.
    fn thin(&mut self, item: &mut Value) {
        self.bare = self.bare.wrapping_add(1);
        if item["status"] != "cancelled" {
            return;
        }
        if let Some(item) = item.as_object_mut() {
            if self.bare.is_multiple_of(3) {
                item.remove("updated");
            }
            if self.bare.is_multiple_of(5) {
                item.remove("etag");
            }
        }
    }

    /// Makes all sync tokens void, and the page that would be asked for next; with `forget`, tombstones are
    /// gone too.
    pub fn void_tokens(&mut self, now: DateTime<Utc>, forget: bool) {
        let next = self.page + 1;
        let done =
            self.google.expire_tokens(CALENDAR).and_then(|()| self.google.gone_at_page(CALENDAR, next));
        done.expect("the calendar is there");
        if forget {
            let later = (now + TimeDelta::seconds(1)).timestamp_millis();
            self.google.forget_tombstones(CALENDAR, later).expect("the calendar is there");
        }
    }

    /// Whether undeleting is refused from now on.
    pub fn refuse_undelete(&mut self, refuse: bool) {
        let undelete = if refuse { Undelete::Forbidden } else { Undelete::Allowed };
        self.google.set_switches(Switches { undelete, ..self.google.switches().clone() });
    }

    /// How long inserted events are not found by get, patch and delete, in milliseconds.
    pub fn inconsistency(&mut self, millis: i64) {
        self.google.set_switches(Switches { visible_after_ms: millis, ..self.google.switches().clone() });
    }

    /// Lets every write of the engine's account be `quotaExceeded` until then.
    pub fn read_only(&mut self, until: DateTime<Utc>) {
        self.google.set_read_only(OURS, until.timestamp_millis());
    }

    /// Ends the engine's grant, or gives it a new one.
    pub fn grant(&mut self, granted: bool) {
        self.granted = granted;
    }

    /// All events that it has, cancelled ones too, as `get` shows them.
    pub fn dump(&self) -> Vec<Value> {
        self.google.history(CALENDAR)
    }

    /// What people see in the calendar beside it.
    pub fn aside(&self) -> Vec<Value> {
        self.google.dump_events(ASIDE)
    }

    /// Writes that changed something, so far.
    pub fn effective_writes(&self) -> u64 {
        self.writes
    }
}

fn switches(dice: &mut Dice) -> Switches {
    let mut either = |percent| dice.chance(percent);
    Switches {
        error_shape: if either(50) { ErrorShape::Legacy } else { ErrorShape::Both },
        page_before_filter: either(50),
        tombstones: if either(50) { Tombstones::Bare } else { Tombstones::Detailed },
        deleted_series: if either(50) { Orphans::Vanish } else { Orphans::Tombstone },
        move_answers_cancelled: either(50),
        ..Switches::default()
    }
}
