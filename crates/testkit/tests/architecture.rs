//! The laws of the workspace, read from `cargo metadata` and the files themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Every crate and its layer; an edge must point to a lower one (docs/ARCHITECTURE.md).
const LAYERS: [(&str, u8); 24] = [
    ("domain", 0),
    ("contracts", 1),
    ("chassis", 2),
    ("web", 3),
    ("outbound", 3),
    ("store", 4),
    ("broker", 4),
    ("cache", 4),
    ("graph-client", 4),
    ("gcal-client", 4),
    ("archive", 4),
    ("job-runtime", 5),
    ("audit-trail", 5),
    ("scheduler", 6),
    ("graph-connector", 6),
    ("gcal-connector", 6),
    ("webhook-ingress", 6),
    ("sync-worker", 6),
    ("audit-retention", 6),
    ("api", 6),
    ("syncctl", 6),
    ("emulator", DEVELOPMENT),
    ("simulation", DEVELOPMENT + 1),
    ("testkit", DEVELOPMENT + 2),
];
/// Crates from this layer on are for development: no product crate may use them.
const DEVELOPMENT: u8 = 7;
/// The one crate that names a third-party system.
const OWNERS: [(&str, &str); 9] = [
    ("lapin", "broker"),
    ("sqlx", "store"),
    ("redis", "cache"),
    ("deadpool-redis", "cache"),
    ("reqwest", "outbound"),
    ("object_store", "archive"),
    ("aws-lc-rs", "outbound"),
    ("backoff", "chassis"),
    ("jsonwebtoken", "web"),
];
const MAX_LINES: usize = 600;
const MAX_MAIN_LINES: usize = 30;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Everything that is wrong with the dependencies of the workspace.
fn violations(metadata: &Value) -> Vec<String> {
    let layers = BTreeMap::from(LAYERS);
    let owners = BTreeMap::from(OWNERS);
    let mut found = Vec::new();
    for package in list(&metadata["packages"]) {
        let name = text(package, "name");
        let Some(&layer) = layers.get(name) else {
            found.push(format!("{name}: not in the layer table"));
            continue;
        };
        for dependency in list(&package["dependencies"]) {
            let target = text(dependency, "name");
            let kind = dependency["kind"].as_str().unwrap_or("normal");
            // The emulator encrypts notifications as the provider does; no product crate can depend on it.
            let encrypts = name == "emulator" && target == "aws-lc-rs";
            if let Some(owner) = owners.get(target).filter(|owner| **owner != name && !encrypts) {
                found.push(format!("{name} -> {target} ({kind}): only {owner} may name it"));
            }
            if dependency["path"].is_null() {
                continue;
            }
            match layers.get(target) {
                None => found.push(format!("{name} -> {target} ({kind}): not in the layer table")),
                Some(&below) if below < layer => {}
                Some(_) => found.push(format!("{name} -> {target} ({kind}): points up or sideways")),
            }
        }
    }
    found
}

