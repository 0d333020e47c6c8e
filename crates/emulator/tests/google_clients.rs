//! The published JavaScript and Python clients of Google Calendar work against the emulator unchanged.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use emulator::{Config, DEMO_GOOGLE_CLIENT, DEMO_GOOGLE_SECRET, Emulator};
use tokio::process::Command;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
/// Longest installation, and longest run.
const DEADLINE: Duration = Duration::from_mins(3);

async fn run(what: &str, command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(DEADLINE, output)
        .await
        .unwrap_or_else(|_| panic!("{what}: not done in {DEADLINE:?}"));
    let output = output.unwrap_or_else(|fault| {
        panic!(
            "{what}: {fault}; these tests need Node.js 18 or later and Python 3.11 or later: install the packages \
             nodejs, npm, python3 and python3-venv"
        )
    });
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{text}", output.status);
    text
}

/// The build folder of a client, and whether what is locked is installed there already.
fn folder(name: &str, lock: &str) -> (PathBuf, PathBuf, bool) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("emulator-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let wanted = std::fs::read(Path::new(SOURCES).join(name).join(lock)).unwrap();
    let stamp = folder.join(".installed-lock");
    let fits = std::fs::read(&stamp).is_ok_and(|known| known == wanted);
    (folder, stamp, fits)
}

async fn javascript() -> PathBuf {
    let source = Path::new(SOURCES).join("google-js-client");
    let (folder, stamp, fits) = folder("google-js-client", "package-lock.json");
    std::fs::copy(source.join("client.mjs"), folder.join("client.mjs")).unwrap();
    if !fits {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(source.join(file), folder.join(file)).unwrap();
        }
        let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        run("npm ci", Command::new("npm").args(arguments).current_dir(&folder)).await;
        std::fs::copy(source.join("package-lock.json"), stamp).unwrap();
    }
    folder.join("client.mjs")
}

async fn python() -> (PathBuf, PathBuf) {
    let source = Path::new(SOURCES).join("google-python-client");
    let (folder, stamp, fits) = folder("google-python-client", "requirements.txt");
    let interpreter = folder.join("venv/bin/python");
    if !fits || !interpreter.exists() {
        let _ = std::fs::remove_dir_all(folder.join("venv"));
        run("python3 -m venv", Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv"))).await;
        let mut pip = Command::new(&interpreter);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
        ]);
        run("pip install", pip.arg(source.join("requirements.txt"))).await;
        std::fs::copy(source.join("requirements.txt"), stamp).unwrap();
    }
    (interpreter, source.join("client.py"))
}

fn address(emulator: &Emulator) -> String {
    format!("http://{}", emulator.google_addr())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_javascript_client_works_unchanged() {
    let script = javascript().await;
    let emulator = Emulator::start(Config::default()).await.unwrap();
    let text = run(
        "node client.mjs",
        Command::new("node")
            .arg(&script)
            .env("EMULATOR_GOOGLE", address(&emulator))
            .env("GOOGLE_CLIENT_ID", DEMO_GOOGLE_CLIENT)
            .env("GOOGLE_CLIENT_SECRET", DEMO_GOOGLE_SECRET),
    )
    .await;
    println!("{text}");
    assert_eq!(text.matches("ok: ").count(), 8, "{text}");
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_python_client_works_unchanged() {
    let (interpreter, script) = python().await;
    let emulator = Emulator::start(Config::default()).await.unwrap();
    let refresh = emulator.mint_google_refresh_token();
    let text = run(
        "python client.py",
        Command::new(&interpreter)
            .arg(&script)
            .env("EMULATOR_GOOGLE", address(&emulator))
            .env("GOOGLE_REFRESH_TOKEN", refresh)
            .env("GOOGLE_CLIENT_ID", DEMO_GOOGLE_CLIENT)
            .env("GOOGLE_CLIENT_SECRET", DEMO_GOOGLE_SECRET)
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )
    .await;
    println!("{text}");
    assert_eq!(text.matches("ok: ").count(), 8, "{text}");
    emulator.stop().await;
}
