//! The calendar service as a model: no sockets, no tasks, time and chance passed in. It costs next to nothing
//! to make, so that a simulation may have a hundred thousand of them.

mod acl;
mod calendars;
mod channels;
mod colors;
mod delete;
mod draft;
mod dump;
mod error;
mod find;
mod freebusy;
mod guests;
mod html;
mod import;
mod insert;
mod instances;
mod list;
mod moving;
mod page;
mod params;
mod quota;
mod record;
mod recurrence;
mod render;
mod search;
mod settings;
mod switches;
mod time;
mod token;
mod update;
mod write;

use std::collections::{BTreeMap, VecDeque};

pub use acl::Role;
pub use channels::{Channel, Message};
pub use error::ApiError;
pub use guests::{Mail, MailKind};
pub use params::{Caller, ListParams, PageTrouble, SendUpdates, WriteParams};
pub use quota::Cost;
pub use switches::{
    ErrorShape, ImportExisting, Orphans, PropertySearch, Quota, Switches, TokenParameters, Tombstones,
    Undelete,
};

use crate::rng::SplitMix;
use calendars::Entry;
use page::Run;
use record::Calendar;

/// An account: its calendar list, and what it has used up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) list: BTreeMap<String, Entry>,
    pub(crate) settings: BTreeMap<String, String>,
    /// E33: until when every write is `quotaExceeded`.
    pub(crate) read_only_until: i64,
    /// When guests were invited.
    pub(crate) invited: VecDeque<i64>,
    /// When calendars were made.
    pub(crate) made: VecDeque<i64>,
}

/// The whole service.
#[derive(Debug, Clone)]
pub struct Google {
    pub(crate) switches: Switches,
    rng: SplitMix,
    /// Number of the last change anywhere.
    changes: u64,
    accounts: BTreeMap<String, Account>,
    calendars: BTreeMap<String, Calendar>,
    runs: BTreeMap<u64, Run>,
    next_run: u64,
    mails: Vec<Mail>,
    channels: BTreeMap<String, Channel>,
    messages: VecDeque<Message>,
    windows: quota::Windows,
}

impl Google {
    /// An empty service; the seed decides over ids and gaps in message numbers.
    pub fn new(switches: Switches, seed: u64) -> Self {
        Self {
            switches,
            rng: SplitMix::new(seed),
            changes: 0,
            accounts: BTreeMap::new(),
            calendars: BTreeMap::new(),
            runs: BTreeMap::new(),
            next_run: 1,
            mails: Vec::new(),
            channels: BTreeMap::new(),
            messages: VecDeque::new(),
            windows: quota::Windows::default(),
        }
    }

    /// The switches.
    pub fn switches(&self) -> &Switches {
        &self.switches
    }

    /// Sets all switches.
    pub fn set_switches(&mut self, switches: Switches) {
        self.switches = switches;
    }

    fn next_change(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    /// An id of the service's own making: 26 characters of base32hex.
    fn new_id(&mut self) -> String {
        (0..26).map(|_| char::from(*self.rng.pick(b"0123456789abcdefghijklmnopqrstuv"))).collect()
    }

    fn calendar(&self, id: &str) -> Result<&Calendar, ApiError> {
        self.calendars.get(id).ok_or_else(ApiError::not_found)
    }

    fn calendar_mut(&mut self, id: &str) -> Result<&mut Calendar, ApiError> {
        self.calendars.get_mut(id).ok_or_else(ApiError::not_found)
    }

    /// The account's role on a calendar.
    fn role(account: &str, calendar: &Calendar) -> Role {
        let rule = |scope: &str| calendar.acl.get(scope).map_or(Role::None, |rule| rule.role);
        let domain = account.split_once('@').map_or("", |(_, domain)| domain);
        rule(&format!("user:{account}")).max(rule("default")).max(rule(&format!("domain:{domain}")))
    }

    /// The id of a calendar that the caller may use so; `primary` is the caller's own.
    fn access(&self, caller: &Caller<'_>, calendar: &str, need: Role) -> Result<String, ApiError> {
        let id = if calendar == "primary" { caller.account } else { calendar };
        let known = self.calendar(id)?;
        let role = Self::role(caller.account, known);
        if role == Role::None {
            return Err(ApiError::not_found());
        }
        if role < need {
            return Err(ApiError::access(need.text()));
        }
        Ok(id.to_owned())
    }

    /// E33: an account that has sent too much writes nothing for hours.
    fn writable(&self, caller: &Caller<'_>) -> Result<(), ApiError> {
        let until = self.accounts.get(caller.account).map_or(0, |account| account.read_only_until);
        if caller.now.timestamp_millis() < until { Err(ApiError::quota_exceeded()) } else { Ok(()) }
    }

    /// Makes writes of an account fail with `quotaExceeded` until an instant in milliseconds since the epoch.
    pub fn set_read_only(&mut self, account: &str, until_ms: i64) {
        self.accounts.entry(account.to_owned()).or_default().read_only_until = until_ms;
    }

    /// E6: all sync tokens that a calendar has given out are 410 from now on.
    ///
    /// # Errors
    /// An unknown calendar.
    pub fn expire_tokens(&mut self, calendar: &str) -> Result<(), ApiError> {
        let from = self.next_change();
        self.calendar_mut(calendar)?.tokens_from = from;
        Ok(())
    }

    /// E6: the next list call for that page of the calendar (from 0) is 410, once.
    ///
    /// # Errors
    /// An unknown calendar.
    pub fn gone_at_page(&mut self, calendar: &str, page: u32) -> Result<(), ApiError> {
        self.calendar_mut(calendar)?.gone_at_page = Some(page);
        Ok(())
    }

    /// Removes tombstones whose last change is older than an instant in milliseconds since the epoch; tokens
    /// of before it become 410, since they can no longer be answered.
    ///
    /// # Errors
    /// An unknown calendar.
    pub fn forget_tombstones(&mut self, calendar: &str, older_than_ms: i64) -> Result<usize, ApiError> {
        let target = self.calendar_mut(calendar)?;
        let old: Vec<(String, u64)> = target
            .records
            .values()
            .filter(|record| record.cancelled() && record.updated < older_than_ms)
            // Cancelled exceptions live as long as their series.
            .filter(|record| {
                let parent = record.parent.as_ref().and_then(|parent| target.records.get(parent));
                parent.is_none_or(record::Record::cancelled)
            })
            .map(|record| (record.id.clone(), record.changed))
            .collect();
        for (id, changed) in &old {
            // Its exceptions were out of sight with it, and would come to light again.
            let exceptions: Vec<String> = target.exceptions(id).map(|record| record.id.clone()).collect();
            for exception in exceptions {
                target.forget(&exception);
            }
            target.forget(id);
            target.tokens_from = target.tokens_from.max(*changed);
        }
        Ok(old.len())
    }
}
