//! The committed gRPC code is what `proto/` says. `UPDATE_GENERATED=1 cargo test -p contracts` rewrites it.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn generated_code_matches_the_proto_files() {
    let proto = root().join("proto");
    let files = [
        "syncline/graph/v1/calendar.proto",
        "syncline/graph/v1/graph.proto",
        "syncline/graph/v1/mail.proto",
        "syncline/graph/v1/subscriptions.proto",
        "syncline/graph/v1/teams.proto",
        "syncline/gcal/v1/gcal.proto",
    ];
    let descriptors =
        protox::compile(files.iter().map(|f| proto.join(f)), [&proto]).expect("proto files compile");
    let out = std::env::temp_dir().join(format!("syncline-proto-{}", std::process::id()));
    std::fs::create_dir_all(&out).expect("temporary folder");
    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(&out)
        .compile_fds(descriptors)
        .expect("code generation");
    let mut differing = Vec::new();
    for entry in std::fs::read_dir(&out).expect("generated folder") {
        let path = entry.expect("entry").path();
        let fresh = std::fs::read_to_string(&path).expect("generated file");
        let committed = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/gen")
            .join(path.file_name().expect("a file has a name"));
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&committed, &fresh).expect("write generated file");
        }
        if std::fs::read_to_string(&committed).unwrap_or_default() != fresh {
            differing.push(committed);
        }
    }
    std::fs::remove_dir_all(&out).expect("temporary folder is ours");
    assert!(
        differing.is_empty(),
        "stale generated code {differing:?}: run UPDATE_GENERATED=1 cargo test -p contracts"
    );
}
