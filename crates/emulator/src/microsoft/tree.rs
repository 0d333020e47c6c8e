//! The items of a drive in an arena, small enough for a million of them, and the log of their changes.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::microsoft::names;

/// The arena index of the root folder.
pub(crate) const ROOT: u32 = 0;

/// What an item is, as bits.
pub(crate) mod flag {
    pub(crate) const FOLDER: u8 = 1;
    pub(crate) const DELETED: u8 = 2;
    pub(crate) const PACKAGE: u8 = 4;
    pub(crate) const MALWARE: u8 = 8;
    pub(crate) const REMOTE: u8 = 16;
    /// The content is computed from the item, not stored.
    pub(crate) const SYNTHETIC: u8 = 32;
}

/// One item. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) name: Box<str>,
    pub(crate) size: u64,
    pub(crate) created: i64,
    pub(crate) modified: i64,
    pub(crate) parent: u32,
    /// Position of the latest entry about this item in the log.
    pub(crate) seq: u32,
    /// Raised by every change.
    pub(crate) etag: u32,
    /// Raised by changes of the content.
    pub(crate) ctag: u32,
    pub(crate) flags: u8,
}

impl Item {
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.has(flag::FOLDER)
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.has(flag::DELETED)
    }
}

/// An item left a folder: needed to tell a folder's own delta that something went out of its sight.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Departure {
    pub(crate) seq: u32,
    pub(crate) item: u32,
    pub(crate) from: u32,
}

/// Another live item of the folder has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameTaken(pub(crate) u32);

/// Items, their places, and the order in which they changed.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    items: Vec<Item>,
    /// Live children by name, case-insensitively sorted.
    children: HashMap<u32, Vec<u32>>,
    log: Vec<u32>,
    /// (time, first log position at or after it), one entry per millisecond with changes.
    times: Vec<(i64, u32)>,
    departures: Vec<Departure>,
    live: usize,
}

impl Tree {
    pub(crate) fn new(now: i64) -> Self {
        let mut tree = Self::default();
        tree.push(Item {
            name: "root".into(),
            size: 0,
            created: now,
            modified: now,
            parent: ROOT,
            seq: 0,
            etag: 1,
            ctag: 1,
            flags: flag::FOLDER,
        });
        tree.record(ROOT, now);
        tree
    }

    pub(crate) fn reserve(&mut self, items: usize) {
        self.items.reserve_exact(items);
        self.log.reserve(items);
    }

    fn push(&mut self, item: Item) -> u32 {
        let index = u32::try_from(self.items.len()).expect("a drive holds fewer than 2^32 items");
        self.items.push(item);
        self.live += 1;
        index
    }

    pub(crate) fn item(&self, index: u32) -> &Item {
        &self.items[index as usize]
    }

    pub(crate) fn item_mut(&mut self, index: u32) -> &mut Item {
        &mut self.items[index as usize]
    }

    /// The item, unless it was never there or is deleted.
    pub(crate) fn live(&self, index: u32) -> Option<&Item> {
        self.items.get(index as usize).filter(|item| !item.is_deleted())
    }

    /// Number of arena slots, deleted items included.
    pub(crate) fn slots(&self) -> u32 {
        self.items.len() as u32
    }

    /// Number of live items, the root included.
    pub(crate) fn live_count(&self) -> usize {
        self.live
    }

    pub(crate) fn children(&self, folder: u32) -> &[u32] {
        self.children.get(&folder).map_or(&[], Vec::as_slice)
    }

    fn place(&self, folder: u32, name: &str) -> Result<usize, usize> {
        self.children(folder).binary_search_by(|child| names::compare(&self.item(*child).name, name))
    }

    /// The live child of that name, whatever its case.
    pub(crate) fn child(&self, folder: u32, name: &str) -> Option<u32> {
        self.place(folder, name).ok().map(|at| self.children(folder)[at])
    }

