//! A file of the spool: a head that names it, then entries. Only its last entry can be torn.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::frame::{self, Read as Frame};

/// Magic and id.
pub(super) const HEAD: u64 = 24;
const MAGIC: &[u8; 8] = b"SYNSPL1\n";
const ENDING: &str = "spool";
/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// A segment whose first `length` bytes are known to be on the disk.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: Uuid,
    pub(super) path: PathBuf,
    pub(super) entries: u64,
    pub(super) length: u64,
}

/// An entry as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it arrived, in milliseconds since 1970.
    pub at: i64,
    /// What was appended.
    pub payload: Vec<u8>,
}

impl Segment {
    /// Makes a file; the folder is synced, so that the file is still there after a crash.
    pub(super) fn create(folder: &Path, id: Uuid) -> io::Result<(Self, File)> {
        let path = folder.join(format!("{id}.{ENDING}"));
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.write_all(MAGIC)?;
        file.write_all(id.as_bytes())?;
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
        Ok((Self { id, path, entries: 0, length: HEAD }, file))
    }

    /// Reads a file that a former process left, and cuts what it did not finish. None when nothing of it is left;
    /// the number is how many bytes were cut.
    pub(super) fn recover(path: &Path) -> io::Result<(Option<Self>, u64)> {
        let size = fs::metadata(path)?.len();
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let Some(id) = head(&mut file)? else {
            fs::remove_file(path)?;
            return Ok((None, size));
        };
        let mut segment = Self { id, path: path.to_owned(), entries: 0, length: HEAD };
        let mut reader = Reader::new(file);
        while let Some((_, bytes)) = reader.next()? {
            segment.entries += 1;
            segment.length += bytes;
        }
        let cut = size.saturating_sub(segment.length);
        if segment.entries == 0 {
            fs::remove_file(path)?;
            return Ok((None, cut));
        }
        if cut > 0 {
            reader.file.set_len(segment.length)?;
            reader.file.sync_all()?;
        }
        Ok((Some(segment), cut))
    }

    /// Entries from `offset` on, at most `limit` of them or `most` bytes, and the offset behind the last.
    pub(super) fn read(&self, offset: u64, limit: usize, most: u64) -> io::Result<(Vec<Entry>, u64)> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        let (mut reader, mut found, mut end) = (Reader::new(file), Vec::new(), offset);
        while found.len() < limit && end < self.length && end - offset < most {
            let Some((entry, bytes)) = reader.next()? else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "an entry that was synced is damaged",
                ));
            };
            found.push(entry);
            end += bytes;
        }
        Ok((found, end))
    }
}

/// Files of the spool, oldest first: their ids are ordered by time.
pub(super) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn head(file: &mut File) -> io::Result<Option<Uuid>> {
    let mut bytes = [0; 24];
    match file.read_exact(&mut bytes) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let (magic, id) = bytes.split_at(MAGIC.len());
    Ok((magic == MAGIC).then(|| Uuid::from_slice(id).unwrap_or_default()))
}

/// Reads entries one after the other.
struct Reader {
    file: File,
    held: Vec<u8>,
    used: usize,
}

impl Reader {
    fn new(file: File) -> Self {
        Self { file, held: Vec::new(), used: 0 }
    }

    /// The next entry and its bytes; none at the end, or where it is torn.
    fn next(&mut self) -> io::Result<Option<(Entry, u64)>> {
        loop {
            let needed = match frame::read(&self.held[self.used..]) {
                Frame::Entry { at, payload, bytes } => {
                    let entry = Entry { at, payload: payload.to_vec() };
                    self.used += bytes;
                    return Ok(Some((entry, bytes as u64)));
                }
                Frame::Torn => return Ok(None),
                Frame::More(needed) => needed,
            };
            self.held.drain(..self.used);
            self.used = 0;
            let wanted = (needed - self.held.len()).max(CHUNK) as u64;
            if (&self.file).take(wanted).read_to_end(&mut self.held)? == 0 {
                return Ok(None);
            }
        }
    }
}
