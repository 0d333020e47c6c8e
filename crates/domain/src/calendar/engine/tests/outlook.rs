//! The same decisions for a provider that gives ids of its own and never brings back what was deleted.

use serde_json::{Value, json};

use super::*;
use crate::calendar::event::{Moment, Original, When, Zone};
use crate::calendar::outlook::read;

fn outlook() -> Setting<'static> {
    Setting { dialect: Dialect::Outlook, ..setting() }
}

fn event(title: &str) -> Event {
    let at = |hour| {
        let wall = chrono::NaiveDate::from_ymd_opt(2026, 5, 4).and_then(|day| day.and_hms_opt(hour, 0, 0));
        Moment::new(wall.expect("time"), Zone::Named(chrono_tz::Europe::Paris))
    };
    Event::new(title, When::Timed { start: at(9), end: at(10) })
}

/// What Outlook keeps of a create.
fn kept(body: &Value, own: &str, etag: u32) -> Value {
    let mut raw = body.clone();
    (raw["id"], raw["@odata.etag"]) = (json!(own), json!(format!("W/\"{etag}\"")));
    (raw["isReminderOn"], raw["reminderMinutesBeforeStart"]) = (json!(true), json!(15));
    raw
}

fn inserted(row: &mut Row) -> (Call, Value) {
    let Plan::Call(call) = push(row, None, &outlook()) else { panic!("a call") };
    let Call::Insert { body, .. } = &call else { panic!("an insert: {call:?}") };
    let body = body.clone();
    (call, body)
}

#[test]
fn an_insert_is_answered_under_an_id_of_theirs() {
    let mut row = Row::new("e", event("t"), at(0));
    let (call, body) = inserted(&mut row);
    assert_eq!(body["transactionId"], json!(id()));
    let done = conclude(&mut row, &call, Answer::Event(kept(&body, "AAMkEV=", 1)), &outlook());
    assert_eq!((done.next, row.dirty()), (Next::Done, false));
    assert_eq!(row.link.as_ref().expect("linked").id, "AAMkEV=");
    let reminders = row.local.event().expect("live").reminders.clone();
    assert_eq!(reminders, Reminders::Own([("popup".to_owned(), 15)].into()), "theirs is taken");
}

#[test]
fn a_lost_answer_is_known_again_by_what_we_minted() {
    let mut row = Row::new("e", event("t"), at(0));
    let (call, body) = inserted(&mut row);
    conclude(&mut row, &call, Answer::Unknown, &outlook());
    // A page brings it before anybody looks.
    let incoming = read(kept(&body, "AAMkEV=", 1)).expect("read");
    let ways = matches(&incoming);
    assert_eq!(ways, [Match::Id("AAMkEV=".into()), Match::Id(id())]);
    assert!(may_link(&row, &incoming));
    let pulled = pull(&mut row, &incoming, &outlook());
    assert!(pulled.losers.is_empty() && !pulled.push, "{pulled:?}");
    assert_eq!(row.link.as_ref().expect("linked").id, "AAMkEV=");
    // The insert that was lost is looked for, and made again under the same transaction.
    let mut row = Row::new("e", event("t"), at(0));
    let (call, _) = inserted(&mut row);
    conclude(&mut row, &call, Answer::Unknown, &outlook());
    let Plan::Call(look) = push(&mut row, None, &outlook()) else { panic!("a look") };
    assert_eq!(look, Call::Look { id: id() });
    conclude(&mut row, &look, Answer::Refused(Problem::NotFound), &outlook());
    let (_, again) = inserted(&mut row);
    assert_eq!(again["transactionId"], json!(id()));
}

#[test]
fn what_was_deleted_gets_a_new_life() {
    let mut row = Row::new("e", event("t"), at(0));
    let (call, body) = inserted(&mut row);
    conclude(&mut row, &call, Answer::Event(kept(&body, "AAMkEV=", 1)), &outlook());
    row.local = Side::Gone;
    row.revision += 1;
    let Plan::Call(delete) = push(&mut row, None, &outlook()) else { panic!("a delete") };
    assert!(matches!(&delete, Call::Delete { id, .. } if id == "AAMkEV="));
    assert_eq!(conclude(&mut row, &delete, Answer::Empty, &outlook()).next, Next::Done);
    edit(&mut row, event("back"), 40);
    let (_, body) = inserted(&mut row);
    assert_eq!(body["transactionId"], json!(event_id("t", "c", "e", 1)), "another transaction");
}

#[test]
fn what_it_has_no_words_for_waits_for_an_edit() {
    let hourly = Event { recurrence: ["RRULE:FREQ=HOURLY".to_owned()].into(), ..event("t") };
    let mut row = Row::new("e", hourly, at(0));
    let plan = push(&mut row, None, &outlook());
    assert!(
        matches!(&plan, Plan::Park(Cause::Refused { message }) if message.contains("HOURLY")),
        "{plan:?}"
    );
    assert_eq!(push(&mut row, None, &outlook()), Plan::Nothing(Why::Parked));
    edit(&mut row, event("t"), 20);
    inserted(&mut row);
}

#[test]
fn a_cancelled_occurrence_stays_cancelled() {
    let place = json!({"id": "x", "type": "exception", "seriesMasterId": "AAMkEV=", "@removed": {},
        "originalStart": "2026-05-05T07:00:00Z"});
    let incoming = read(place).expect("read");
    let mut row = adopt("o", &incoming, &outlook()).expect("kept");
    assert_eq!(
        row.place.as_ref().map(|place| place.original),
        Some(Original::At("2026-05-05T07:00:00Z".parse().expect("instant")))
    );
    edit(&mut row, event("back"), 20);
    assert!(matches!(push(&mut row, None, &outlook()), Plan::Park(Cause::Refused { .. })));
}
