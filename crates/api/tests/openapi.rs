//! The committed description is the one that this build serves.

use std::path::Path;

#[test]
fn the_committed_description_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let mut current = serde_json::to_string_pretty(&api::document()).expect("a JSON value serialises");
    current.push('\n');
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &current).expect("docs/openapi.json can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == current, "docs/openapi.json is out of date: run UPDATE_OPENAPI=1 cargo test -p api");
}

#[test]
fn every_operation_has_a_summary_and_a_problem() {
    let document = api::document();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths is an object");
    assert!(paths.len() > 30, "{} paths", paths.len());
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("a path item is an object") {
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(operation["responses"]["default"].is_object(), "{method} {path} has no problem");
        }
    }
}
