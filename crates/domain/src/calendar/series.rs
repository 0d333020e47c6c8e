//! Occurrences of a series, and "this and following".

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::engine::{Place, Row};
use super::event::{Event, Moment, Original, Side, When};
use super::merge::{Compare, Owner, merge};
use super::recurrence::{MAX_OCCURRENCES, Refused, normal, parse};

/// The occurrence of `master` at `original`, as it is before anybody makes an exception of it.
pub fn occurrence(master: &Event, original: Original) -> Event {
    let mut event = master.clone();
    event.recurrence.clear();
    event.when = match (&master.when, original) {
        (Some(When::Timed { start, end }), Original::At(instant)) => {
            let first = Moment::at(instant, start.zone());
            let wall = first.wall() + (end.wall() - start.wall());
            Some(When::Timed { start: first, end: Moment::new(wall, end.zone()) })
        }
        (Some(When::AllDay { start, end }), Original::On(day)) => {
            Some(When::AllDay { start: day, end: day + (*end - *start) })
        }
        (when, _) => when.clone(),
    };
    event
}

/// "This and following": one series made into two.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The old series, ending before the split.
    pub trimmed: Event,
    /// The new series, from the split on.
    pub following: Event,
}

/// Splits `master` before its occurrence at `at`. Dates go to the part in which they lie; a count is divided.
/// Later exceptions are re-applied by [`follow`], since the provider resets them.
///
/// # Errors
/// The lines cannot be read, or `at` is the first occurrence or none: then the series itself is to be edited.
pub fn split(master: &Event, at: Original) -> Result<Split, Refused> {
    let refuse = |line: &str, reason: &str| Refused { line: line.to_owned(), reason: reason.to_owned() };
    let Some(start) = &master.when else { return Err(refuse("", "the series has no start")) };
    if start.original() >= at {
        return Err(refuse("", "the series begins here; edit the series itself"));
    }
    let lines = master.recurrence.iter().map(String::as_str);
    if !parse(lines, start)?.occurrences(MAX_OCCURRENCES).contains(&at) {
        return Err(refuse("", "the series has no occurrence there"));
    }
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    for line in &master.recurrence {
        let (head, body) = line.split_once(':').ok_or_else(|| refuse(line, "has no colon"))?;
        if head.starts_with("RRULE") || head.starts_with("EXRULE") {
            let rule = parse([format!("RRULE:{body}").as_str()], start)?;
            let count = body.split(';').find_map(|part| part.strip_prefix("COUNT=")?.parse::<usize>().ok());
            let kept =
                body.split(';').filter(|part| !part.starts_with("COUNT=") && !part.starts_with("UNTIL="));
            let rest = kept.collect::<Vec<_>>().join(";");
            before.insert(normal(&format!("{head}:{rest};UNTIL={}", last_before(at))));
            let done = rule.occurrences(MAX_OCCURRENCES).into_iter().take_while(|one| *one < at).count();
            match count {
                Some(count) if count <= done => {}
                Some(count) => {
                    after.insert(normal(&format!("{head}:{rest};COUNT={}", count - done)));
                }
                None => {
                    after.insert(line.clone());
                }
            }
            continue;
        }
        for value in body.split(',') {
            let single = normal(&format!("{head}:{value}"));
            let dates = parse([single.replacen("EXDATE", "RDATE", 1).as_str()], start)?.dates();
            let side = if dates.iter().any(|date| *date >= at) { &mut after } else { &mut before };
            side.insert(single);
        }
    }
    let trimmed = Event { recurrence: before, ..master.clone() };
    let following = Event { recurrence: after, ..occurrence(master, at) };
    Ok(Split { trimmed, following })
}

/// Whether a series is known to have no occurrence there. A rule that cannot be read, and a place beyond what is
/// expanded, say nothing.
pub fn misses(master: &Event, at: Original) -> bool {
    let Some(start) = &master.when else { return false };
    if start.original() == at {
        return false;
    }
    let Ok(rules) = parse(master.recurrence.iter().map(String::as_str), start) else { return false };
    let all = rules.occurrences(MAX_OCCURRENCES);
    let complete = all.len() < usize::from(MAX_OCCURRENCES) || all.last().is_some_and(|last| *last > at);
    !all.is_empty() && complete && !all.contains(&at)
}

/// The last moment before an occurrence, as `UNTIL` has it.
fn last_before(at: Original) -> String {
    match at {
        Original::At(instant) => (instant - TimeDelta::seconds(1)).format("%Y%m%dT%H%M%SZ").to_string(),
        Original::On(day) => (day - TimeDelta::days(1)).format("%Y%m%d").to_string(),
    }
}

/// The second part of a split series as it was finally written, to re-apply later exceptions to.
#[derive(Clone, Debug)]
pub struct Following {
    /// The series that was split, before.
    old: Event,
    /// Where it was split.
    at: Original,
    /// The new series.
    new: Event,
    places: BTreeSet<Original>,
}

impl Following {
    /// `new` is [`Split::following`], or what somebody made of it: another title, another time.
    pub fn new(old: Event, at: Original, new: Event) -> Self {
        let rules = new.when.as_ref().map(|start| parse(new.recurrence.iter().map(String::as_str), start));
        let places = match rules {
            Some(Ok(rules)) => rules.occurrences(MAX_OCCURRENCES).into_iter().collect(),
            _ => BTreeSet::new(),
        };
        Self { old, at, new, places }
    }

