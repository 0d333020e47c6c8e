//! A worker: pulls pages and pushes rows under the calendar's lease, and may die between any two steps.

use chrono::TimeDelta;
use domain::calendar::cursor::{Cursor, Listed, Progress};
use domain::calendar::engine::{
    Answer, Call, Cascade, Match, Next, Plan, Row, adopt, conclude, matches, may_link, pull, push, sweep,
};
use domain::calendar::event::Side;
use domain::calendar::google::{Incoming, read};
use domain::calendar::quota::Problem;
use serde_json::{Value, json};

use super::faults::{Break, Fault};
use super::provider::Refusal;
use super::world::{Stop, World};

/// Plans and calls for one row in one round; what is left waits for the next.
const STEPS: usize = 8;

impl World {
    /// One round of a worker that takes the lease over from whoever had it.
    pub fn round(&mut self) -> Result<(), Stop> {
        if !self.connected {
            if !self.calm && !self.dice.chance(30) {
                return Err(Stop::Revoked);
            }
            // The user consents again: cursor and queue are as they were.
            self.provider.grant(true);
            self.connected = true;
        }
        self.fence += 1;
        let epoch = self.fence;
        self.dirty = false;
        self.pull_changes(epoch)?;
        let keys: Vec<String> = {
            // Series before their exceptions.
            let mut rows: Vec<&Row> = self.store.rows.values().filter(|row| row.dirty()).collect();
            rows.sort_by_key(|row| row.place.is_some());
            rows.into_iter().map(|row| row.key.clone()).collect()
        };
        for key in keys {
            self.push_row(&key, epoch)?;
        }
        Ok(())
    }

    /// A point at which a real worker awaits: anything may happen.
    fn awaits(&mut self) -> Result<(), Stop> {
        let millis = 1 + self.dice.below(120);
        self.pass(i64::try_from(millis).unwrap_or_default());
        if self.calm {
            return Ok(());
        }
        if self.strikes(Fault::Interleaving, 12) {
            self.next_action();
        }
        if self.strikes(Fault::Revoked, 1) {
            self.provider.grant(false);
        }
        if self.strikes(Fault::Quota, 1) {
            let minutes = 1 + self.dice.below(240);
            self.provider
                .read_only(self.now + TimeDelta::minutes(i64::try_from(minutes).unwrap_or_default()));
        }
        if self.depth == 0 && self.strikes(Fault::LeaseLoss, 3) {
            self.depth += 1;
            // The other worker's fate is its own.
            let _ = self.round();
            self.depth -= 1;
        }
        if self.strikes(Fault::Crash, 4) { Err(Stop::Crashed) } else { Ok(()) }
    }

    fn pull_changes(&mut self, epoch: u64) -> Result<(), Stop> {
        for _ in 0..60 {
            let mut cursor = self.store.cursor.clone();
            let request = cursor.request();
            self.awaits()?;
            let size = 1 + self.dice.below(4);
            if self.strikes(Fault::Gone, 4) {
                let forget = self.strikes(Fault::Forgetful, 50);
                self.provider.void_tokens(self.now, forget);
            }
            if self.strikes(Fault::Throttled, 3) || self.strikes(Fault::FailsBefore, 3) {
                self.dirty = true;
                return Ok(());
            }
            let (token, page) = (request.sync_token.as_deref(), request.page_token.as_deref());
            let listed = self.provider.list(self.now, token, page, size);
            self.awaits()?;
            let (listed, items) = match listed {
                Ok(mut page) => {
                    let items = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
                    let text = |key: &str| page[key].as_str().map(str::to_owned);
                    let (next_page, next_token) = (text("nextPageToken"), text("nextSyncToken"));
                    (Listed::Page { next_page, next_token }, items)
                }
                Err(refusal) => match Problem::of(refusal.status, &refusal.body) {
                    Problem::FullSyncRequired => (Listed::TokenRefused, Vec::new()),
                    Problem::Reauthorize => return self.disconnected(),
                    problem => unreachable!("a list is refused with {problem:?}"),
                },
            };
            // One transaction: fence, rows, cursor, sweep.
            self.fenced(epoch)?;
            if self.is_broken(Break::CursorFirst) {
                self.step(&mut cursor, listed, &[]);
                self.awaits()?;
                for item in &items {
                    self.take(item.clone());
                }
                if !self.store.cursor.is_full() && self.store.cursor.pages == 0 {
                    return Ok(());
                }
                continue;
            }
            for item in &items {
                self.take(item.clone());
            }
            if self.step(&mut cursor, listed, &items) {
                return Ok(());
            }
        }
        self.dirty = true;
        Ok(())
    }

    /// The provider knows our grant no more: nothing is called until the user has consented again.
    fn disconnected(&mut self) -> Result<(), Stop> {
        self.connected = false;
        self.dirty = true;
        Err(Stop::Revoked)
    }

