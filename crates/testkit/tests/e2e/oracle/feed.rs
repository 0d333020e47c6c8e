//! A drive as the provider has it, with a feed that does everything the documentation allows
//! (driveitem-delta, Graph v1.0): repeated items, any order, unchanged ancestors, tombstones of folders alone.

use std::collections::BTreeMap;

use chrono::DateTime;
use domain::drive::{ItemChange, ItemKind};
use domain::ids::ItemId;
use domain::names::name_key;
use testkit::e2e::dice::Dice;

const LONG: &str = "un nom de quatre cents signes, répété jusqu'à ce que le chemin soit trop long pour beaucoup de programmes, \
    mais pas pour le service lui-même, qui en accepte davantage dans un seul segment de chemin quand la bibliothèque \
    appartient à un site ancien ou à un compte personnel; on continue donc encore un peu, avec des signes # % ' & + et \
    des accents e\u{301} et \u{e9}, pour arriver au bout de ce nom interminable, voilà.pdf";

const NAMES: [&str; 26] = [
    "OneDrive-JLM",
    "onedrive-jlm",
    "01 - ETUDES AO",
    "AO-1",
    "ao-1",
    "AO- 1",
    "AO-2",
    "AO-\u{e9}",
    "AO-e\u{301}",
    "AO-",
    "01-DCE-Cotes-Photos",
    "01 Photos",
    "1_dce",
    "02-Etudes-fournisseurs",
    "Divers",
    "a.txt",
    "A.TXT",
    " leading.txt",
    "trailing. .",
    "note # 100% l'été.md",
    "e\u{301}.txt",
    "\u{e9}.txt",
    "\u{1f4d0}\u{200d}\u{2705}",
    "50%25 %2F",
    "日本語",
    LONG,
];

/// The provider's side of one drive.
#[derive(Debug)]
pub struct Feed {
    items: BTreeMap<ItemId, ItemChange>,
    /// Every state that an item ever had, in order; the length is the version of the drive.
    log: Vec<ItemChange>,
    prefix: String,
    created: u64,
    edits: i64,
    /// For the connector's own throws.
    pub dice: Dice,
    /// Someone goes on working while pages are read.
    pub restless: bool,
    /// Calls fail now and then.
    pub faulty: bool,
    /// Pages of rounds, by round.
    pub rounds: Vec<Round>,
}

/// A round that was begun: its pages, and the version that they lead to.
#[derive(Debug, Clone)]
pub struct Round {
    /// Pages.
    pub pages: Vec<Vec<ItemChange>>,
    /// Where its delta link begins.
    pub version: usize,
}

impl Feed {
    /// A drive with one file in one AO.
    pub fn new(seed: u64) -> Self {
        let mut feed = Self {
            items: BTreeMap::new(),
            log: Vec::new(),
            prefix: format!("i{seed:x}-"),
            created: 0,
            edits: 0,
            dice: Dice::new(seed ^ 0x05ee_df0d),
            restless: false,
            faulty: false,
            rounds: Vec::new(),
        };
        let root = feed.root().as_str().to_owned();
        feed.put(ItemChange::new(root.clone(), None, "root", ItemKind::Root));
        let base = feed.create(&root, "OneDrive-JLM", ItemKind::Folder);
        let studies = feed.create(&base, "01 - ETUDES AO", ItemKind::Folder);
        for name in ["AO-1", "AO-2"] {
            let ao = feed.create(&studies, name, ItemKind::Folder);
            for category in ["01-DCE-Cotes-Photos", "02-Etudes-fournisseurs"] {
                let category = feed.create(&ao, category, ItemKind::Folder);
                feed.create(&category, "a.txt", ItemKind::File);
            }
        }
        feed
    }

    /// Id of the root.
    pub fn root(&self) -> ItemId {
        ItemId::new(format!("{}root", self.prefix))
    }

    /// The items that exist.
    pub fn live(&self) -> Vec<ItemChange> {
        self.items.values().cloned().collect()
    }

    /// An item that exists.
    pub fn item(&self, id: &str) -> Option<&ItemChange> {
        self.items.get(&ItemId::new(id))
    }

    /// The item at a path below the root; of several that agree but for case or form, any.
    pub fn at(&self, path: &str) -> Option<&ItemChange> {
        path.split('/').try_fold(self.items.get(&self.root())?, |folder, name| {
            self.items.values().find(|item| {
                item.parent_id.as_ref() == Some(&folder.id)
                    && item.name.as_deref().is_some_and(|own| name_key(own) == name_key(name))
            })
        })
    }

    /// What lies in a folder.
    pub fn children(&self, folder: &str) -> Vec<ItemChange> {
        let folder = ItemId::new(folder);
        self.items.values().filter(|item| item.parent_id.as_ref() == Some(&folder)).cloned().collect()
    }

