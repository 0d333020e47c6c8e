//! Nothing is lost: every edit is in the result or among the losers.

use proptest::prelude::*;

use super::*;
use crate::calendar::event::{Reminders, Side, Status, When};

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-c]")
}

fn attendees() -> impl Strategy<Value = BTreeMap<String, Attendee>> {
    let attendee = proptest::collection::btree_map("[rox]", 0u8..3, 0..3)
        .prop_map(|fields| fields.into_iter().map(|(key, value)| (key, json!(value))).collect::<Attendee>());
    proptest::collection::btree_map("[xyz]@e", attendee, 0..3)
}

fn lines() -> impl Strategy<Value = BTreeSet<String>> {
    let line = prop_oneof![
        (1u8..4).prop_map(|n| format!("RRULE:FREQ=DAILY;COUNT={n}")),
        (1u8..4).prop_map(|n| format!("RDATE:2026010{n}T000000Z")),
        (1u8..4).prop_map(|n| format!("EXDATE:2026010{n}T000000Z")),
    ];
    proptest::collection::btree_set(line, 0..4)
}

fn event() -> impl Strategy<Value = Event> {
    let small = (text(), text(), text(), text(), any::<bool>(), any::<bool>());
    (small, attendees(), lines(), 0u8..3).prop_map(|(small, attendees, recurrence, day)| {
        let (title, description, location, color, free, tentative) = small;
        let start = chrono::NaiveDate::from_ymd_opt(2026, 1, 1 + u32::from(day)).expect("day");
        Event {
            title,
            description,
            location,
            color,
            free,
            status: if tentative { Status::Tentative } else { Status::Confirmed },
            when: Some(When::AllDay { start, end: start.succ_opt().expect("day") }),
            attendees,
            recurrence,
            reminders: Reminders::Calendar,
            ..Event::default()
        }
    })
}

/// Whether a change of `side` in `field` is visible in what came out.
fn survived(side: &Event, merged: &Merged, owner: Owner, field: Field) -> bool {
    side.same(&merged.event, field)
        || merged.losers.iter().any(|loser| loser.side == owner && loser.field == field)
}

fn exactly(base: &Event, app: &Event, provider: &Event, winner: Owner) -> Merged {
    merge(base, app, provider, winner, Compare::Exactly)
}

#[test]
fn rules_are_one_unit_and_dates_are_not() {
    let with = |lines: &[&str]| Event {
        recurrence: lines.iter().map(|line| (*line).to_owned()).collect(),
        ..Event::default()
    };
    let base = with(&["RRULE:FREQ=DAILY", "EXDATE:1"]);
    let app = with(&["RRULE:FREQ=WEEKLY", "EXDATE:1", "EXDATE:2"]);
    let provider = with(&["RRULE:FREQ=MONTHLY", "EXDATE:1", "EXDATE:3"]);
    let merged = exactly(&base, &app, &provider, Owner::App);
    assert_eq!(merged.event, with(&["RRULE:FREQ=WEEKLY", "EXDATE:1", "EXDATE:2", "EXDATE:3"]));
    assert_eq!(merged.losers.len(), 1);
    assert_eq!(merged.losers[0].value, "RRULE:FREQ=MONTHLY");
    let single = with(&[]);
    let merged = exactly(&base, &single, &with(&["RRULE:FREQ=DAILY", "EXDATE:1", "EXDATE:9"]), Owner::App);
    assert_eq!(merged.event, single, "an exception to nothing is nothing");
    assert_eq!(merged.losers[0].value, "EXDATE:9");
}

#[test]
fn an_answer_and_an_option_of_one_attendee_both_survive() {
    let with = |attendee: Value| Event {
        attendees: BTreeMap::from([("a@e".to_owned(), attendee.as_object().expect("object").clone())]),
        ..Event::default()
    };
    let merged = exactly(
        &with(json!({"email": "a@e", "responseStatus": "needsAction"})),
        &with(json!({"email": "a@e", "responseStatus": "needsAction", "optional": true})),
        &with(json!({"email": "a@e", "responseStatus": "accepted"})),
        Owner::App,
    );
    assert_eq!(merged.event, with(json!({"email": "a@e", "responseStatus": "accepted", "optional": true})));
    assert!(merged.losers.is_empty());
}

#[test]
fn what_the_provider_normalised_is_taken_and_is_no_edit() {
    let sent = Event { description: Some("<b>x</b><script>1</script>".to_owned()), ..Event::default() };
    let stored = Event { description: Some("<b>x</b>".to_owned()), ..Event::default() };
    let merged = merge(&sent, &sent, &stored, Owner::App, Compare::AsStored);
    assert_eq!(merged, Merged { event: stored.clone(), losers: Vec::new() });
    let edited = Event { description: Some("y".to_owned()), ..Event::default() };
    let merged = merge(&sent, &edited, &stored, Owner::Provider, Compare::AsStored);
    assert_eq!(merged, Merged { event: edited, losers: Vec::new() });
}

