//! What a careful client makes of delta: items folded by id, last occurrence wins.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::Value;

use crate::support::Stage;

#[derive(Debug, Default)]
pub struct Mirror {
    pub items: BTreeMap<String, Value>,
    pub link: String,
    pub pages: usize,
    pub empty_pages: usize,
    /// Occurrences of ids in the last round.
    pub last_round: Vec<Value>,
}

impl Mirror {
    /// Reads a round to its end.
    pub async fn round(&mut self, stage: &Stage, first: &str) {
        let full = self.link.is_empty();
        let mut link = if full { first.to_owned() } else { self.link.clone() };
        let mut seen_links = BTreeSet::new();
        self.last_round.clear();
        loop {
            assert!(seen_links.insert(link.clone()), "a link came twice: {link}");
            let page = stage.get(&link).await.expect(200).json();
            self.pages += 1;
            let value = page["value"].as_array().unwrap();
            if value.is_empty() {
                self.empty_pages += 1;
            }
            self.last_round.extend(value.iter().cloned());
            if let Some(next) = page["@odata.nextLink"].as_str() {
                assert!(page.get("@odata.deltaLink").is_none());
                next.clone_into(&mut link);
            } else {
                page["@odata.deltaLink"].as_str().unwrap().clone_into(&mut self.link);
                break;
            }
        }
        let mut latest: BTreeMap<String, Value> = BTreeMap::new();
        for item in &self.last_round {
            latest.insert(item["id"].as_str().unwrap().to_owned(), item.clone());
        }
        if full {
            // After a complete enumeration, what was not seen is gone.
            self.items.retain(|id, _| latest.contains_key(id));
        }
        // Deletions last: what was moved out of a deleted folder must not go with it.
        let (deleted, changed): (Vec<_>, Vec<_>) =
            latest.into_iter().partition(|(_, item)| item.get("deleted").is_some());
        self.items.extend(changed);
        for (id, _) in deleted {
            self.drop_with_descendants(&id);
        }
    }

    fn drop_with_descendants(&mut self, id: &str) {
        let mut pending = vec![id.to_owned()];
        while let Some(id) = pending.pop() {
            self.items.remove(&id);
            pending.extend(
                self.items
                    .iter()
                    .filter(|(_, item)| item["parentReference"]["id"].as_str() == Some(&id))
                    .map(|(id, _)| id.clone()),
            );
        }
    }

    /// Fails unless the mirror equals the drive.
    pub fn assert_equals(&self, state: &[Value], note: &str) {
        let wanted: BTreeSet<&str> = state.iter().map(|item| item["id"].as_str().unwrap()).collect();
        let have: BTreeSet<&str> = self.items.keys().map(String::as_str).collect();
        let missing: Vec<_> = wanted.difference(&have).take(3).collect();
        let extra: Vec<_> = have.difference(&wanted).take(3).collect();
        assert!(missing.is_empty() && extra.is_empty(), "{note}: missing {missing:?}, extra {extra:?}");
        for item in state {
            let mine = &self.items[item["id"].as_str().unwrap()];
            assert_eq!(mine["name"], item["name"], "{note}: {mine}");
            assert_eq!(mine["eTag"], item["e_tag"], "{note}: {mine}");
            assert_eq!(mine["size"], item["size"], "{note}: {mine}");
            assert_eq!(mine["parentReference"]["id"], item["parent_id"], "{note}: {mine}");
            assert_eq!(mine["file"]["hashes"]["quickXorHash"], item["quick_xor_hash"], "{note}: {mine}");
        }
    }
}

pub async fn mutate(stage: &Stage, seed: u64, count: u32) {
    let body = format!(r#"{{"seed":{seed},"count":{count}}}"#);
    stage.control(Method::POST, "/drives/d/mutate", &body).await.expect(200);
}
