use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

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

/// Numbers from a seed, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Everything below a directory, as paths of a drive, sorted; the root is the empty path.
fn on_disk(root: &Path) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut pending = vec![root.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            found.push(format!("/{}", entry.path().strip_prefix(root).unwrap().display()));
            if entry.path().is_dir() {
                pending.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// What people and programs do to a folder; what is not possible is left.
fn careless_hand(root: &Path, dice: &mut Dice) {
    let all = on_disk(root);
    let any = |dice: &mut Dice| root.join(all[dice.below(all.len())].trim_start_matches('/'));
    let folder_of = |path: PathBuf| if path.is_dir() { path } else { path.parent().unwrap().to_path_buf() };
    let (one, other) = (any(dice), any(dice));
    let fresh = format!("f{}.txt", dice.below(1_000_000));
    match dice.below(8) {
        0 => drop(fs::write(folder_of(one).join(fresh), "new")),
        1 if one.is_file() => drop(fs::write(&one, format!("changed {}", dice.below(1000)))),
        2 if one.is_file() => {
            let beside = folder_of(one.clone()).join("beside.tmp");
            let _ = fs::write(&beside, format!("replaced {}", dice.below(1000)));
            let _ = fs::rename(beside, &one);
        }
        3 => drop(fs::rename(&one, folder_of(other).join(fresh.replace('f', "moved")))),
        4 if one.is_file() && other.is_file() && one != other => {
            let third = root.join("third.tmp");
            let _ = fs::rename(&one, &third);
            let _ = fs::rename(&other, &one);
            let _ = fs::rename(&third, &other);
        }
        5 if one.is_file() => {
            let _ = fs::remove_file(&one);
            let _ = fs::write(&one, "recreated");
        }
        6 if one.is_dir() && one != root && dice.below(3) == 0 => drop(fs::remove_dir_all(&one)),
        7 => drop(fs::create_dir(folder_of(one).join(fresh.replace(".txt", "")))),
        _ => {}
    }
}

/// Seeded changes through the drive and by hand, with and without time for the watcher in between.
#[tokio::test]
async fn the_drive_equals_the_directory_after_many_changes() {
    for seed in 0..12_u64 {
        let dir = Scratch::new("many");
        for number in 0..40 {
            dir.write(&format!("d{}/s{}/f{number}.txt", number % 3, number % 5), &format!("{number}"));
        }
        let stage = open(&dir).await;
        let mut mirror = Mirror::default();
        let mut dice = Dice(seed);
        for round in 0..6 {
            let note = format!("seed {seed}, round {round}");
            if dice.below(2) == 0 {
                mutate(&stage, seed * 100 + round, 10).await;
            }
            for _ in 0..dice.below(30) {
                careless_hand(&dir.0, &mut dice);
            }
            rescan(&stage).await;
            mirror.round(&stage, DELTA).await;
            mirror.assert_equals(&stage.state().await, &note);
            assert_eq!(on_disk(&dir.0), ids(&stage).await.into_keys().collect::<Vec<_>>(), "{note}");
        }
        stage.emulator.stop().await;
    }
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
