//! The table: what was measured, its goal, and whether it was met.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{calendar, delta, idle, import, ingress, jobs, throttle};

/// One line of the table.
#[derive(Debug)]
pub struct Line {
    what: String,
    measured: String,
    goal: String,
    met: Option<bool>,
}

/// Lines in the making.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// A measurement with a goal.
    pub fn goal(
        &mut self,
        what: impl Into<String>,
        measured: impl Into<String>,
        goal: impl Into<String>,
        met: bool,
    ) {
        self.add(Line { what: what.into(), measured: measured.into(), goal: goal.into(), met: Some(met) });
    }

    /// A measurement that explains another.
    pub fn note(&mut self, what: impl Into<String>, measured: impl Into<String>) {
        self.add(Line { what: what.into(), measured: measured.into(), goal: String::new(), met: None });
    }

    /// A sentence about the line above it.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.lines.push(Line { what: text.into(), measured: String::new(), goal: String::new(), met: None });
    }

    fn add(&mut self, line: Line) {
        say(&format!("  {}: {}", line.what, line.measured));
        self.lines.push(line);
    }

    fn print(&self) {
        let head = Line {
            what: "measurement".to_owned(),
            measured: "measured".to_owned(),
            goal: "goal".to_owned(),
            met: None,
        };
        let width = |field: fn(&Line) -> &String| {
            let lines = self.lines.iter().chain([&head]).filter(|line| !line.measured.is_empty());
            lines.map(|line| field(line).chars().count()).max().unwrap_or_default()
        };
        let (what, measured, goal) = (width(|l| &l.what), width(|l| &l.measured), width(|l| &l.goal));
        let row = |line: &Line, verdict: &str| {
            let text = format!(
                "{:<what$}  {:>measured$}  {:>goal$}  {verdict}",
                line.what, line.measured, line.goal
            );
            say(text.trim_end());
        };
        say("");
        row(&head, "verdict");
        for line in &self.lines {
            let verdict = match line.met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            row(line, verdict);
        }
    }
}

/// A line on the standard output; whoever reads it may have gone.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Bytes in MiB, with one decimal.
#[expect(clippy::cast_precision_loss, reason = "memory sizes shown with one decimal")]
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// Names of the benchmarks, in the order in which they run.
const NAMES: [(&str, &str); 14] = [
    ("idle", "idle memory"),
    ("throttle", "throttle windows"),
    ("import", "initial import"),
    ("delta", "delta of 100 changes"),
    ("ingress", "acknowledgements at the door"),
    ("calendar", "calendar: first enumeration, app edits, changes at the provider"),
    ("drain", "jobs: drain, one transaction per effect"),
    ("group", "jobs: drain with group commit"),
    ("enqueue", "jobs: bulk enqueue"),
    ("peers", "jobs: published peers"),
    ("latency", "jobs: enqueue to start"),
    ("retry-all", "jobs: retry of all dead letters"),
    ("memory", "jobs: memory of a worker"),
    ("pinned", "jobs: claims under a pinned oldest transaction"),
];

/// Runs the benchmarks that are named, or all, and prints the table.
pub async fn run(wanted: &[String]) -> Result<ExitCode> {
    if let Some(unknown) = wanted.iter().find(|name| !NAMES.iter().any(|(known, _)| known == name)) {
        let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        bail!("there is no benchmark {unknown:?}; there are {}", known.join(", "));
    }
    let mut report = Report::default();
    for (name, title) in NAMES {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            say(title);
            measure(name, &mut report).await?;
        }
    }
    report.print();
    Ok(ExitCode::SUCCESS)
}

async fn measure(name: &str, report: &mut Report) -> Result<()> {
    match name {
        "idle" => idle::measure(report).await,
        "throttle" => throttle::measure(report).await,
        "import" => import::measure(report).await,
        "delta" => delta::measure(report).await,
        "ingress" => ingress::measure(report).await,
        "calendar" => calendar::measure(report).await,
        "drain" => jobs::drain::measure(report).await,
        "group" => jobs::group::measure(report).await,
        "enqueue" => jobs::enqueue::measure(report).await,
        "peers" => jobs::peers::measure(report).await,
        "latency" => jobs::latency::measure(report).await,
        "retry-all" => jobs::retry_all::measure(report).await,
        "memory" => jobs::memory::measure(report).await,
        "pinned" => jobs::pinned::measure(report).await,
        other => bail!("there is no benchmark {other:?}"),
    }
}
