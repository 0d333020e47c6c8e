//! Reading a directory as it is now.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::{Known, PART_PREFIX};
use crate::microsoft::names;
use crate::microsoft::quickxor::{self, Digest};

/// Deepest folder that is read.
const MAX_DEPTH: usize = 100;
/// Most entries of a drive.
const MAX_ENTRIES: usize = 1_000_000;

/// A file or folder on disk.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Index of the folder's entry; `None` for the root.
    pub(crate) parent: Option<usize>,
    pub(crate) name: String,
    /// Path from the root, `/a/b`.
    pub(crate) path: String,
    pub(crate) known: Known,
    pub(crate) kind: Kind,
    pub(crate) hash: Option<Digest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    /// A OneNote notebook.
    Package,
}

/// Hashes that need not be computed again, by (device, inode).
pub(crate) type Hashes = HashMap<(u64, u64), (Known, Digest)>;

#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Parents before children, siblings by name.
    pub(crate) entries: Vec<Entry>,
    /// Paths that a library cannot hold.
    pub(crate) refused: Vec<String>,
}

/// Reads the whole directory. What disappears meanwhile is left out.
pub(crate) fn scan(root: &Path, hashes: &Hashes) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut pending = vec![(root.to_path_buf(), None, String::new(), 0)];
    while let Some((folder, parent, path, depth)) = pending.pop() {
        let listing = match std::fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(fault) if parent.is_some() => {
                tracing::debug!(folder = %folder.display(), %fault, "a folder cannot be read");
                continue;
            }
            Err(fault) => return Err(fault),
        };
        let mut found: Vec<std::fs::DirEntry> = listing.filter_map(Result::ok).collect();
        found.sort_by_key(std::fs::DirEntry::file_name);
        for file in found {
            let Ok(name) = file.file_name().into_string() else {
                scan.refused.push(format!("{path}/{}", file.file_name().to_string_lossy()));
                continue;
            };
            if name.starts_with(PART_PREFIX) {
                continue;
            }
            let child = format!("{path}/{name}");
            let Ok(meta) = std::fs::symlink_metadata(file.path()) else { continue };
            let kind = if meta.is_dir() && name.ends_with(".one.pkg") {
                Kind::Package
            } else if meta.is_dir() {
                Kind::Folder
            } else if meta.is_file() {
                Kind::File
            } else {
                continue;
            };
            let too_long = child.chars().count() > names::MAX_PATH;
            if too_long
                || depth >= MAX_DEPTH
                || names::refusal(&name, kind == Kind::Folder, parent.is_none()).is_some()
            {
                scan.refused.push(child);
                continue;
            }
            let Some((known, hash)) = look(&file.path(), &meta, kind, hashes) else { continue };
            if scan.entries.len() >= MAX_ENTRIES {
                return Err(io::Error::other("the folder holds more than a million entries"));
            }
            let at = scan.entries.len();
            scan.entries.push(Entry { parent, name, path: child.clone(), known, kind, hash });
            if kind == Kind::Folder {
                pending.push((file.path(), Some(at), child, depth + 1));
            }
        }
    }
    Ok(scan)
}

/// Identity and hash of a file; tries again when it changes under the hand.
fn look(
    path: &Path,
    meta: &std::fs::Metadata,
    kind: Kind,
    hashes: &Hashes,
) -> Option<(Known, Option<Digest>)> {
    let mut known = Known::of(meta);
    if kind != Kind::File || known.size == 0 {
        return Some((known, None));
    }
    if let Some((before, hash)) = hashes.get(&(known.id.dev, known.id.ino))
        && *before == known
    {
        return Some((known, Some(*hash)));
    }
    for _ in 0..3 {
        let (hash, read) = quickxor::of_file(path).ok()?;
        let after = Known::of(&std::fs::symlink_metadata(path).ok()?);
        if after == known && read == known.size {
            return Some((known, Some(hash)));
        }
        known = after;
    }
    // Still being written: without a hash for now, as the service has it; the next scan completes it.
    Some((known, None))
}
