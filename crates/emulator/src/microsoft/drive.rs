//! One drive: its items, what is behind them, and the changes that the service allows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::config::DriveOptions;
use crate::http::Content;
use crate::microsoft::errors::GraphError;
use crate::microsoft::folder::FolderBacking;
use crate::microsoft::ids::IdSpace;
use crate::microsoft::names;
use crate::microsoft::quickxor::{self, Digest, QuickXor};
use crate::microsoft::tree::{Item, ROOT, Tree, flag};

/// What stands behind the items.
#[derive(Debug)]
pub(crate) enum Backing {
    /// Nothing: contents are computed or kept in memory.
    Memory,
    /// A real directory.
    Folder(FolderBacking),
}

/// Where a `remoteItem` points to.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub(crate) drive: String,
    pub(crate) item: String,
}

/// What `@microsoft.graph.conflictBehavior` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    Fail,
    Replace,
    Rename,
}

impl Conflict {
    pub(crate) fn parse(text: Option<&str>, default: Self) -> Result<Self, GraphError> {
        match text {
            None => Ok(default),
            Some("fail") => Ok(Self::Fail),
            Some("replace") => Ok(Self::Replace),
            Some("rename") => Ok(Self::Rename),
            Some(other) => Err(GraphError::invalid(format!("unknown conflictBehavior '{other}'"))),
        }
    }
}

/// The state of a drive; all of it changes under one lock.
#[derive(Debug)]
pub(crate) struct Drive {
    pub(crate) id: String,
    pub(crate) options: DriveOptions,
    pub(crate) ids: IdSpace,
    /// Tells the lives of a drive apart: tokens of another life are answered 410.
    pub(crate) instance: u64,
    /// Raised to expire all tokens at once.
    pub(crate) token_epoch: u32,
    pub(crate) tree: Tree,
    pub(crate) backing: Backing,
    pub(crate) hashes: HashMap<u32, Digest>,
    pub(crate) contents: HashMap<u32, Bytes>,
    pub(crate) remotes: HashMap<u32, Remote>,
    /// Pages served, so that no two links are spelled the same.
    pub(crate) pages: u32,
    pub(crate) created: i64,
}

impl Drive {
    pub(crate) fn new(id: &str, options: DriveOptions, instance: u64, backing: Backing, now: i64) -> Self {
        Self {
            id: id.to_owned(),
            options,
            ids: IdSpace::new(id, instance),
            instance,
            token_epoch: 1,
            tree: Tree::new(now),
            backing,
            hashes: HashMap::new(),
            contents: HashMap::new(),
            remotes: HashMap::new(),
            pages: 0,
            created: now,
        }
    }

    /// The live item of that id.
    pub(crate) fn find(&self, id: &str) -> Option<u32> {
        if id == "root" {
            return Some(ROOT);
        }
        self.ids.parse(id).filter(|index| self.tree.live(*index).is_some())
    }

    /// First bytes of a computed content; the rest is NUL, which keeps its hash cheap.
    pub(crate) fn synthetic_head(&self, index: u32) -> Vec<u8> {
        let item = self.tree.item(index);
        let mut head =
            format!("emulated item {index} of instance {:x}, content {}\n", self.instance, item.ctag)
                .into_bytes();
        head.truncate(item.size as usize);
        head
    }

    /// The content hash, when the service would give one: zero-byte files and packages have none.
    pub(crate) fn hash(&self, index: u32) -> Option<Digest> {
        let item = self.tree.item(index);
        if item.is_folder() || item.has(flag::PACKAGE | flag::REMOTE) || item.size == 0 {
            return None;
        }
        if item.has(flag::SYNTHETIC) {
            let mut hash = QuickXor::default();
            hash.update(&self.synthetic_head(index));
            return Some(hash.finish_as_if(item.size));
        }
        self.hashes.get(&index).copied()
    }

    /// Where the bytes of a file are.
    pub(crate) fn content(&self, index: u32) -> Content {
        if let Some(bytes) = self.contents.get(&index) {
            return Content::Bytes(bytes.clone());
        }
        match &self.backing {
            Backing::Folder(folder) => Content::Disk(folder.disk_path(&self.tree, index)),
            Backing::Memory => Content::Synthetic(self.synthetic_head(index).into()),
        }
    }

    /// Refuses names and paths that the service refuses.
    pub(crate) fn check_name(&self, parent: u32, name: &str, is_folder: bool) -> Result<(), GraphError> {
        if let Some(reason) = names::refusal(name, is_folder, parent == ROOT) {
            return Err(GraphError::invalid(format!("The provided name cannot contain this: {reason}.")));
        }
        let length = self.tree.path(parent).chars().count() + 1 + name.chars().count();
        if length > names::MAX_PATH {
            return Err(GraphError::invalid(format!(
                "The specified path is too long: {length} characters, at most {} are allowed.",
                names::MAX_PATH
            ))
            .inner("pathIsTooLong"));
        }
        Ok(())
    }

    /// A name like `name` that is free in `parent`: one of as many numbers as there are children, and one.
    pub(crate) fn free_name(&self, parent: u32, name: &str, is_folder: bool) -> String {
        let children = self.tree.children(parent).len() as u32;
        (1..=children + 1)
            .map(|n| names::numbered(name, n, is_folder))
            .find(|name| self.tree.child(parent, name).is_none())
            .unwrap_or_default()
    }

