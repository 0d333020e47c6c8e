//! The table: what was measured, its goal, and whether it was met.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{delta, idle, import, throttle};

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

    fn add(&mut self, line: Line) {
        say(&format!("  {}: {}", line.what, line.measured));
        self.lines.push(line);
    }

    fn print(&self) {
        say("");
        say(&format!("{:<58} {:>26} {:>22}  {}", "measurement", "measured", "goal", "verdict"));
        for line in &self.lines {
            let verdict = match line.met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            say(&format!("{:<58} {:>26} {:>22}  {verdict}", line.what, line.measured, line.goal));
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

/// Runs the benchmarks that are named, or all, and prints the table.
pub async fn run(wanted: &[String]) -> Result<ExitCode> {
    const NAMES: [&str; 4] = ["import", "delta", "throttle", "idle"];
    if let Some(unknown) = wanted.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("there is no benchmark {unknown:?}; there are {}", NAMES.join(", "));
    }
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let mut report = Report::default();
    if asked("idle") {
        say("idle memory");
        idle::measure(&mut report).await?;
    }
    if asked("throttle") {
        say("throttle windows");
        throttle::measure(&mut report).await?;
    }
    if asked("import") {
        say("initial import");
        import::measure(&mut report).await?;
    }
    if asked("delta") {
        say("delta of 100 changes");
        delta::measure(&mut report).await?;
    }
    report.print();
    Ok(ExitCode::SUCCESS)
}
