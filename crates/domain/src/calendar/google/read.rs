//! Google event JSON, of any shape that the provider sends, to the canonical event.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::{Map, Value};

use crate::calendar::event::{Event, Moment, Occurrence, Original, Reminders, Side, Status, When, Zone};
use crate::calendar::identity::Stamp;
use crate::calendar::recurrence;

/// An event as the provider sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// The provider's id.
    pub id: String,
    /// The id that we gave with the insert that made it, where the provider answers another one.
    pub minted: Option<String>,
    /// The version, where the shape has one.
    pub etag: Option<String>,
    /// When its main data last changed.
    pub updated: Option<DateTime<Utc>>,
    /// The id that all calendar systems share.
    pub ical_uid: Option<String>,
    /// Its place in a series, for an exception.
    pub series: Option<Occurrence>,
    /// What we wrote into it when we made it.
    pub stamp: Option<Stamp>,
    /// Live in canonical form, or gone.
    pub side: Side,
    /// Everything, as it came.
    pub raw: Value,
}

/// An item of a provider's answer that has no identity; it belongs into quarantine with its raw body.
#[derive(Debug, thiserror::Error)]
#[error("the provider sent an event without an id: {}", excerpt(.0))]
pub struct Unreadable(pub Value);

fn excerpt(raw: &Value) -> String {
    raw.to_string().chars().take(200).collect()
}

/// Reads one event. Every shape that has an id is read: bare tombstones, cancelled exceptions without
/// a start, types that are not known yet.
///
/// # Errors
/// The item has no id.
pub fn read(raw: Value) -> Result<Incoming, Unreadable> {
    let Some(id) = text(&raw, "id") else { return Err(Unreadable(raw)) };
    let side = match raw["status"].as_str() {
        Some("cancelled") => Side::Gone,
        _ => Side::live(event(&raw)),
    };
    Ok(Incoming {
        id,
        minted: None,
        etag: text(&raw, "etag"),
        updated: raw["updated"].as_str().and_then(|text| text.parse().ok()),
        ical_uid: text(&raw, "iCalUID"),
        series: series(&raw),
        stamp: Stamp::read(&raw),
        side,
        raw,
    })
}

