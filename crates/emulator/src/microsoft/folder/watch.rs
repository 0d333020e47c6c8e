//! Watching a directory: the kernel says that something happened, a scan says what.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{EventKind, RemoveKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::persist;
use super::reconcile;
use super::scan::{self, Hashes};
use crate::clock::ShiftedClock;
use crate::microsoft::drive::{Backing, DriveHandle};
use crate::world::Dirty;

/// Silence that ends a burst of events.
const QUIET: Duration = Duration::from_millis(30);
/// Longest wait for silence.
const BURST: Duration = Duration::from_millis(90);
/// How often state is saved when it changed.
const SAVE: Duration = Duration::from_millis(500);
/// A scan happens at least this often, in case an event was lost.
const SAFETY: Duration = Duration::from_secs(10);

enum Signal {
    Event,
    Stop,
}

#[derive(Debug)]
struct Shared {
    handle: Arc<DriveHandle>,
    root: PathBuf,
    saved: Option<PathBuf>,
    dirty: Arc<Dirty>,
    clock: Arc<ShiftedClock>,
    /// Removals seen since the last scan, and those of the scan before it.
    removed: Mutex<(HashSet<String>, HashSet<String>)>,
    scanning: Mutex<()>,
}

impl Shared {
    /// Scans and reconciles; true when the drive changed.
    fn refresh(&self) -> io::Result<bool> {
        let _one_at_a_time = self.scanning.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..10 {
            let (writes, hashes) = self.snapshot();
            let found = scan::scan(&self.root, &hashes)?;
            let removed = self.removals();
            let mut drive = self.handle.lock();
            let Backing::Folder(folder) = &drive.backing else { return Ok(false) };
            if folder.writes != writes {
                continue;
            }
            let changed = reconcile::apply(&mut drive, found, &removed, self.clock.now_ms());
            if changed {
                self.dirty.mark(&drive.id);
            }
            return Ok(changed);
        }
        Ok(false)
    }

    fn snapshot(&self) -> (u64, Hashes) {
        let drive = self.handle.lock();
        let Backing::Folder(folder) = &drive.backing else { return (0, Hashes::new()) };
        let hashes = folder.known.iter().filter_map(|(index, known)| {
            let hash = drive.hashes.get(index)?;
            Some(((known.id.dev, known.id.ino), (*known, *hash)))
        });
        (folder.writes, hashes.collect())
    }

    /// Removals that this scan must know of. They are kept for one more scan: an event may arrive
    /// after the scan that could have seen its effect.
    fn removals(&self) -> HashSet<String> {
        let mut guard = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        let (fresh, old) = &mut *guard;
        let all = fresh.union(old).cloned().collect();
        *old = std::mem::take(fresh);
        all
    }

    fn save(&self, last: &mut u32) {
        let Some(file) = &self.saved else { return };
        let drive = self.handle.lock();
        let head = drive.tree.head();
        if head == *last {
            return;
        }
        match persist::save(&drive, file) {
            Ok(()) => *last = head,
            Err(fault) => tracing::warn!(file = %file.display(), %fault, "the state of a drive is not saved"),
        }
    }
}

/// Keeps a folder drive up to date until it is dropped.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    signal: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
    watcher: Option<RecommendedWatcher>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("root", &self.shared.root).finish_non_exhaustive()
    }
}

impl Watch {
    pub(crate) fn start(
        handle: Arc<DriveHandle>,
        root: PathBuf,
        saved: Option<PathBuf>,
        dirty: Arc<Dirty>,
        clock: Arc<ShiftedClock>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            handle,
            root,
            saved,
            dirty,
            clock,
            removed: Mutex::default(),
            scanning: Mutex::default(),
        });
        let (signal, signals) = channel();
        // Watch first, then scan: what happens in between is seen by one or the other.
        let watcher = match watcher(&shared, signal.clone()) {
            Ok(watcher) => Some(watcher),
            Err(fault) => {
                tracing::warn!(root = %shared.root.display(), %fault, "the folder cannot be watched; it is scanned every second");
                None
            }
        };
        shared.refresh()?;
        let period = if watcher.is_some() { SAFETY } else { Duration::from_secs(1) };
        let worker = shared.clone();
        let thread = std::thread::Builder::new()
            .name("folder-watch".into())
            .spawn(move || attend(&worker, &signals, period))?;
        Ok(Self { shared, signal, thread: Some(thread), watcher })
    }

    /// Looks at the directory now.
    pub(crate) fn rescan(&self) -> io::Result<bool> {
        self.shared.refresh()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watcher = None;
        let _ = self.signal.send(Signal::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watcher(shared: &Arc<Shared>, signal: Sender<Signal>) -> notify::Result<RecommendedWatcher> {
    let seen = shared.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if let Ok(event) = &event {
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            if matches!(
                event.kind,
                EventKind::Remove(
                    RemoveKind::Any | RemoveKind::File | RemoveKind::Folder | RemoveKind::Other
                )
            ) {
                let mut removed = seen.removed.lock().unwrap_or_else(PoisonError::into_inner);
                removed.0.extend(event.paths.iter().filter_map(|path| relative(&seen.root, path)));
            }
        }
        let _ = signal.send(Signal::Event);
    })?;
    watcher.watch(&shared.root, RecursiveMode::Recursive)?;
    Ok(watcher)
}

fn relative(root: &Path, path: &Path) -> Option<String> {
    path.strip_prefix(root).ok().and_then(Path::to_str).map(|text| format!("/{text}"))
}

fn attend(shared: &Shared, signals: &Receiver<Signal>, period: Duration) {
    let mut saved = 0;
    let mut last_scan = Instant::now();
    shared.save(&mut saved);
    loop {
        match signals.recv_timeout(SAVE) {
            Ok(Signal::Event) => {
                let burst = Instant::now();
                while burst.elapsed() < BURST {
                    match signals.recv_timeout(QUIET) {
                        Ok(Signal::Event) => {}
                        Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => {
                            return shared.save(&mut saved);
                        }
                        Err(RecvTimeoutError::Timeout) => break,
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) if last_scan.elapsed() < period => {
                shared.save(&mut saved);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return shared.save(&mut saved),
        }
        if let Err(fault) = shared.refresh() {
            tracing::warn!(root = %shared.root.display(), %fault, "the folder cannot be scanned");
        }
        last_scan = Instant::now();
        shared.save(&mut saved);
    }
}
