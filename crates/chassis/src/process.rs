//! Facts about this process and its build.

/// Version of the workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, when the build said so.
pub(crate) const REVISION: &str = match option_env!("SYNCLINE_GIT_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Resident memory in bytes (Linux: `VmRSS` of `/proc/self/status`); `None` where there is none.
pub(crate) fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}