    /// Moves the cursor that was read, which is the stored one as long as the fence holds; true at the end of
    /// a round.
    fn step(&mut self, cursor: &mut Cursor, listed: Listed, items: &[Value]) -> bool {
        let progress = cursor.step(listed);
        self.store.cursor.clone_from(cursor);
        match progress {
            Ok(Progress::More | Progress::Restarted | Progress::CalendarGone) => false,
            Ok(Progress::Complete) => {
                self.orphans();
                true
            }
            Ok(Progress::Sweep(generation)) => {
                self.sweep_rows(generation, items);
                self.orphans();
                true
            }
            Err(_) => {
                // Too many restarts: an operator lets it start again.
                self.store.cursor.restarts = 0;
                self.store.cursor.restart();
                true
            }
        }
    }

    fn sweep_rows(&mut self, generation: u64, last_page: &[Value]) {
        if self.is_broken(Break::NoSweep) {
            return;
        }
        let careless = self.is_broken(Break::SweepWithoutGeneration);
        let set = self.setting();
        let keys: Vec<String> = self.store.rows.keys().cloned().collect();
        for key in keys {
            let Some(row) = self.store.rows.get_mut(&key) else { continue };
            if careless && let Some(link) = &mut row.link {
                link.generation =
                    if last_page.iter().any(|item| item["id"] == link.id.as_str()) { generation } else { 0 };
            }
            if let Some(pulled) = sweep(row, generation, &set) {
                let id = row.link.as_ref().map(|link| link.id.clone()).unwrap_or_default();
                self.lose(pulled.losers);
                if let Some(cascade) = pulled.cascade {
                    self.cascade(cascade, Some(&key), &id);
                }
            }
        }
    }

    fn find(&self, incoming: &Incoming) -> Option<String> {
        let rows = || self.store.rows.values();
        matches(incoming).into_iter().find_map(|way| {
            let found = match &way {
                Match::Id(id) => self.by_id(id),
                Match::Stamp(key) => self.store.rows.get(key),
                Match::ICalUid(_) => None,
                Match::Occurrence(master, original) => rows().find(|row| {
                    row.place.as_ref().is_some_and(|place| {
                        place.original == *original
                            && (place.master.as_ref() == Some(master)
                                || self
                                    .master(row)
                                    .and_then(|row| row.link.as_ref())
                                    .is_some_and(|link| link.id == *master))
                    })
                }),
            };
            found.filter(|row| may_link(row, incoming)).map(|row| row.key.clone())
        })
    }

    /// Takes one item of a page into the store.
    fn take(&mut self, item: Value) {
        let Ok(incoming) = read(item) else { return };
        let set = self.setting();
        if let Some(key) = self.find(&incoming) {
            let Some(row) = self.store.rows.get_mut(&key) else { return };
            let before = row.local.clone();
            let pulled = pull(row, &incoming, &set);
            let (told, is) = (pulled.clone(), row.clone());
            self.tell(|_| format!("pull {incoming:?}\n    -> {told:?}\n    {is:?}"));
            let Some(row) = self.store.rows.get_mut(&key) else { return };
            if self.broken == Some(Break::NoEcho) && pulled.sight == domain::calendar::engine::Sight::Echo {
                row.local = before;
            }
            self.lose(pulled.losers);
            if let Some(cascade) = pulled.cascade {
                self.cascade(cascade, Some(&key), &incoming.id);
            }
            return;
        }
        self.tell(|_| format!("new {incoming:?}"));
        self.ledger.serial += 1;
        let key = format!("r{}", self.ledger.serial);
        match adopt(key.clone(), &incoming, &set) {
            Some(mut row) => {
                let master = row.place.as_ref().and_then(|place| place.master.clone());
                let master = master.and_then(|id| self.by_id(&id)).map(|row| row.key.clone());
                if let Some(place) = &mut row.place {
                    place.row = master;
                }
                self.store.rows.insert(key, row);
            }
            None => self.cascade(Cascade::All, None, &incoming.id),
        }
    }

