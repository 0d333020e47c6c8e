//! Wall clocks that can be set per process: a library loaded before libc, which adds an offset from a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

const SOURCE: &str = include_str!("clock_shim.c");

/// The compiled library.
#[derive(Debug, Clone)]
pub struct ClockShim(PathBuf);

/// The wall clock of one process.
#[derive(Debug)]
pub struct ProcessClock {
    library: PathBuf,
    offset: PathBuf,
}

impl ClockShim {
    /// Compiles the library with the C compiler that Rust links with.
    ///
    /// # Errors
    /// When there is none, or the folder cannot be written.
    pub async fn build(folder: &Path) -> Result<Self> {
        let (source, library) = (folder.join("clock_shim.c"), folder.join("clock_shim.so"));
        std::fs::write(&source, SOURCE).context("writing the clock's source")?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let output = compiler.output().await.context("running cc")?;
        ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Self(library))
    }

    /// A clock for a process; right until it is set.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn clock(&self, folder: &Path, label: &str) -> Result<ProcessClock> {
        let clock = ProcessClock { library: self.0.clone(), offset: folder.join(format!("{label}.clock")) };
        clock.set(0)?;
        Ok(clock)
    }
}

impl ProcessClock {
    /// Puts the clock into the environment of the process.
    pub fn wear(&self, env: &mut BTreeMap<String, String>) {
        env.insert("LD_PRELOAD".to_owned(), self.library.display().to_string());
        env.insert("CHAOS_CLOCK".to_owned(), self.offset.display().to_string());
    }

    /// Sets the clock this many seconds off, also under the running process.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn set(&self, seconds: i64) -> Result<()> {
        use std::os::unix::fs::FileExt as _;
        // Written in place: the process has the file mapped.
        let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&self.offset);
        let nanoseconds = (seconds * 1_000_000_000).to_ne_bytes();
        file.and_then(|file| file.write_all_at(&nanoseconds, 0)).context("setting a clock")
    }
}
