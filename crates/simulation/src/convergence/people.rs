//! The people: they edit what they see, on either side.

use chrono::{NaiveDate, TimeDelta, Utc};
use domain::calendar::engine::{Place, Row};
use domain::calendar::event::{Event, Moment, Original, Reminders, Side, When, Zone};
use domain::calendar::google::{self, read};
use domain::calendar::identity::instance_id;
use domain::calendar::series::{Following, follow, misses, occurrence, split};
use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::marks::{self, Marks};
use super::world::World;

fn zone() -> Zone {
    Zone::Named(chrono_tz::Europe::Paris)
}

fn start(serial: u64) -> chrono::DateTime<Utc> {
    // Every minute is used once, across several changes of the clocks.
    let minutes = i64::try_from(serial * 397).unwrap_or_default();
    chrono::DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_500) + TimeDelta::minutes(minutes)
}

fn timed(serial: u64) -> When {
    let first = start(serial);
    When::Timed { start: Moment::at(first, zone()), end: Moment::at(first + TimeDelta::minutes(30), zone()) }
}

fn day(serial: u64) -> When {
    let first = NaiveDate::default() + TimeDelta::days(22_000 + i64::try_from(serial).unwrap_or_default());
    When::AllDay { start: first, end: first + TimeDelta::days(1) }
}

/// The second to the fifth occurrence of a daily series, where it has one.
fn some_occurrence(master: &Event, dice: &mut Dice) -> Option<Original> {
    let days = 1 + i64::try_from(dice.below(4)).unwrap_or_default();
    let at = match master.when.as_ref()? {
        When::Timed { start, .. } => {
            Original::At(Moment::new(start.wall() + TimeDelta::days(days), start.zone()).instant())
        }
        When::AllDay { start, .. } => Original::On(*start + TimeDelta::days(days)),
    };
    (!misses(master, at)).then_some(at)
}

impl World {
    /// The next action of somebody.
    pub fn next_action(&mut self) {
        let Some(action) = self.actions.pop() else { return };
        let mut dice = Dice::new(action);
        if dice.chance(50) {
            self.app_action(&mut dice);
        } else {
            let before = self.provider.effective_writes();
            self.provider.by_hand(true);
            self.provider_action(&mut dice);
            self.provider.by_hand(false);
            self.ledger.people_writes += self.provider.effective_writes() - before;
        }
    }

    fn serial(&mut self) -> u64 {
        self.ledger.serial += 1;
        self.ledger.serial
    }

    fn noted(&mut self, who: &str, before: &Marks, after: &Marks) {
        self.tell(|_| format!("{who}: {:?} instead of {:?}", after - before, before - after));
        self.ledger.replaced.extend(before.difference(after).cloned());
        for mark in after.difference(before) {
            // Somebody brings a trace back by undeleting or copying: that is his edit then.
            self.ledger.replaced.remove(mark);
            self.ledger.made.insert(mark.clone(), who.to_owned());
        }
    }

    /// Changes one or two fields of an event to values that nothing else has.
    fn change(&mut self, event: &mut Event, dice: &mut Dice) {
        for _ in 0..=dice.below(2) {
            let n = self.serial();
            match dice.below(9) {
                0 => event.title = Some(format!("t{n}")),
                1 => event.description = Some(format!("<b>t{n}</b><script>x</script>")),
                2 => event.location = Some(format!("t{n}")),
                3 => event.color = Some(format!("t{n}")),
                // A rule that ends before its first occurrence is refused, as it should be.
                4 if event.recurrence.iter().any(|line| line.contains("UNTIL")) => {
                    event.title = Some(format!("t{n}"));
                }
                4 => event.when = Some(if event.recurs() || dice.chance(70) { timed(n) } else { day(n) }),
                5 => {
                    let email = format!("T{n}@example.com");
                    let attendee = Map::from_iter([("email".to_owned(), json!(email))]);
                    event.attendees.insert(email.to_lowercase(), attendee);
                }
                6 => {
                    let keys: Vec<String> = event.attendees.keys().cloned().collect();
                    if let Some(attendee) = dice.pick(&keys).and_then(|key| event.attendees.get_mut(key)) {
                        attendee.insert("comment".to_owned(), json!(format!("t{n}")));
                    }
                }
                7 => {
                    let minutes = i64::try_from(n).unwrap_or_default();
                    event.reminders = Reminders::Own([("popup".to_owned(), minutes)].into());
                }
                _ => {
                    let keys: Vec<String> = event.attendees.keys().cloned().collect();
                    match dice.pick(&keys) {
                        Some(key) if dice.chance(50) => {
                            event.attendees.remove(key);
                        }
                        _ => event.title = Some(format!("t{n}")),
                    }
                }
            }
        }
    }

