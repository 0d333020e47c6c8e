//! E29 to E31, E33, E40, E44 of the model; the wire has its own tests.

use chrono::{DateTime, Utc};
use emulator::google::{Caller, Cost, ListParams, Quota, Switches, WriteParams};
use serde_json::{Value, json};

use crate::stage::{ANNA, BEN, CLIENT, Stage, event, refused, series};

fn channel(id: &str) -> Value {
    json!({"id": id, "type": "web_hook", "address": "https://hooks.example.org/google", "token": "t"})
}

fn watch(stage: &mut Stage, body: &Value) -> Result<Value, emulator::google::ApiError> {
    let caller = stage.caller(ANNA);
    stage.google.watch(&caller, "events", "primary", body, "https://www.googleapis.com/calendar/v3")
}

fn messages(stage: &mut Stage) -> Vec<(String, u64, &'static str)> {
    let now = stage.now.timestamp_millis();
    stage
        .google
        .take_messages(now)
        .into_iter()
        .map(|one| (one.channel.id.clone(), one.number, one.state))
        .collect()
}

#[test]
fn e29_a_channel_owes_sync_first_and_then_rising_numbers() {
    let mut stage = Stage::new();
    let made = watch(&mut stage, &channel("one")).unwrap();
    assert_eq!(made["kind"], "api#channel");
    assert!(made["expiration"].is_string() && made["resourceId"].is_string());
    assert_eq!(messages(&mut stage), [("one".into(), 1, "sync")]);
    let mut last = 1;
    let mut gaps = 0;
    for number in 0..20 {
        stage.insert(event(&format!("event{number}")));
        stage.patch(&format!("event{number}"), json!({"summary": "x"}));
        let owed = messages(&mut stage);
        assert_eq!(owed.len(), 1, "many changes make one message");
        assert!(owed[0].1 > last && owed[0].2 == "exists");
        gaps += u64::from(owed[0].1 > last + 1);
        last = owed[0].1;
    }
    assert!(gaps > 0, "numbers are not sequential");
    assert!(messages(&mut stage).is_empty());
    let error = refused(watch(&mut stage, &channel("one")), 400, "channelIdNotUnique");
    assert_eq!(error.message, "Channel id one not unique");
    let mut plain = channel("two");
    plain["address"] = json!("http://hooks.example.org/google");
    refused(watch(&mut stage, &plain), 400, "push.webhookUrlNotHttps");
    for bad in ["", "with space", &"x".repeat(65)] {
        refused(watch(&mut stage, &channel(bad)), 400, "invalid");
    }
    stage.google.set_push(ANNA, false).unwrap();
    refused(watch(&mut stage, &channel("three")), 400, "pushNotSupportedForRequestedResource");
    stage.google.set_push(ANNA, true).unwrap();
    stage.google.set_switches(Switches {
        verified_hosts: Some(vec!["else.example.org".into()]),
        ..Switches::default()
    });
    refused(watch(&mut stage, &channel("three")), 401, "push.webhookUrlUnauthorized");
}

#[test]
fn e30_a_channel_ends_and_two_may_overlap() {
    let mut stage = Stage::new();
    let mut short = channel("short");
    short["params"] = json!({"ttl": "60"});
    let mut greedy = channel("greedy");
    greedy["expiration"] = json!((stage.now.timestamp_millis() + 90 * 86_400_000).to_string());
    let end = |made: &Value| made["expiration"].as_str().unwrap().parse::<i64>().unwrap();
    let now = stage.now.timestamp_millis();
    assert_eq!(end(&watch(&mut stage, &short).unwrap()), now + 60_000);
    assert_eq!(end(&watch(&mut stage, &greedy).unwrap()), now + 604_800_000, "cut to what is allowed");
    messages(&mut stage);
    stage.insert(event("event1"));
    assert_eq!(messages(&mut stage).len(), 2, "both tell of one change");
    stage.wait(61);
    stage.insert(event("event2"));
    assert_eq!(messages(&mut stage).len(), 1);
    let mut past = channel("past");
    past["expiration"] = json!("1000");
    refused(watch(&mut stage, &past), 400, "invalid");
}

