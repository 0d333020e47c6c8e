use std::collections::BTreeMap;
use std::fs;

use emulator::{Config, DriveSpec};
use http::Method;
use serde_json::Value;

use crate::model::{Mirror, mutate};
use crate::support::{Scratch, Stage, eventually, exchange};

const DELTA: &str = "/drives/d/root/delta";

async fn open(dir: &Scratch) -> Stage {
    Stage::with(vec![DriveSpec::folder("d", &dir.0)]).await
}

async fn rescan(stage: &Stage) {
    stage.control(Method::POST, "/drives/d/rescan", "").await.expect(200);
}

/// Path to id of what is in the drive.
async fn ids(stage: &Stage) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    stage.state().await.iter().map(|item| (text(&item["path"]), text(&item["id"]))).collect()
}

#[tokio::test]
async fn identity_follows_the_file() {
    let dir = Scratch::new("identity");
    for path in ["a.txt", "keep/b.txt", "keep/deep/c.txt", "old.txt"] {
        dir.write(path, path);
    }
    let stage = open(&dir).await;
    let before = ids(&stage).await;
    assert_eq!(before.len(), 7);

    fs::rename(dir.0.join("a.txt"), dir.0.join("renamed.txt")).unwrap();
    fs::rename(dir.0.join("keep/deep"), dir.0.join("moved")).unwrap();
    // An editor that writes beside and renames: the same item with other content.
    dir.write("keep/.b.swp", "edited");
    fs::rename(dir.0.join("keep/.b.swp"), dir.0.join("keep/b.txt")).unwrap();
    rescan(&stage).await;
    let after = ids(&stage).await;
    assert_eq!(after["/renamed.txt"], before["/a.txt"]);
    assert_eq!(after["/moved"], before["/keep/deep"]);
    assert_eq!(after["/moved/c.txt"], before["/keep/deep/c.txt"]);
    assert_eq!(after["/keep/b.txt"], before["/keep/b.txt"]);
    assert_eq!(after.len(), 7);

    // A swap of two names moves both.
    fs::rename(dir.0.join("renamed.txt"), dir.0.join("third")).unwrap();
    fs::rename(dir.0.join("old.txt"), dir.0.join("renamed.txt")).unwrap();
    fs::rename(dir.0.join("third"), dir.0.join("old.txt")).unwrap();
    rescan(&stage).await;
    let swapped = ids(&stage).await;
    assert_eq!(swapped["/old.txt"], after["/renamed.txt"]);
    assert_eq!(swapped["/renamed.txt"], after["/old.txt"]);

    // Only case changes.
    fs::rename(dir.0.join("keep"), dir.0.join("KEEP")).unwrap();
    rescan(&stage).await;
    let cased = ids(&stage).await;
    assert_eq!(cased["/KEEP/b.txt"], swapped["/keep/b.txt"]);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn delete_and_recreate_is_another_item() {
    let dir = Scratch::new("recreate");
    dir.write("a.txt", "one");
    let stage = open(&dir).await;
    let before = ids(&stage).await;
    fs::remove_file(dir.0.join("a.txt")).unwrap();
    dir.write("a.txt", "one");
    let after = eventually("the new item", async || {
        let after = ids(&stage).await;
        (after.contains_key("/a.txt") && after != before).then_some(after)
    })
    .await;
    assert_ne!(before["/a.txt"], after["/a.txt"]);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn changes_on_disk_arrive_by_themselves() {
    let dir = Scratch::new("watch");
    dir.write("start.txt", "x");
    let stage = open(&dir).await;
    let mut mirror = Mirror::default();
    mirror.round(&stage, DELTA).await;
    dir.write("new/folder/of/files.txt", "content");
    dir.write("start.txt", "changed");
    for number in 0..50 {
        dir.write(&format!("many/{number}.txt"), "x");
    }
    let link = mirror.link.clone();
    eventually("the files of disk in the delta", async || {
        mirror.round(&stage, &link).await;
        (mirror.items.len() == 1 + 1 + 4 + 51).then_some(())
    })
    .await;
    mirror.assert_equals(&stage.state().await, "after watching");
    let file = stage.get("/drives/d/root:/start.txt").await.expect(200).json();
    assert_eq!(file["size"], 7);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn writes_through_graph_are_on_disk_and_are_reported_once() {
    let dir = Scratch::new("write");
    let stage = open(&dir).await;
    stage.send(Method::POST, "/drives/d/root/children", r#"{"name":"f","folder":{}}"#).await.expect(201);
    let item = stage.put("/drives/d/root:/f/a.txt:/content", "hello").await.expect(201).json();
    assert_eq!(fs::read_to_string(dir.0.join("f/a.txt")).unwrap(), "hello");
    let mut mirror = Mirror::default();
    mirror.round(&stage, DELTA).await;
    rescan(&stage).await;
    mirror.round(&stage, DELTA).await;
    assert_eq!(mirror.last_round.len(), 1, "nothing but the root: {:?}", mirror.last_round);
    stage.send(Method::PATCH, "/drives/d/root:/f/a.txt", r#"{"name":"b.txt"}"#).await.expect(200);
    let replaced = stage.put("/drives/d/root:/f/b.txt:/content", "again").await.expect(200).json();
    assert_eq!(replaced["id"], item["id"]);
    assert_eq!(fs::read_to_string(dir.0.join("f/b.txt")).unwrap(), "again");
    let url = stage.get("/drives/d/root:/f/b.txt:/content").await.expect(302).header("location").to_owned();
    assert_eq!(exchange(Method::GET, &url, &[], "").await.unwrap().expect(200).body, "again");
    stage.send(Method::DELETE, "/drives/d/root:/f", "").await.expect(204);
    assert!(!dir.0.join("f").exists());
    mirror.round(&stage, DELTA).await;
    rescan(&stage).await;
    mirror.round(&stage, DELTA).await;
    mirror.assert_equals(&stage.state().await, "after writing");
    stage.emulator.stop().await;
}

/// Seeded changes through the drive, and changes of a careless hand on disk in between.
#[tokio::test]
async fn the_drive_equals_the_directory_after_many_changes() {
    let dir = Scratch::new("many");
    for number in 0..40 {
        dir.write(&format!("d{}/s{}/f{number}.txt", number % 3, number % 5), &format!("{number}"));
    }
    let stage = open(&dir).await;
    let mut mirror = Mirror::default();
    for seed in 0..8_u64 {
        mutate(&stage, seed, 25).await;
        dir.write(&format!("hand{seed}.txt"), "by hand");
        if seed > 1 {
            // A mutation may have been there first.
            let _ = fs::rename(
                dir.0.join(format!("hand{}.txt", seed - 1)),
                dir.0.join(format!("again{seed}.txt")),
            );
        }
        rescan(&stage).await;
        mirror.round(&stage, DELTA).await;
        mirror.assert_equals(&stage.state().await, &format!("seed {seed}"));
        let mut on_disk = Vec::new();
        let mut pending = vec![dir.0.clone()];
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                on_disk.push(format!("/{}", entry.path().strip_prefix(&dir.0).unwrap().display()));
                if entry.path().is_dir() {
                    pending.push(entry.path());
                }
            }
        }
        on_disk.push(String::new());
        on_disk.sort();
        assert_eq!(on_disk, ids(&stage).await.into_keys().collect::<Vec<_>>(), "seed {seed}");
    }
    stage.emulator.stop().await;
}

#[tokio::test]
async fn ids_and_links_survive_a_restart() {
    let (dir, state) = (Scratch::new("dir"), Scratch::new("state"));
    dir.write("a.txt", "one");
    dir.write("b/c.txt", "two");
    let config = || Config {
        drives: vec![DriveSpec::folder("d", &dir.0)],
        state_dir: Some(state.0.clone()),
        ..Config::default()
    };
    let stage = Stage::start(config()).await;
    let mut mirror = Mirror::default();
    mirror.round(&stage, DELTA).await;
    let before = ids(&stage).await;
    let old = stage.emulator.microsoft_addr().to_string();
    stage.emulator.stop().await;

    fs::rename(dir.0.join("a.txt"), dir.0.join("b/a2.txt")).unwrap();
    dir.write("new.txt", "three");
    let stage = Stage::start(config()).await;
    let after = ids(&stage).await;
    assert_eq!(after["/b/a2.txt"], before["/a.txt"]);
    assert_eq!(after["/b/c.txt"], before["/b/c.txt"]);
    mirror.link = mirror.link.replace(&old, &stage.emulator.microsoft_addr().to_string());
    mirror.round(&stage, DELTA).await;
    assert!(mirror.last_round.iter().all(|item| item["name"] != "c.txt"), "{:?}", mirror.last_round);
    mirror.assert_equals(&stage.state().await, "after the restart");
    stage.emulator.stop().await;
}

#[tokio::test]
async fn what_a_library_cannot_hold_is_named() {
    let dir = Scratch::new("refused");
    for path in ["ok.txt", "a:b.txt", "con.txt", "Same.txt", "same.TXT", "carnet.one.pkg/data.one"] {
        dir.write(path, "x");
    }
    let stage = open(&dir).await;
    let drives = stage.control(Method::GET, "/drives", "").await.expect(200).json();
    assert_eq!(drives["items"][0]["refused"], serde_json::json!(["/a:b.txt", "/con.txt"]));
    let names: Vec<String> = ids(&stage).await.into_keys().collect();
    assert_eq!(names, ["", "/Same.txt", "/carnet.one.pkg", "/ok.txt"]);
    let package = stage.get("/drives/d/root:/carnet.one.pkg").await.expect(200).json();
    assert_eq!(package["package"]["type"], "oneNote");
    stage.emulator.stop().await;
}