#[test]
fn the_policy_decides() {
    let early = DateTime::UNIX_EPOCH;
    let late = early + chrono::TimeDelta::seconds(1);
    assert_eq!(Policy::NewestWins.winner(late, Some(early)), Owner::App);
    assert_eq!(Policy::NewestWins.winner(early, Some(late)), Owner::Provider);
    assert_eq!(Policy::NewestWins.winner(early, Some(early)), Owner::Provider);
    assert_eq!(Policy::NewestWins.winner(late, None), Owner::Provider);
    assert_eq!(Policy::AppWins.winner(early, Some(late)), Owner::App);
    assert_eq!(Policy::ProviderWins.winner(late, Some(early)), Owner::Provider);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn one_side_alone_wins(base in event(), edited in event()) {
        for winner in [Owner::App, Owner::Provider] {
            prop_assert_eq!(exactly(&base, &edited, &base, winner).event, edited.clone());
            prop_assert_eq!(exactly(&base, &base, &edited, winner).event, edited.clone());
            let both = exactly(&base, &edited, &edited, winner);
            prop_assert!(both.losers.is_empty());
            prop_assert_eq!(both.event, edited.clone());
        }
    }

    #[test]
    fn it_does_not_matter_which_side_is_which(base in event(), app in event(), provider in event()) {
        for winner in [Owner::App, Owner::Provider] {
            let here = exactly(&base, &app, &provider, winner);
            let there = exactly(&base, &provider, &app, winner.other());
            prop_assert_eq!(here.event, there.event);
            prop_assert_eq!(here.losers.len(), there.losers.len());
        }
    }

    #[test]
    fn nothing_is_lost(base in event(), app in event(), provider in event(), app_wins: bool) {
        let winner = if app_wins { Owner::App } else { Owner::Provider };
        let merged = exactly(&base, &app, &provider, winner);
        for (side, owner) in [(&app, Owner::App), (&provider, Owner::Provider)] {
            for field in Field::OF_EVENT {
                if matches!(field, Field::Attendees | Field::Recurrence) || side.same(&base, field) {
                    continue;
                }
                prop_assert!(survived(side, &merged, owner, field), "{field:?} of {owner:?}: {merged:?}");
            }
            let told = |field: Field, key: &String| {
                merged.losers.iter().any(|l| l.field == field && l.side == owner && l.key.as_ref() == Some(key))
            };
            for (address, attendee) in &side.attendees {
                for (key, value) in attendee {
                    let was = base.attendees.get(address).and_then(|was| was.get(key));
                    let is = merged.event.attendees.get(address).and_then(|is| is.get(key));
                    prop_assert!(was == Some(value) || is == Some(value) || told(Field::Attendees, address));
                }
            }
            for line in side.recurrence.difference(&base.recurrence) {
                prop_assert!(merged.event.recurrence.contains(line) || told(Field::Recurrence, line));
            }
        }
    }

    #[test]
    fn disjoint_edits_both_survive(base in event(), app in event(), provider in event(), mask: u16) {
        let (mut ours, mut theirs) = (base.clone(), base.clone());
        for (index, field) in Field::OF_EVENT.into_iter().enumerate() {
            let (to, from) = if mask >> index & 1 == 1 { (&mut ours, &app) } else { (&mut theirs, &provider) };
            copy(to, from, field);
        }
        // Of a start behind the end of its rule, only one can be kept (the test below).
        let mut both = ours.clone();
        for (index, field) in Field::OF_EVENT.into_iter().enumerate().filter(|(index, _)| mask >> index & 1 == 0) {
            prop_assert!(ours.same(&base, field), "field {index}");
            copy(&mut both, &theirs, field);
        }
        prop_assume!(!is_empty_series(&both));
        let merged = exactly(&base, &ours, &theirs, Owner::App);
        prop_assert_eq!(&merged.losers, &Vec::new());
        for field in Field::OF_EVENT {
            let edited = if ours.same(&base, field) { &theirs } else { &ours };
            prop_assert!(merged.event.same(edited, field), "{field:?}");
        }
    }

    #[test]
    fn the_canonical_form_survives_storage(event in event()) {
        let side = Side::live(event.clone());
        let json = serde_json::to_string(&side).expect("json");
        prop_assert_eq!(serde_json::from_str::<Side>(&json).expect("side"), side);
        prop_assert_eq!(event.hash(), event.clone().hash());
    }
}

#[test]
fn a_start_behind_the_end_of_its_rule_is_a_collision() {
    let days = |day: u32, rule: &str| {
        let start = chrono::NaiveDate::from_ymd_opt(2026, 1, day).expect("day");
        let when = When::AllDay { start, end: start.succ_opt().expect("day") };
        Event { recurrence: [rule.to_owned()].into(), ..Event::new("S", when) }
    };
    let base = days(1, "RRULE:FREQ=DAILY;COUNT=9");
    // The application cuts the series short while somebody at the provider moves it behind that.
    let (app, provider) = (days(1, "RRULE:FREQ=DAILY;UNTIL=20260104"), days(20, "RRULE:FREQ=DAILY;COUNT=9"));
    let merged = exactly(&base, &app, &provider, Owner::App);
    assert_eq!(merged.event, app);
    assert_eq!(merged.losers.len(), 1);
    assert_eq!((merged.losers[0].side, merged.losers[0].field), (Owner::Provider, Field::When));
    let merged = exactly(&base, &app, &provider, Owner::Provider);
    assert_eq!(merged.event, provider);
    assert!(merged.losers.iter().all(|loser| (loser.side, loser.field) == (Owner::App, Field::Recurrence)));
    assert!(merged.losers.iter().any(|loser| loser.value == "RRULE:FREQ=DAILY;UNTIL=20260104"));
    // Both fit each other: disjoint edits both survive.
    let moved = days(3, "RRULE:FREQ=DAILY;COUNT=9");
    let merged = exactly(&base, &app, &moved, Owner::App);
    assert_eq!(merged.event, days(3, "RRULE:FREQ=DAILY;UNTIL=20260104"));
    assert!(merged.losers.is_empty());
}
