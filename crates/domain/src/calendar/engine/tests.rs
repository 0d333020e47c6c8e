//! The decisions one by one; their interplay is what `crates/simulation` throws dice for.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

mod outlook;

use super::*;
use crate::calendar::dialect::Dialect;
use crate::calendar::event::{Event, Field, Reminders, Side, Status};
use crate::calendar::google::{self, Incoming, read};
use crate::calendar::identity::{Stamp, event_id};
use crate::calendar::merge::{Owner, Policy, copy};
use crate::calendar::quota::Problem;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn setting() -> Setting<'static> {
    Setting {
        tenant: "t",
        calendar: "c",
        dialect: Dialect::Google,
        direction: Direction::Both,
        policy: Policy::NewestWins,
        generation: 1,
        bootstrapped: true,
        now: at(1_000),
    }
}

/// An event in which every field has a value that depends on `n`.
fn full(n: u8) -> Event {
    let raw = json!({
        "id": "abcde", "summary": format!("s{n}"), "description": format!("d{n}"), "location": format!("l{n}"),
        "start": {"dateTime": format!("2026-07-0{n}T10:00:00+02:00"), "timeZone": "Europe/Paris"},
        "end": {"dateTime": format!("2026-07-0{n}T11:00:00+02:00"), "timeZone": "Europe/Paris"},
        "status": if n == 2 { "tentative" } else { "confirmed" },
        "visibility": if n == 1 { "default" } else if n == 2 { "private" } else { "public" },
        "transparency": if n == 3 { "transparent" } else { "opaque" },
        "recurrence": [format!("RRULE:FREQ=DAILY;COUNT={n}")],
        "attendees": [{"email": "a@e", "responseStatus": "accepted", "comment": format!("c{n}")}],
        "reminders": {"useDefault": false, "overrides": [{"method": "popup", "minutes": n}]},
        "conferenceData": {"conferenceId": format!("m{n}")}, "colorId": n.to_string(),
    });
    read(raw).expect("read").side.event().expect("live").clone()
}

/// What the provider has: an event as it would store it.
fn stored(event: &Event, id: &str, etag: u32, updated: DateTime<Utc>) -> Value {
    let mut raw = google::insert(event, id, &Stamp { event: "e".to_owned(), incarnation: 0 });
    raw["etag"] = json!(format!("\"{etag}\""));
    raw["updated"] = json!(updated.to_rfc3339());
    raw
}

fn incoming(event: &Event, id: &str, etag: u32, updated: DateTime<Utc>) -> Incoming {
    read(stored(event, id, etag, updated)).expect("read")
}

/// A row that agrees with the provider on `event`, under etag 1.
fn agreed(event: &Event) -> Row {
    let mut row = Row::new("e", event.clone(), at(0));
    let Plan::Call(call) = push(&mut row, None, &setting()) else { panic!("an insert") };
    let id = event_id("t", "c", "e", 0);
    let done = conclude(&mut row, &call, Answer::Event(stored(event, &id, 1, at(10))), &setting());
    assert_eq!(done.next, Next::Done);
    row
}

fn id() -> String {
    event_id("t", "c", "e", 0)
}

fn edit(row: &mut Row, event: Event, seconds: i64) {
    row.local = Side::live(event);
    row.revision += 1;
    row.changed_at = at(seconds);
}

fn planned(row: &mut Row) -> Call {
    match push(row, None, &setting()) {
        Plan::Call(call) => call,
        other => panic!("{other:?}"),
    }
}

