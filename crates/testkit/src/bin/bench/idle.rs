//! (d) memory of services that have nothing to do.

use std::time::Duration;

use anyhow::Result;
use testkit::e2e::Platform;

use crate::report::{Report, mib};
use crate::setup;

/// Goal.
const IDLE: u64 = 20 * 1_048_576;
/// Time without work before the measurement.
const QUIET: Duration = Duration::from_secs(10);

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let platform = Platform::start(setup::options(1).google().audit()).await?;
    chassis::time::pause(QUIET).await;
    for (label, process) in platform.processes.iter().filter(|(label, _)| *label != "emulator") {
        let resident = process.resident_memory()?;
        report.goal(format!("(d) idle memory of {label}"), mib(resident), "< 20 MiB", resident < IDLE);
    }
    platform.stop().await
}