    /// The new series.
    pub fn series(&self) -> &Event {
        &self.new
    }

    /// Where the new series has what the old one had at `original`: the whole series may have moved by hours or
    /// days. `None` where it has no such occurrence.
    pub fn place(&self, original: Original) -> Option<Original> {
        let moved = match (&occurrence(&self.old, self.at).when, &self.new.when, original) {
            (
                Some(When::Timed { start: from, .. }),
                Some(When::Timed { start: to, .. }),
                Original::At(at),
            ) => {
                let wall = Moment::at(at, from.zone()).wall() + (to.wall() - from.wall());
                Original::At(Moment::new(wall, to.zone()).instant())
            }
            (
                Some(When::AllDay { start: from, .. }),
                Some(When::AllDay { start: to, .. }),
                Original::On(day),
            ) => Original::On(day + (*to - *from)),
            _ => return None,
        };
        self.places.contains(&moved).then_some(moved)
    }

    /// What an exception of the old series is in the new one: its own changes, over what the series is now.
    pub fn event(&self, original: Original, place: Original, exception: &Event) -> Event {
        let (was, is) = (occurrence(&self.old, original), occurrence(&self.new, place));
        merge(&was, exception, &is, Owner::App, Compare::Exactly).event
    }
}

/// The row under `key` that re-applies an exception of the old series to the new one, whose row is
/// `master`. The old row is deleted by the application (its side becomes
/// [`Side::Gone`]). `None` where the new series has no such occurrence.
pub fn follow(old: &Row, key: impl Into<String>, master: &str, following: &Following) -> Option<Row> {
    let original = old.place.as_ref()?.original;
    let place = following.place(original)?;
    let local = match &old.local {
        Side::Gone => Side::Gone,
        Side::Live(event) => Side::live(following.event(original, place, event)),
    };
    Some(Row {
        key: key.into(),
        local,
        origin: Owner::App,
        revision: 1,
        place: Some(Place { row: Some(master.to_owned()), master: None, original: place }),
        copied: Some(occurrence(&following.new, place)),
        link: None,
        ..old.clone()
    })
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDateTime;
    use proptest::prelude::*;

    use super::*;

    fn series(lines: &[&str]) -> Event {
        let wall = NaiveDateTime::parse_from_str("20260320T090000", "%Y%m%dT%H%M%S").expect("wall");
        let start = Moment::new(wall, "Europe/Paris".parse().expect("zone"));
        let end = Moment::new(wall + TimeDelta::hours(1), start.zone());
        let recurrence = lines.iter().map(|line| normal(line)).collect();
        Event { recurrence, ..Event::new("S", When::Timed { start, end }) }
    }

    fn all(event: &Event, limit: u16) -> Vec<Original> {
        let when = event.when.as_ref().expect("when");
        parse(event.recurrence.iter().map(String::as_str), when).expect("parsed").occurrences(limit)
    }

    #[test]
    fn an_occurrence_keeps_its_wall_clock_and_length() {
        let master = series(&["RRULE:FREQ=DAILY"]);
        let original = all(&master, 15)[12];
        let Some(When::Timed { start, end }) = occurrence(&master, original).when else { panic!("timed") };
        assert_eq!(start.wall().to_string(), "2026-04-01 09:00:00", "after the change of the clocks");
        assert_eq!((end.wall() - start.wall()).num_minutes(), 60);
        assert_eq!(start.offset(), 7_200);
    }

    #[test]
    fn the_first_occurrence_is_the_series_itself() {
        let master = series(&["RRULE:FREQ=DAILY"]);
        let first = all(&master, 1)[0];
        assert!(split(&master, first).expect_err("first").to_string().contains("series itself"));
    }

    proptest! {
        #[test]
        fn both_parts_are_the_whole(
            rule in prop::sample::select(vec![
                "RRULE:FREQ=DAILY;COUNT=20", "RRULE:FREQ=WEEKLY;BYDAY=MO,WE,FR;COUNT=15",
                "RRULE:FREQ=DAILY;UNTIL=20260415T070000Z", "RRULE:FREQ=MONTHLY;COUNT=12",
            ]),
            exceptions in prop::collection::btree_set(0usize..10, 0..3),
            at in 1usize..9,
        ) {
            let plain = all(&series(&[rule]), 50);
            let mut lines = vec![rule.to_owned(), "RDATE:20260401T123000Z".to_owned()];
            for index in exceptions.into_iter().filter(|index| *index != at) {
                let Original::At(instant) = plain[index] else { panic!("timed") };
                lines.push(format!("EXDATE:{}", instant.format("%Y%m%dT%H%M%SZ")));
            }
            let master = series(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            let parts = split(&master, plain[at]).expect("split");
            let mut both = all(&parts.trimmed, 60);
            prop_assert!(both.iter().all(|one| *one < plain[at]));
            let later = all(&parts.following, 60);
            prop_assert!(later.iter().all(|one| *one >= plain[at]));
            both.extend(later);
            prop_assert_eq!(both, all(&master, 60));
        }
    }
}