    /// Creates a folder.
    pub(crate) fn create_folder(
        &mut self,
        parent: u32,
        name: &str,
        conflict: Conflict,
        now: i64,
    ) -> Result<u32, GraphError> {
        self.check_name(parent, name, true)?;
        let mut name = name.to_owned();
        if let Some(existing) = self.tree.child(parent, &name) {
            match conflict {
                Conflict::Replace if self.tree.item(existing).is_folder() => return Ok(existing),
                Conflict::Fail | Conflict::Replace => return Err(GraphError::name_exists()),
                Conflict::Rename => name = self.free_name(parent, &name, true),
            }
        }
        if let Backing::Folder(folder) = &mut self.backing {
            folder.make_dir(&self.tree, parent, &name).map_err(|fault| disk(&fault))?;
        }
        let item = new_item(parent, &name, 0, flag::FOLDER, now);
        let index = self.tree.insert(item, now).map_err(|_| GraphError::name_exists())?;
        self.adopt(index)?;
        Ok(index)
    }

    /// Creates a file or replaces its content; tells whether it is new.
    pub(crate) fn put_file(
        &mut self,
        parent: u32,
        name: &str,
        bytes: &Bytes,
        conflict: Conflict,
        now: i64,
    ) -> Result<(u32, bool), GraphError> {
        self.check_name(parent, name, false)?;
        let mut name = name.to_owned();
        let mut existing = self.tree.child(parent, &name);
        if let Some(found) = existing {
            match conflict {
                Conflict::Fail => return Err(GraphError::name_exists()),
                Conflict::Replace if self.tree.item(found).is_folder() => {
                    return Err(GraphError::name_exists());
                }
                // The name on disk keeps its case.
                Conflict::Replace => self.tree.item(found).name.as_ref().clone_into(&mut name),
                Conflict::Rename => {
                    name = self.free_name(parent, &name, false);
                    existing = None;
                }
            }
        }
        if let Backing::Folder(folder) = &mut self.backing {
            folder.write_file(&self.tree, parent, &name, bytes).map_err(|fault| disk(&fault))?;
        }
        let index = if let Some(found) = existing {
            self.tree.item_mut(found).flags &= !flag::SYNTHETIC;
            self.tree.set_content(found, bytes.len() as u64, now);
            found
        } else {
            let item = new_item(parent, &name, bytes.len() as u64, 0, now);
            self.tree.insert(item, now).map_err(|_| GraphError::name_exists())?
        };
        self.hashes.insert(index, quickxor::of_bytes(bytes));
        if matches!(self.backing, Backing::Memory) {
            self.contents.insert(index, bytes.clone());
        }
        self.adopt(index)?;
        Ok((index, existing.is_none()))
    }

    /// Renames and moves.
    pub(crate) fn relocate(
        &mut self,
        index: u32,
        parent: u32,
        name: &str,
        now: i64,
    ) -> Result<(), GraphError> {
        let item = self.tree.item(index);
        if index == ROOT {
            return Err(GraphError::invalid("The root cannot be renamed or moved."));
        }
        if item.parent == parent && &*item.name == name {
            return Ok(());
        }
        if self.tree.is_within(parent, index) {
            return Err(GraphError::invalid("A folder cannot be moved into itself."));
        }
        self.check_name(parent, name, item.is_folder())?;
        if self.tree.child(parent, name).is_some_and(|other| other != index) {
            return Err(GraphError::name_exists());
        }
        if let Backing::Folder(folder) = &mut self.backing {
            folder.rename(&self.tree, index, parent, name).map_err(|fault| disk(&fault))?;
        }
        self.tree.relocate(index, parent, name, now).map_err(|_| GraphError::name_exists())
    }

    /// Deletes an item and what is below it.
    pub(crate) fn delete(&mut self, index: u32, now: i64) -> Result<(), GraphError> {
        if index == ROOT {
            return Err(GraphError::invalid("The root cannot be deleted."));
        }
        let below = self.tree.descendants(index);
        if let Backing::Folder(folder) = &mut self.backing {
            folder.remove(&self.tree, index).map_err(|fault| disk(&fault))?;
            for gone in below.iter().chain([&index]) {
                folder.forget(*gone);
            }
        }
        for gone in below.iter().chain([&index]) {
            self.contents.remove(gone);
            self.hashes.remove(gone);
            self.remotes.remove(gone);
        }
        self.tree.delete(index, self.options.deleted_files, now);
        Ok(())
    }

    /// Adds an item that only the control port can make: a package or a link to another drive.
    pub(crate) fn plant(&mut self, parent: u32, name: &str, flags: u8, now: i64) -> Result<u32, GraphError> {
        self.check_name(parent, name, flags & flag::FOLDER != 0)?;
        self.tree.insert(new_item(parent, name, 0, flags, now), now).map_err(|_| GraphError::name_exists())
    }

    /// Notes the identity of what was just written, so that the watcher does not report it again.
    fn adopt(&mut self, index: u32) -> Result<(), GraphError> {
        if let Backing::Folder(folder) = &mut self.backing {
            folder.adopt(&self.tree, index).map_err(|fault| disk(&fault))?;
        }
        Ok(())
    }
}

/// An item as it is at its birth.
pub(crate) fn new_item(parent: u32, name: &str, size: u64, flags: u8, now: i64) -> Item {
    Item { name: name.into(), size, created: now, modified: now, parent, seq: 0, etag: 1, ctag: 1, flags }
}

fn disk(fault: &std::io::Error) -> GraphError {
    match fault.kind() {
        std::io::ErrorKind::NotFound => GraphError::not_found(),
        std::io::ErrorKind::AlreadyExists => GraphError::name_exists(),
        _ => {
            GraphError::new(500, "generalException", format!("the folder behind the drive answered: {fault}"))
        }
    }
}

/// A drive that handlers share.
#[derive(Debug)]
pub(crate) struct DriveHandle {
    state: Mutex<Drive>,
}

impl DriveHandle {
    pub(crate) fn new(drive: Drive) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(drive) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Drive> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
