//! E1 to E10, E20, E22, E41: lists, pages, tokens, tombstones.

use emulator::google::{
    ListParams, Orphans, PageTrouble, Role, Switches, TokenParameters, Tombstones, WriteParams,
};
use serde_json::json;

use crate::stage::{ANNA, BEN, Stage, event, refused, series};

fn pages_of(size: usize) -> ListParams {
    ListParams { max_results: Some(size), ..ListParams::default() }
}

#[test]
fn e01_the_sync_token_is_on_the_last_page_only() {
    let mut stage = Stage::new();
    for number in 0..7 {
        stage.insert(event(&format!("event{number}")));
    }
    let run = stage.run(&pages_of(3)).unwrap();
    assert_eq!((run.pages, run.items.len(), run.token.is_some()), (vec![3, 3, 1], 7, true));
    let page = stage.list(&pages_of(3)).unwrap();
    assert!(page.get("nextSyncToken").is_none());
    for key in ["kind", "etag", "summary", "updated", "timeZone", "accessRole", "defaultReminders"] {
        assert!(page.get(key).is_some(), "{key}");
    }
}

#[test]
fn e02_a_page_may_be_empty_and_link_on() {
    let mut stage = Stage::new();
    for number in 0..12 {
        stage.insert(event(&format!("event{number:02}")));
    }
    for number in 0..12 {
        if number != 5 {
            stage.delete(&format!("event{number:02}")).unwrap();
        }
    }
    let run = stage.run(&pages_of(2)).unwrap();
    assert_eq!(run.items.len(), 1);
    assert_eq!(run.pages.len(), 6, "rows are cut before they are filtered");
    assert!(run.pages.contains(&0));
    let mut closed = Stage::with(Switches { page_before_filter: false, ..Switches::default() });
    closed.insert(event("event1"));
    closed.insert(event("event2"));
    closed.delete("event1").unwrap();
    assert_eq!(closed.run(&pages_of(1)).unwrap().pages, [1]);
    let forced = ListParams { trouble: Some(PageTrouble::Empty), ..pages_of(9) };
    let page = stage.list(&forced).unwrap();
    assert_eq!(page["items"], json!([]));
    let rest = ListParams { page_token: Some(page["nextPageToken"].as_str().unwrap().into()), ..pages_of(9) };
    assert_eq!(stage.run(&rest).unwrap().items.len(), 1);
}

