//! What campaigns did and found, as a table.

use std::collections::BTreeMap;
use std::fmt;

use super::check::{KINDS, Violation};
use super::facts::Facts;

/// Sums over campaigns.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Campaigns.
    pub campaigns: u64,
    /// Jobs that had to end.
    pub jobs: usize,
    /// Effects.
    pub effects: usize,
    /// Jobs by how they ended otherwise.
    pub ends: BTreeMap<String, usize>,
    /// Requests that coalesced into a waiting job.
    pub coalesced: i64,
    /// Interruptions: lease expired or given back.
    pub interruptions: i64,
    /// Attempts that failed.
    pub failures: i64,
    /// Writes of zombies that the fence refused.
    pub zombies: u64,
    /// Workers that a job killed.
    pub aborted: u64,
    /// Messages that no worker could claim, as the archivist found them.
    pub messages_given_up: i64,
    /// When a campaign's phases ended, in seconds.
    pub phases: String,
    /// Faults by name.
    pub faults: BTreeMap<String, u64>,
    /// Violations by kind.
    pub violations: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts what a campaign left behind.
    pub fn count(&mut self, facts: &Facts, violations: &[Violation]) {
        self.campaigns += 1;
        self.jobs += facts.jobs.len();
        self.coalesced += facts.coalesced;
        self.messages_given_up += facts.broker_dead;
        for job in &facts.jobs {
            self.effects += job.effects.len();
            self.interruptions += job.interrupted;
            self.failures += job.failures;
            if job.effects.is_empty() {
                let state = job.state.as_deref().unwrap_or("no row");
                let end = match (state, job.fingerprint.as_deref()) {
                    ("dead", Some(why @ ("crash_loop" | "deadline"))) => format!("dead: {why}"),
                    ("cancelled", _) if job.folded_into.is_some() => "folded into another".to_owned(),
                    _ => state.to_owned(),
                };
                *self.ends.entry(end).or_default() += 1;
            }
        }
        for violation in violations {
            *self.violations.entry(violation.kind.to_string()).or_default() += 1;
        }
    }

    /// Counts a fault.
    pub fn fault(&mut self, name: &str) {
        *self.faults.entry(name.to_owned()).or_default() += 1;
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Tally) {
        self.campaigns += other.campaigns;
        self.jobs += other.jobs;
        self.effects += other.effects;
        self.coalesced += other.coalesced;
        self.interruptions += other.interruptions;
        self.failures += other.failures;
        self.zombies += other.zombies;
        self.aborted += other.aborted;
        self.messages_given_up += other.messages_given_up;
        for (name, n) in &other.ends {
            *self.ends.entry(name.clone()).or_default() += n;
        }
        for (name, n) in &other.faults {
            *self.faults.entry(name.clone()).or_default() += n;
        }
        for (name, n) in &other.violations {
            *self.violations.entry(name.clone()).or_default() += n;
        }
    }

    /// Violations of every kind.
    pub fn broken(&self) -> usize {
        self.violations.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, n: &dyn fmt::Display| writeln!(f, "  {name:<34} {n:>9}");
        row("campaigns", &self.campaigns)?;
        row("jobs", &self.jobs)?;
        row("effects", &self.effects)?;
        for (end, n) in &self.ends {
            row(end, n)?;
        }
        row("requests that coalesced", &self.coalesced)?;
        row("failed attempts", &self.failures)?;
        row("interruptions", &self.interruptions)?;
        row("zombies' writes refused", &self.zombies)?;
        row("workers killed by a job", &self.aborted)?;
        row("messages that the broker gave up", &self.messages_given_up)?;
        for (fault, n) in &self.faults {
            row(&format!("fault: {fault}"), n)?;
        }
        for kind in KINDS {
            let name = kind.to_string();
            let n = self.violations.get(&name).copied().unwrap_or(0);
            row(&name, &n)?;
        }
        Ok(())
    }
}