    fn rule(&mut self, event: &mut Event, dice: &mut Dice) {
        let n = self.serial();
        if event.recurs() && dice.chance(60) {
            event.recurrence.insert(format!("EXDATE:{}", start(n).format("%Y%m%dT%H%M%SZ")));
        } else {
            event.recurrence.retain(|line| !line.starts_with("RRULE"));
            event.recurrence.insert(format!("RRULE:FREQ=DAILY;COUNT={}", n + 10));
        }
    }

    fn fresh(&mut self, dice: &mut Dice) -> Event {
        let n = self.serial();
        let mut event = Event::new(format!("t{n}"), if dice.chance(75) { timed(n) } else { day(n) });
        if dice.chance(40) {
            self.rule(&mut event, dice);
        }
        self.change(&mut event, dice);
        event
    }

    fn app_action(&mut self, dice: &mut Dice) {
        let live = self.live_rows();
        let now = self.app_now();
        match dice.below(13) {
            12 => self.app_split(dice),
            0..=2 => {
                let event = self.fresh(dice);
                self.noted("application: create", &Marks::new(), &marks::of(&event));
                self.ledger.app_edits += 1;
                let key = format!("a{}", self.serial());
                self.store.rows.insert(key.clone(), Row::new(key, event, now));
            }
            3..=6 => {
                let Some(key) = dice.pick(&live).cloned() else { return };
                self.app_edit(&key, dice, false);
            }
            7 => {
                let Some(key) = dice.pick(&live).cloned() else { return };
                self.app_delete(&key);
            }
            8 => self.app_undelete(dice),
            9 => {
                let masters: Vec<String> =
                    live.into_iter().filter(|key| self.store.rows[key].is_master()).collect();
                let Some(key) = dice.pick(&masters).cloned() else { return };
                self.app_edit(&key, dice, true);
            }
            _ => self.app_exception(dice),
        }
    }

    fn app_edit(&mut self, key: &str, dice: &mut Dice, rule: bool) {
        let Some(Side::Live(before)) = self.store.rows.get(key).map(|row| row.local.clone()) else { return };
        let mut after = (*before).clone();
        if rule {
            self.rule(&mut after, dice);
        } else {
            self.change(&mut after, dice);
        }
        if after == *before {
            return;
        }
        self.noted("application: edit", &marks::of(&before), &marks::of(&after));
        self.app_write(key, Side::live(after));
    }

    fn app_write(&mut self, key: &str, side: Side) {
        let now = self.app_now();
        if let Some(row) = self.store.rows.get_mut(key) {
            row.local = side;
            row.revision += 1;
            row.changed_at = now;
            self.ledger.app_edits += 1;
        }
    }

    fn app_delete(&mut self, key: &str) {
        if self.store.rows.get(key).is_none_or(|row| row.local == Side::Gone) {
            return;
        }
        self.tell(|_| format!("application: delete {key}"));
        let Some(row) = self.store.rows.get(key) else { return };
        let mut seen: Marks = row.local.event().map(marks::of).unwrap_or_default();
        if row.place.is_none() {
            let id = row.link.as_ref().map(|link| link.id.clone());
            for child in self.store.rows.values() {
                let Some(place) = &child.place else { continue };
                if place.row.as_deref() == Some(key) || (id.is_some() && place.master == id) {
                    seen.extend(child.local.event().map(marks::of).unwrap_or_default());
                }
            }
        }
        self.ledger.replaced.extend(seen);
        self.app_write(key, Side::Gone);
    }

    /// Brings a deleted event back with a new title.
    fn app_undelete(&mut self, dice: &mut Dice) {
        let gone = self.store.rows.values().filter(|row| row.local == Side::Gone);
        let keys: Vec<String> = gone.map(|row| row.key.clone()).collect();
        let Some(key) = dice.pick(&keys).cloned() else { return };
        let n = self.serial();
        let row = &self.store.rows[&key];
        let event = match (&row.place, self.master(row).and_then(|master| master.local.event())) {
            // Nobody is shown an occurrence that the series does not have.
            (Some(place), Some(master)) if misses(master, place.original) => return,
            (Some(place), Some(master)) => {
                Event { title: Some(format!("t{n}")), ..occurrence(master, place.original) }
            }
            (Some(_), None) => return,
            (None, _) => Event::new(format!("t{n}"), timed(n)),
        };
        self.noted("application: undelete", &Marks::new(), &Marks::from([format!("title:t{n}")]));
        self.app_write(&key, Side::live(event));
    }

