use emulator::{DriveOptions, DriveSpec, DriveType, LinkStyle};
use http::Method;
use serde_json::Value;

use crate::model::{Mirror, mutate};
use crate::support::Stage;

const DELTA: &str = "/drives/d/root/delta";

fn spec(items: u32, options: DriveOptions) -> DriveSpec {
    DriveSpec { options, ..DriveSpec::generated("d", 11, items) }
}

/// Whatever the drive's habits are, a careful client ends up with the truth.
#[tokio::test]
async fn a_folded_delta_equals_the_drive() {
    let habits = [
        DriveOptions::default(),
        DriveOptions { shuffle: true, empty_page_every: 3, ..DriveOptions::default() },
        DriveOptions { repeats: true, deletes_first: false, deleted_files: true, ..DriveOptions::default() },
        DriveOptions {
            drive_type: DriveType::Personal,
            shuffle: true,
            repeats: true,
            ..DriveOptions::default()
        },
        DriveOptions { link_style: LinkStyle::Namespaced, deletes_first: false, ..DriveOptions::default() },
    ];
    for (number, options) in habits.into_iter().enumerate() {
        let empty = options.empty_page_every > 0;
        let stage = Stage::with(vec![spec(1500, options)]).await;
        let mut mirror = Mirror::default();
        mirror.round(&stage, &format!("{DELTA}?$top=97")).await;
        mirror.assert_equals(&stage.state().await, &format!("habit {number}, first round"));
        assert_eq!(mirror.items.len(), 1501);
        for seed in 0..6 {
            mutate(&stage, seed, 150).await;
            mirror.round(&stage, DELTA).await;
            mirror.assert_equals(&stage.state().await, &format!("habit {number}, seed {seed}"));
        }
        assert_eq!(mirror.empty_pages > 0, empty);
        stage.emulator.stop().await;
    }
}

/// Changes in the middle of an enumeration are seen in it or after it.
#[tokio::test]
async fn changes_during_an_enumeration_are_not_lost() {
    let stage = Stage::with(vec![spec(1200, DriveOptions::default())]).await;
    let mut mirror = Mirror::default();
    let mut link = format!("{DELTA}?$top=100");
    let mut seed = 100;
    // The pages are read by hand, with changes in between; the mirror folds them afterwards.
    let mut pages: Vec<Value> = Vec::new();
    let last = loop {
        let page = stage.get(&link).await.expect(200).json();
        pages.extend(page["value"].as_array().unwrap().iter().cloned());
        match page["@odata.nextLink"].as_str() {
            Some(next) => link = next.to_owned(),
            None => break page["@odata.deltaLink"].as_str().unwrap().to_owned(),
        }
        if seed < 108 {
            mutate(&stage, seed, 20).await;
            seed += 1;
        }
    };
    for item in pages {
        let id = item["id"].as_str().unwrap().to_owned();
        if item.get("deleted").is_some() {
            mirror.items.remove(&id);
        } else {
            mirror.items.insert(id, item);
        }
    }
    mirror.link = last;
    let state = stage.state().await;
    // Files below a deleted folder have no entries of their own: a client drops them with the folder.
    let live: std::collections::BTreeSet<&str> =
        state.iter().map(|item| item["id"].as_str().unwrap()).collect();
    loop {
        let known: std::collections::BTreeSet<String> = mirror.items.keys().cloned().collect();
        let before = mirror.items.len();
        mirror.items.retain(|_, item| {
            item["parentReference"]["id"].as_str().is_none_or(|parent| known.contains(parent))
        });
        if mirror.items.len() == before {
            break;
        }
    }
    mirror.round(&stage, DELTA).await;
    mirror.assert_equals(&state, "after the enumeration");
    assert_eq!(mirror.items.len(), live.len());
    stage.emulator.stop().await;
}

