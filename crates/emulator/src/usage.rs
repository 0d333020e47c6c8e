//! What this process has used, so that a benchmark can subtract the emulator's own cost.

use std::io;

use serde::Serialize;

/// Linux counts in hundredths of a second for user space, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Use of the whole process since its start.
#[derive(Debug, Serialize)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Resident memory.
    pub(crate) resident_bytes: u64,
}

/// Reads `/proc/self`.
pub(crate) fn read() -> io::Result<Usage> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The command name may hold spaces; what follows its closing bracket does not.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|text| text.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
        .unwrap_or_default();
    Ok(Usage { cpu_seconds: (ticks(11) + ticks(12)) / TICKS_PER_SECOND, resident_bytes: resident * 1024 })
}
