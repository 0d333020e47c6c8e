//! E11 to E18, E21, E23 to E28, E37, E42, E43: writes and what they are refused for.

use emulator::google::{ListParams, MailKind, SendUpdates, Switches, Undelete, WriteParams};
use serde_json::{Value, json};

use crate::stage::{ANNA, BEN, Stage, event, refused, series};

fn matching(etag: &Value) -> WriteParams {
    WriteParams { if_match: etag.as_str().map(ToOwned::to_owned), ..WriteParams::default() }
}

#[test]
fn e11_ids_are_base32hex_of_5_to_1024_characters() {
    let mut stage = Stage::new();
    let longest = "a".repeat(1024);
    for good in ["abcde", "0123456789abcdefghijklmnopqrstuv", &longest] {
        stage.insert(event(good));
    }
    for bad in ["abcd", "abcdw", "ABCDE", "abc_de", "abc-de", "", &"a".repeat(1025)] {
        let error = refused(stage.try_insert(event(bad)), 400, "invalid");
        assert_eq!(error.message, "Invalid resource id value.");
    }
    let mut own = event("x");
    own.as_object_mut().unwrap().remove("id");
    assert_eq!(stage.insert(own)["id"].as_str().unwrap().len(), 26);
}

#[test]
fn e12_an_id_is_never_free_again() {
    let mut stage = Stage::new();
    stage.insert(event("event1"));
    let error = refused(stage.try_insert(event("event1")), 409, "duplicate");
    assert_eq!(error.message, "The requested identifier already exists.");
    stage.delete("event1").unwrap();
    refused(stage.try_insert(event("event1")), 409, "duplicate");
}

#[test]
fn e13_id_and_uid_together_are_refused() {
    let mut stage = Stage::new();
    let mut both = event("event1");
    both["iCalUID"] = json!("uid-1@example.org");
    assert_eq!(refused(stage.try_insert(both.clone()), 400, "invalid").message, "Invalid resource id value.");
    both.as_object_mut().unwrap().remove("id");
    let made = stage.insert(both.clone());
    assert_eq!(made["iCalUID"], "uid-1@example.org");
    refused(stage.try_insert(both), 409, "duplicate");
    let params = ListParams { ical_uid: Some("uid-1@example.org".into()), ..ListParams::default() };
    assert_eq!(stage.run(&params).unwrap().items.len(), 1);
}

#[test]
fn e14_the_etag_moves_on_each_effective_write() {
    let mut stage = Stage::new();
    let first = stage.insert(event("event1"));
    let second = stage.patch("event1", json!({"summary": "Other"}));
    assert_ne!(first["etag"], second["etag"]);
    assert_ne!(first["updated"], second["updated"]);
    let same = stage.patch("event1", json!({"summary": "Other"}));
    assert_eq!(second["etag"], same["etag"]);
    stage.google.set_switches(Switches { identical_keeps_etag: false, ..Switches::default() });
    assert_ne!(stage.patch("event1", json!({"summary": "Other"}))["etag"], same["etag"]);
}

#[test]
fn e15_if_match_guards_patch_put_delete_and_move() {
    let mut stage = Stage::new();
    stage.google.create_calendar(ANNA, "team@example.org", "Team", "UTC").unwrap();
    let old = stage.insert(event("event1"));
    let new = stage.patch("event1", json!({"summary": "Other"}));
    let (outdated, any) = (matching(&old["etag"]), matching(&json!("*")));
    let anna = stage.caller(ANNA);
    let error =
        refused(stage.try_patch("event1", json!({"summary": "x"}), &outdated), 412, "conditionNotMet");
    assert_eq!(error.location, Some(("header", "If-Match")));
    refused(
        stage.google.update(&anna, "primary", "event1", &event("event1"), &outdated),
        412,
        "conditionNotMet",
    );
    refused(stage.google.delete(&anna, "primary", "event1", &outdated), 412, "conditionNotMet");
    refused(
        stage.google.move_event(&anna, "primary", "event1", "team@example.org", &outdated),
        412,
        "conditionNotMet",
    );
    let next = stage.try_patch("event1", json!({"summary": "x"}), &matching(&new["etag"])).unwrap();
    stage.try_patch("event1", json!({"summary": "y"}), &any).unwrap();
    refused(
        stage.try_patch("event1", json!({"summary": "z"}), &matching(&next["etag"])),
        412,
        "conditionNotMet",
    );
    let moved = stage.google.move_event(&anna, "primary", "event1", "team@example.org", &any).unwrap();
    assert_eq!(moved["status"], "cancelled", "the answer of a move says so");
    let there = stage.google.get(&anna, "team@example.org", "event1", &ListParams::default()).unwrap();
    assert_eq!(
        (there["status"].as_str(), there["organizer"]["email"].as_str()),
        (Some("confirmed"), Some("team@example.org"))
    );
    assert_eq!(stage.get("event1").unwrap()["status"], "cancelled");
}