/// Whether a manifest takes the lints of the workspace.
fn takes_workspace_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.find(|line| !line.is_empty() && !line.starts_with('#')) == Some("workspace = true")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !matches!(entry.file_name().to_str(), Some("target" | "node_modules" | ".run" | ".git")) {
                files(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

fn sources(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(below, &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn dependencies_point_down() {
    assert_eq!(violations(&metadata()), Vec::<String>::new());
}

#[test]
fn the_layer_table_has_no_ghosts() {
    let metadata = metadata();
    let known: Vec<&str> = list(&metadata["packages"]).iter().map(|package| text(package, "name")).collect();
    for (name, _) in LAYERS {
        assert!(known.contains(&name), "{name} is in the layer table and not in the workspace");
    }
}

#[test]
fn every_member_takes_the_workspace_lints() {
    for package in list(&metadata()["packages"]) {
        let manifest = fs::read_to_string(text(package, "manifest_path")).expect("the manifest can be read");
        assert!(
            takes_workspace_lints(&manifest),
            "{}: [lints] workspace = true is missing",
            text(package, "name")
        );
    }
}

#[test]
fn product_code_knows_no_stand_in() {
    for (name, layer) in LAYERS {
        if layer >= DEVELOPMENT {
            continue;
        }
        for path in sources(&root().join("crates").join(name).join("src")) {
            let source = fs::read_to_string(&path).expect("the source can be read").to_lowercase();
            assert!(!source.contains("emulator"), "{} names the emulator", shown(&path));
        }
    }
}

#[test]
fn files_are_short() {
    let mut found = Vec::new();
    for folder in ["crates", "proto", "migrations", "scripts"] {
        files(&root().join(folder), &mut found);
    }
    for path in found {
        let generated = path.components().any(|part| part.as_os_str() == "gen");
        let extension = path.extension().and_then(|extension| extension.to_str());
        if generated || !matches!(extension, None | Some("rs" | "proto" | "sql" | "sh")) {
            continue;
        }
        let lines = fs::read_to_string(&path).map_or(0, |text| text.lines().count());
        assert!(lines <= MAX_LINES, "{} has {lines} lines", shown(&path));
        if path.file_name().is_some_and(|name| name == "main.rs") && !shown(&path).contains("tests") {
            assert!(
                lines <= MAX_MAIN_LINES,
                "{} has {lines} lines: a main only starts its library",
                shown(&path)
            );
        }
    }
}

/// A forged workspace of one crate with one dependency.
fn forged(name: &str, target: &str, kind: Option<&str>, local: bool) -> Value {
    let path = local.then_some("somewhere");
    json!({"packages": [{"name": name, "dependencies": [{"name": target, "kind": kind, "path": path}]}]})
}

#[test]
fn forbidden_edges_are_refused() {
    let refused = [
        ("domain", "chassis", None, true, "points up"),
        ("store", "broker", None, true, "points up or sideways"),
        ("scheduler", "api", None, true, "points up or sideways"),
        ("web", "outbound", Some("dev"), true, "points up or sideways"),
        ("chassis", "store", Some("build"), true, "points up"),
        ("api", "emulator", None, true, "points up"),
        ("sync-worker", "testkit", Some("dev"), true, "points up"),
        ("emulator", "testkit", Some("dev"), true, "points up or sideways"),
        ("emulator", "simulation", Some("dev"), true, "points up or sideways"),
        ("api", "sqlx", None, false, "only store"),
        ("testkit", "lapin", Some("dev"), false, "only broker"),
        ("sync-worker", "reqwest", None, false, "only outbound"),
        ("store", "backoff", None, false, "only chassis"),
        ("newcomer", "domain", None, true, "not in the layer table"),
        ("api", "newcomer", None, true, "not in the layer table"),
    ];
    for (name, target, kind, local, reason) in refused {
        let found = violations(&forged(name, target, kind, local));
        assert_eq!(found.len(), 1, "{name} -> {target}");
        assert!(found[0].contains(reason), "{found:?}");
    }
}

#[test]
fn allowed_edges_are_not() {
    for (name, target, kind, local) in [
        ("api", "store", None, true),
        ("store", "sqlx", None, false),
        ("testkit", "emulator", None, true),
        ("simulation", "emulator", None, true),
        ("testkit", "sync-worker", None, true),
        ("graph-client", "chassis", Some("dev"), true),
        ("api", "serde", None, false),
    ] {
        assert_eq!(violations(&forged(name, target, kind, local)), Vec::<String>::new());
    }
}

#[test]
fn missing_lints_are_seen() {
    assert!(takes_workspace_lints("[package]\n\n[lints]\n# ours\nworkspace = true\n"));
    assert!(!takes_workspace_lints("[package]\nname = \"x\"\n"));
    assert!(!takes_workspace_lints("[lints]\nrust = {}\n"));
}