/// Every modelled field, edited by one side, the other and both, told by a pull or by a 412 and a look.
#[test]
fn the_field_matrix_loses_nothing() {
    let (base, ours, theirs) = (full(1), full(2), full(3));
    let mut cells = 0;
    for field in Field::OF_EVENT {
        for (app_edits, provider_edits) in [(true, false), (false, true), (true, true)] {
            for conditional in [false, true] {
                let mut row = agreed(&base);
                let (mut app, mut provider) = (base.clone(), base.clone());
                if app_edits {
                    copy(&mut app, &ours, field);
                    edit(&mut row, app.clone(), 20);
                }
                if provider_edits {
                    copy(&mut provider, &theirs, field);
                }
                let etag = if provider_edits { 2 } else { 1 };
                let event = incoming(&provider, &id(), etag, at(if provider_edits { 30 } else { 10 }));
                let losers = if conditional && provider_edits && row.dirty() {
                    let call = planned(&mut row);
                    let refused =
                        conclude(&mut row, &call, Answer::Refused(Problem::ConditionNotMet), &setting());
                    assert_eq!(refused.next, Next::Again);
                    let look = planned(&mut row);
                    assert_eq!(look, Call::Look { id: id() });
                    conclude(&mut row, &look, Answer::Event(event.raw.clone()), &setting())
                        .pulled
                        .expect("seen")
                        .losers
                } else {
                    pull(&mut row, &event, &setting()).losers
                };
                let is = row.local.event().expect("live").clone();
                let told = |side| losers.iter().any(|loser| loser.side == side && loser.field == field);
                // A field of two values cannot be changed differently by both.
                let (app_edited, provider_edited) = (!app.same(&base, field), !provider.same(&base, field));
                assert!(!app_edited || is.same(&app, field) || told(Owner::App), "{field:?}");
                assert!(!provider_edited || is.same(&provider, field) || told(Owner::Provider), "{field:?}");
                if !(app_edited && provider_edited) {
                    assert!(losers.is_empty(), "{field:?}: {losers:?}");
                }
                for other in Field::OF_EVENT.into_iter().filter(|other| *other != field) {
                    assert!(is.same(&base, other), "{other:?} changed with {field:?}");
                }
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 72);
}

#[test]
fn an_insert_is_prepared_before_it_is_called() {
    let mut row = Row::new("e", full(1), at(0));
    let Call::Insert { id, body, .. } = planned(&mut row) else { panic!("an insert") };
    let link = row.link.as_ref().expect("minted");
    assert_eq!((link.id.as_str(), body["id"].as_str()), (id.as_str(), Some(id.as_str())));
    assert!(link.sent.is_some(), "a crash after this is repaired");
    // It crashed: the same call again, and the id is taken by what we made.
    let again = planned(&mut row);
    let taken = conclude(&mut row, &again, Answer::Refused(Problem::Duplicate), &setting());
    assert_eq!(taken.next, Next::Again);
    let look = planned(&mut row);
    let found = conclude(&mut row, &look, Answer::Event(stored(&full(1), &id, 1, at(5))), &setting());
    assert_eq!(found.next, Next::Done);
    assert!(!row.dirty());
}

#[test]
fn an_id_of_a_forgotten_life_gets_a_new_incarnation() {
    let mut row = Row::new("e", full(1), at(0));
    let call = planned(&mut row);
    conclude(&mut row, &call, Answer::Refused(Problem::Duplicate), &setting());
    let look = planned(&mut row);
    let dead = json!({"id": id(), "status": "cancelled", "etag": "\"9\""});
    assert_eq!(conclude(&mut row, &look, Answer::Event(dead), &setting()).next, Next::Again);
    let Call::Insert { id: second, .. } = planned(&mut row) else { panic!("an insert") };
    assert_eq!(second, event_id("t", "c", "e", 1));
}

#[test]
fn deletion_against_edit_follows_the_policy() {
    for (edited, deleted, survives) in [(30, Some(20), true), (20, Some(30), false), (30, None, false)] {
        let mut row = agreed(&full(1));
        edit(&mut row, Event { title: Some("new".to_owned()), ..full(1) }, edited);
        let mut raw = json!({"id": id(), "status": "cancelled", "etag": "\"2\""});
        if let Some(deleted) = deleted {
            raw["updated"] = json!(at(deleted).to_rfc3339());
        }
        let pulled = pull(&mut row, &read(raw).expect("read"), &setting());
        assert_eq!(row.local != Side::Gone, survives);
        assert_eq!(pulled.push, survives, "the survivor is brought back");
        let lost = if survives { Field::Existence } else { Field::Title };
        assert_eq!(pulled.losers.iter().map(|loser| loser.field).collect::<Vec<_>>(), [lost]);
        if survives {
            let Call::Patch { undelete: true, etag, .. } = planned(&mut row) else { panic!("an undelete") };
            assert_eq!(etag.as_deref(), Some("\"2\""));
        }
    }
}

#[test]
fn a_refused_undelete_gets_a_new_incarnation() {
    let mut row = agreed(&full(1));
    let tombstone = json!({"id": id(), "status": "cancelled", "etag": "\"2\""});
    pull(&mut row, &read(tombstone).expect("read"), &setting());
    assert_eq!(row.local, Side::Gone);
    edit(&mut row, full(2), 50);
    let call = planned(&mut row);
    let forbidden = Problem::Forbidden { reason: "forbidden".to_owned(), message: "no".to_owned() };
    assert_eq!(conclude(&mut row, &call, Answer::Refused(forbidden), &setting()).next, Next::Again);
    let Call::Insert { id: second, .. } = planned(&mut row) else { panic!("an insert") };
    assert_eq!(second, event_id("t", "c", "e", 1));
}

#[test]
fn deleting_what_is_deleted_is_done() {
    for problem in [Problem::Deleted, Problem::NotFound] {
        let mut row = agreed(&full(1));
        row.local = Side::Gone;
        row.revision += 1;
        let mut rounds = 0;
        while row.dirty() {
            let call = planned(&mut row);
            assert!(matches!(call, Call::Delete { .. }));
            conclude(&mut row, &call, Answer::Refused(problem.clone()), &setting());
            rounds += 1;
        }
        // "Not found" right after an insert may be an illusion.
        assert_eq!(rounds, if problem == Problem::Deleted { 1 } else { MAX_MISSING });
    }
}

#[test]
fn a_loop_stops_within_three_writes() {
    let mut row = agreed(&Event { reminders: Reminders::Calendar, ..full(1) });
    edit(&mut row, Event { title: Some("ours".to_owned()), ..full(1) }, 50);
    let mut writes = 0;
    loop {
        match push(&mut row, None, &setting()) {
            Plan::Call(call) => {
                // A provider that stores something else each time, and an application that insists.
                let wish = row.local.clone();
                let stored = stored(
                    &Event { title: Some(format!("theirs {writes}")), ..full(1) },
                    &id(),
                    10 + writes,
                    at(60),
                );
                conclude(&mut row, &call, Answer::Event(stored), &setting());
                row.local = wish;
                writes += 1;
            }
            plan => {
                assert_eq!(plan, Plan::Park(Cause::Loop));
                break;
            }
        }
        assert!(writes <= MAX_WRITES);
    }
    assert_eq!(writes, MAX_WRITES);
    assert_eq!(push(&mut row, None, &setting()), Plan::Nothing(Why::Parked));
    edit(&mut row, Event { title: Some("later".to_owned()), ..full(1) }, 70);
    assert!(matches!(push(&mut row, None, &setting()), Plan::Call(_)), "a later edit tries again");
}

#[test]
fn what_came_from_the_provider_is_never_exported() {
    let event = incoming(&full(1), "foreign00", 1, at(10));
    let mut row = adopt("r", &event, &setting()).expect("a row");
    assert_eq!(push(&mut row, None, &setting()), Plan::Nothing(Why::Agreed));
    row.link = None;
    edit(&mut row, full(2), 50);
    row.origin = Owner::Provider;
    assert!(matches!(push(&mut row, None, &setting()), Plan::Nothing(Why::Agreed | Why::NotOurs)));
    let mut ours = Row::new("e", full(1), at(0));
    let before = Setting { bootstrapped: false, ..setting() };
    assert_eq!(push(&mut ours, None, &before), Plan::Nothing(Why::NotBootstrapped));
    let one_way = Setting { direction: Direction::FromGoogle, ..setting() };
    assert_eq!(push(&mut ours, None, &one_way), Plan::Nothing(Why::Direction));
}

#[test]
fn tombstones_of_strangers_are_nothing_and_cancelled_occurrences_are_kept() {
    let bare = read(json!({"id": "abcde", "status": "cancelled"})).expect("read");
    assert_eq!(adopt("r", &bare, &setting()), None);
    let occurrence = json!({"id": "abcde_20260301", "status": "cancelled", "recurringEventId": "abcde"});
    let row = adopt("r", &read(occurrence).expect("read"), &setting()).expect("kept");
    assert_eq!(row.local, Side::Gone);
    assert!(row.place.is_some() && !row.dirty());
}

#[test]
fn a_copy_of_our_event_is_another_event() {
    let row = agreed(&full(1));
    let copy = incoming(&full(1), "copied0000", 7, at(40));
    assert!(matches(&copy).contains(&Match::Stamp("e".to_owned())));
    assert!(!may_link(&row, &copy));
    assert!(may_link(&row, &incoming(&full(1), &id(), 7, at(40))));
}

#[test]
fn an_older_page_does_not_bring_the_past_back() {
    let mut row = agreed(&full(1));
    let fresh = Event { title: Some("new".to_owned()), ..full(1) };
    pull(&mut row, &incoming(&fresh, &id(), 5, at(100)), &setting());
    let pulled = pull(&mut row, &incoming(&full(1), &id(), 1, at(10)), &setting());
    assert_eq!((pulled.sight, pulled.changed), (Sight::Stale, false));
    assert_eq!(row.local.event().and_then(|event| event.title.as_deref()), Some("new"));
}

#[test]
fn refusals_for_good_park_and_the_account_rests() {
    let mut row = agreed(&full(1));
    edit(&mut row, Event { status: Status::Tentative, ..full(1) }, 50);
    let call = planned(&mut row);
    let quota = conclude(&mut row, &call, Answer::Refused(Problem::QuotaExceeded), &setting());
    assert!(matches!(quota.next, Next::ParkAccount { .. }));
    let message = "Attempt made to modify 'birthday' event".to_owned();
    let parked = conclude(&mut row, &call, Answer::Refused(Problem::EventType { message }), &setting());
    assert!(matches!(parked.next, Next::Park(Cause::Refused { .. })));
    assert_eq!(push(&mut row, None, &setting()), Plan::Nothing(Why::Parked));
}

#[test]
fn a_sweep_spares_what_is_pending_and_what_was_seen() {
    let later = Setting { generation: 2, ..setting() };
    let mut seen = agreed(&full(1));
    pull(&mut seen, &incoming(&full(1), &id(), 1, at(10)), &later);
    assert_eq!(sweep(&mut seen, 2, &later), None);
    let mut pending = agreed(&full(1));
    edit(&mut pending, full(2), 50);
    assert_eq!(sweep(&mut pending, 2, &later), None);
    let mut gone = agreed(&full(1));
    assert!(sweep(&mut gone, 2, &later).expect("swept").changed);
    assert_eq!(gone.local, Side::Gone);
    let json = serde_json::to_value(&gone).expect("json");
    assert_eq!(serde_json::from_value::<Row>(json).expect("row"), gone, "a row survives storage");
}

/// A series of three days with the application's exception on the third, which the provider does not have yet.
fn excepted() -> (Row, Row) {
    let master = agreed(&full(3));
    let original = crate::calendar::recurrence::parse(
        master.local.event().expect("live").recurrence.iter().map(String::as_str),
        master.local.event().expect("live").when.as_ref().expect("when"),
    )
    .expect("parsed")
    .occurrences(3)[2];
    let copied = crate::calendar::series::occurrence(master.local.event().expect("live"), original);
    let mut row = Row::new("x", Event { title: Some("other".to_owned()), ..copied.clone() }, at(50));
    row.place = Some(Place { row: Some("e".to_owned()), master: Some(id()), original });
    row.copied = Some(copied);
    (master, row)
}

#[test]
fn an_edit_of_an_occurrence_that_its_series_lost_ends_with_it() {
    let (mut master, mut row) = excepted();
    let Plan::Call(call) = push(&mut row, Some(&master), &setting()) else { panic!("a look") };
    let message = "Forbidden".to_owned();
    let refused = Problem::Forbidden { reason: "forbidden".to_owned(), message };
    let done = conclude(&mut row, &call, Answer::Refused(refused), &setting());
    assert!(matches!(done.next, Next::Park(Cause::Forbidden { .. })));
    assert!(!orphaned(&row, &master), "the series has the occurrence: a person decides");
    let short = Event { recurrence: ["RRULE:FREQ=DAILY;COUNT=2".to_owned()].into(), ..full(3) };
    pull(&mut master, &incoming(&short, &id(), 2, at(60)), &setting());
    assert!(orphaned(&row, &master));
    let losers = series_ended(&row);
    assert_eq!((losers.len(), losers[0].field, &losers[0].value), (1, Field::Title, &json!("other")));
}

#[test]
fn an_occurrence_that_is_not_there_leaves_nothing_behind() {
    let (master, mut row) = excepted();
    let mut last = Next::Done;
    for _ in 0..MAX_MISSING {
        let Plan::Call(call) = push(&mut row, Some(&master), &setting()) else { panic!("a look") };
        last = conclude(&mut row, &call, Answer::Refused(Problem::NotFound), &setting()).next;
    }
    assert_eq!((last, &row.local), (Next::Done, &Side::Gone));
    assert!(redundant(&row), "the series may get the place back");
    let later = Setting { generation: 2, ..setting() };
    assert_eq!(sweep(&mut row, 2, &later), None);
}
