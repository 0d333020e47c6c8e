//! `make backup` and `make restore` over a real database: what comes back is what was there, or nothing does.

use std::path::{Path, PathBuf};
use std::process::Output;

use testkit::servers::postgres_url;
use tokio::process::Command;

use super::{OLD, Scene};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(name)
}

async fn run(scene: &Scene, name: &str, args: &[&str]) -> Output {
    Command::new(script(name))
        .args(args)
        .env("STACK_RUN_DIR", scene.folder.join("run"))
        .env("BACKUP_DIR", scene.folder.join("backups"))
        .env("BACKUP_DATABASE_URL", &scene.db.owner_url)
        .env("RESTORE_DATABASE_URL", postgres_url())
        .env("AUDIT_HMAC_KEYS", OLD)
        .env("AUDIT_ARCHIVE_URL", format!("file:{}", scene.folder.join("primary").display()))
        .env("AUDIT_ARCHIVE_FALLBACK_URL", format!("file:{}", scene.folder.join("fallback").display()))
        .kill_on_drop(true)
        .output()
        .await
        .expect("a script")
}

#[tokio::test]
async fn a_backup_comes_back_whole_or_not_at_all() {
    let scene = Scene::new().await;
    scene.keep(500).await;
    let made = run(&scene, "backup", &[]).await;
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "{said}");
    let manifest = String::from_utf8(made.stdout).expect("text").trim().to_owned();
    let listed = std::fs::read_to_string(&manifest).expect("a manifest");
    assert!(listed.contains("rows audit_events|500\n"), "{listed}");
    let dump = Path::new(&manifest).with_extension("dump.gpg");
    let sealed = std::fs::read(&dump).expect("a dump");
    assert!(!sealed.windows(6).any(|bytes| bytes == b"PGDMP\x01"), "it is encrypted");

    let drill = run(&scene, "restore", &["--drill"]).await;
    let said = String::from_utf8_lossy(&drill.stderr).into_owned();
    assert!(drill.status.success() && said.contains("1 audit trails intact"), "{said}");
    let left = "SELECT 1 FROM pg_database WHERE datname LIKE 'syncline_drill%'";
    assert!(store::admin::rows(&postgres_url(), left).await.expect("databases").is_empty(), "it was dropped");

    // A flipped bit, and another key.
    let mut edited = sealed.clone();
    edited[sealed.len() / 2] ^= 1;
    std::fs::write(&dump, &edited).expect("written");
    let refused = run(&scene, "restore", &["--drill", &manifest]).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not what its manifest says"));
    std::fs::write(&dump, &sealed).expect("written");
    let key = scene.folder.join("run/secrets/backup-key");
    std::fs::write(&key, "another key").expect("written");
    let refused = run(&scene, "restore", &["--drill", &manifest]).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("does not open with this key"));
}
