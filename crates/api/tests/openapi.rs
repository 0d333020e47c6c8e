//! The committed description is the one that this build serves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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
    let mut ids = BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("a path item is an object") {
            let id = operation["operationId"].as_str().expect("an operationId");
            assert!(ids.insert(id), "{method} {path}: {id} is another's operationId as well");
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(operation["responses"]["default"].is_object(), "{method} {path} has no problem");
        }
    }
}

/// Two types of one name would be one schema, and the answers of one of them would not be what it says.
#[test]
fn no_two_schemas_have_one_name() {
    let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if !(line.starts_with("#[derive(") && line.contains("ToSchema")) {
                continue;
            }
            let (mut renamed, mut own) = (None, None);
            for line in lines.by_ref().take(8) {
                let mut words =
                    line.split([' ', '(', '<', '{']).skip_while(|word| !["struct", "enum"].contains(word));
                renamed =
                    renamed.or(line.strip_prefix("#[schema(as = ").and_then(|rest| rest.strip_suffix(")]")));
                if words.next().is_some() {
                    own = words.next();
                    break;
                }
            }
            let name = renamed.or(own).unwrap_or_else(|| panic!("{}: a type without a name", file.display()));
            if let Some(other) = names.insert(name.to_owned(), file.clone()) {
                panic!("{name} is a schema of {} and of {}", other.display(), file.display());
            }
        }
    }
    assert!(names.len() > 50, "{} schemas", names.len());
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
