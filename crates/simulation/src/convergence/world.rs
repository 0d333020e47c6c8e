//! The world of one run: the application's store, the provider, the people, the clock.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use domain::calendar::cursor::Cursor;
use domain::calendar::dialect::Dialect;
use domain::calendar::engine::{Cascade, Direction, Row, Setting, orphaned, redundant, series_ended};
use domain::calendar::event::Side;
use domain::calendar::merge::{Loser, Policy};

use super::dice::Dice;
use super::faults::{Break, Fault};
use super::marks::Marks;
use super::provider::Provider;

/// What the application's database holds; changed only by [`World::commit`].
#[derive(Clone, Debug, Default)]
pub struct Store {
    pub rows: BTreeMap<String, Row>,
    pub cursor: Cursor,
    pub conflicts: Vec<Loser>,
}

/// What the people did, to compare with what is left.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Traces of all edits, with who made them.
    pub made: BTreeMap<String, String>,
    /// Traces that somebody saw and replaced or deleted.
    pub replaced: Marks,
    /// Edits of the application's rows.
    pub app_edits: u64,
    /// Those that the write of their series does along the way.
    pub implied_edits: u64,
    /// Writes of people at the provider.
    pub provider_edits: u64,
    /// Writes of people at the provider that took effect.
    pub people_writes: u64,
    /// Writes that took effect and whose answer nobody took in.
    pub unanswered: u64,
    /// For unique values.
    pub serial: u64,
}

pub struct World {
    pub provider: Provider,
    pub store: Store,
    pub ledger: Ledger,
    pub dice: Dice,
    pub now: DateTime<Utc>,
    /// How far the application's clock is off, in seconds.
    pub skew: i64,
    pub faults: Vec<Fault>,
    pub broken: Option<Break>,
    pub policy: Policy,
    /// People's next actions; the last is the next.
    pub actions: Vec<u64>,
    /// The lease's fencing epoch.
    pub fence: u64,
    /// A notification arrived since the last pull began.
    pub dirty: bool,
    /// When notifications under way arrive.
    pub notifications: Vec<DateTime<Utc>>,
    /// How far the worker's clock is off, in seconds.
    pub worker_skew: i64,
    /// The account writes nothing before.
    pub resting_until: DateTime<Utc>,
    /// The grant stands, as far as the application knows.
    pub connected: bool,
    /// Rows that a broken rule forgets.
    pub forgotten: BTreeSet<String>,
    /// Nothing may be called before.
    pub quiet_until: BTreeMap<String, DateTime<Utc>>,
    pub depth: u32,
    /// The world has become peaceful: no more faults.
    pub calm: bool,
    /// What happened, where somebody wants to read it.
    pub story: Option<Vec<String>>,
}

/// Why a worker stopped before its work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Crashed,
    Fenced,
    /// The grant ended: nothing is called until the user consents again.
    Revoked,
}

impl World {
    /// Adds a line to the story.
    pub fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = format!("{} {}", self.now.format("%d %H:%M:%S%.3f"), line(self));
            self.story.iter_mut().for_each(|story| story.push(line.clone()));
        }
    }

    pub fn has(&self, fault: Fault) -> bool {
        !self.calm && self.faults.contains(&fault)
    }

    /// Whether `fault` happens now, with `percent` of 100.
    pub fn strikes(&mut self, fault: Fault, percent: u64) -> bool {
        self.has(fault) && self.dice.chance(percent)
    }

    pub fn is_broken(&self, rule: Break) -> bool {
        self.broken == Some(rule)
    }

    /// The application's clock.
    pub fn app_now(&self) -> DateTime<Utc> {
        self.now + TimeDelta::seconds(self.skew)
    }

    pub fn setting(&self) -> Setting<'static> {
        Setting {
            dialect: Dialect::Google,
            tenant: "tenant",
            calendar: "calendar",
            direction: Direction::Both,
            policy: self.policy,
            generation: self.store.cursor.generation,
            bootstrapped: self.store.cursor.bootstrapped,
            now: self.now + TimeDelta::seconds(self.worker_skew),
        }
    }

    /// Checks the fence, as every transaction of a worker does.
    pub fn fenced(&self, epoch: u64) -> Result<(), Stop> {
        if self.fence == epoch || self.is_broken(Break::NoFence) { Ok(()) } else { Err(Stop::Fenced) }
    }

    pub fn lose(&mut self, losers: Vec<Loser>) {
        if !self.is_broken(Break::NoConflicts) {
            self.store.conflicts.extend(losers);
        }
    }

    /// The row of an exception's series.
    pub fn master(&self, row: &Row) -> Option<&Row> {
        let place = row.place.as_ref()?;
        if let Some(master) = place.row.as_ref().and_then(|key| self.store.rows.get(key)) {
            return Some(master);
        }
        let id = place.master.as_ref()?;
        self.by_id(id)
    }

    pub fn by_id(&self, id: &str) -> Option<&Row> {
        self.store.rows.values().find(|row| row.link.as_ref().is_some_and(|link| link.id == id))
    }

    /// Ends the exceptions of a series.
    pub fn cascade(&mut self, cascade: Cascade, key: Option<&str>, id: &str) {
        let ended: Vec<String> = self
            .store
            .rows
            .values()
            .filter(|row| cascade.ends(row))
            .filter(|row| {
                row.place.as_ref().is_some_and(|place| {
                    (key.is_some() && place.row.as_deref() == key) || place.master.as_deref() == Some(id)
                })
            })
            .map(|row| row.key.clone())
            .collect();
        self.end(&ended);
    }

    fn end(&mut self, keys: &[String]) {
        for key in keys {
            if let Some(row) = self.store.rows.remove(key) {
                self.lose(series_ended(&row));
            }
        }
    }

    /// Ends exceptions that outlived their series, or say nothing.
    pub fn orphans(&mut self) {
        let rows = &self.store.rows;
        let ended: Vec<String> = rows
            .values()
            .filter(|row| redundant(row) || self.master(row).is_some_and(|master| orphaned(row, master)))
            .map(|row| row.key.clone())
            .collect();
        self.end(&ended);
    }

    /// A change at the provider: notifications set out, or not.
    pub fn notify(&mut self) {
        if self.strikes(Fault::PushLost, 40) {
            return;
        }
        let copies = if self.strikes(Fault::PushDisorder, 30) { 2 } else { 1 };
        for _ in 0..copies {
            let late = if self.has(Fault::PushDisorder) { self.dice.below(60_000) } else { 200 };
            let late = i64::try_from(late).unwrap_or_default();
            self.notifications.push(self.now + TimeDelta::milliseconds(late));
        }
    }

    /// Lets time pass and notifications arrive.
    pub fn pass(&mut self, millis: i64) {
        self.now += TimeDelta::milliseconds(millis);
        let now = self.now;
        let waiting = self.notifications.len();
        self.notifications.retain(|at| *at > now);
        self.dirty |= self.notifications.len() < waiting;
    }

    pub fn live_rows(&self) -> Vec<String> {
        let rows = self.store.rows.values().filter(|row| {
            let ended =
                row.place.is_some() && self.master(row).is_some_and(|master| master.local == Side::Gone);
            row.local != Side::Gone && !ended
        });
        rows.map(|row| row.key.clone()).collect()
    }
}
