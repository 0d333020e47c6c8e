//! A drive as the provider has it, with a feed that does everything the documentation allows.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::rngs::StdRng;

use crate::drive::{ItemChange, ItemKind};
use crate::ids::ItemId;
use crate::names::name_key;
use crate::taxonomy::{Placement, Taxonomy, document_scope};

const NAMES: [&str; 16] = [
    "OneDrive-JLM",
    "onedrive-jlm",
    "01 - ETUDES AO",
    "AO-1",
    "ao-1",
    "AO-2",
    "AO-\u{e9}",
    "AO-e\u{301}",
    "01-DCE-Cotes-Photos",
    "01 Photos",
    "02-Etudes-fournisseurs",
    "Divers",
    "a.txt",
    "A.TXT",
    "note # 100%.md",
    "\u{1f4d0}",
];

/// The provider's side.
pub struct Simulated {
    items: BTreeMap<ItemId, ItemChange>,
    /// States since the last round, in order, for each touched item.
    touched: BTreeMap<ItemId, Vec<ItemChange>>,
    created: u32,
    edits: u32,
    rng: StdRng,
}

impl Simulated {
    pub fn new(rng: StdRng) -> Self {
        let mut drive = Self { items: BTreeMap::new(), touched: BTreeMap::new(), created: 0, edits: 0, rng };
        drive.put(ItemChange::new("root", None, "root", ItemKind::Root));
        let base = drive.create("root", "OneDrive-JLM", ItemKind::Folder);
        let studies = drive.create(&base, "01 - ETUDES AO", ItemKind::Folder);
        let ao = drive.create(&studies, "AO-1", ItemKind::Folder);
        let category = drive.create(&ao, "01-DCE-Cotes-Photos", ItemKind::Folder);
        drive.create(&category, "a.txt", ItemKind::File);
        drive
    }

    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("a usize fits");
        usize::try_from(self.rng.next_u64() % bound).expect("below a usize")
    }

    /// One random act of a user.
    pub fn act(&mut self) {
        let folders: Vec<ItemId> = self.ids(|item| item.kind.holds_items());
        let others: Vec<ItemId> = self.ids(|item| item.kind != ItemKind::Root);
        let folder = folders[self.below(folders.len())].0.clone();
        let name = NAMES[self.below(NAMES.len())];
        let chosen = self.below(others.len());
        let target = others.get(chosen).cloned();
        match (self.below(10), target) {
            (0..=2, _) | (_, None) => {
                self.create(&folder, name, ItemKind::File);
            }
            (3..=4, _) => {
                self.create(&folder, name, ItemKind::Folder);
            }
            (5, _) => {
                let kind = if self.below(2) == 0 { ItemKind::Package } else { ItemKind::Remote };
                self.create(&folder, name, kind);
            }
            (6, Some(id)) => self.edit(&id, |item| item.name = Some(name.to_owned())),
            (7, Some(id)) if !self.is_below(&folder, &id) => {
                self.edit(&id, |item| item.parent_id = Some(ItemId::new(folder.clone())));
            }
            (8, Some(id)) => self.delete(&id),
            (_, Some(id)) => {
                let malware = self.below(4) == 0;
                self.edit(&id, |item| item.malware = malware && item.kind == ItemKind::File);
            }
        }
    }

    fn ids(&self, wanted: impl Fn(&ItemChange) -> bool) -> Vec<ItemId> {
        self.items.values().filter(|item| wanted(item)).map(|item| item.id.clone()).collect()
    }

    fn create(&mut self, parent: &str, name: &str, kind: ItemKind) -> String {
        self.created += 1;
        // Ids in no order of creation, so that "the lesser id" is not "the older folder".
        let id = format!("{:04x}", self.created.wrapping_mul(40_503) % 65_536);
        let mut item = ItemChange::new(id.clone(), Some(parent), name, kind);
        item.e_tag = Some(format!("{id},0"));
        item.size = Some(0);
        self.put(item);
        id
    }

    fn edit(&mut self, id: &ItemId, change: impl FnOnce(&mut ItemChange)) {
        let mut item = self.items[id].clone();
        change(&mut item);
        self.edits += 1;
        item.e_tag = Some(format!("{id},{}", self.edits));
        item.quick_xor_hash = (!self.edits.is_multiple_of(3)).then(|| format!("hash {}", self.edits));
        self.put(item);
    }

    fn put(&mut self, item: ItemChange) {
        self.touched.entry(item.id.clone()).or_default().push(item.clone());
        self.items.insert(item.id.clone(), item);
    }

    fn delete(&mut self, id: &ItemId) {
        let gone: Vec<ItemId> = self.ids(|item| self.is_below(&item.id.0, id));
        // Entries of their own for what lay in the folder are not promised.
        let each = self.below(2) == 0;
        for item in gone {
            self.items.remove(&item);
            let states = self.touched.entry(item.clone()).or_default();
            // What moved in since the last round is elsewhere to the client: it needs its own.
            let moved_in = !states.is_empty();
            states.clear();
            if each || moved_in || item == *id {
                states.push(ItemChange::tombstone(item.0));
            }
        }
    }

    fn is_below(&self, id: &str, folder: &ItemId) -> bool {
        let mut current = Some(ItemId::new(id));
        while let Some(id) = current {
            if id == *folder {
                return true;
            }
            current = self.items.get(&id).and_then(|item| item.parent_id.clone());
        }
        false
    }

    /// The pages of a delta round: touched items with some of their earlier states, unchanged
    /// ancestors, the root, in no order but each item's own.
    pub fn delta(&mut self) -> Vec<Vec<ItemChange>> {
        let mut feed: Vec<(u64, ItemChange)> = Vec::new();
        for (_, states) in std::mem::take(&mut self.touched) {
            let Some((latest, earlier)) = states.split_last() else { continue };
            let last_place = self.rng.next_u64();
            for state in earlier {
                if self.below(3) == 0 {
                    let place = self.rng.next_u64() % last_place.max(1);
                    feed.push((place, state.clone()));
                }
            }
            feed.push((last_place, latest.clone()));
            if !latest.deleted && self.below(2) == 0 {
                feed.push((last_place, latest.clone()));
            }
        }
        // Earlier states of one item may have changed places; only the last one counts.
        let unchanged: Vec<ItemChange> = self.items.values().cloned().collect();
        for item in unchanged {
            let known = feed.iter().any(|(_, fed)| fed.id == item.id);
            if !known && (item.kind == ItemKind::Root || self.below(4) == 0) {
                feed.push((self.rng.next_u64(), item));
            }
        }
        feed.sort_by_key(|(place, _)| *place);
        self.pages(feed.into_iter().map(|(_, item)| item).collect())
    }

    /// The pages of a complete enumeration.
    pub fn enumeration(&mut self) -> Vec<Vec<ItemChange>> {
        self.touched.clear();
        let mut feed: Vec<(u64, ItemChange)> = Vec::new();
        for item in self.items.values() {
            feed.push((self.rng.next_u64(), item.clone()));
        }
        feed.sort_by_key(|(place, _)| *place);
        self.pages(feed.into_iter().map(|(_, item)| item).collect())
    }

    fn pages(&mut self, mut feed: Vec<ItemChange>) -> Vec<Vec<ItemChange>> {
        let mut pages = Vec::new();
        while !feed.is_empty() {
            let rest = feed.split_off(self.below(6).min(feed.len()));
            pages.push(feed);
            feed = rest;
        }
        pages
    }

    /// The documents by a walk from the root down: id, reference, category, path, eTag, hash.
    pub fn documents(&self, taxonomy: &Taxonomy) -> BTreeMap<ItemId, Expected> {
        let mut found = BTreeMap::new();
        let mut taken = BTreeSet::new();
        let mut todo = vec![(ItemId::new("root"), Vec::<String>::new())];
        let mut aos: Vec<(ItemId, Vec<String>)> = Vec::new();
        while let Some((folder, path)) = todo.pop() {
            for item in self.items.values().filter(|item| item.parent_id.as_ref() == Some(&folder)) {
                let mut path = path.clone();
                path.push(item.name.clone().expect("live items have names"));
                if item.kind != ItemKind::Folder {
                    continue;
                }
                match Placement::of_path(taxonomy, &path) {
                    Placement::Ao { .. } => aos.push((item.id.clone(), path)),
                    _ => todo.push((item.id.clone(), path)),
                }
            }
        }
        aos.sort();
        for (id, path) in aos {
            let placement = Placement::of_path(taxonomy, &path);
            if taken.insert(name_key(placement.reference().expect("an AO"))) {
                self.collect(taxonomy, &id, &path, &mut found);
            }
        }
        found
    }

    fn collect(
        &self,
        taxonomy: &Taxonomy,
        folder: &ItemId,
        path: &[String],
        found: &mut BTreeMap<ItemId, Expected>,
    ) {
        let placement = Placement::of_path(taxonomy, path);
        for item in self.items.values().filter(|item| item.parent_id.as_ref() == Some(folder)) {
            let name = item.name.clone().expect("live items have names");
            let below: Vec<String> = path.iter().cloned().chain([name]).collect();
            match (item.kind, document_scope(&placement)) {
                (ItemKind::Folder, _) => self.collect(taxonomy, &item.id, &below, found),
                (ItemKind::File | ItemKind::Package | ItemKind::Remote, Some((reference, category)))
                    if !item.malware =>
                {
                    found.insert(
                        item.id.clone(),
                        Expected {
                            reference: reference.to_owned(),
                            category: category.to_owned(),
                            path: format!("/{}", below.join("/")),
                            e_tag: item.e_tag.clone(),
                            quick_xor_hash: item.quick_xor_hash.clone(),
                        },
                    );
                }
                _ => {}
            }
        }
    }
}

/// What is compared of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub reference: String,
    pub category: String,
    pub path: String,
    pub e_tag: Option<String>,
    pub quick_xor_hash: Option<String>,
}