#[test]
fn e16_patch_merges_objects_replaces_arrays_and_null_deletes() {
    let mut stage = Stage::new();
    let mut body = event("event1");
    body["description"] = json!("text");
    body["extendedProperties"] = json!({"private": {"a": "1", "b": "2"}, "shared": {"c": "3"}});
    body["attendees"] = json!([{"email": "x@other.org"}, {"email": "y@other.org"}]);
    body["reminders"] = json!({"useDefault": false, "overrides": [{"method": "popup", "minutes": 5}]});
    stage.insert(body);
    let patched = stage.patch(
        "event1",
        json!({"extendedProperties": {"private": {"a": null, "d": "4"}}, "attendees": [{"email": "z@other.org"}],
            "description": null, "reminders": {"overrides": [{"method": "email", "minutes": 60}]}}),
    );
    assert_eq!(patched["extendedProperties"], json!({"private": {"b": "2", "d": "4"}, "shared": {"c": "3"}}));
    assert_eq!(patched["attendees"].as_array().unwrap().len(), 1);
    assert_eq!(patched["reminders"]["overrides"], json!([{"method": "email", "minutes": 60}]));
    assert!(patched.get("description").is_none());
    assert_eq!(patched["summary"], "Meeting");
    // Another kind of start needs the old one taken out.
    let day = json!({"start": {"date": "2026-11-25"}, "end": {"date": "2026-11-26"}});
    refused(stage.try_patch("event1", day, &WriteParams::default()), 400, "invalid");
    let day = stage.patch(
        "event1",
        json!({"start": {"date": "2026-11-25", "dateTime": null, "timeZone": null},
            "end": {"date": "2026-11-26", "dateTime": null, "timeZone": null}}),
    );
    assert_eq!(day["start"], json!({"date": "2026-11-25"}));
}

#[test]
fn e17_put_wipes_what_is_not_sent() {
    let mut stage = Stage::new();
    let mut body = series("event1");
    body["attendees"] = json!([{"email": "x@other.org"}]);
    body["location"] = json!("Room 1");
    let old = stage.insert(body);
    let new = stage.put("event1", event("event1")).unwrap();
    for key in ["attendees", "location", "recurrence"] {
        assert!(old.get(key).is_some() && new.get(key).is_none(), "{key}");
    }
    assert_eq!(new["sequence"], 1);
    let mut no_end = event("event1");
    no_end.as_object_mut().unwrap().remove("end");
    refused(stage.put("event1", no_end), 400, "required");
    let mut outdated = event("event1");
    outdated["sequence"] = json!(0);
    let error = refused(stage.put("event1", outdated), 400, "invalid");
    assert!(error.message.starts_with("Invalid sequence value."));
}

#[test]
fn e18_an_instance_becomes_an_exception_when_it_is_written() {
    let mut stage = Stage::new();
    stage.insert(series("series1"));
    let seen = stage.get("series1_20261202T090000Z").unwrap();
    assert_eq!(seen["recurringEventId"], "series1");
    assert_eq!(seen["originalStartTime"]["dateTime"], "2026-12-02T10:00:00+01:00");
    assert_eq!(stage.full().items.len(), 1, "looking makes nothing");
    let patched = stage.patch(
        "series1_20261202T090000Z",
        json!({"start": {"dateTime": "2026-12-03T10:00:00+01:00"}, "end": {"dateTime": "2026-12-03T11:00:00+01:00"}}),
    );
    assert_eq!(patched["originalStartTime"], seen["originalStartTime"]);
    assert_eq!(patched["iCalUID"], seen["iCalUID"]);
    assert_eq!(stage.full().items.len(), 2);
    stage.delete("series1_20261209T090000Z").unwrap();
    refused(stage.delete("series1_20261209T090000Z"), 410, "deleted");
    refused(stage.get("series1_20261203T090000Z"), 404, "notFound");
    refused(stage.get("series1_nonsense"), 404, "notFound");
    let mut day = series("dates1");
    day["start"] = json!({"date": "2026-11-25"});
    day["end"] = json!({"date": "2026-11-26"});
    stage.insert(day);
    assert_eq!(stage.get("dates1_20261202").unwrap()["end"], json!({"date": "2026-12-03"}));
}

