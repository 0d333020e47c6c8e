use std::collections::BTreeMap;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn record(details: Value) -> Record {
    Record {
        id: Uuid::from_u128(1),
        company_id: Some(Uuid::from_u128(2)),
        sequence: 1,
        key_id: "k".to_owned(),
        occurred_at: DateTime::UNIX_EPOCH,
        actor: "Anna.Muster@Example.com".to_owned(),
        role: "admin".to_owned(),
        address: Some("192.0.2.7".to_owned()),
        action: "mailbox.put".to_owned(),
        resource: "mailbox:ben@example.org".to_owned(),
        reason: Some("asked by carla@example.net, then by ben@example.org.".to_owned()),
        request_id: None,
        trace_id: None,
        job_id: None,
        changes: Some(json!({ "user_id": { "before": "u-17", "after": null } })),
        details,
    }
}

/// Sealing as a table of what was hidden, so that it can be undone.
#[derive(Default)]
struct Hidden(BTreeMap<Uuid, String>);

impl Hidden {
    fn seal(&mut self, _whom: &str, plain: &str) -> String {
        let id = Uuid::from_u128(self.0.len() as u128 + 100);
        self.0.insert(id, plain.to_owned());
        marker(id)
    }
}

fn there_and_back(record: &Record) -> (Record, Record) {
    let mut hidden = Hidden::default();
    let mut sealed = record.clone();
    conceal(&mut sealed, &mut |whom, plain| hidden.seal(whom, plain));
    let mut shown = sealed.clone();
    reveal(&mut shown, &mut |id, _| hidden.0[&id].clone());
    (sealed, shown)
}

#[test]
fn whoever_is_named_is_concealed_and_comes_back() {
    let record = record(json!({
        "by": "u-17",
        "list": ["dora@example.com", "19:abc@thread.v2", "room@resource.calendar.google.com", "a@b"],
        "emil@example.com": { "n": 1, "account": ["frida"] },
        "text": "<subject:00000000000000000000000000000001> says Anna.Muster@Example.com",
        "role": "admin",
    }));
    let (sealed, shown) = there_and_back(&record);
    let text = String::from_utf8(sealed.canonical()).expect("text");
    for gone in [
        "nna.",
        "ben@",
        "carla@",
        "u-17",
        "dora@",
        "emil@",
        "frida",
        "192.0.2.7",
        "subject:0000000000000000000000000000000",
    ] {
        let expected =
            gone.starts_with("subject") && text.contains("<subject:0000000000000000000000000000006");
        assert!(!text.contains(gone) || expected, "{gone} in {text}");
    }
    for stays in [
        "19:abc@thread.v2",
        "room@resource.calendar.google.com",
        "a@b",
        "asked by ",
        "mailbox.put",
        "\"admin\"",
    ] {
        assert!(text.contains(stays), "{stays} not in {text}");
    }
    assert_eq!(shown, record);
    assert_eq!(marked(&record).len(), 1, "what somebody wrote to look like one");
    assert_eq!(marked(&sealed).len(), 12);
    let whom = subjects(&record);
    assert!(whom.contains_key("anna.muster@example.com") && whom.contains_key("u-17"), "{whom:?}");
}

#[test]
fn a_service_is_nobody() {
    let mut record = record(json!({}));
    (record.actor, record.role, record.address) = ("sync-worker".to_owned(), "service".to_owned(), None);
    (record.resource, record.reason, record.changes) = ("drive:1".to_owned(), None, None);
    assert!(subjects(&record).is_empty());
}

#[test]
fn broken_markers_are_texts() {
    let mut open = |_: Uuid, _: Option<&str>| "x".to_owned();
    for text in ["<subject:", "<subject:12>", "<subject:zz zz>", "<subject:<subject:>"] {
        assert_eq!(reveal_text(text, &mut open), text);
    }
    let id = Uuid::from_u128(5);
    let both = format!("a {} b {}.", marker(id), boxed_marker(id, "Ab-_9"));
    assert_eq!(reveal_text(&both, &mut |_, sealed| sealed.unwrap_or("name").to_owned()), "a name b Ab-_9.");
}

proptest! {
    #[test]
    fn no_text_is_lost(text in "(.|@|<subject:[0-9a-f]{32}(:[a-z]{2})?>|[a-z]{1,5}@[a-z]{1,5}\\.(com|de)){0,12}") {
        let record = record(json!({ "text": text, "user": text, "inner": { text.clone(): [text.clone()] } }));
        let (sealed, shown) = there_and_back(&record);
        prop_assert_eq!(shown, record);
        let left = sealed.details["text"].as_str().unwrap_or_default();
        prop_assert!(!names_someone(&reveal_text(left, &mut |_, _| " ".to_owned())), "{}", left);
    }
}
