//! Where deliveries wait while PostgreSQL is away: append-only files, synced before anything is acknowledged.
//!
//! An entry is on the disk when [`Spool::append`] returns. It leaves when PostgreSQL has committed what it causes,
//! together with how far the segment is replayed: a crash between that commit and the removal here replays nothing
//! twice. One process uses a folder at a time. Every call blocks on the disk.

mod frame;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use segment::{HEAD, Segment};

pub use segment::Entry;

/// Entries that are replayed in one transaction.
const BATCH: usize = 500;
/// Bytes that are replayed in one transaction, roughly.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Segments of a full spool, so that room comes back while it is replayed.
const SEGMENTS: u64 = 16;
/// A segment is not smaller than this.
const MIN_SEGMENT: u64 = 64 * 1024;
const LOCK: &str = "lock";
const ASIDE: &str = "set-aside";

/// Why the spool did not take or give something.
#[derive(Debug, thiserror::Error)]
pub enum SpoolFault {
    /// There is no room: nothing was written.
    #[error("the spool is full")]
    Full,
    /// An entry larger than any delivery.
    #[error("an entry of {0} bytes is too large for the spool")]
    TooLarge(usize),
    /// Another process uses the folder.
    #[error("SPOOL_DIR {0} is in use by another process; give each one a folder of its own")]
    InUse(PathBuf),
    /// The disk refused.
    #[error("the spool in {folder} cannot be used")]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoolState {
    /// Entries that wait.
    pub entries: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// When the oldest waiting entry arrived, in milliseconds since 1970.
    pub oldest: Option<i64>,
}

/// What is replayed next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The segment.
    pub segment: Uuid,
    /// Number of its first entry within the segment, from zero.
    pub first: u64,
    /// The entries, in the order of their arrival.
    pub entries: Vec<Entry>,
}

impl Batch {
    /// Entries of the segment that are replayed once this batch is.
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

/// The spool of one process.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    max: u64,
    /// Locked while the process lives, whatever ends it.
    _lock: File,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    segments: VecDeque<Segment>,
    /// The file of the last segment, when it is ours.
    active: Option<File>,
    /// Of the first segment: entries that are replayed, and the offset behind them.
    replayed: (u64, u64),
    oldest: Option<i64>,
}

