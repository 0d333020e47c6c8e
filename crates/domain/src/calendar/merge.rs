//! Three-way merge of two sides against what they last agreed on, field by field.
//!
//! Disjoint edits both survive. Where both sides changed one field (one attendee, the rule of a series)
//! differently, one of them wins, and what lost is reported for `sync_conflicts`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::event::{Event, Field, completed};
use super::recurrence::parse;

#[cfg(test)]
mod tests;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The application's row.
    App,
    /// The provider's event.
    Provider,
}

impl Owner {
    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::App => Self::Provider,
            Self::Provider => Self::App,
        }
    }
}

/// Who wins where both sides changed the same thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The later change; the provider's where its time is unknown or the same.
    #[default]
    NewestWins,
    /// The application.
    AppWins,
    /// The provider.
    ProviderWins,
}

impl Policy {
    /// The winner between a change of the application at `app` and one of the provider at `provider`.
    pub fn winner(self, app: DateTime<Utc>, provider: Option<DateTime<Utc>>) -> Owner {
        match self {
            Self::AppWins => Owner::App,
            Self::NewestWins if provider.is_some_and(|provider| app > provider) => Owner::App,
            Self::NewestWins | Self::ProviderWins => Owner::Provider,
        }
    }
}

/// A change that did not survive, for `sync_conflicts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loser {
    /// Whose change it was.
    pub side: Owner,
    /// The field.
    pub field: Field,
    /// The address of an attendee, the line of a recurrence.
    pub key: Option<String>,
    /// What lost; `null` for a removal.
    pub value: Value,
    /// What won; `null` for a removal.
    pub winner: Value,
}

/// What [`merge`] makes of two sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The event that both sides shall have.
    pub event: Event,
    /// What did not survive.
    pub losers: Vec<Loser>,
}

/// How the provider's side is compared with the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The base came from the provider: every difference is an edit.
    Exactly,
    /// The base is what we sent: what the provider normalised is no edit, and its form is taken.
    AsStored,
}

/// Merges the application's and the provider's side of one event. `winner` decides collisions.
pub fn merge(base: &Event, app: &Event, provider: &Event, winner: Owner, compare: Compare) -> Merged {
    let mut merge = Merge { winner, compare, losers: Vec::new() };
    let mut event = app.clone();
    event.event_type.clone_from(&provider.event_type);
    for field in Field::OF_EVENT {
        let unchanged = match compare {
            Compare::Exactly => provider.same(base, field),
            Compare::AsStored => base.stored_as(provider, field),
        };
        match field {
            // Answers and names are added per attendee, also where nothing of ours changed.
            Field::Attendees => {
                event.attendees = merge.attendees(&base.attendees, &app.attendees, &provider.attendees);
            }
            Field::Recurrence => {
                event.recurrence = merge.recurrence(&base.recurrence, &app.recurrence, &provider.recurrence);
            }
            field if app.same(base, field) => copy(&mut event, provider, field),
            field if unchanged || app.same(provider, field) => {}
            field => {
                let lost = merge.collision(field, None, value(app, field), value(provider, field));
                if lost == Owner::App {
                    copy(&mut event, provider, field);
                }
            }
        }
    }
    merge.schedule(&mut event, app, provider);
    Merged { event, losers: merge.losers }
}

/// Whether a series has no occurrence at all: the provider refuses it.
fn is_empty_series(event: &Event) -> bool {
    let Some(start) = event.when.as_ref().filter(|_| event.recurs()) else { return false };
    parse(event.recurrence.iter().map(String::as_str), start)
        .is_ok_and(|rules| rules.occurrences(1).is_empty())
}