#[test]
fn e03_pages_are_frozen_as_of_the_first_one() {
    let mut stage = Stage::new();
    for number in 0..4 {
        stage.insert(event(&format!("event{number}")));
    }
    let first = stage.list(&pages_of(2)).unwrap();
    for number in 0..4 {
        stage.patch(&format!("event{number}"), json!({"summary": "changed"}));
    }
    stage.insert(event("event9"));
    let next =
        ListParams { page_token: first["nextPageToken"].as_str().map(ToOwned::to_owned), ..pages_of(2) };
    let second = stage.list(&next).unwrap();
    let items = second["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert!(items.iter().all(|item| item["summary"] == "Meeting"));
    // What happened meanwhile comes with the token.
    let delta = stage.delta(second["nextSyncToken"].as_str().map(ToOwned::to_owned));
    assert_eq!(delta.items.len(), 5);
    assert!(delta.items.iter().filter(|item| item["summary"] == "changed").count() == 4);
}

#[test]
fn e04_a_sync_token_forbids_eight_parameters() {
    let mut stage = Stage::new();
    let token = stage.full().token;
    let text = || Some("x".to_owned());
    let plain = ListParams { sync_token: token, ..ListParams::default() };
    let wrong = [
        ListParams { ical_uid: text(), ..plain.clone() },
        ListParams { order_by: Some("updated".into()), ..plain.clone() },
        ListParams { private_properties: vec!["a=b".into()], ..plain.clone() },
        ListParams { shared_properties: vec!["a=b".into()], ..plain.clone() },
        ListParams { q: text(), ..plain.clone() },
        ListParams { time_min: text(), ..plain.clone() },
        ListParams { time_max: text(), ..plain.clone() },
        ListParams { updated_min: text(), ..plain.clone() },
    ];
    for params in wrong {
        assert_eq!(stage.list(&params).unwrap_err().status, 400, "{params:?}");
    }
    stage.list(&plain).unwrap();
    refused(
        stage.list(&ListParams { order_by: Some("startTime".into()), ..ListParams::default() }),
        400,
        "badRequest",
    );
    refused(
        stage.list(&ListParams {
            time_min: Some("2026-01-02T00:00:00Z".into()),
            time_max: Some("2026-01-01T00:00:00Z".into()),
            ..ListParams::default()
        }),
        400,
        "timeRangeEmpty",
    );
    refused(
        stage.list(&ListParams { updated_min: Some("2026-01-01T00:00:00Z".into()), ..ListParams::default() }),
        410,
        "updatedMinTooLongAgo",
    );
}

#[test]
fn e05_show_deleted_false_is_refused_with_a_token() {
    let mut stage = Stage::new();
    let token = stage.full().token;
    let mut params = ListParams { sync_token: token, show_deleted: Some(false), ..ListParams::default() };
    refused(stage.list(&params), 400, "badRequest");
    params.show_deleted = Some(true);
    stage.list(&params).unwrap();
}

#[test]
fn e06_gone_on_demand_at_any_page() {
    let mut stage = Stage::new();
    for number in 0..6 {
        stage.insert(event(&format!("event{number}")));
    }
    let token = stage.full().token;
    stage.google.expire_tokens(ANNA).unwrap();
    let outdated = ListParams { sync_token: token, ..ListParams::default() };
    let error = refused(stage.list(&outdated), 410, "fullSyncRequired");
    assert_eq!(error.message, "Sync token is no longer valid, a full sync is required.");
    let fresh = stage.full().token;
    assert!(stage.delta(fresh).items.is_empty(), "new tokens are good");
    stage.google.gone_at_page(ANNA, 2).unwrap();
    refused(stage.run(&pages_of(2)), 410, "fullSyncRequired");
    assert_eq!(stage.run(&pages_of(2)).unwrap().items.len(), 6, "once");

    let mut short = Stage::with(Switches { token_seconds: Some(60), ..Switches::default() });
    let token = short.full().token;
    short.wait(61);
    refused(short.list(&ListParams { sync_token: token, ..ListParams::default() }), 410, "fullSyncRequired");

    // A tombstone that is forgotten takes the tokens of before it along.
    let mut stage = Stage::new();
    stage.insert(event("event1"));
    let token = stage.full().token;
    stage.delete("event1").unwrap();
    let after = stage.full().token;
    let limit = stage.now.timestamp_millis() + 1;
    assert_eq!(stage.google.forget_tombstones(ANNA, limit).unwrap(), 1);
    refused(stage.list(&ListParams { sync_token: token, ..ListParams::default() }), 410, "fullSyncRequired");
    assert!(stage.delta(after).items.is_empty());
}

#[test]
fn e07_a_malformed_token_is_400() {
    let mut stage = Stage::new();
    let token = stage.full().token.unwrap();
    for bad in ["nonsense", &token[1..], &format!("{}A", &token[..token.len() - 2])] {
        let params = ListParams { sync_token: Some(bad.into()), ..ListParams::default() };
        assert_eq!(refused(stage.list(&params), 400, "invalid").message, "Invalid sync token value.");
    }
    let params = ListParams { page_token: Some("nonsense".into()), ..ListParams::default() };
    refused(stage.list(&params), 400, "invalid");
}

#[test]
fn e08_a_token_belongs_to_user_calendar_and_parameters() {
    let mut stage = Stage::new();
    let token = stage.full().token;
    let plain = ListParams { sync_token: token.clone(), ..ListParams::default() };
    let ben = stage.caller(BEN);
    refused(stage.google.list(&ben, "primary", &plain), 400, "invalid");
    let single = ListParams { single_events: true, ..plain.clone() };
    refused(stage.list(&single), 400, "invalid");
    stage.list(&ListParams { max_results: Some(10), ..plain }).unwrap();
    let lenient = Switches { token_parameters: TokenParameters::Ignore, ..Switches::default() };
    stage.google.set_switches(lenient);
    stage.list(&single).unwrap();
}

#[test]
fn e09_a_delta_has_tombstones_in_their_bare_shapes() {
    let mut stage = Stage::new();
    stage.insert(event("single1"));
    stage.insert(series("series1"));
    let token = stage.full().token;
    stage.delete("single1").unwrap();
    stage.delete("series1_20261202T090000Z").unwrap();
    let delta = stage.delta(token.clone());
    assert_eq!(delta.items.len(), 2);
    let keys =
        |id: &str| -> Vec<String> { delta.find(id).unwrap().as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys("single1"), ["etag", "id", "kind", "status"]);
    let cancelled = delta.find("series1_20261202T090000Z").unwrap();
    assert_eq!(
        keys("series1_20261202T090000Z"),
        ["etag", "id", "kind", "originalStartTime", "recurringEventId", "status"]
    );
    assert_eq!(cancelled["originalStartTime"]["dateTime"], "2026-12-02T10:00:00+01:00");
    stage.google.set_switches(Switches { tombstones: Tombstones::Detailed, ..Switches::default() });
    let detailed = stage.delta(token);
    assert_eq!(detailed.find("single1").unwrap()["summary"], "Meeting");
    assert!(detailed.find("series1_20261202T090000Z").unwrap().get("summary").is_none());
}

#[test]
fn e10_cancelled_exceptions_of_live_series_are_always_listed() {
    let mut stage = Stage::new();
    stage.insert(event("single1"));
    stage.insert(series("series1"));
    stage.delete("single1").unwrap();
    stage.delete("series1_20261202T090000Z").unwrap();
    let run = stage.full();
    assert!(run.find("single1").is_none());
    assert_eq!(run.find("series1_20261202T090000Z").unwrap()["status"], "cancelled");
    let all = stage.run(&ListParams { show_deleted: Some(true), ..ListParams::default() }).unwrap();
    assert!(all.find("single1").is_some());
    let expanded = ListParams { single_events: true, ..ListParams::default() };
    assert_eq!(stage.run(&expanded).unwrap().items.len(), 3);
    stage.delete("series1").unwrap();
    assert!(stage.full().items.is_empty());
}

#[test]
fn e19_deleting_a_series_takes_its_exceptions_out_of_the_feed() {
    for (deleted_series, reported) in [(Orphans::Vanish, 1), (Orphans::Tombstone, 2)] {
        let mut stage = Stage::with(Switches { deleted_series, ..Switches::default() });
        stage.insert(series("series1"));
        stage.patch("series1_20261202T090000Z", json!({"summary": "Own"}));
        let token = stage.full().token;
        stage.patch("series1_20261202T090000Z", json!({"location": "Room"}));
        stage.delete("series1").unwrap();
        let delta = stage.delta(token);
        assert_eq!(delta.items.len(), reported, "{deleted_series:?}");
        assert!(delta.items.iter().all(|item| item["status"] == "cancelled"));
        assert!(stage.full().items.is_empty());
        refused(stage.get("series1_20261202T090000Z"), 404, "notFound");
        // It comes back as it was, and all of it is reported.
        stage.patch("series1", json!({"status": "confirmed"}));
        let back = stage.delta(delta.token);
        assert_eq!(back.find("series1_20261202T090000Z").unwrap()["summary"], "Own");
        assert_eq!(back.items.len(), 2);
    }
}

#[test]
fn cutting_a_series_short_resets_what_lies_behind_the_cut() {
    let late = "series1_20261216T090000Z";
    let short = json!({"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20261205T000000Z"]});
    for (orphans, reported) in [(Orphans::Vanish, 1), (Orphans::Tombstone, 2)] {
        let mut stage = Stage::with(Switches { orphans, ..Switches::default() });
        stage.insert(series("series1"));
        stage.patch(late, json!({"summary": "Late"}));
        let token = stage.full().token;
        stage.patch("series1", short.clone());
        let delta = stage.delta(token);
        assert_eq!(delta.items.len(), reported, "{orphans:?}");
        assert_eq!(stage.full().items.len(), 1);
        stage.patch("series1", json!({"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"]}));
        assert_eq!(stage.get(late).unwrap()["summary"], "Meeting");
        let back = stage.delta(delta.token);
        assert_eq!(
            back.find(late).is_some(),
            orphans == Orphans::Tombstone,
            "who told of its end tells of its return"
        );
    }
}

