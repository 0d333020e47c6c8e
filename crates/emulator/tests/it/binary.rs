use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::{DEADLINE, Scratch, exchange};

const EMULATOR: &str = env!("CARGO_BIN_EXE_emulator");

#[tokio::test]
async fn the_binary_serves_the_demo_folder_and_ends_on_sigterm() {
    let dir = Scratch::new("demo");
    for expected in ["new)", "(0 new)"] {
        let output = Command::new(EMULATOR).arg("seed-folder").arg(&dir.0).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.trim_end().ends_with(expected), "{text}");
    }
    let mut child = Command::new(EMULATOR)
        .args(["--microsoft", "127.0.0.1:0", "--google", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        .args(["--folder-drive", &format!("b!demo={}", dir.0.display()), "--generated-drive", "big=7:1000"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let control = line.rsplit_once("control ").unwrap().1.to_owned();
    let drives =
        exchange(http::Method::GET, &format!("{control}/drives"), &[], "").await.unwrap().expect(200).json();
    let demo = &drives["items"][0];
    assert_eq!(demo["id"], "b!demo");
    assert!(demo["items"].as_u64().unwrap() > 300, "{demo}");
    assert_eq!(demo["refused"], serde_json::json!([]));
    assert_eq!(drives["items"][1]["items"], 1000);

    let pid = child.id().unwrap();
    Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await.unwrap();
    let status = tokio::time::timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_busy_address_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(EMULATOR)
        .args(["--microsoft", &address, "--google", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
}