/// The changes of `side` against `base`, as losers: what is given up when its whole event goes.
pub fn given_up(base: &Event, changed: &Event, side: Owner) -> Vec<Loser> {
    let mut losers = Vec::new();
    let mut lose = |field, key, value| {
        losers.push(Loser { side, field, key, value, winner: json!("deleted") });
    };
    for field in changed.differing(base) {
        match field {
            Field::Attendees => {
                let keys: BTreeSet<&String> = base.attendees.keys().chain(changed.attendees.keys()).collect();
                for key in keys {
                    let (was, is) = (base.attendees.get(key), changed.attendees.get(key));
                    if was != is {
                        lose(field, Some(key.clone()), json!(is));
                    }
                }
            }
            Field::Recurrence => {
                for line in changed.recurrence.symmetric_difference(&base.recurrence) {
                    let kept = changed.recurrence.contains(line).then_some(line);
                    lose(field, Some(line.clone()), json!(kept));
                }
            }
            field => lose(field, None, value(changed, field)),
        }
    }
    losers
}

/// A field's value as JSON.
pub fn value(event: &Event, field: Field) -> Value {
    match field {
        Field::Title => json!(event.title),
        Field::Description => json!(event.description),
        Field::Location => json!(event.location),
        Field::When => json!(event.when),
        Field::Status => json!(event.status),
        Field::Visibility => json!(event.visibility),
        Field::Free => json!(event.free),
        Field::Recurrence => json!(event.recurrence),
        Field::Attendees => json!(event.attendees),
        Field::Reminders => json!(event.reminders),
        Field::Conference => json!(event.conference),
        Field::Color => json!(event.color),
        Field::Existence => Value::Null,
    }
}

/// Sets one field of an event to another's.
pub(super) fn copy(to: &mut Event, from: &Event, field: Field) {
    match field {
        Field::Title => to.title.clone_from(&from.title),
        Field::Description => to.description.clone_from(&from.description),
        Field::Location => to.location.clone_from(&from.location),
        Field::When => to.when.clone_from(&from.when),
        Field::Status => to.status = from.status,
        Field::Visibility => to.visibility.clone_from(&from.visibility),
        Field::Free => to.free = from.free,
        Field::Recurrence => to.recurrence.clone_from(&from.recurrence),
        Field::Attendees => to.attendees.clone_from(&from.attendees),
        Field::Reminders => to.reminders.clone_from(&from.reminders),
        Field::Conference => to.conference.clone_from(&from.conference),
        Field::Color => to.color.clone_from(&from.color),
        Field::Existence => {}
    }
}

type Attendee = Map<String, Value>;

struct Merge {
    winner: Owner,
    compare: Compare,
    losers: Vec<Loser>,
}

impl Merge {
    /// Records a collision and says who lost.
    fn collision(&mut self, field: Field, key: Option<String>, app: Value, provider: Value) -> Owner {
        let side = self.winner.other();
        let (value, winner) = if side == Owner::App { (app, provider) } else { (provider, app) };
        self.losers.push(Loser { side, field, key, value, winner });
        side
    }

    /// A start and a rule may contradict each other although different people changed them: cut short here, moved
    /// behind its end there. Then both are the winner's.
    fn schedule(&mut self, event: &mut Event, app: &Event, provider: &Event) {
        let pair = |other: &Event| event.when == other.when && event.recurrence == other.recurrence;
        if pair(app) || pair(provider) || !is_empty_series(event) {
            return;
        }
        let (side, winner) = match self.winner {
            Owner::App => (Owner::Provider, app),
            Owner::Provider => (Owner::App, provider),
        };
        if event.when != winner.when {
            let (value, winner) = (json!(event.when), json!(winner.when));
            self.losers.push(Loser { side, field: Field::When, key: None, value, winner });
        }
        for line in event.recurrence.symmetric_difference(&winner.recurrence) {
            let in_force = winner.recurrence.contains(line);
            let (value, winner) = (json!((!in_force).then_some(line)), json!(in_force.then_some(line)));
            self.losers.push(Loser {
                side,
                field: Field::Recurrence,
                key: Some(line.clone()),
                value,
                winner,
            });
        }
        copy(event, winner, Field::When);
        copy(event, winner, Field::Recurrence);
    }