    /// Follows names from `start`.
    pub(crate) fn resolve<'a>(&self, start: u32, path: impl IntoIterator<Item = &'a str>) -> Option<u32> {
        path.into_iter().try_fold(start, |folder, name| self.child(folder, name))
    }

    /// Appends to the log that `index` changed at `now`.
    pub(crate) fn record(&mut self, index: u32, now: i64) {
        let position = self.log.len() as u32;
        self.log.push(index);
        self.item_mut(index).seq = position;
        // A clock that stands still or goes back must not break the order of the table.
        if self.times.last().is_none_or(|(last, _)| *last < now) {
            self.times.push((now, position));
        }
    }

    pub(crate) fn log(&self) -> &[u32] {
        &self.log
    }

    pub(crate) fn head(&self) -> u32 {
        self.log.len() as u32
    }

    pub(crate) fn departures(&self) -> &[Departure] {
        &self.departures
    }

    /// The log position from which changes at or after `time` are found.
    pub(crate) fn position_at(&self, time: i64) -> u32 {
        let at = self.times.partition_point(|(stamp, _)| *stamp < time);
        self.times.get(at).map_or(self.head(), |(_, position)| *position)
    }

    /// Adds an item, recorded in the log.
    pub(crate) fn insert(&mut self, item: Item, now: i64) -> Result<u32, NameTaken> {
        let (folder, at) = match self.place(item.parent, &item.name) {
            Ok(at) => return Err(NameTaken(self.children(item.parent)[at])),
            Err(at) => (item.parent, at),
        };
        let index = self.push(item);
        self.children.entry(folder).or_default().insert(at, index);
        self.record(index, now);
        Ok(index)
    }

    /// Adds an item whose name is known to be free; [`Tree::sort_children`] must follow.
    pub(crate) fn insert_unsorted(&mut self, item: Item, now: i64) -> u32 {
        let folder = item.parent;
        let index = self.push(item);
        self.children.entry(folder).or_default().push(index);
        self.record(index, now);
        index
    }

    pub(crate) fn sort_children(&mut self) {
        let items = &self.items;
        for children in self.children.values_mut() {
            children.sort_unstable_by(|left, right| {
                names::compare(&items[*left as usize].name, &items[*right as usize].name)
            });
            children.shrink_to_fit();
        }
    }

    /// Takes the item out of its folder; [`Tree::attach`] or [`Tree::delete`] must follow.
    pub(crate) fn detach(&mut self, index: u32) {
        let parent = self.item(index).parent;
        if let Some(children) = self.children.get_mut(&parent) {
            children.retain(|child| *child != index);
        }
    }

    /// Puts a detached item under a parent and a name.
    pub(crate) fn attach(&mut self, index: u32, parent: u32, name: &str, now: i64) -> Result<(), NameTaken> {
        let at = match self.place(parent, name) {
            Ok(at) => return Err(NameTaken(self.children(parent)[at])),
            Err(at) => at,
        };
        self.children.entry(parent).or_default().insert(at, index);
        let position = self.head();
        let item = self.item_mut(index);
        let from = item.parent;
        item.parent = parent;
        if &*item.name != name {
            item.name = name.into();
        }
        item.etag += 1;
        item.modified = now;
        if from != parent {
            self.departures.push(Departure { seq: position, item: index, from });
        }
        self.record(index, now);
        Ok(())
    }

    /// Renames and moves in one step; on a taken name nothing changes.
    pub(crate) fn relocate(
        &mut self,
        index: u32,
        parent: u32,
        name: &str,
        now: i64,
    ) -> Result<(), NameTaken> {
        if let Some(other) = self.child(parent, name)
            && other != index
        {
            return Err(NameTaken(other));
        }
        self.detach(index);
        self.attach(index, parent, name, now)
    }

    /// Records new content.
    pub(crate) fn set_content(&mut self, index: u32, size: u64, now: i64) {
        let item = self.item_mut(index);
        item.size = size;
        item.etag += 1;
        item.ctag += 1;
        item.modified = now;
        self.record(index, now);
    }

    /// Records a change that leaves the content alone.
    pub(crate) fn touch(&mut self, index: u32, now: i64) {
        let item = self.item_mut(index);
        item.etag += 1;
        item.modified = now;
        self.record(index, now);
    }

    /// Deletes an item and everything below it. Folders below get entries of their own in the log,
    /// files below only with `files_too`.
    pub(crate) fn delete(&mut self, index: u32, files_too: bool, now: i64) {
        self.detach(index);
        let mut pending = vec![index];
        while let Some(next) = pending.pop() {
            if let Some(children) = self.children.remove(&next) {
                pending.extend(children);
            }
            let item = self.item_mut(next);
            if item.is_deleted() {
                continue;
            }
            item.flags |= flag::DELETED;
            item.etag += 1;
            item.name = Box::default();
            let logged = next == index || files_too || item.is_folder();
            self.live -= 1;
            if logged {
                self.record(next, now);
            }
        }
    }

    /// The folders above `index`, nearest first, the root last.
    pub(crate) fn ancestors(&self, index: u32) -> impl Iterator<Item = u32> + '_ {
        let mut at = index;
        std::iter::from_fn(move || {
            if at == ROOT {
                return None;
            }
            at = self.item(at).parent;
            Some(at)
        })
    }

    /// True when `index` is `folder` or lies below it.
    pub(crate) fn is_within(&self, index: u32, folder: u32) -> bool {
        index == folder || folder == ROOT || self.ancestors(index).any(|above| above == folder)
    }

    /// The decoded path from the root, `/a/b`; empty for the root itself.
    pub(crate) fn path(&self, index: u32) -> String {
        let mut names: Vec<&str> = Vec::new();
        let mut at = index;
        while at != ROOT {
            names.push(&self.item(at).name);
            at = self.item(at).parent;
        }
        let mut path = String::new();
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        path
    }

    /// Every live item below `folder`, parents before children.
    pub(crate) fn descendants(&self, folder: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut pending: Vec<u32> = self.children(folder).iter().rev().copied().collect();
        while let Some(next) = pending.pop() {
            found.push(next);
            pending.extend(self.children(next).iter().rev());
        }
        found
    }

    /// Indexes of live items in arena order.
    pub(crate) fn live_indexes(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.slots()).filter(|index| !self.item(*index).is_deleted())
    }

    /// Rebuilds a tree from what was saved.
    pub(crate) fn restore(
        items: Vec<Item>,
        log: Vec<u32>,
        times: Vec<(i64, u32)>,
        departures: Vec<Departure>,
    ) -> Self {
        let mut tree = Self { items, log, times, departures, ..Self::default() };
        for index in 0..tree.slots() {
            let (parent, deleted) = (tree.item(index).parent, tree.item(index).is_deleted());
            if deleted {
                continue;
            }
            tree.live += 1;
            if index != ROOT {
                tree.children.entry(parent).or_default().push(index);
            }
        }
        tree.sort_children();
        tree
    }

    pub(crate) fn times(&self) -> &[(i64, u32)] {
        &self.times
    }
}