    fn push_row(&mut self, key: &str, epoch: u64) -> Result<(), Stop> {
        for _ in 0..STEPS {
            if self.resting_until > self.now || self.forgotten.contains(key) {
                return Ok(());
            }
            if self.quiet_until.get(key).is_some_and(|until| *until > self.now) {
                return Ok(());
            }
            // One transaction: the plan and what it prepared.
            self.fenced(epoch)?;
            let set = self.setting();
            let Some(row) = self.store.rows.get(key) else { return Ok(()) };
            let master = self.master(row).cloned();
            let mut row = row.clone();
            let plan = push(&mut row, master.as_ref(), &set);
            self.store.rows.insert(key.to_owned(), row);
            let Plan::Call(call) = plan else { return Ok(()) };
            self.awaits()?;
            let writes = self.provider.effective_writes();
            let answer = self.perform(&call);
            // Until the answer is taken in below.
            let landed = u64::from(self.provider.effective_writes() != writes);
            self.ledger.unanswered += landed;
            let answered = !matches!(answer, Answer::Unknown | Answer::Refused(_));
            self.tell(|_| format!("push {key}: {call:?}\n    -> {answer:?}"));
            self.awaits()?;
            // One transaction: the answer.
            self.fenced(epoch)?;
            let set = self.setting();
            let Some(row) = self.store.rows.get_mut(key) else { return Ok(()) };
            let before = row.local.clone();
            let concluded = conclude(row, &call, answer, &set);
            if answered {
                self.ledger.unanswered -= landed;
            }
            let id = row.link.as_ref().map(|link| link.id.clone()).unwrap_or_default();
            if let Some(pulled) = concluded.pulled.clone() {
                if self.broken == Some(Break::NoEcho) && pulled.sight == domain::calendar::engine::Sight::Echo
                {
                    row.local = before;
                }
                self.lose(pulled.losers);
                if let Some(cascade) = pulled.cascade {
                    self.cascade(cascade, Some(key), &id);
                }
            }
            let next = concluded.next.clone();
            self.tell(|world| format!("  {next:?} {:?}", world.store.rows.get(key)));
            match concluded.next {
                Next::Done | Next::Park(_) => return Ok(()),
                Next::Pull => {
                    self.dirty = true;
                    return Ok(());
                }
                Next::Again | Next::Refresh => {}
                Next::ParkAccount { after } => {
                    self.resting_until = self.now + TimeDelta::from_std(after).unwrap_or_default();
                    self.forget(key);
                    return Ok(());
                }
                Next::ParkConnection => {
                    self.forget(key);
                    return self.disconnected();
                }
                Next::Retry { after } => {
                    let after = TimeDelta::from_std(after).unwrap_or_default();
                    self.quiet_until.insert(key.to_owned(), self.now + after);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, key: &str) {
        if self.is_broken(Break::NoReplay) {
            self.forgotten.insert(key.to_owned());
        }
    }

    fn perform(&mut self, call: &Call) -> Answer {
        if self.strikes(Fault::Unauthorized, 4) {
            return Answer::Refused(Problem::of(401, &json!({})));
        }
        if self.strikes(Fault::Throttled, 4) {
            let body = json!({"error": {"errors": [{"reason": "rateLimitExceeded"}]}});
            return Answer::Refused(Problem::of(if self.dice.chance(50) { 403 } else { 429 }, &body));
        }
        if self.strikes(Fault::FailsBefore, 6) {
            return if self.dice.chance(50) { Answer::Unknown } else { Answer::Refused(Problem::Backend) };
        }
        let writes = self.provider.effective_writes();
        let answer = self.deliver(call);
        if self.provider.effective_writes() != writes {
            self.notify();
            if self.strikes(Fault::FailsAfter, 12) {
                return if self.dice.chance(50) {
                    Answer::Unknown
                } else {
                    Answer::Refused(Problem::Backend)
                };
            }
        }
        match answer {
            Ok(Some(event)) => Answer::Event(event),
            Ok(None) => Answer::Empty,
            Err(refusal) => Answer::Refused(Problem::of(refusal.status, &refusal.body)),
        }
    }

    fn deliver(&mut self, call: &Call) -> Result<Option<Value>, Refusal> {
        let now = self.now;
        let guard = !self.is_broken(Break::NoIfMatch);
        match call {
            Call::Look { id } => self.provider.get(now, id).map(Some),
            Call::Insert { body, .. } => {
                let mut body = body.clone();
                if self.is_broken(Break::NoMintedId)
                    && let Some(body) = body.as_object_mut()
                {
                    body.remove("id");
                }
                self.provider.insert(now, &body).map(Some)
            }
            Call::Patch { id, etag, body, .. } => {
                let before = self.exceptions(id);
                let answer = self.provider.patch(now, id, etag.as_deref().filter(|_| guard), body);
                self.replaced_by_cut(id, before);
                answer.map(Some)
            }
            Call::Delete { id, etag, .. } => {
                self.replaced_with_series(id);
                self.provider.delete(now, id, etag.as_deref().filter(|_| guard)).map(|()| None)
            }
        }
    }

    /// Deleting a series deletes its exceptions, also those that nobody here has seen.
    pub fn replaced_with_series(&mut self, id: &str) {
        for raw in self.exceptions(id) {
            self.replace_all(raw);
        }
    }

    /// The exceptions of a series as the provider has them.
    pub fn exceptions(&self, id: &str) -> Vec<Value> {
        let prefix = format!("{id}_");
        let mut all = self.provider.dump();
        all.retain(|raw| raw["id"].as_str().is_some_and(|id| id.starts_with(&prefix)));
        all
    }

    /// Cutting a series short, or moving it, ends those exceptions that have no place in it any more.
    pub fn replaced_by_cut(&mut self, id: &str, before: Vec<Value>) {
        let left = self.exceptions(id);
        for raw in before.into_iter().filter(|old| !left.iter().any(|raw| raw["id"] == old["id"])) {
            self.replace_all(raw);
        }
    }

    /// Everything of this event was seen by who deletes it.
    pub fn replace_all(&mut self, raw: Value) {
        if let Ok(Incoming { side: Side::Live(event), .. }) = read(raw) {
            self.ledger.replaced.extend(super::marks::of(&event));
        }
    }
}