    fn attendees(
        &mut self,
        base: &BTreeMap<String, Attendee>,
        app: &BTreeMap<String, Attendee>,
        provider: &BTreeMap<String, Attendee>,
    ) -> BTreeMap<String, Attendee> {
        let keys: BTreeSet<&String> = app.keys().chain(provider.keys()).collect();
        let mut merged = BTreeMap::new();
        for key in keys {
            let attendee = self.attendee(key, base.get(key), app.get(key), provider.get(key));
            if let Some(attendee) = attendee {
                merged.insert(key.clone(), attendee);
            }
        }
        merged
    }

    fn attendee(
        &mut self,
        key: &str,
        base: Option<&Attendee>,
        app: Option<&Attendee>,
        provider: Option<&Attendee>,
    ) -> Option<Attendee> {
        if app == base {
            return provider.cloned();
        }
        if provider == base || app == provider {
            return app.cloned();
        }
        let Some((ours, theirs)) = app.zip(provider) else {
            if self.compare == Compare::AsStored
                && base.zip(provider).is_some_and(|(base, stored)| completed(base, stored))
            {
                return None;
            }
            // One side removed whom the other changed.
            let lost = self.collision(Field::Attendees, Some(key.to_owned()), json!(app), json!(provider));
            return if lost == Owner::App { provider } else { app }.cloned();
        };
        let mut merged = Attendee::new();
        let mut collides = false;
        for property in ours.keys().chain(theirs.keys()) {
            let was = base.and_then(|base| base.get(property));
            let (a, p) = (ours.get(property), theirs.get(property));
            let is = if a == was {
                p
            } else if p == was || a == p {
                a
            } else {
                // The address may only differ in case; that is no conflict.
                collides |= property != "email";
                if self.winner == Owner::App { a } else { p }
            };
            if let Some(is) = is {
                merged.insert(property.clone(), is.clone());
            }
        }
        if collides {
            self.collision(Field::Attendees, Some(key.to_owned()), json!(ours), json!(theirs));
        }
        Some(merged)
    }

    /// Dates merge line by line. Rules are one unit: the union of two changed rules is what nobody asked
    /// for.
    fn recurrence(
        &mut self,
        base: &BTreeSet<String>,
        app: &BTreeSet<String>,
        provider: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        if app == base || app == provider {
            return provider.clone();
        }
        if provider == base {
            return app.clone();
        }
        let rules = |lines: &BTreeSet<String>| -> BTreeSet<String> {
            lines.iter().filter(|line| is_rule(line)).cloned().collect()
        };
        let (was, ours, theirs) = (rules(base), rules(app), rules(provider));
        let kept = if ours == was || ours == theirs {
            theirs
        } else if theirs == was {
            ours
        } else {
            let (lost, won) = if self.winner == Owner::App { (&theirs, &ours) } else { (&ours, &theirs) };
            let side = self.winner.other();
            let winner = json!(won);
            let gone: Vec<Option<&String>> =
                if lost.is_empty() { vec![None] } else { lost.difference(won).map(Some).collect() };
            for line in gone {
                self.losers.push(Loser {
                    side,
                    field: Field::Recurrence,
                    key: line.cloned(),
                    value: json!(line),
                    winner: winner.clone(),
                });
            }
            won.clone()
        };
        let mut merged: BTreeSet<String> = app
            .union(provider)
            .filter(|line| !is_rule(line))
            .filter(|line| !base.contains(*line) || (app.contains(*line) && provider.contains(*line)))
            .cloned()
            .collect();
        if kept.is_empty() && !merged.iter().any(|line| line.starts_with("RDATE")) {
            // Without a rule there is nothing to except from.
            for (side, lines) in [(Owner::App, app), (Owner::Provider, provider)] {
                for line in merged.iter().filter(|line| lines.contains(*line) && !base.contains(*line)) {
                    let (key, value) = (Some(line.clone()), json!(line));
                    self.losers.push(Loser {
                        side,
                        field: Field::Recurrence,
                        key,
                        value,
                        winner: Value::Null,
                    });
                }
            }
            merged.clear();
        }
        merged.extend(kept);
        merged
    }
}

fn is_rule(line: &str) -> bool {
    line.starts_with("RRULE") || line.starts_with("EXRULE")
}
