//! Every payload that ever shipped still decodes: `golden/jobs/{kind}.v{version}[.variant].json`.

use std::path::Path;

use contracts::jobs::{PayloadError, validate};

#[test]
fn every_shipped_payload_decodes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jobs");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("golden folder") {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let (kind, rest) = name.split_once(".v").expect("golden files are named {kind}.v{version}");
        let version: i16 = rest.split('.').next().and_then(|v| v.parse().ok()).expect("a version number");
        let body = std::fs::read_to_string(&path).expect("readable");
        let payload = serde_json::from_str(&body).expect("golden files are JSON");
        validate(kind, version, payload).unwrap_or_else(|e| panic!("{name}: {e}"));
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} golden files were found");
}

#[test]
fn unknown_kinds_and_versions_say_so() {
    let unknown = validate("documents.guess", 1, serde_json::json!({}));
    assert!(matches!(unknown, Err(PayloadError::UnknownKind { .. })));
    let future = validate("documents.sync_ao", 99, serde_json::json!({}));
    assert!(matches!(future, Err(PayloadError::UnknownVersion { version: 99, .. })));
    let garbage = validate("documents.sync_ao", 1, serde_json::json!({"ao": 1}));
    assert!(matches!(garbage, Err(PayloadError::Malformed { .. })));
}