    /// Changes or cancels one occurrence of a series.
    fn app_exception(&mut self, dice: &mut Dice) {
        let masters: Vec<String> = self
            .live_rows()
            .into_iter()
            .filter(|key| self.store.rows[key].place.is_none())
            .filter(|key| self.store.rows[key].local.event().is_some_and(Event::recurs))
            .collect();
        let Some(key) = dice.pick(&masters).cloned() else { return };
        let master = self.store.rows[&key].clone();
        let Some(event) = master.local.event() else { return };
        let Some(original) = some_occurrence(event, dice) else { return };
        let id = master.link.as_ref().map(|link| link.id.clone());
        let known = self.store.rows.values().find(|row| {
            row.place.as_ref().is_some_and(|place| {
                place.original == original
                    && (place.row.as_ref() == Some(&key) || (id.is_some() && place.master == id))
            })
        });
        if let Some(known) = known.map(|row| row.key.clone()) {
            if dice.chance(25) {
                self.app_delete(&known);
            } else {
                self.app_edit(&known, dice, false);
            }
            return;
        }
        let copied = occurrence(event, original);
        let mut row = Row::new(format!("x{}", self.serial()), copied.clone(), self.app_now());
        row.place = Some(Place { row: Some(key), master: id, original });
        if dice.chance(30) {
            row.local = Side::Gone;
        } else {
            let mut changed = copied.clone();
            self.change(&mut changed, dice);
            if changed == copied {
                return;
            }
            // The series still has what this occurrence no longer has.
            self.noted(
                "application: exception",
                &Marks::new(),
                &(&marks::of(&changed) - &marks::of(&copied)),
            );
            row.local = Side::live(changed);
        }
        row.copied = Some(copied);
        self.ledger.app_edits += 1;
        self.store.rows.insert(row.key.clone(), row);
    }

    /// "This and following": one series becomes two, and later exceptions go with the second.
    fn app_split(&mut self, dice: &mut Dice) {
        let masters: Vec<String> = self
            .live_rows()
            .into_iter()
            .filter(|key| self.store.rows[key].place.is_none())
            .filter(|key| self.store.rows[key].local.event().is_some_and(Event::recurs))
            .collect();
        let Some(key) = dice.pick(&masters).cloned() else { return };
        let master = self.store.rows[&key].clone();
        let Some(event) = master.local.event() else { return };
        let Some(at) = some_occurrence(event, dice) else { return };
        let Ok(parts) = split(event, at) else { return };
        let n = self.serial();
        let mut following = parts.following;
        following.title = Some(format!("t{n}"));
        self.noted("application: trim", &marks::of(event), &marks::of(&parts.trimmed));
        self.noted(
            "application: following",
            &marks::of(event),
            &(&marks::of(event) | &marks::of(&following)),
        );
        self.app_write(&key, Side::live(parts.trimmed));
        let second = format!("s{n}");
        let id = master.link.as_ref().map(|link| link.id.clone());
        let later: Vec<Row> = self
            .store
            .rows
            .values()
            .filter(|row| {
                row.place.as_ref().is_some_and(|place| {
                    place.original >= at
                        && (place.row.as_ref() == Some(&key) || (id.is_some() && place.master == id))
                })
            })
            .cloned()
            .collect();
        self.store.rows.insert(second.clone(), Row::new(second.clone(), following.clone(), self.app_now()));
        self.ledger.app_edits += 1;
        let parts = Following::new(event.clone(), at, following);
        for old in later {
            let moved = format!("x{}", self.serial());
            let mut after = Marks::new();
            if let Some(row) = follow(&old, moved.clone(), &second, &parts) {
                after.extend(row.local.event().map(marks::of).unwrap_or_default());
                self.store.rows.insert(moved.clone(), row);
                self.ledger.app_edits += 1;
            }
            if let Some(event) = old.local.event() {
                self.noted("application: move", &marks::of(event), &after);
                self.app_write(&old.key, Side::Gone);
                // Cutting the series short ends it.
                self.ledger.implied_edits += 1;
            }
        }
    }