#[test]
fn e20_a_single_event_becomes_a_series_and_back() {
    let mut stage = Stage::new();
    stage.insert(event("event1"));
    let expanded = ListParams { single_events: true, ..ListParams::default() };
    let before = stage.run(&expanded).unwrap();
    stage.patch("event1", json!({"recurrence": ["RRULE:FREQ=DAILY;COUNT=3"]}));
    let delta = stage
        .run(&ListParams { sync_token: before.token, single_events: true, ..ListParams::default() })
        .unwrap();
    assert_eq!(delta.items.len(), 3);
    assert!(delta.find("event1").is_none(), "the old row is a ghost: nobody takes it back");
    assert_eq!(stage.full().find("event1").unwrap()["recurrence"], json!(["RRULE:FREQ=DAILY;COUNT=3"]));
    stage.patch("event1_20261126T090000Z", json!({"summary": "Other"}));
    stage.patch("event1", json!({"recurrence": null}));
    assert_eq!(stage.full().items.len(), 1);
}

#[test]
fn e22_get_returns_cancelled_events() {
    let mut stage = Stage::new();
    stage.insert(event("event1"));
    stage.delete("event1").unwrap();
    let gone = stage.get("event1").unwrap();
    assert_eq!((gone["status"].as_str(), gone["summary"].as_str()), (Some("cancelled"), Some("Meeting")));
}

