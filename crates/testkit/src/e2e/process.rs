//! A program of the workspace as a child process: start, readiness, SIGTERM, SIGKILL, restart.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use outbound::http::{HttpClient, Request};
use tokio::process::{Child, Command};

use super::patience::wait_for;

/// Lines of a log that a failure shows.
const TAIL: usize = 15;

/// The folder with the built programs: that of the running test or tool.
///
/// # Errors
/// When the running program's path cannot be had.
pub fn program_dir() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding the running program")?;
    let mut folder = own.parent().context("a program without a folder")?.to_owned();
    if folder.ends_with("deps") {
        folder.pop();
    }
    Ok(folder)
}

/// How a program is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Name of the program, and of its log.
    pub program: String,
    /// Name of the log, to tell replicas apart.
    pub label: String,
    /// Arguments.
    pub args: Vec<String>,
    /// The whole environment; nothing but `PATH` and `HOME` is inherited.
    pub env: BTreeMap<String, String>,
    /// Answers 200 when the program is ready.
    pub ready: Option<String>,
    /// Folder of the log.
    pub logs: PathBuf,
}

/// A program that runs, or can be started again.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    child: Option<Child>,
}

impl Process {
    /// A process that does not run yet.
    pub fn new(launch: Launch) -> Self {
        Self { launch, child: None }
    }

    /// Label of the process.
    pub fn label(&self) -> &str {
        &self.launch.label
    }

    /// Environment, to change before a restart.
    pub fn env_mut(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.launch.env
    }

    /// Path of the log.
    pub fn log(&self) -> PathBuf {
        self.launch.logs.join(format!("{}.log", self.launch.label))
    }

    /// Starts the program; its output is appended to the log.
    ///
    /// # Errors
    /// When it is not built, runs already, or cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("{} runs already", self.launch.label);
        }
        let program = program_dir()?.join(&self.launch.program);
        if !program.exists() {
            bail!("{} is not built: cargo build --workspace --bins", program.display());
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log()).context("opening a log")?;
        let mut command = die_with_us(&program);
        command.args(&self.launch.args).env_clear().envs(&self.launch.env);
        for name in ["PATH", "HOME", "TMPDIR", "SSL_CERT_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing a log")?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the program says that it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready in time; with the end of its log.
    pub async fn ready(&mut self, http: &HttpClient, limit: Duration) -> Result<()> {
        let Some(url) = self.launch.ready.clone() else { return Ok(()) };
        let url = outbound::Url::parse(&url)?;
        let label = self.launch.label.clone();
        let waited = wait_for(limit, &format!("{label} ready"), async || {
            if let Some(status) = self.exited()? {
                return Ok(Some(Err(anyhow::anyhow!("{label} ended with {status}"))));
            }
            let answer = http.send(Request::get(url.clone()).deadline(Duration::from_secs(2))).await?;
            if answer.status.is_success() {
                return Ok(Some(Ok(())));
            }
            bail!("{label} answers {}: {}", answer.status, String::from_utf8_lossy(&answer.body))
        })
        .await;
        waited
            .and_then(|outcome| outcome)
            .with_context(|| format!("the log of {label} ends with\n{}", self.tail()))
    }

    /// Exit status when it has ended by itself.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => child.try_wait().context("asking for an exit status"),
            None => Ok(None),
        }
    }

    /// Process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// SIGKILL, and waits for the end. Does nothing when it does not run.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.with_context(|| format!("killing {}", self.launch.label))?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it does not run, or does not end within `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("TERM").await?;
        self.end(limit).await
    }

    /// Sends a signal by its name, such as `STOP`.
    ///
    /// # Errors
    /// When it does not run, or the system refuses.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let label = &self.launch.label;
        let pid = self.pid().with_context(|| format!("{label} does not run"))?;
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -\"$0\" \"$1\"", name, &pid.to_string()]);
        let sent = kill.status().await.context("running kill")?;
        anyhow::ensure!(sent.success(), "SIG{name} to {label} was refused");
        Ok(())
    }

    /// Waits for the end that was asked for.
    ///
    /// # Errors
    /// When it does not run, or does not end within `limit`; it is killed then.
    pub async fn end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let mut child = self.child.take().with_context(|| format!("{} does not run", self.launch.label))?;
        let ended = chassis::time::deadline("the end after SIGTERM", limit, child.wait()).await;
        ended
            .with_context(|| format!("{}:\n{}", self.launch.label, self.tail()))?
            .context("waiting for the end")
    }

    /// Most memory that was ever resident (`VmHWM`), in bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn peak_memory(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// Resident memory (`VmRSS`) in bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resident_memory(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, key: &str) -> Result<u64> {
        let pid = self.pid().with_context(|| format!("{} does not run", self.launch.label))?;
        let status =
            std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading process status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("not a number")?;
        Ok(kib * 1024)
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        tail(&self.log(), TAIL)
    }
}

/// The last `lines` lines of a file, long ones cut.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = File::open(path).map(std::io::read_to_string).and_then(|text| text).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let cut = |line: &&str| line.chars().take(600).collect::<String>();
    all[all.len().saturating_sub(lines)..].iter().map(cut).collect::<Vec<_>>().join("\n")
}

/// A command whose process ends when this one does, even by SIGKILL (`setpriv` of util-linux).
pub(crate) fn die_with_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}