    fn provider_action(&mut self, dice: &mut Dice) {
        let all = self.provider.dump();
        let (live, gone): (Vec<Value>, Vec<Value>) =
            all.into_iter().partition(|raw| raw["status"] != "cancelled");
        let now = self.now;
        match dice.below(14) {
            0..=2 => {
                let event = self.fresh(dice);
                let mut body = google::insert(
                    &event,
                    "x",
                    &domain::calendar::identity::Stamp { event: String::new(), incarnation: 0 },
                );
                if let Some(body) = body.as_object_mut() {
                    body.remove("id");
                    body.remove("extendedProperties");
                }
                self.noted("provider: create", &Marks::new(), &marks::of(&event));
                let _ = self.provider.insert(now, &body);
            }
            3..=6 => {
                let Some(raw) = dice.pick(&live).cloned() else { return };
                self.provider_edit(&raw, dice, false);
            }
            7 => {
                let Some(raw) = dice.pick(&live).cloned() else { return };
                let id = raw["id"].as_str().unwrap_or_default().to_owned();
                self.tell(|_| format!("provider: delete {id}"));

                self.replaced_with_series(&id);
                self.replace_all(raw);
                let _ = self.provider.delete(now, &id, None);
            }
            8 => {
                let Some(raw) = dice.pick(&gone).cloned() else { return };
                let n = self.serial();
                let body = json!({ "status": "confirmed", "summary": format!("t{n}") });
                if self.provider.patch(now, raw["id"].as_str().unwrap_or_default(), None, &body).is_ok() {
                    self.noted("provider: undelete", &Marks::new(), &Marks::from([format!("title:t{n}")]));
                }
            }
            9 => {
                let series: Vec<Value> =
                    live.into_iter().filter(|raw| raw["recurrence"].is_array()).collect();
                let Some(raw) = dice.pick(&series).cloned() else { return };
                self.provider_edit(&raw, dice, true);
            }
            12 => {
                let whole: Vec<Value> =
                    live.into_iter().filter(|raw| raw["recurringEventId"].is_null()).collect();
                let Some(raw) = dice.pick(&whole).cloned() else { return };
                self.provider_move_away(raw);
            }
            13 => {
                let aside = self.provider.aside();
                let whole: Vec<&Value> =
                    aside.iter().filter(|raw| raw["recurringEventId"].is_null()).collect();
                let Some(raw) = dice.pick(&whole).map(|raw| (*raw).clone()) else { return };
                self.provider_move_back(&raw);
            }
            _ => {
                let series: Vec<Value> =
                    live.into_iter().filter(|raw| raw["recurrence"].is_array()).collect();
                let Some(raw) = dice.pick(&series).cloned() else { return };
                self.provider_exception(raw, dice);
            }
        }
        self.ledger.provider_edits += 1;
        self.notify();
    }

    /// To the calendar beside this one, where nobody follows: here it is deleted with all that it has.
    fn provider_move_away(&mut self, raw: Value) {
        let id = raw["id"].as_str().unwrap_or_default().to_owned();
        self.tell(|_| format!("provider: move away {id}"));
        let before = self.ledger.replaced.clone();
        self.replaced_with_series(&id);
        self.replace_all(raw);
        if self.provider.relocate(self.now, &id, false).is_err() {
            self.ledger.replaced = before;
        }
    }

    /// Back, with its exceptions and under the same id. That is nobody's edit of a field: what the application
    /// changed meanwhile stands, and both sides have to agree.
    fn provider_move_back(&mut self, raw: &Value) {
        let id = raw["id"].as_str().unwrap_or_default();
        self.tell(|_| format!("provider: move back {id}"));
        let _ = self.provider.relocate(self.now, id, true);
    }

    fn provider_edit(&mut self, raw: &Value, dice: &mut Dice, rule: bool) {
        let Ok(google::Incoming { side: Side::Live(before), .. }) = read(raw.clone()) else { return };
        let mut after = (*before).clone();
        if rule {
            self.rule(&mut after, dice);
        } else {
            self.change(&mut after, dice);
        }
        let Some(body) = google::patch(raw, &before, &after) else { return };
        let id = raw["id"].as_str().unwrap_or_default();
        let exceptions = self.exceptions(id);
        if self.provider.patch(self.now, id, None, &body).is_ok() {
            self.noted("provider: edit", &marks::of(&before), &marks::of(&after));
            self.replaced_by_cut(id, exceptions);
        }
    }

    fn provider_exception(&mut self, raw: Value, dice: &mut Dice) {
        let id = raw["id"].as_str().unwrap_or_default().to_owned();
        let Ok(google::Incoming { side: Side::Live(master), .. }) = read(raw) else { return };
        let Some(original) = some_occurrence(&master, dice) else { return };
        let instance = instance_id(&id, original);
        let Ok(raw) = self.provider.get(self.now, &instance) else { return };
        if raw["status"] == "cancelled" {
            return;
        }
        let exists = self.provider.dump().iter().any(|event| event["id"] == instance.as_str());
        if dice.chance(30) {
            if exists {
                self.replace_all(raw);
            }
            let _ = self.provider.delete(self.now, &instance, None);
        } else {
            let replaced = self.ledger.replaced.clone();
            self.provider_edit(&raw, dice, false);
            if !exists {
                // The series still has what this occurrence no longer has.
                self.ledger.replaced = replaced;
            }
        }
    }
}