#[test]
fn e41_sharing_appears_in_the_calendar_list_delta() {
    let mut stage = Stage::new();
    stage.google.create_calendar(ANNA, "team@example.org", "Team", "Europe/Paris").unwrap();
    let (anna, ben) = (stage.caller(ANNA), stage.caller(BEN));
    let list = |stage: &mut Stage, token: Option<String>| {
        let params = ListParams { sync_token: token, ..ListParams::default() };
        let page = stage.google.calendar_list(&ben, &params, None, None).unwrap();
        let token = page["nextSyncToken"].as_str().map(ToOwned::to_owned);
        (page["items"].as_array().unwrap().clone(), token)
    };
    let (items, token) = list(&mut stage, None);
    assert_eq!((items.len(), items[0]["primary"].as_bool()), (1, Some(true)));
    stage.google.share(&anna, "team@example.org", BEN, Role::Writer).unwrap();
    let (items, token) = list(&mut stage, token);
    assert_eq!((items.len(), items[0]["accessRole"].as_str()), (1, Some("writer")));
    stage.google.insert(&ben, "team@example.org", &event("event1"), &WriteParams::default()).unwrap();
    stage.google.share(&anna, "team@example.org", BEN, Role::Reader).unwrap();
    refused(
        stage.google.insert(&ben, "team@example.org", &event("event2"), &WriteParams::default()),
        403,
        "requiredAccessLevel",
    );
    let (_, token) = list(&mut stage, token);
    stage.google.share(&anna, "team@example.org", BEN, Role::None).unwrap();
    let (items, token) = list(&mut stage, token);
    assert_eq!(items[0]["deleted"], json!(true));
    refused(stage.google.list(&ben, "team@example.org", &ListParams::default()), 404, "notFound");
    let hidden = ListParams { sync_token: token.clone(), ..ListParams::default() };
    refused(stage.google.calendar_list(&ben, &hidden, Some(false), None), 400, "badRequest");
    refused(stage.google.calendar_list(&ben, &hidden, None, Some(Role::Owner)), 400, "badRequest");
    assert!(list(&mut stage, token).0.is_empty());
    refused(stage.google.list_delete(&anna, "team@example.org"), 403, "forbidden");
}