impl Spool {
    /// Opens the folder, makes it when needed, and cuts what a crash left unfinished. `max` is in bytes.
    ///
    /// # Errors
    /// [`SpoolFault::InUse`] and [`SpoolFault::Disk`].
    pub fn open(folder: &Path, max: u64) -> Result<Self, SpoolFault> {
        let disk = |source| SpoolFault::Disk { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(disk)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))
            .map_err(disk)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolFault::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(disk(error)),
        }
        let mut state = State { replayed: (0, HEAD), ..State::default() };
        for path in segment::list(folder).map_err(disk)? {
            let (recovered, cut) = Segment::recover(&path).map_err(disk)?;
            if cut > 0 {
                tracing::warn!(
                    segment = %path.display(), bytes = cut,
                    "an unfinished entry of the spool is cut; it was never acknowledged"
                );
                metrics::counter!("webhook_spool_cut_total").increment(1);
            }
            state.segments.extend(recovered);
        }
        let spool = Self { folder: folder.to_owned(), max, _lock: lock, state: Mutex::new(state) };
        spool.look_for_oldest(&mut spool.lock())?;
        Ok(spool)
    }

    /// Writes entries and syncs them: all, or none. `at` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`SpoolFault`]; nothing may be acknowledged then.
    pub fn append(&self, payloads: &[Vec<u8>], at: i64) -> Result<(), SpoolFault> {
        let mut bytes = Vec::with_capacity(payloads.iter().map(|p| p.len() + frame::HEAD).sum());
        for payload in payloads {
            if payload.is_empty() || payload.len() > frame::MAX_PAYLOAD {
                return Err(SpoolFault::TooLarge(payload.len()));
            }
            frame::write(&mut bytes, at, payload);
        }
        let mut state = self.lock();
        let added = bytes.len() as u64;
        if state.bytes() + added + HEAD > self.max {
            return Err(SpoolFault::Full);
        }
        let full =
            state.segments.back().is_some_and(|last| last.length >= (self.max / SEGMENTS).max(MIN_SEGMENT));
        if full || state.active.is_none() {
            let (segment, file) =
                Segment::create(&self.folder, chassis::ids::new_id()).map_err(|e| self.disk(e))?;
            state.segments.push_back(segment);
            state.active = Some(file);
        }
        let State { active: Some(file), segments, .. } = &mut *state else { return Err(SpoolFault::Full) };
        let Some(last) = segments.back_mut() else { return Err(SpoolFault::Full) };
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            // What is on the disk now is unknown. It was not acknowledged; the next entry goes into another file.
            let _ = file.set_len(last.length);
            state.active = None;
            return Err(self.disk(error));
        }
        last.length += added;
        last.entries += payloads.len() as u64;
        state.oldest.get_or_insert(at);
        Ok(())
    }

    /// The oldest entries; none when nothing waits.
    ///
    /// # Errors
    /// [`SpoolFault::Disk`].
    pub fn next(&self) -> Result<Option<Batch>, SpoolFault> {
        let state = self.lock();
        let Some(segment) = state.segments.front() else { return Ok(None) };
        let (first, offset) = state.replayed;
        let (entries, _) = segment.read(offset, BATCH, BATCH_BYTES).map_err(|e| self.disk(e))?;
        Ok((!entries.is_empty()).then_some(Batch { segment: segment.id, first, entries }))
    }

    /// PostgreSQL has committed a batch: its entries leave.
    ///
    /// # Errors
    /// [`SpoolFault::Disk`]; the batch comes again then, and PostgreSQL knows it.
    pub fn settle(&self, batch: &Batch) -> Result<(), SpoolFault> {
        let mut state = self.lock();
        if state.segments.front().is_none_or(|front| front.id != batch.segment)
            || state.replayed.0 != batch.first
        {
            return Ok(());
        }
        let bytes: u64 = batch.entries.iter().map(|entry| (entry.payload.len() + frame::HEAD) as u64).sum();
        state.replayed = (batch.end(), state.replayed.1 + bytes);
        self.drop_replayed(&mut state)?;
        self.look_for_oldest(&mut state)
    }

    /// The first segment cannot be read: it is kept beside the spool for people, and the next one is replayed.
    ///
    /// # Errors
    /// [`SpoolFault::Disk`].
    pub fn give_up_first(&self) -> Result<(), SpoolFault> {
        let mut state = self.lock();
        let Some(front) = state.segments.front() else { return Ok(()) };
        let kept = front.path.with_extension("damaged");
        fs::rename(&front.path, &kept).map_err(|e| self.disk(e))?;
        tracing::error!(kept = %kept.display(), "a segment of the spool is damaged");
        if state.segments.len() == 1 {
            state.active = None;
        }
        state.segments.pop_front();
        state.replayed = (0, HEAD);
        self.look_for_oldest(&mut state)
    }

    /// Keeps an entry for people that PostgreSQL refuses for what it says.
    ///
    /// # Errors
    /// [`SpoolFault::Disk`].
    pub fn set_aside(&self, entry: &Entry) -> Result<(), SpoolFault> {
        let open = OpenOptions::new().create(true).append(true).open(self.folder.join(ASIDE));
        let mut file = open.map_err(|e| self.disk(e))?;
        if file.metadata().map_err(|e| self.disk(e))?.len() > self.max {
            return Err(SpoolFault::Full);
        }
        let mut line = entry.payload.clone();
        line.push(b'\n');
        file.write_all(&line).and_then(|()| file.sync_data()).map_err(|e| self.disk(e))
    }

    /// How full it is.
    pub fn state(&self) -> SpoolState {
        let state = self.lock();
        let entries = state.segments.iter().map(|segment| segment.entries).sum::<u64>() - state.replayed.0;
        SpoolState { entries, bytes: state.bytes(), oldest: state.oldest }
    }

    /// Whether another delivery of any size fits.
    pub fn has_room(&self) -> bool {
        self.lock().bytes() + 2 * frame::MAX_PAYLOAD as u64 <= self.max
    }

    fn drop_replayed(&self, state: &mut State) -> Result<(), SpoolFault> {
        let Some(front) = state.segments.front() else { return Ok(()) };
        if state.replayed.0 < front.entries {
            return Ok(());
        }
        fs::remove_file(&front.path).map_err(|e| self.disk(e))?;
        if state.segments.len() == 1 {
            state.active = None;
        }
        state.segments.pop_front();
        state.replayed = (0, HEAD);
        Ok(())
    }

    fn look_for_oldest(&self, state: &mut State) -> Result<(), SpoolFault> {
        let Some(front) = state.segments.front() else {
            state.oldest = None;
            return Ok(());
        };
        let (entries, _) = front.read(state.replayed.1, 1, 1).map_err(|e| self.disk(e))?;
        state.oldest = entries.first().map(|entry| entry.at);
        Ok(())
    }

    fn disk(&self, source: io::Error) -> SpoolFault {
        SpoolFault::Disk { folder: self.folder.clone(), source }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }
}