/// Order of two live items by name, for listings.
pub(crate) fn by_name(tree: &Tree, left: u32, right: u32) -> Ordering {
    names::compare(&tree.item(left).name, &tree.item(right).name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(parent: u32, name: &str, flags: u8) -> Item {
        Item { name: name.into(), size: 1, created: 0, modified: 0, parent, seq: 0, etag: 1, ctag: 1, flags }
    }

    #[test]
    fn a_folder_goes_with_everything_below_it() {
        let mut tree = Tree::new(0);
        let a = tree.insert(item(ROOT, "a", flag::FOLDER), 1).unwrap();
        let b = tree.insert(item(a, "b", flag::FOLDER), 2).unwrap();
        let c = tree.insert(item(b, "c.txt", 0), 3).unwrap();
        assert_eq!(tree.path(c), "/a/b/c.txt");
        assert_eq!(tree.insert(item(ROOT, "A", 0), 3), Err(NameTaken(a)));
        let head = tree.head();
        tree.delete(a, false, 4);
        assert_eq!(&tree.log()[head as usize..], &[a, b]);
        assert!(tree.live(c).is_none());
        assert_eq!(tree.live_count(), 1);
        let again = tree.insert(item(ROOT, "a", flag::FOLDER), 5).unwrap();
        assert_ne!(again, a);
    }

    #[test]
    fn a_case_only_rename_is_a_rename() {
        let mut tree = Tree::new(0);
        let a = tree.insert(item(ROOT, "plans", flag::FOLDER), 1).unwrap();
        tree.relocate(a, ROOT, "PLANS", 2).unwrap();
        assert_eq!(tree.child(ROOT, "Plans"), Some(a));
        assert_eq!(&*tree.item(a).name, "PLANS");
    }
}
