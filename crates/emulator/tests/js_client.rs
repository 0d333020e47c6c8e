//! The published JavaScript client of Microsoft Graph works against the emulator unchanged.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use emulator::{Config, DriveSpec, Emulator};
use tokio::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/js-client");
/// Longest installation, and longest run.
const DEADLINE: Duration = Duration::from_mins(3);

async fn run(what: &str, command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(DEADLINE, output)
        .await
        .unwrap_or_else(|_| panic!("{what}: not done in {DEADLINE:?}"));
    let output = output.unwrap_or_else(|fault| {
        panic!("{what}: {fault}; this test needs Node.js 18 or later and openssl: install the packages nodejs, npm and openssl")
    });
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{text}", output.status);
    text
}

/// Installs the client as locked into the build folder; an installation that fits is used again.
async fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emulator-js-client");
    std::fs::create_dir_all(&folder).unwrap();
    let lock = std::fs::read(Path::new(SOURCE).join("package-lock.json")).unwrap();
    let stamp = folder.join("node_modules/.installed-lock");
    if std::fs::read(&stamp).is_ok_and(|known| known == lock) {
        return folder;
    }
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(Path::new(SOURCE).join(file), folder.join(file)).unwrap();
    }
    run(
        "npm ci",
        Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder),
    )
    .await;
    std::fs::write(stamp, lock).unwrap();
    folder
}

/// A key and a certificate for 127.0.0.1, made for this run.
async fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (key, cert) = (folder.join("proxy-key.pem"), folder.join("proxy-cert.pem"));
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=emulator \
                     -addext subjectAltName=IP:127.0.0.1";
    let mut openssl = Command::new("openssl");
    openssl.args(arguments.split_whitespace()).arg("-keyout").arg(&key).arg("-out").arg(&cert);
    run("openssl (package openssl)", &mut openssl).await;
    (key, cert)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_client_works_unchanged() {
    let folder = installed().await;
    let script = folder.join("client.mjs");
    std::fs::copy(Path::new(SOURCE).join("client.mjs"), &script).unwrap();
    let config = Config { drives: vec![DriveSpec::generated("d", 5, 400)], ..Config::default() };
    let emulator = Emulator::start(config).await.unwrap();
    let token = emulator.mint_token();
    let (key, cert) = certificate(&folder).await;
    let text = run(
        "node client.mjs",
        Command::new("node")
            .arg(&script)
            .env("EMULATOR_GRAPH", emulator.login_base_url())
            .env("EMULATOR_CONTROL", emulator.control_url())
            .env("EMULATOR_TOKEN", token)
            .env("PROXY_KEY", &key)
            .env("PROXY_CERT", &cert)
            .env("NODE_EXTRA_CA_CERTS", &cert),
    )
    .await;
    println!("{text}");
    assert_eq!(text.matches("ok: ").count(), 6, "{text}");
    emulator.stop().await;
}