#[tokio::test]
async fn business_leaves_out_what_it_leaves_out() {
    let stage = Stage::generated(300).await;
    let mut mirror = Mirror::default();
    mirror.round(&stage, DELTA).await;
    assert!(mirror.last_round[0].get("root").is_some());
    assert!(mirror.last_round.iter().all(|item| item.get("cTag").is_none()));
    let file = mirror.items.values().find(|item| item.get("file").is_some()).unwrap().clone();
    let id = file["id"].as_str().unwrap();
    stage.send(Method::DELETE, &format!("/drives/d/items/{id}"), "").await.expect(204);
    mirror.round(&stage, DELTA).await;
    let gone = mirror.last_round.iter().find(|item| item["id"] == *id).unwrap();
    assert_eq!(gone["deleted"]["state"], "deleted");
    assert!(gone.get("name").is_none() && gone.get("cTag").is_none());
    // The root is reported in every round.
    assert!(mirror.last_round.iter().any(|item| item.get("root").is_some()));
    stage.get(&format!("/drives/d/items/{id}")).await.expect(404);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn a_moved_folder_is_reported_alone_with_its_unchanged_ancestors() {
    let stage = Stage::generated(400).await;
    let mut mirror = Mirror::default();
    mirror.round(&stage, DELTA).await;
    let at = "/drives/d/root:/OneDrive-JLM/01 - ETUDES AO/AO-2501/01-DCE-Cotes-Photos".replace(' ', "%20");
    let folder = stage.get(&at).await.expect(200).json();
    let children = folder["folder"]["childCount"].as_u64().unwrap();
    assert!(children > 0);
    let target = stage.get("/drives/d/root:/OneDrive-JLM/02%20-%20ADMINISTRATION").await.expect(200).json();
    let body = format!(r#"{{"parentReference":{{"id":{}}},"name":"ailleurs"}}"#, target["id"]);
    let moved = stage.send(Method::PATCH, &at, body).await.expect(200).json();
    assert_eq!(moved["id"], folder["id"]);
    mirror.round(&stage, DELTA).await;
    let changed: Vec<&str> = mirror.last_round.iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(changed, ["root", "OneDrive-JLM", "02 - ADMINISTRATION", "ailleurs"]);
    let above = &mirror.last_round[1];
    let before =
        stage.get(&format!("/drives/d/items/{}", above["id"].as_str().unwrap())).await.expect(200).json();
    assert_eq!(above["eTag"], before["eTag"]);
    mirror.assert_equals(&stage.state().await, "after the move");

    // Without parents, on request.
    mutate(&stage, 5, 1).await;
    let page = stage.get_with(&mirror.link, &[("deltaExcludeParent", "true")]).await.expect(200).json();
    assert_eq!(page["value"].as_array().unwrap().len(), 2, "{page}");
    stage.emulator.stop().await;
}

#[tokio::test]
async fn delete_and_recreate_gives_another_id() {
    let stage = Stage::generated(0).await;
    let mut mirror = Mirror::default();
    let first = stage.put("/drives/d/root:/a.txt:/content", "one").await.expect(201).json();
    mirror.round(&stage, DELTA).await;
    stage.send(Method::DELETE, "/drives/d/root:/a.txt", "").await.expect(204);
    let second = stage.put("/drives/d/root:/a.txt:/content", "one").await.expect(201).json();
    assert_ne!(first["id"], second["id"]);
    mirror.round(&stage, DELTA).await;
    // The marker comes first: root, deletion, creation.
    let order: Vec<bool> = mirror.last_round.iter().map(|item| item.get("deleted").is_some()).collect();
    assert_eq!(order, [false, true, false]);
    mirror.assert_equals(&stage.state().await, "recreated");
    stage.emulator.stop().await;
}

#[tokio::test]
async fn latest_and_times_are_tokens() {
    let stage = Stage::generated(100).await;
    let page = stage.get("/drives/d/root/delta?token=latest").await.expect(200).json();
    assert_eq!(page["value"], serde_json::json!([]));
    stage.control(Method::POST, "/clock", r#"{"advance_seconds":100}"#).await.expect(200);
    let clock = stage.control(Method::GET, "/clock", "").await.json();
    mutate(&stage, 3, 5).await;
    let mut mirror = Mirror { link: page["@odata.deltaLink"].as_str().unwrap().into(), ..Mirror::default() };
    mirror.round(&stage, DELTA).await;
    let changed = mirror.last_round.clone();
    assert!(!changed.is_empty());
    let now = clock["now"].as_str().unwrap().replace('+', "%2B").replace(':', "%3A");
    let timed = stage.get(&format!("/drives/d/root/delta?token={now}")).await.expect(200).json();
    assert_eq!(timed["value"], Value::Array(changed));
    stage.emulator.stop().await;
}

#[tokio::test]
async fn an_expired_token_is_answered_410_with_a_fresh_url() {
    let stage = Stage::generated(50).await;
    let mut mirror = Mirror::default();
    mirror.round(&stage, DELTA).await;
    stage.control(Method::POST, "/drives/d/expire-tokens", "").await.expect(204);
    let gone = stage.get(&mirror.link).await.expect(410);
    assert_eq!(gone.code(), "resyncRequired");
    let location = gone.header("location").to_owned();
    let mut again = Mirror::default();
    again.round(&stage, &location).await;
    again.assert_equals(&stage.state().await, "after resync");
    stage.get("/drives/d/root/delta?token=nonsense").await.expect(400);
    stage.emulator.stop().await;
}

/// A folder's own delta: what leaves it is gone, what enters it comes with everything in it.
#[tokio::test]
async fn a_folder_has_a_delta_of_its_own() {
    let stage = Stage::generated(0).await;
    for name in ["in", "out"] {
        let body = format!(r#"{{"name":"{name}","folder":{{}}}}"#);
        stage.send(Method::POST, "/drives/d/root/children", body).await.expect(201);
    }
    for path in ["in/a.txt", "in/sub/b.txt", "out/c.txt", "out/deep/d.txt"] {
        if let Some((folder, _)) = path.rsplit_once('/')
            && folder.contains('/')
        {
            let (parent, name) = folder.split_once('/').unwrap();
            let body = format!(r#"{{"name":"{name}","folder":{{}}}}"#);
            stage.send(Method::POST, &format!("/drives/d/root:/{parent}:/children"), body).await.expect(201);
        }
        stage.put(&format!("/drives/d/root:/{path}:/content"), path).await.expect(201);
    }
    let id = stage.get("/drives/d/root:/in").await.expect(200).json()["id"].as_str().unwrap().to_owned();
    let first = format!("/drives/d/items/{id}/delta");
    let mut mirror = Mirror::default();
    mirror.round(&stage, &first).await;
    let names = |mirror: &Mirror| {
        let mut names: Vec<String> =
            mirror.items.values().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&mirror), ["a.txt", "b.txt", "in", "sub"]);
    let to = |path: &str| format!(r#"{{"parentReference":{{"path":"/drives/d/root:/{path}"}}}}"#);
    stage.send(Method::PATCH, "/drives/d/root:/in/sub", to("out")).await.expect(200);
    stage.send(Method::PATCH, "/drives/d/root:/out/deep", to("in")).await.expect(200);
    stage.put("/drives/d/root:/out/c.txt:/content", "changed outside").await.expect(200);
    mirror.round(&stage, &first).await;
    assert_eq!(names(&mirror), ["a.txt", "d.txt", "deep", "in"]);
    assert!(mirror.last_round.iter().all(|item| item["name"] != "c.txt"));
    stage.emulator.stop().await;
}

#[tokio::test]
async fn select_and_top_travel_with_the_links() {
    let stage = Stage::generated(500).await;
    let page = stage.get("/drives/d/root/delta?$top=50&$select=id,name,cTag").await.expect(200).json();
    let second = stage.get(page["@odata.nextLink"].as_str().unwrap()).await.expect(200).json();
    for page in [&page, &second] {
        let value = page["value"].as_array().unwrap();
        assert_eq!(value.len(), 50);
        for item in value {
            let keys: Vec<&String> = item.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["id", "name"], "{item}");
        }
    }
    stage.emulator.stop().await;
}