#[test]
fn e21_deleting_twice_is_410_and_the_unknown_is_404() {
    let mut stage = Stage::new();
    stage.insert(event("event1"));
    stage.delete("event1").unwrap();
    assert_eq!(refused(stage.delete("event1"), 410, "deleted").message, "Resource has been deleted");
    refused(stage.delete("event2"), 404, "notFound");
}

#[test]
fn e23_a_deleted_event_comes_back_by_status_confirmed() {
    let mut stage = Stage::new();
    stage.insert(event("event1"));
    stage.delete("event1").unwrap();
    refused(stage.try_patch("event1", json!({"summary": "x"}), &WriteParams::default()), 403, "forbidden");
    let back = stage.patch("event1", json!({"status": "confirmed"}));
    assert_eq!((back["status"].as_str(), back["summary"].as_str()), (Some("confirmed"), Some("Meeting")));
    stage.patch("event1", json!({"status": "cancelled"}));
    assert_eq!(stage.get("event1").unwrap()["status"], "cancelled");
    stage.google.set_switches(Switches { undelete: Undelete::Forbidden, ..Switches::default() });
    refused(
        stage.try_patch("event1", json!({"status": "confirmed"}), &WriteParams::default()),
        403,
        "forbidden",
    );
}

#[test]
fn e24_an_edit_of_reminders_alone_leaves_updated() {
    for (moves, shows) in [(true, true), (false, true), (true, false), (false, false)] {
        let switches =
            Switches { reminders_move_etag: moves, reminders_in_delta: shows, ..Switches::default() };
        let mut stage = Stage::with(switches);
        let before = stage.insert(event("event1"));
        let token = stage.full().token;
        let reminders =
            json!({"reminders": {"useDefault": false, "overrides": [{"method": "popup", "minutes": 1}]}});
        let after = stage.patch("event1", reminders);
        assert_eq!(before["updated"], after["updated"]);
        assert_eq!(before["etag"] != after["etag"], moves);
        assert_eq!(stage.delta(token).items.len(), usize::from(shows));
    }
}

#[test]
fn e25_conferences_need_their_version() {
    let mut stage = Stage::new();
    let anna = stage.caller(ANNA);
    let mut body = event("event1");
    body["conferenceData"] =
        json!({"createRequest": {"requestId": "r1", "conferenceSolutionKey": {"type": "hangoutsMeet"}}});
    let silent = stage.insert(body.clone());
    assert!(silent.get("conferenceData").is_none(), "dropped without a word");
    body["id"] = json!("event2");
    let open = WriteParams { conference_data_version: 1, ..WriteParams::default() };
    let made = stage.google.insert(&anna, "primary", &body, &open).unwrap();
    assert_eq!(made["conferenceData"]["createRequest"]["status"]["statusCode"], "success");
    let kept = stage.patch("event2", json!({"summary": "Other", "conferenceData": null}));
    assert_eq!(kept["conferenceData"], made["conferenceData"], "version 0 leaves it alone");
    let put = stage.put("event2", event("event2")).unwrap();
    assert_eq!(put["conferenceData"], made["conferenceData"]);
    let again = json!({"conferenceData": {"createRequest": {"requestId": "r1"}}});
    let same = stage.google.patch(&anna, "primary", "event2", &again, &open).unwrap();
    assert_eq!(same["conferenceData"]["conferenceId"], made["conferenceData"]["conferenceId"]);
    let gone =
        stage.google.patch(&anna, "primary", "event2", &json!({"conferenceData": null}), &open).unwrap();
    assert!(gone.get("conferenceData").is_none());
}

