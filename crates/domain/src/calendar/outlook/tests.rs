//! What Outlook is told comes back as the same event, and what it has no words for is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::calendar::event::{Event, Field, Original, Side, When};
use crate::calendar::recurrence::{normal, parse};

fn raw(extra: Value) -> Value {
    let mut raw = json!({
        "id": "AAMkEV=", "@odata.etag": "W/\"1\"", "subject": "Review", "showAs": "busy",
        "body": {"contentType": "html", "content": "<html><head></head><body>\r\nBring <b>cake</b>\r\n</body></html>"},
        "start": {"dateTime": "2026-05-04T07:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-05-04T08:00:00.0000000", "timeZone": "UTC"},
        "originalStartTimeZone": "Romance Standard Time", "originalEndTimeZone": "Romance Standard Time",
        "unknown": {"keep": true},
    });
    if let (Value::Object(raw), Value::Object(extra)) = (&mut raw, extra) {
        raw.extend(extra);
    }
    raw
}

fn event(raw: Value) -> Event {
    read(raw).expect("read").side.event().expect("live").clone()
}

/// What Outlook answers to a create or an update.
fn stored(raw: &Value, told: &Value) -> Value {
    let (Value::Object(mut raw), Value::Object(told)) = (raw.clone(), told.clone()) else { unreachable!() };
    for own in ["originalStartTimeZone", "originalEndTimeZone"] {
        if told.contains_key("start") {
            raw.remove(own);
        }
    }
    raw.extend(told);
    Value::Object(raw)
}

#[test]
fn it_is_read_in_the_zone_it_was_made_in() {
    let read = read(raw(json!({}))).expect("read");
    assert_eq!((read.id.as_str(), read.etag.as_deref()), ("AAMkEV=", Some("W/\"1\"")));
    assert_eq!(read.raw["unknown"]["keep"], true);
    let event = read.side.event().expect("live");
    assert_eq!(event.description.as_deref(), Some("Bring <b>cake</b>"));
    let Some(When::Timed { start, .. }) = &event.when else { panic!("timed") };
    assert_eq!(
        (start.wall().to_string(), start.zone().to_string()),
        ("2026-05-04 09:00:00".into(), "Europe/Paris".into())
    );
}

#[test]
fn days_cancellations_and_tombstones() {
    let day = json!({"isAllDay": true,
        "start": {"dateTime": "2026-05-04T00:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-05-05T00:00:00.0000000", "timeZone": "UTC"}});
    let Some(When::AllDay { start, end }) = event(raw(day)).when else { panic!("all day") };
    assert_eq!((start.to_string(), end.to_string()), ("2026-05-04".into(), "2026-05-05".into()));
    assert_eq!(read(raw(json!({"isCancelled": true}))).expect("read").side, Side::Gone);
    assert_eq!(read(json!({"id": "x", "@removed": {"reason": "deleted"}})).expect("read").side, Side::Gone);
    assert!(read(json!({"subject": "nobody"})).is_err());
}

#[test]
fn a_series_is_unfolded() {
    let series = raw(json!({
        "type": "seriesMaster",
        "recurrence": {"pattern": {"type": "daily", "interval": 1}, "range": {"type": "noEnd", "startDate": "2026-05-04"}},
        "cancelledOccurrences": ["OID.AAMkEV=.2026-05-06"],
        "exceptionOccurrences": [raw(json!({"id": "occ", "type": "exception", "seriesMasterId": "AAMkEV=",
            "originalStart": "2026-05-05T07:00:00Z", "subject": "Moved"}))],
    }));
    let at = |text: &str| Original::At(text.parse().expect("instant"));
    assert_eq!(master_of(&series).as_deref(), Some("AAMkEV="));
    assert!(matches!(occurrence(&series, at("2026-05-05T07:00:00Z")), Seen::Exception(_)));
    assert_eq!(occurrence(&series, at("2026-05-06T07:00:00Z")), Seen::Cancelled);
    assert_eq!(occurrence(&series, at("2026-05-07T07:00:00Z")), Seen::Rule);
    let items: Vec<_> = unfold(series).into_iter().map(|raw| read(raw).expect("read")).collect();
    assert_eq!(items.len(), 3);
    assert_eq!(
        items[0].side.event().expect("live").recurrence.first().map(String::as_str),
        Some("RRULE:FREQ=DAILY")
    );
    assert_eq!(items[1].id, "AAMkEV=_20260505T070000Z");
    assert_eq!(items[2].series.as_ref().map(|place| place.original), Some(at("2026-05-06T07:00:00Z")));
    assert_eq!(items[2].side, Side::Gone);
}

#[test]
fn an_update_is_minimal_and_reads_back() {
    let raw = raw(json!({"attendees": [{"type": "optional", "x": 1, "status": {"response": "declined"},
        "emailAddress": {"address": "Zoe@example.org", "name": "Zoe"}}]}));
    let base = event(raw.clone());
    assert_eq!(patch(&raw, &base, &base), None);
    let guest = json!({"email": "al@example.org"}).as_object().expect("object").clone();
    let mut changed = Event { title: Some("Is".into()), ..base.clone() };
    changed.attendees.insert("al@example.org".into(), guest);
    settle(&mut changed, Some(&base)).expect("settled");
    let body = patch(&raw, &base, &changed).expect("differs");
    assert_eq!(body.as_object().expect("object").keys().collect::<Vec<_>>(), ["attendees", "subject"]);
    assert_eq!(body["attendees"][1]["x"], 1, "an answer and what is not modelled stay");
    assert!(changed.equivalent(&event(stored(&raw, &body))));
}