    /// One random act of a person.
    pub fn act(&mut self) {
        let folders = self.ids(|item| item.kind.holds_items());
        let others = self.ids(|item| item.kind != ItemKind::Root);
        let folder = self.dice.pick(&folders).as_str().to_owned();
        let name = *self.dice.pick(&NAMES);
        let act = self.dice.below(11);
        if act <= 2 || others.is_empty() {
            self.create(&folder, name, ItemKind::File);
            return;
        }
        let id = self.dice.pick(&others).clone();
        match act {
            3 | 4 => {
                self.create(&folder, name, ItemKind::Folder);
            }
            5 => {
                let kind = *self.dice.pick(&[ItemKind::Package, ItemKind::Remote]);
                self.create(&folder, name, kind);
            }
            6 => self.edit(&id, |item| item.name = Some(name.to_owned())),
            7 | 8 if !self.is_below(&folder, &id) => {
                self.edit(&id, |item| item.parent_id = Some(ItemId::new(folder.clone())));
            }
            9 => self.delete(&id),
            10 => {
                let malware = self.dice.once_in(2);
                self.edit(&id, |item| item.malware = malware && item.kind == ItemKind::File);
            }
            _ => self.edit(&id, |item| item.size = Some(item.size.unwrap_or_default() + 7)),
        }
    }

    fn ids(&self, wanted: impl Fn(&ItemChange) -> bool) -> Vec<ItemId> {
        self.items.values().filter(|item| wanted(item)).map(|item| item.id.clone()).collect()
    }

    fn create(&mut self, parent: &str, name: &str, kind: ItemKind) -> String {
        self.created += 1;
        // In no order of creation, so that "the smaller id" is not "the older folder".
        let id = format!("{}{:04x}", self.prefix, self.created.wrapping_mul(40_503) % 65_536);
        let mut item = ItemChange::new(id.clone(), Some(parent), name, kind);
        item.size = Some(if self.dice.once_in(4) { 0 } else { 100 });
        self.stamp(&mut item);
        self.put(item);
        id
    }

    fn edit(&mut self, id: &ItemId, change: impl FnOnce(&mut ItemChange)) {
        let mut item = self.items[id].clone();
        change(&mut item);
        self.stamp(&mut item);
        self.put(item);
    }

    fn stamp(&mut self, item: &mut ItemChange) {
        self.edits += 1;
        item.e_tag = Some(format!("\"{},{}\"", item.id.as_str(), self.edits));
        item.quick_xor_hash = (self.edits % 3 != 0).then(|| format!("hash {}", self.edits));
        item.modified_at = DateTime::from_timestamp(1_760_000_000 + self.edits, 0);
    }

    fn put(&mut self, item: ItemChange) {
        self.log.push(item.clone());
        self.items.insert(item.id.clone(), item);
    }

    fn delete(&mut self, id: &ItemId) {
        for gone in self.ids(|item| self.is_below(item.id.as_str(), id)) {
            self.items.remove(&gone);
            self.log.push(ItemChange::tombstone(gone.as_str()));
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

    /// Begins a round from a version, or over everything; returns its number.
    pub fn begin(&mut self, since: Option<usize>) -> usize {
        let feed = match since {
            Some(version) => self.changes(version),
            None => self.shuffled(self.live()),
        };
        let round = Round { pages: self.pages(feed), version: self.log.len() };
        self.rounds.push(round);
        self.rounds.len() - 1
    }

    fn shuffled(&mut self, items: Vec<ItemChange>) -> Vec<ItemChange> {
        let mut placed: Vec<(u64, ItemChange)> =
            items.into_iter().map(|item| (self.dice.roll(), item)).collect();
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, item)| item).collect()
    }

    fn changes(&mut self, version: usize) -> Vec<ItemChange> {
        let mut states: BTreeMap<ItemId, Vec<ItemChange>> = BTreeMap::new();
        for state in &self.log[version.min(self.log.len())..] {
            states.entry(state.id.clone()).or_default().push(state.clone());
        }
        let mut feed: Vec<(u64, ItemChange)> = Vec::new();
        for (_, states) in states {
            let Some((latest, earlier)) = states.split_last() else { continue };
            // What lay in a deleted folder has no entry of its own, unless it had moved since.
            if latest.deleted
                && earlier.is_empty()
                && self.is_implied(version, &latest.id)
                && self.dice.once_in(2)
            {
                continue;
            }
            let last = self.dice.roll();
            let mut place = 0;
            for state in earlier {
                if self.dice.once_in(3) {
                    place += self.dice.below(last - place);
                    feed.push((place, state.clone()));
                }
            }
            feed.push((last, latest.clone()));
            if !latest.deleted && self.dice.once_in(3) {
                feed.push((last, latest.clone()));
            }
        }
        for item in self.live() {
            let known = feed.iter().any(|(_, fed)| fed.id == item.id);
            if !known && (item.kind == ItemKind::Root || self.dice.once_in(6)) {
                feed.push((self.dice.roll(), item));
            }
        }
        feed.sort_by_key(|(place, _)| *place);
        feed.into_iter().map(|(_, item)| item).collect()
    }

    /// Whether the folder that held a deleted item at `version` was deleted since as well.
    fn is_implied(&self, version: usize, id: &ItemId) -> bool {
        let before = self.log[..version].iter().rev().find(|state| state.id == *id);
        let parent = before.and_then(|state| state.parent_id.clone());
        parent
            .is_some_and(|parent| self.log[version..].iter().any(|state| state.id == parent && state.deleted))
    }

    fn pages(&mut self, mut feed: Vec<ItemChange>) -> Vec<Vec<ItemChange>> {
        let mut pages = Vec::new();
        while !feed.is_empty() {
            let size = usize::try_from(self.dice.below(9)).unwrap_or(0).min(feed.len());
            let rest = feed.split_off(size);
            pages.push(feed);
            feed = rest;
        }
        pages
    }
}
