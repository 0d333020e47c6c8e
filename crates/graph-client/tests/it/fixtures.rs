//! Every documented body that concerns what is read, oddities included.

use std::path::PathBuf;

use graph_client::{
    Subscription, parse_error, read_folder, read_item, read_message, read_page, read_teams_message,
};
use serde_json::Value;

/// Files of a folder below the fixtures; `None`, with a message, where there are none.
fn files(folder: &str) -> Option<Vec<(String, String)>> {
    let root = std::env::var_os("SYNCLINE_FIXTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
        eprintln!("skipped: no {folder} below {}", root.display());
        return None;
    };
    let mut files: Vec<(String, String)> = entries
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "json"))
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).expect("a file");
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    Some(files)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("a fixture is JSON")
}

#[test]
fn pages_of_items() {
    let Some(files) = files("graph/examples/drive") else { return };
    let mut pages = 0;
    for (name, text) in files {
        let Some(items) = json(&text).get("value").and_then(|v| v.as_array().cloned()) else { continue };
        let page = read_page(text.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(page.items.len() + page.poison.len(), items.len(), "{name}: nothing is dropped");
        let readable = items.iter().filter(|item| {
            item["id"].is_string()
                && ["file", "folder", "root", "package", "deleted", "remoteItem"]
                    .iter()
                    .any(|f| item.get(*f).is_some())
        });
        assert!(page.items.len() >= readable.count(), "{name}: {:?}", page.poison);
        if name.starts_with("delta") {
            assert!(page.poison.is_empty() && page.delta_link.is_some(), "{name}: {:?}", page.poison);
        }
        pages += 1;
    }
    assert!(pages >= 15, "{pages} pages");
}

#[test]
fn single_items() {
    let Some(files) = files("graph/examples/drive") else { return };
    let mut read = 0;
    for (name, text) in files {
        let body = json(&text);
        let facets = ["file", "folder", "root", "package", "remoteItem"];
        let is_item = body["id"].is_string() && facets.iter().any(|f| body.get(*f).is_some());
        if !is_item {
            // Sketches, requests and other resources: reading them must not panic.
            let _ = read_item(&text);
            continue;
        }
        let item = read_item(&text).unwrap_or_else(|p| panic!("{name}: {}", p.reason));
        assert_eq!(Some(item.change.id.as_str()), body["id"].as_str(), "{name}");
        assert_eq!(item.change.name.as_deref(), body["name"].as_str(), "{name}");
        assert_eq!(
            item.change.parent_id.as_ref().map(domain::ids::ItemId::as_str),
            body["parentReference"]["id"].as_str()
        );
        read += 1;
    }
    assert!(read >= 15, "{read} items");
}

#[test]
fn errors() {
    let Some(files) = files("graph/examples/error") else { return };
    for (name, text) in files {
        let error = parse_error(text.as_bytes());
        let body = json(&text);
        if body["error"].get("code").is_some_and(|c| c.as_str().is_some_and(|c| !c.is_empty()))
            || body["error"].is_string()
        {
            assert!(error.code().is_some(), "{name}");
        }
        if name.contains("nested-innererror") {
            assert_eq!(error.code(), Some("throttledRequest"));
        }
        if name.contains("410-resyncRequired") {
            assert_eq!(error.code(), Some("resyncRequired"));
            assert!(error.request_id.is_some());
        }
        if name.contains("aadsts7000222") {
            assert_eq!(error.code(), Some("invalid_client"));
        }
    }
}

#[test]
fn subscriptions() {
    let Some(files) = files("graph/examples/subscription") else { return };
    for (name, text) in files {
        let body = json(&text);
        let one: Subscription = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(one.notification_url, body["notificationUrl"].as_str().unwrap_or_default(), "{name}");
    }
}

#[test]
fn paths() {
    let Some(files) = files("graph/vectors") else { return };
    let (_, text) = files.into_iter().find(|(name, _)| name == "path_encoding.json").expect("the vectors");
    for vector in json(&text)["vectors"].as_array().expect("vectors") {
        let path = vector["path"].as_str().expect("a path");
        let encoded = domain::names::encode_path(path.trim_start_matches('/').split('/'));
        // Brackets may be sent either way; the note of the vector says so.
        let encoded = format!("/root:/{encoded}").replace("%5B", "[").replace("%5D", "]");
        assert_eq!(encoded, vector["encoded"].as_str().expect("encoded"));
    }
}

/// Every object with an id in a folder's bodies, pages included; sketches of types left out.
fn things(folder: &str, is: impl Fn(&Value) -> bool) -> Option<Vec<(String, Value)>> {
    let mut all = Vec::new();
    for (name, text) in files(folder)? {
        let body = json(&text);
        let many = body.get("value").and_then(Value::as_array).cloned();
        for thing in many.unwrap_or_else(|| vec![body]) {
            if thing["id"].is_string() && is(&thing) {
                all.push((name.clone(), thing));
            }
        }
    }
    Some(all)
}

#[test]
fn messages_and_folders() {
    let is_folder = |t: &Value| t.get("childFolderCount").is_some();
    let is_message = |t: &Value| {
        let fields =
            ["subject", "receivedDateTime", "internetMessageId", "@removed", "toRecipients", "bodyPreview"];
        fields.iter().any(|f| t.get(*f).is_some())
    };
    let Some(all) = things("graph/examples/mail", is_message) else { return };
    for (name, thing) in &all {
        let read = read_message(&thing.to_string(), 1_000).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(Some(read.id.as_str()), thing["id"].as_str(), "{name}");
        assert_eq!(read.subject.as_deref(), thing["subject"].as_str(), "{name}");
        assert_eq!(read.removed.is_some(), thing.get("@removed").is_some(), "{name}");
    }
    assert!(all.len() >= 15, "{} messages", all.len());
    let Some(folders) = things("graph/examples/mail", is_folder) else { return };
    for (name, thing) in &folders {
        let read = read_folder(&thing.to_string()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(read.name.as_deref(), thing["displayName"].as_str(), "{name}");
    }
    assert!(folders.len() >= 8, "{} folders", folders.len());
}

#[test]
fn teams_messages() {
    let is_message = |t: &Value| t.get("messageType").is_some() || t.get("replyToId").is_some();
    let Some(all) = things("graph/examples/teams", is_message) else { return };
    for (name, thing) in &all {
        let read = read_teams_message(&thing.to_string(), 100_000).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(Some(read.id.as_str()), thing["id"].as_str(), "{name}");
        assert_eq!(read.body, thing["body"]["content"].as_str().unwrap_or_default(), "{name}");
        assert_eq!(
            read.deleted_at.is_some(),
            thing["deletedDateTime"].as_str().is_some_and(|t| t.contains("20")),
            "{name}"
        );
    }
    assert!(all.len() >= 25, "{} messages", all.len());
}