#[test]
fn what_it_has_no_words_for_is_refused() {
    let base = event(raw(json!({})));
    let with = |lines: &[&str]| Event {
        recurrence: lines.iter().map(|line| normal(line)).collect(),
        ..base.clone()
    };
    for lines in [
        &["RRULE:FREQ=HOURLY"][..],
        &["RRULE:FREQ=MONTHLY;BYMONTHDAY=31"],
        &["RRULE:FREQ=MONTHLY;BYDAY=5MO"],
        &["RRULE:FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO"],
        &["RRULE:FREQ=DAILY", "EXDATE;TZID=Europe/Paris:20260505T090000"],
    ] {
        assert!(settle(&mut with(lines), Some(&base)).is_err(), "{lines:?}");
    }
    let colour = Event { color: Some("3".into()), ..base.clone() };
    let text = settle(&mut colour.clone(), Some(&base)).expect_err("refused").to_string();
    assert!(text.contains("color_id"), "{text}");
    settle(&mut colour.clone(), Some(&colour)).expect("what is there already is not refused");
}

fn rules() -> impl Strategy<Value = String> {
    let days = proptest::sample::subsequence(vec!["MO", "TU", "WE", "TH", "FR", "SA", "SU"], 1..=7)
        .prop_map(|days| days.join(","));
    let index = proptest::sample::select(vec![1i64, 2, 3, 4, -1]);
    let rule = prop_oneof![
        Just("FREQ=DAILY".to_owned()),
        Just("FREQ=WEEKLY".to_owned()),
        (days.clone(), prop_oneof![Just("MO"), Just("SU")])
            .prop_map(|(days, first)| format!("FREQ=WEEKLY;BYDAY={days};WKST={first}")),
        (1i64..=28).prop_map(|day| format!("FREQ=MONTHLY;BYMONTHDAY={day}")),
        Just("FREQ=MONTHLY;BYMONTHDAY=-1".to_owned()),
        Just("FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1".to_owned()),
        (index.clone(), days).prop_map(|(at, days)| format!("FREQ=MONTHLY;BYDAY={days};BYSETPOS={at}")),
        index.clone().prop_map(|at| format!("FREQ=MONTHLY;BYDAY={at}TU")),
        (1i64..=12, 1i64..=28)
            .prop_map(|(month, day)| format!("FREQ=YEARLY;BYMONTH={month};BYMONTHDAY={day}")),
        Just("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1".to_owned()),
        (1i64..=12, index).prop_map(|(month, at)| format!("FREQ=YEARLY;BYMONTH={month};BYDAY={at}FR")),
    ];
    let end = prop_oneof![
        Just(String::new()),
        (1u32..40).prop_map(|count| format!(";COUNT={count}")),
        (1u32..=28, 0u32..24).prop_map(|(day, hour)| format!(";UNTIL=202611{day:02}T{hour:02}3000Z")),
    ];
    (rule, 1u32..4, end).prop_map(|(rule, interval, end)| format!("RRULE:{rule};INTERVAL={interval}{end}"))
}

proptest! {
    #[test]
    fn a_rule_keeps_its_occurrences(rule in rules(), all_day: bool) {
        let start = if all_day {
            json!({"isAllDay": true, "start": {"dateTime": "2026-05-04T00:00:00", "timeZone": "UTC"},
                "end": {"dateTime": "2026-05-05T00:00:00", "timeZone": "UTC"}})
        } else {
            json!({})
        };
        let base = event(raw(start));
        let mut told = Event { recurrence: [normal(&rule)].into(), ..base.clone() };
        settle(&mut told, Some(&base)).expect("settled");
        let when = told.when.clone().expect("a time");
        let of = |event: &Event| {
            let lines: Vec<&str> = event.recurrence.iter().map(String::as_str).collect();
            parse(lines, &when).expect("parsed").occurrences(60)
        };
        let asked = Event { recurrence: [normal(&rule)].into(), ..base.clone() };
        prop_assert_eq!(of(&told), of(&asked));
        let mut again = told.clone();
        settle(&mut again, Some(&base)).expect("settled");
        prop_assert_eq!(&again, &told, "settled is settled");
        let body = insert(&told, "0123456789abcdef");
        let answer = read(stored(&json!({"id": "x"}), &body)).expect("read");
        prop_assert_eq!(answer.minted.as_deref(), Some("0123456789abcdef"));
        let back = answer.side.event().expect("live").clone();
        for field in Field::OF_EVENT {
            prop_assert!(told.stored_as(&back, field), "{:?}: {:?} {:?}", field, told, back);
        }
    }

    #[test]
    fn every_time_comes_back(seconds in 1_600_000_000i64..1_900_000_000, zone in 0usize..chrono_tz::TZ_VARIANTS.len()) {
        use crate::calendar::event::{Moment, Zone};
        let at = chrono::DateTime::from_timestamp(seconds, 0).expect("instant");
        let zone = Zone::Named(chrono_tz::TZ_VARIANTS[zone]);
        let when = When::Timed { start: Moment::at(at, zone), end: Moment::at(at + chrono::TimeDelta::hours(1), zone) };
        let told = Event::new("t", when);
        let back = event(stored(&json!({"id": "x"}), &insert(&told, "id")));
        let (Some(When::Timed { start, .. }), Some(When::Timed { start: found, .. })) = (told.when, back.when) else {
            panic!("timed")
        };
        prop_assert_eq!(start.instant(), found.instant());
    }
}