#[test]
fn e26_mail_goes_out_only_when_it_is_asked_for() {
    let mut stage = Stage::new();
    let anna = stage.caller(ANNA);
    let mut body = event("event1");
    body["attendees"] = json!([{"email": BEN}, {"email": "x@other.org"}, {"email": ANNA}]);
    stage.insert(body.clone());
    stage.patch("event1", json!({"summary": "quiet"}));
    assert!(stage.google.mails().is_empty());
    let asked = |send_updates| WriteParams { send_updates, ..WriteParams::default() };
    body["id"] = json!("event2");
    stage.google.insert(&anna, "primary", &body, &asked(SendUpdates::All)).unwrap();
    let external = asked(SendUpdates::ExternalOnly);
    stage.google.patch(&anna, "primary", "event2", &json!({"location": "Room"}), &external).unwrap();
    stage
        .google
        .patch(&anna, "primary", "event2", &json!({"colorId": "3"}), &asked(SendUpdates::All))
        .unwrap();
    stage.google.delete(&anna, "primary", "event2", &asked(SendUpdates::All)).unwrap();
    let sent: Vec<(&str, MailKind)> =
        stage.google.mails().iter().map(|mail| (mail.to.as_str(), mail.kind)).collect();
    assert_eq!(
        sent,
        [
            (BEN, MailKind::Invite),
            ("x@other.org", MailKind::Invite),
            ("x@other.org", MailKind::Update),
            (BEN, MailKind::Cancel),
            ("x@other.org", MailKind::Cancel),
        ]
    );
}

#[test]
fn e27_an_omitted_answer_is_taken_back() {
    let mut stage = Stage::new();
    let mut body = event("event1");
    body["attendees"] = json!([{"email": BEN}, {"email": ANNA, "responseStatus": "accepted"}]);
    stage.insert(body);
    let ben = stage.caller(BEN);
    let seen = stage.google.get(&ben, "primary", "event1", &ListParams::default()).unwrap();
    assert_eq!(seen["attendees"][0]["self"], json!(true));
    let accept =
        json!({"attendeesOmitted": true, "attendees": [{"email": BEN, "responseStatus": "accepted"}]});
    stage.google.patch(&ben, "primary", "event1", &accept, &WriteParams::default()).unwrap();
    let rows = stage.get("event1").unwrap()["attendees"].clone();
    assert_eq!(rows[0]["responseStatus"], "accepted", "the answer reached the organizer");
    assert_eq!(rows[1]["responseStatus"], "accepted", "and nobody else's was touched");
    let bare = json!({"attendees": [{"email": BEN}, {"email": ANNA}]});
    assert_eq!(stage.patch("event1", bare)["attendees"][0]["responseStatus"], "needsAction");
    // What is shared belongs to the organizer.
    refused(
        stage.google.patch(&ben, "primary", "event1", &json!({"summary": "Mine"}), &WriteParams::default()),
        403,
        "forbiddenForNonOrganizer",
    );
    let own = json!({"colorId": "4", "extendedProperties": {"private": {"k": "v"}}});
    stage.google.patch(&ben, "primary", "event1", &own, &WriteParams::default()).unwrap();
    stage.patch("event1", json!({"summary": "Renamed"}));
    let copy = stage.google.get(&ben, "primary", "event1", &ListParams::default()).unwrap();
    assert_eq!((copy["summary"].as_str(), copy["colorId"].as_str()), (Some("Renamed"), Some("4")));
    assert_eq!(copy["extendedProperties"]["private"]["k"], "v");
    assert!(stage.get("event1").unwrap().get("extendedProperties").is_none(), "private means per copy");
    // Deleting without a word leaves the meeting on the guest's calendar.
    stage.delete("event1").unwrap();
    let left = stage.google.get(&ben, "primary", "event1", &ListParams::default()).unwrap();
    assert_eq!(left["status"], "confirmed");
}