#[test]
fn e31_only_its_maker_stops_a_channel() {
    let mut stage = Stage::new();
    let made = watch(&mut stage, &channel("one")).unwrap();
    let body = json!({"id": "one", "resourceId": made["resourceId"]});
    let now: DateTime<Utc> = stage.now;
    let other_client = Caller { account: ANNA, client: "client-2", now };
    let other_user = Caller { account: BEN, client: CLIENT, now };
    for (status, reason) in [(404, "notFound"), (403, "forbidden")] {
        stage.google.set_switches(Switches { foreign_stop_status: status, ..Switches::default() });
        refused(stage.google.stop(&other_client, &body), status, reason);
        refused(stage.google.stop(&other_user, &body), status, reason);
    }
    let caller = stage.caller(ANNA);
    refused(stage.google.stop(&caller, &json!({"id": "one", "resourceId": "wrong"})), 404, "notFound");
    stage.google.set_switches(Switches { late_message_after_stop: true, ..Switches::default() });
    messages(&mut stage);
    stage.google.stop(&caller, &body).unwrap();
    assert_eq!(messages(&mut stage).len(), 1, "a late message is normal");
    refused(stage.google.stop(&caller, &body), 404, "notFound");
    stage.insert(event("event1"));
    assert!(messages(&mut stage).is_empty());
}

#[test]
fn e33_windows_slide_and_read_only_lasts() {
    for (status, reason) in [(403, "userRateLimitExceeded"), (429, "rateLimitExceeded")] {
        let quota = Quota { per_project: 15, per_user: 10, status, ..Quota::default() };
        let mut stage = Stage::with(Switches { quota: Some(quota), ..Switches::default() });
        let (anna, ben) = (stage.caller(ANNA), stage.caller(BEN));
        for _ in 0..10 {
            stage.google.meter(&anna, Cost::default()).unwrap();
        }
        refused(stage.google.meter(&anna, Cost::default()), status, reason);
        for _ in 0..5 {
            stage.google.meter(&ben, Cost::default()).unwrap();
        }
        refused(stage.google.meter(&ben, Cost::default()), status, "rateLimitExceeded");
        stage.wait(59);
        let anna = stage.caller(ANNA);
        refused(stage.google.meter(&anna, Cost::default()), status, "rateLimitExceeded");
        stage.wait(1);
        let anna = stage.caller(ANNA);
        stage.google.meter(&anna, Cost::default()).unwrap();
    }
    // A patch may cost more, and one calendar may take less than its user.
    let quota = Quota { per_user: 10, per_calendar_writes: Some(2), patch_units: 3, ..Quota::default() };
    let mut stage = Stage::with(Switches { quota: Some(quota), ..Switches::default() });
    let anna = stage.caller(ANNA);
    let patch = |calendar| Cost { writes: Some(calendar), patch: true };
    stage.google.meter(&anna, patch("one")).unwrap();
    stage.google.meter(&anna, patch("one")).unwrap();
    refused(stage.google.meter(&anna, patch("one")), 403, "rateLimitExceeded");
    stage.google.meter(&anna, patch("two")).unwrap();
    refused(stage.google.meter(&anna, patch("two")), 403, "userRateLimitExceeded");
    stage.google.meter(&anna, Cost::default()).unwrap();
    let switches = Switches { guests_per_day: Some(3), read_only_minutes: 60, ..Switches::default() };
    let mut stage = Stage::with(switches);
    let mut body = event("event1");
    body["attendees"] = json!([{"email": "a@x.org"}, {"email": "b@x.org"}]);
    stage.insert(body.clone());
    body["id"] = json!("event2");
    refused(stage.try_insert(body), 403, "quotaExceeded");
    refused(stage.try_insert(event("event3")), 403, "quotaExceeded");
    stage.get("event1").unwrap();
    stage.wait(3601);
    stage.insert(event("event3"));
    let mut stage = Stage::with(Switches { calendars_per_day: Some(2), ..Switches::default() });
    let anna = stage.caller(ANNA);
    for number in 0..2 {
        stage.google.calendar_insert(&anna, &json!({"summary": format!("c{number}")})).unwrap();
    }
    refused(stage.google.calendar_insert(&anna, &json!({"summary": "c"})), 403, "quotaExceeded");
}

#[test]
fn e40_one_unknown_calendar_does_not_spoil_the_answer() {
    let mut stage = Stage::new();
    stage.insert(event("event1"));
    let mut overlapping = event("event2");
    overlapping["start"]["dateTime"] = json!("2026-11-25T10:30:00+01:00");
    overlapping["end"]["dateTime"] = json!("2026-11-25T12:00:00+01:00");
    stage.insert(overlapping);
    let mut free = event("event3");
    free["start"]["dateTime"] = json!("2026-11-25T14:00:00+01:00");
    free["end"]["dateTime"] = json!("2026-11-25T15:00:00+01:00");
    free["transparency"] = json!("transparent");
    stage.insert(free);
    let window = json!({"timeMin": "2026-11-25T00:00:00Z", "timeMax": "2026-11-26T00:00:00Z",
        "items": [{"id": ANNA}, {"id": "nobody@example.org"}]});
    let caller = stage.caller(ANNA);
    let answer = stage.google.free_busy(&caller, &window).unwrap();
    assert_eq!(
        answer["calendars"][ANNA]["busy"],
        json!([{"start": "2026-11-25T09:00:00Z", "end": "2026-11-25T11:00:00Z"}])
    );
    assert_eq!(answer["calendars"]["nobody@example.org"]["errors"][0]["reason"], "notFound");
    let mut many = window.clone();
    many["calendarExpansionMax"] = json!(1);
    let answer = stage.google.free_busy(&caller, &many).unwrap();
    assert_eq!(answer["calendars"]["nobody@example.org"]["errors"][0]["reason"], "tooManyCalendarsRequested");
    let mut empty = window;
    empty["timeMax"] = empty["timeMin"].clone();
    refused(stage.google.free_busy(&caller, &empty), 400, "timeRangeEmpty");
}

