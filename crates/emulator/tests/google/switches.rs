//! Unverified behaviours that no line of the checklist covers: both settings of each switch.

use emulator::google::{ErrorShape, ListParams, PropertySearch, Role, Switches, WriteParams};
use serde_json::json;

use crate::stage::{ANNA, BEN, Stage, event, refused, series};

#[test]
fn the_window_of_the_first_run_may_hold_for_deltas() {
    for (window_on_delta, seen) in [(false, 2), (true, 1)] {
        let mut stage = Stage::with(Switches { window_on_delta, ..Switches::default() });
        stage.insert(event("inside1"));
        let mut outside = event("outside1");
        outside["start"]["dateTime"] = json!("2027-11-25T10:00:00+01:00");
        outside["end"]["dateTime"] = json!("2027-11-25T11:00:00+01:00");
        stage.insert(outside);
        let params = ListParams { time_max: Some("2027-01-01T00:00:00Z".into()), ..ListParams::default() };
        let run = stage.run(&params).unwrap();
        assert_eq!(run.items.len(), 1);
        for id in ["inside1", "outside1"] {
            stage.patch(id, json!({"summary": "x"}));
        }
        assert_eq!(stage.delta(run.token).items.len(), seen);
    }
}

#[test]
fn constraints_on_properties_are_all_or_any() {
    let mut stage = Stage::new();
    for (id, properties) in [("event1", json!({"a": "1", "b": "2"})), ("event2", json!({"a": "1"}))] {
        let mut body = event(id);
        body["extendedProperties"] = json!({"private": properties});
        stage.insert(body);
    }
    let params = ListParams { private_properties: vec!["a=1".into(), "b=2".into()], ..ListParams::default() };
    assert_eq!(stage.run(&params).unwrap().items.len(), 1);
    stage.google.set_switches(Switches { property_search: PropertySearch::Or, ..Switches::default() });
    assert_eq!(stage.run(&params).unwrap().items.len(), 2);
    let mut long = event("event3");
    long["extendedProperties"] = json!({"private": {"k".repeat(45): "v"}});
    refused(stage.try_insert(&long), 400, "invalid");
    stage.google.set_switches(Switches { property_limits: false, ..Switches::default() });
    stage.insert(&long);
}

#[test]
fn a_series_may_pass_its_edits_on_to_exceptions() {
    for (exceptions_inherit, location) in [(false, None), (true, Some("Room 2"))] {
        let mut stage = Stage::with(Switches { exceptions_inherit, ..Switches::default() });
        stage.insert(series("series1"));
        stage.patch("series1_20261202T090000Z", json!({"summary": "Own"}));
        stage.patch("series1", json!({"summary": "New", "location": "Room 2"}));
        let exception = stage.get("series1_20261202T090000Z").unwrap();
        assert_eq!((exception["summary"].as_str(), exception["location"].as_str()), (Some("Own"), location));
    }
}

#[test]
fn timed_events_without_a_duration_are_accepted_or_not() {
    let mut body = event("event1");
    body["end"] = body["start"].clone();
    for zero_length_events in [true, false] {
        let mut stage = Stage::with(Switches { zero_length_events, ..Switches::default() });
        assert_eq!(stage.try_insert(&body).is_ok(), zero_length_events);
        body["id"] = json!("event2");
        body["end"]["dateTime"] = json!("2026-11-25T09:59:59+01:00");
        refused(stage.try_insert(&body), 400, "timeRangeEmpty");
        body["end"] = body["start"].clone();
    }
}

#[test]
fn errors_have_an_old_shape_a_new_one_or_both() {
    let mut stage = Stage::new();
    let error = stage.delete("none1").unwrap_err();
    let (old, new, both) =
        (error.body(ErrorShape::Legacy), error.body(ErrorShape::Modern), error.body(ErrorShape::Both));
    assert_eq!(old["error"]["errors"][0]["reason"], "notFound");
    assert!(old["error"].get("details").is_none() && new["error"].get("errors").is_none());
    assert_eq!(
        (new["error"]["status"].as_str(), new["error"]["code"].as_i64()),
        (Some("NOT_FOUND"), Some(404))
    );
    assert_eq!(both["error"]["details"][0]["reason"], both["error"]["errors"][0]["reason"]);
}

#[test]
fn access_lists_and_settings_have_tokens_of_their_own() {
    let mut stage = Stage::new();
    let (anna, ben) = (stage.caller(ANNA), stage.caller(BEN));
    let first = stage.google.acl_list(&anna, "primary", &ListParams::default()).unwrap();
    assert_eq!(first["items"].as_array().unwrap().len(), 1);
    stage.google.share(&anna, "primary", BEN, Role::FreeBusyReader).unwrap();
    let token = first["nextSyncToken"].as_str().map(ToOwned::to_owned);
    let delta = ListParams { sync_token: token.clone(), ..ListParams::default() };
    let next = stage.google.acl_list(&anna, "primary", &delta).unwrap();
    assert_eq!(
        (next["items"].as_array().unwrap().len(), next["items"][0]["role"].as_str()),
        (1, Some("freeBusyReader"))
    );
    refused(stage.google.acl_list(&ben, ANNA, &ListParams::default()), 403, "requiredAccessLevel");
    stage.insert(event("event1"));
    let busy = stage.google.get(&ben, ANNA, "event1", &ListParams::default()).unwrap();
    assert!(busy.get("summary").is_none() && busy["visibility"] == "private", "busy, and no more: {busy}");
    let settings = stage.google.settings(&anna, &ListParams::default()).unwrap();
    assert!(settings["items"].as_array().unwrap().iter().any(|one| one["id"] == "timezone"));
    let token = settings["nextSyncToken"].as_str().map(ToOwned::to_owned);
    let delta = ListParams { sync_token: token, ..ListParams::default() };
    assert_eq!(stage.google.settings(&anna, &delta).unwrap()["items"], json!([]));
    assert_eq!(stage.google.setting(&anna, "timezone").unwrap()["value"], "Europe/Paris");
    // Tokens of one resource do not open another.
    refused(stage.list(&delta), 400, "invalid");
}

#[test]
fn a_series_moves_with_its_exceptions_and_back() {
    let mut stage = Stage::new();
    stage.google.create_calendar(ANNA, "team@example.org", "Team", "UTC").unwrap();
    stage.insert(series("series1"));
    stage.patch("series1_20261202T090000Z", json!({"summary": "Own"}));
    let anna = stage.caller(ANNA);
    let params = WriteParams::default();
    let instance = "series1_20261209T090000Z";
    refused(
        stage.google.move_event(&anna, "primary", instance, "team@example.org", &params),
        400,
        "cannotChangeOrganizerOfInstance",
    );
    let token = stage.full().token;
    stage.google.move_event(&anna, "primary", "series1", "team@example.org", &params).unwrap();
    let there =
        stage.google.get(&anna, "team@example.org", "series1_20261202T090000Z", &ListParams::default());
    assert_eq!(there.unwrap()["summary"], "Own");
    let delta = stage.delta(token);
    assert_eq!((delta.items.len(), delta.items[0]["status"].as_str()), (1, Some("cancelled")));
    stage.google.move_event(&anna, "team@example.org", "series1", "primary", &params).unwrap();
    assert_eq!(stage.get("series1").unwrap()["status"], "confirmed");
    assert_eq!(stage.get("series1_20261202T090000Z").unwrap()["summary"], "Own");
}