#[test]
fn e28_event_types_restrict_what_can_be_done() {
    let mut stage = Stage::new();
    stage.google.create_calendar(ANNA, "team@example.org", "Team", "UTC").unwrap();
    let anna = stage.caller(ANNA);
    let typed = |id: &str, kind: &str| {
        let mut body = event(id);
        body["eventType"] = json!(kind);
        body
    };
    refused(stage.try_insert(typed("event1", "fromGmail")), 400, "eventTypeRestriction");
    stage.insert(typed("focus1", "focusTime"));
    refused(
        stage.google.insert(
            &anna,
            "team@example.org",
            &typed("focus2", "focusTime"),
            &WriteParams::default(),
        ),
        400,
        "eventTypeRestriction",
    );
    refused(
        stage.try_patch("focus1", json!({"eventType": "default"}), &WriteParams::default()),
        400,
        "eventTypeRestriction",
    );
    refused(
        stage.google.move_event(&anna, "primary", "focus1", "team@example.org", &WriteParams::default()),
        400,
        "eventTypeRestriction",
    );
    let mut birthday = typed("birth1", "birthday");
    birthday["start"] = json!({"date": "2026-11-25"});
    birthday["end"] = json!({"date": "2026-11-26"});
    birthday["recurrence"] = json!(["RRULE:FREQ=YEARLY"]);
    stage.insert(birthday.clone());
    birthday["id"] = json!("birth2");
    birthday["extendedProperties"] = json!({"private": {"a": "b"}});
    let error = refused(stage.try_insert(birthday), 400, "eventTypeRestriction");
    assert_eq!(error.message, "'birthday' event type must not have private extended properties.");
    refused(
        stage.try_patch("birth1", json!({"location": "x"}), &WriteParams::default()),
        400,
        "eventTypeRestriction",
    );
    let mut imported = typed("x", "outOfOffice");
    imported.as_object_mut().unwrap().remove("id");
    imported["iCalUID"] = json!("import-1");
    imported["organizer"] = json!({"email": "boss@other.org"});
    let copy = stage.google.import(&anna, "primary", &imported, &WriteParams::default()).unwrap();
    assert_eq!((copy["eventType"].as_str(), copy["privateCopy"].as_bool()), (Some("default"), Some(true)));
    assert_eq!(copy["organizer"]["email"], "boss@other.org");
    imported["summary"] = json!("Again");
    let again = stage.google.import(&anna, "primary", &imported, &WriteParams::default()).unwrap();
    assert_eq!((&again["id"], again["summary"].as_str()), (&copy["id"], Some("Again")));
    stage.google.set_switches(Switches {
        import_existing: emulator::google::ImportExisting::Duplicate,
        ..Switches::default()
    });
    refused(stage.google.import(&anna, "primary", &imported, &WriteParams::default()), 409, "duplicate");
}

#[test]
fn e37_an_inserted_event_may_be_hidden_for_a_while() {
    let mut stage = Stage::with(Switches { visible_after_ms: 1500, ..Switches::default() });
    stage.insert(event("event1"));
    refused(stage.get("event1"), 404, "notFound");
    refused(stage.try_insert(event("event1")), 409, "duplicate");
    stage.wait(2);
    stage.get("event1").unwrap();
}

#[test]
fn e42_a_description_comes_back_sanitised() {
    let mut stage = Stage::new();
    let mut body = event("event1");
    body["description"] = json!("<P>a<br/>b</P><script>x()</script>");
    assert_eq!(stage.insert(body.clone())["description"], "<p>a<br>b</p>");
    stage.google.set_switches(Switches { sanitise_html: false, ..Switches::default() });
    body["id"] = json!("event2");
    assert_eq!(stage.insert(body.clone())["description"], body["description"]);
}

#[test]
fn e43_locked_copies_keep_their_main_fields() {
    let mut stage = Stage::new();
    stage.insert(event("event1"));
    stage.google.set_locked(ANNA, "event1", true).unwrap();
    assert_eq!(stage.get("event1").unwrap()["locked"], json!(true));
    for body in [
        json!({"summary": "x"}),
        json!({"location": "x"}),
        json!({"end": {"dateTime": "2026-11-25T12:00:00+01:00"}}),
        json!({"recurrence": ["RRULE:FREQ=DAILY;COUNT=2"]}),
    ] {
        refused(stage.try_patch("event1", body, &WriteParams::default()), 403, "forbidden");
    }
    stage.patch("event1", json!({"colorId": "2"}));
}