#[test]
fn e44_instances_keep_their_wall_clock_and_their_exceptions() {
    let mut stage = Stage::new();
    let mut body = series("series1");
    body["start"]["dateTime"] = json!("2026-10-21T10:00:00+02:00");
    body["end"]["dateTime"] = json!("2026-10-21T11:00:00+02:00");
    stage.insert(body);
    stage.patch("series1_20261028T090000Z", json!({"summary": "Other"}));
    stage.delete("series1_20261104T090000Z").unwrap();
    let caller = stage.caller(ANNA);
    let run = stage.google.instances(&caller, "primary", "series1", &ListParams::default()).unwrap();
    let starts: Vec<&str> = run["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["start"]["dateTime"].as_str().unwrap())
        .collect();
    assert_eq!(
        starts,
        ["2026-10-21T10:00:00+02:00", "2026-10-28T10:00:00+01:00", "2026-11-11T10:00:00+01:00"]
    );
    assert_eq!(run["items"][1]["summary"], "Other");
    let deleted = ListParams { show_deleted: Some(true), ..ListParams::default() };
    let all = stage.google.instances(&caller, "primary", "series1", &deleted).unwrap();
    assert_eq!(all["items"].as_array().unwrap().len(), 4);
    let one = stage.google.instances(&caller, "primary", "series1_20261021T080000Z", &ListParams::default());
    assert_eq!(one.unwrap()["items"].as_array().unwrap().len(), 1, "an instance is its own only instance");
    let gone = stage.google.instances(&caller, "primary", "series1_20261104T090000Z", &ListParams::default());
    assert_eq!(gone.unwrap()["items"], json!([]));
    let window = ListParams {
        single_events: true,
        time_min: Some("2026-10-28T09:30:00Z".into()),
        time_max: Some("2026-11-11T09:00:00Z".into()),
        ..ListParams::default()
    };
    let seen = stage.run(&window).unwrap();
    assert_eq!(
        seen.items.len(),
        1,
        "the end counts below, the start above, both exclusive: {:?}",
        seen.items
    );
    let mut zoneless = series("series2");
    zoneless["start"].as_object_mut().unwrap().remove("timeZone");
    refused(stage.try_insert(zoneless), 400, "required");
    let mut wrong = series("series3");
    wrong["recurrence"] = json!(["RRULE:FREQ=SOMETIMES"]);
    refused(stage.try_insert(wrong), 400, "invalid");
    let patch =
        json!({"start": {"dateTime": "2026-11-25T10:00:00Z"}, "end": {"dateTime": "2026-11-25T09:00:00Z"}});
    refused(stage.try_patch("series1", patch, &WriteParams::default()), 400, "timeRangeEmpty");
}

#[test]
fn a_model_is_cheap() {
    let clock = std::time::Instant::now();
    for seed in 0..2000 {
        let mut google = emulator::google::Google::new(Switches::default(), seed);
        google.create_account(ANNA, "Europe/Paris").unwrap();
    }
    let each = clock.elapsed() / 2000;
    println!("one model: {each:?}");
    assert!(each < std::time::Duration::from_millis(1), "{each:?}");
}

/// What a simulation does in one of its many runs: writes, exceptions, deltas.
#[test]
fn a_run_of_a_simulation_is_cheap() {
    let clock = std::time::Instant::now();
    let runs = 50;
    for _ in 0..runs {
        let mut stage = Stage::new();
        stage.insert(series("series1"));
        let mut token = stage.full().token;
        for number in 0..10 {
            stage.insert(event(&format!("event{number}")));
            stage.patch(&format!("event{number}"), json!({"summary": "x"}));
            stage.patch("series1_20261202T090000Z", json!({"summary": format!("y{number}")}));
            let delta = stage.delta(token);
            assert_eq!(delta.items.len(), 2);
            token = delta.token;
        }
    }
    let each = clock.elapsed() / runs;
    println!("a run of 41 writes and lists: {each:?} (unoptimised)");
    assert!(each < std::time::Duration::from_millis(100), "{each:?}");
}
