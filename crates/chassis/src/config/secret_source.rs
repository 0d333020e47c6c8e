//! A secret that may live in a file, and may change there while the service runs.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::secret::{REDACTED, Secret};

/// How often a secret's file is looked at.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Larger files are surely not a secret (PEM bundles stay far below).
const MAX_BYTES: u64 = 64 * 1024;

/// Where a secret comes from: a value fixed at start, or a file that is read again when it changed
/// (a mounted Kubernetes secret, for example). Clones share what was read.
#[derive(Clone)]
pub struct SecretSource(Inner);

#[derive(Clone)]
enum Inner {
    Fixed(Secret),
    File(Arc<Watched>),
}

struct Watched {
    name: String,
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    secret: Secret,
    stamp: Stamp,
    checked: Instant,
    failing: bool,
}

/// What tells one content of the file from the next without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    length: u64,
    inode: u64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SecretFileError {
    #[error("the file cannot be read, got path {path}: {reason}; mount it or correct the path")]
    Unreadable { path: String, reason: std::io::Error },
    #[error("the file is empty, got path {path}; write the secret into it")]
    Empty { path: String },
    #[error("the file is larger than {MAX_BYTES} bytes, got path {path}; name the secret's own file")]
    TooLarge { path: String },
    #[error("the file is not UTF-8, got path {path}; store the secret as text")]
    NotText { path: String },
}

impl SecretSource {
    /// A secret that never changes.
    pub fn fixed(secret: Secret) -> Self {
        Self(Inner::Fixed(secret))
    }

    /// Reads `path` now and watches it from here on; `name` is the variable, for the log.
    pub(super) fn file(name: &str, path: &Path) -> Result<Self, SecretFileError> {
        let (secret, stamp) = read(path)?;
        let state = Mutex::new(State { secret, stamp, checked: Instant::now(), failing: false });
        Ok(Self(Inner::File(Arc::new(Watched { name: name.to_owned(), path: path.to_owned(), state }))))
    }

    /// The secret as it is now. A file is looked at once a second at most (one `stat`); when it
    /// cannot be read the last good content stays in use and the fault is logged once.
    pub fn current(&self) -> Secret {
        match &self.0 {
            Inner::Fixed(secret) => secret.clone(),
            Inner::File(watched) => watched.current(Instant::now()),
        }
    }
}

impl Watched {
    fn current(&self, now: Instant) -> Secret {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(state.checked) < CHECK_EVERY {
            return state.secret.clone();
        }
        state.checked = now;
        let seen = std::fs::metadata(&self.path).ok().map(|meta| Stamp::of(&meta));
        if seen == Some(state.stamp) && !state.failing {
            return state.secret.clone();
        }
        match read(&self.path) {
            Ok((secret, stamp)) => {
                if secret != state.secret {
                    tracing::info!(variable = self.name, "secret reloaded from its file");
                }
                (state.secret, state.stamp, state.failing) = (secret, stamp, false);
            }
            Err(error) => {
                if !state.failing {
                    tracing::error!(variable = self.name, %error, "secret file lost, the last content stays in use");
                }
                state.failing = true;
            }
        }
        state.secret.clone()
    }
}

impl Stamp {
    fn of(meta: &std::fs::Metadata) -> Self {
        Self { modified: (meta.mtime(), meta.mtime_nsec()), length: meta.len(), inode: meta.ino() }
    }
}

/// Reads the secret; the stamp is taken first, so that a change during the read is seen next time.
fn read(path: &Path) -> Result<(Secret, Stamp), SecretFileError> {
    let shown = || path.display().to_string();
    let unreadable = |reason| SecretFileError::Unreadable { path: shown(), reason };
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if meta.len() > MAX_BYTES {
        return Err(SecretFileError::TooLarge { path: shown() });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| SecretFileError::NotText { path: shown() })?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(SecretFileError::Empty { path: shown() });
    }
    Ok((Secret::from(text), Stamp::of(&meta)))
}

impl From<Secret> for SecretSource {
    fn from(secret: Secret) -> Self {
        Self::fixed(secret)
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Fixed(_) => f.write_str(REDACTED),
            Inner::File(watched) => write!(f, "{REDACTED} from {}", watched.path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(content: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("syncline-secret-{}", crate::ids::new_id()));
        std::fs::write(&path, content).expect("temporary folder is writable");
        path
    }

    fn at(source: &SecretSource, after: Duration) -> Secret {
        match &source.0 {
            Inner::File(watched) => watched.current(Instant::now() + after),
            Inner::Fixed(secret) => secret.clone(),
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_lost_one_keeps_its_content() {
        let path = scratch("first\n");
        let source = SecretSource::file("X_FILE", &path).expect("readable");
        assert_eq!(source.current().expose(), "first");
        std::fs::write(&path, "second, longer\r\n").expect("writable");
        assert_eq!(source.current().expose(), "first", "not looked at twice in a second");
        assert_eq!(at(&source, CHECK_EVERY).expose(), "second, longer");
        std::fs::remove_file(&path).expect("removable");
        assert_eq!(at(&source, CHECK_EVERY * 3).expose(), "second, longer");
        std::fs::write(&path, "third").expect("writable");
        assert_eq!(at(&source, CHECK_EVERY * 5).expose(), "third");
        assert!(!format!("{source:?}").contains("third"));
        std::fs::remove_file(&path).expect("removable");
    }

    #[test]
    fn unusable_files_are_faults_that_name_the_path() {
        let path = scratch("\n");
        let fault = SecretSource::file("X_FILE", &path).expect_err("empty").to_string();
        assert!(fault.contains("empty") && fault.contains(&path.display().to_string()), "{fault}");
        std::fs::write(&path, [0xff, 0xfe]).expect("writable");
        assert!(SecretSource::file("X_FILE", &path).is_err());
        std::fs::remove_file(&path).expect("removable");
        assert!(SecretSource::file("X_FILE", &path).is_err());
    }
}
