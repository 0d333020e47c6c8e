//! Drives over a real directory: what happens on disk is a change in the drive, and the reverse.

mod persist;
mod reconcile;
mod scan;
mod watch;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::ShiftedClock;
use crate::config::DriveSpec;
use crate::microsoft::drive::{Backing, Drive, DriveHandle};
use crate::microsoft::tree::Tree;
use crate::world::Dirty;

pub(crate) use watch::Watch;

/// Prefix of files that are being written; the watcher does not see them.
const PART_PREFIX: &str = ".~emulator-part-";

/// What a file is, whatever it is called: inode and, where the file system knows it, time of birth
/// (inode numbers are used again at once).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FileId {
    dev: u64,
    ino: u64,
    born_ns: Option<i64>,
}

/// A file as it was when last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    id: FileId,
    size: u64,
    modified_ns: i64,
}

impl Known {
    fn of(meta: &std::fs::Metadata) -> Self {
        let born = meta.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let born_ns = born.map(|since| since.as_nanos() as i64);
        Self {
            id: FileId { dev: meta.dev(), ino: meta.ino(), born_ns },
            size: meta.len(),
            modified_ns: meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()),
        }
    }
}

/// The directory behind a drive.
#[derive(Debug)]
pub(crate) struct FolderBacking {
    root: PathBuf,
    known: HashMap<u32, Known>,
    /// Raised by every write of our own: a scan that overlaps one is thrown away.
    writes: u64,
    /// Paths on disk that a library cannot hold.
    refused: BTreeSet<String>,
}

impl FolderBacking {
    pub(crate) fn disk_path(&self, tree: &Tree, index: u32) -> PathBuf {
        self.root.join(tree.path(index).trim_start_matches('/'))
    }

    pub(crate) fn refused(&self) -> impl Iterator<Item = &str> {
        self.refused.iter().map(String::as_str)
    }

    pub(crate) fn make_dir(&mut self, tree: &Tree, parent: u32, name: &str) -> io::Result<()> {
        self.writes += 1;
        std::fs::create_dir(self.disk_path(tree, parent).join(name))
    }

    /// Writes beside and renames, as careful writers do.
    pub(crate) fn write_file(
        &mut self,
        tree: &Tree,
        parent: u32,
        name: &str,
        bytes: &Bytes,
    ) -> io::Result<()> {
        self.writes += 1;
        let folder = self.disk_path(tree, parent);
        let part = folder.join(format!("{PART_PREFIX}{}", self.writes));
        std::fs::write(&part, bytes)?;
        std::fs::rename(&part, folder.join(name))
    }

    pub(crate) fn rename(&mut self, tree: &Tree, index: u32, parent: u32, name: &str) -> io::Result<()> {
        self.writes += 1;
        std::fs::rename(self.disk_path(tree, index), self.disk_path(tree, parent).join(name))
    }

    pub(crate) fn remove(&mut self, tree: &Tree, index: u32) -> io::Result<()> {
        self.writes += 1;
        let path = self.disk_path(tree, index);
        // What was planted by the control port is not on disk.
        if !self.known.contains_key(&index) {
            return Ok(());
        }
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        match removed {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    pub(crate) fn adopt(&mut self, tree: &Tree, index: u32) -> io::Result<()> {
        let meta = std::fs::symlink_metadata(self.disk_path(tree, index))?;
        self.known.insert(index, Known::of(&meta));
        Ok(())
    }

    pub(crate) fn forget(&mut self, index: u32) {
        self.known.remove(&index);
    }
}

/// Opens a directory as a drive and begins to watch it.
pub(crate) fn mount(
    spec: &DriveSpec,
    dir: &Path,
    state_dir: Option<&Path>,
    now: i64,
    dirty: &Arc<Dirty>,
    clock: &Arc<ShiftedClock>,
) -> io::Result<(Arc<DriveHandle>, Watch)> {
    std::fs::create_dir_all(dir)?;
    let root = dir.canonicalize()?;
    let saved = match state_dir {
        None => None,
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            Some(folder.join(persist::file_name(&spec.id)))
        }
    };
    let backing =
        FolderBacking { root: root.clone(), known: HashMap::new(), writes: 0, refused: BTreeSet::new() };
    let instance = u64::from_le_bytes(chassis::ids::random_bytes());
    let mut drive = Drive::new(&spec.id, spec.options.clone(), instance, Backing::Folder(backing), now);
    if let Some(file) = &saved {
        persist::load(&mut drive, file)?;
    }
    let handle = DriveHandle::new(drive);
    let watch = Watch::start(handle.clone(), root, saved, dirty.clone(), clock.clone())?;
    Ok((handle, watch))
}