fn text(raw: &Value, key: &str) -> Option<String> {
    raw[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn series(raw: &Value) -> Option<Occurrence> {
    let master = text(raw, "recurringEventId")?;
    let original = match time(&raw["originalStartTime"]) {
        Some(Time::At(moment)) => Original::At(moment.instant()),
        Some(Time::On(day)) => Original::On(day),
        // The id of an instance says the same.
        None => crate::calendar::identity::split_instance(raw["id"].as_str()?)?.1,
    };
    Some(Occurrence { master, original })
}

enum Time {
    At(Moment),
    On(NaiveDate),
}

/// An `EventDateTime`: a date, or a time with an offset, a zone or both.
fn time(raw: &Value) -> Option<Time> {
    if let Some(day) = raw["date"].as_str() {
        return day.parse().ok().map(Time::On);
    }
    let text = raw["dateTime"].as_str()?;
    let zone: Option<Zone> = raw["timeZone"].as_str().and_then(|zone| zone.parse().ok());
    let moment = match (DateTime::parse_from_rfc3339(text), zone) {
        (Ok(time), Some(zone)) => Moment::at(time.to_utc(), zone),
        (Ok(time), None) => Moment::at(time.to_utc(), Zone::Offset(time.offset().local_minus_utc())),
        (Err(_), zone) => Moment::new(
            NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?,
            zone.unwrap_or(Zone::Offset(0)),
        ),
    };
    Some(Time::At(moment))
}

fn when(raw: &Value) -> Option<When> {
    match (time(&raw["start"])?, time(&raw["end"])) {
        (Time::At(start), Some(Time::At(end))) => Some(When::Timed { start, end }),
        (Time::At(start), _) => Some(When::Timed { start, end: start }),
        (Time::On(start), Some(Time::On(end))) => Some(When::AllDay { start, end }),
        (Time::On(start), _) => Some(When::AllDay { start, end: start.succ_opt().unwrap_or(start) }),
    }
}

fn event(raw: &Value) -> Event {
    Event {
        title: text(raw, "summary"),
        description: text(raw, "description"),
        location: text(raw, "location"),
        when: when(raw),
        status: if raw["status"] == "tentative" { Status::Tentative } else { Status::Confirmed },
        visibility: text(raw, "visibility").filter(|visibility| visibility != "default"),
        free: raw["transparency"] == "transparent",
        recurrence: lines(raw),
        attendees: attendees(raw),
        reminders: reminders(&raw["reminders"]),
        conference: Some(&raw["conferenceData"]).filter(|data| !data.is_null()).cloned(),
        color: text(raw, "colorId"),
        event_type: text(raw, "eventType").filter(|kind| kind != "default"),
    }
}

fn lines(raw: &Value) -> BTreeSet<String> {
    let lines = raw["recurrence"].as_array().into_iter().flatten();
    lines.filter_map(Value::as_str).map(recurrence::normal).collect()
}

/// The key under which an attendee is merged; those without an address keep another identity.
pub(super) fn address(attendee: &Map<String, Value>) -> Option<String> {
    let of = |key: &str| attendee.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    of("email")
        .map(|email| email.trim().to_lowercase())
        .or_else(|| of("id").map(|id| format!("id:{id}")))
        .or_else(|| of("displayName").map(|name| format!("name:{name}")))
}

fn attendees(raw: &Value) -> BTreeMap<String, Map<String, Value>> {
    let attendees = raw["attendees"].as_array().into_iter().flatten().filter_map(Value::as_object);
    attendees.filter_map(|attendee| Some((address(attendee)?, attendee.clone()))).collect()
}

fn reminders(raw: &Value) -> Reminders {
    if raw.is_null() || raw["useDefault"] == true {
        return Reminders::Calendar;
    }
    let overrides = raw["overrides"].as_array().into_iter().flatten();
    Reminders::Own(
        overrides
            .filter_map(|own| Some((own["method"].as_str()?.to_owned(), own["minutes"].as_i64()?)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_cancelled_shape_is_read() {
        let bare = read(json!({"id": "abc12", "status": "cancelled"})).expect("read");
        assert_eq!((bare.side, bare.series), (Side::Gone, None));
        let exception = json!({
            "id": "abc12_20260301T080000Z", "status": "cancelled", "recurringEventId": "abc12",
            "originalStartTime": {"dateTime": "2026-03-01T09:00:00+01:00", "timeZone": "Europe/Paris"},
        });
        let exception = read(exception).expect("read");
        let original = Original::At("2026-03-01T08:00:00Z".parse().expect("instant"));
        assert_eq!(exception.series, Some(Occurrence { master: "abc12".to_owned(), original }));
        let barer =
            json!({"id": "abc12_20260301T080000Z", "status": "cancelled", "recurringEventId": "abc12"});
        assert_eq!(read(barer).expect("read").series, exception.series, "the id says when it was");
        let detailed =
            json!({"id": "abc12", "status": "cancelled", "summary": "S", "start": {"date": "2026-01-01"}});
        assert_eq!(read(detailed).expect("read").side, Side::Gone);
        assert!(read(json!({"status": "cancelled"})).expect_err("no id").to_string().contains("cancelled"));
    }

    #[test]
    fn unknown_types_and_missing_fields_are_read() {
        let event =
            read(json!({"id": "abcde", "eventType": "siesta", "newField": {"a": [1]}})).expect("read");
        let live = event.side.event().expect("live");
        assert_eq!((live.event_type.as_deref(), live.when.as_ref()), (Some("siesta"), None));
        assert_eq!(event.raw["newField"]["a"][0], 1);
    }

    #[test]
    fn times_in_every_rendering() {
        let of = |start: Value| read(json!({"id": "abcde", "start": start, "end": start})).expect("read");
        let named = of(json!({"dateTime": "2026-07-01T10:00:00+02:00", "timeZone": "Europe/Paris"}));
        let utc = of(json!({"dateTime": "2026-07-01T08:00:00Z", "timeZone": "Europe/Paris"}));
        let floating = of(json!({"dateTime": "2026-07-01T10:00:00", "timeZone": "Europe/Paris"}));
        let offset = of(json!({"dateTime": "2026-07-01T10:00:00+02:00"}));
        assert_eq!(named.side, utc.side);
        assert_eq!(named.side, floating.side);
        assert_ne!(named.side, offset.side);
        assert!(offset.side.stored_as(&named.side));
        let day = of(json!({"date": "2026-07-01"}));
        assert!(matches!(day.side.event().expect("live").when, Some(When::AllDay { .. })));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z0-9:T+Z_-]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            let key = prop_oneof![
                Just("start"),
                Just("end"),
                Just("dateTime"),
                Just("date"),
                Just("timeZone"),
                Just("email"),
                Just("recurrence"),
                Just("attendees"),
                Just("reminders"),
                Just("overrides"),
                Just("minutes"),
                Just("recurringEventId"),
                Just("originalStartTime"),
                Just("extendedProperties"),
                Just("private"),
            ]
            .prop_map(str::to_owned);
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(key, inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_that_has_an_id_is_refused(mut raw in json()) {
            if let Some(object) = raw.as_object_mut() {
                object.insert("id".to_owned(), Value::from("abcde"));
                prop_assert_eq!(read(raw.clone()).expect("read").raw, raw);
            } else {
                prop_assert!(read(raw).is_err());
            }
        }
    }
}
