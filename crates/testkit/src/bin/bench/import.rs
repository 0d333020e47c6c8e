//! (a) items per second of a first import, beside a raw COPY; (c) peak memory.

use anyhow::{Context as _, Result};
use testkit::e2e::Platform;

use crate::report::{Report, mib};
use crate::{copy, setup};

const ITEMS: u32 = 100_000;
/// Goal: share of COPY.
const SHARE: f64 = 0.30;
/// Goal: peak memory of a process.
const PEAK: u64 = 64 * 1_048_576;

/// Measures.
#[expect(clippy::cast_precision_loss, reason = "row counts shown as rates")]
pub async fn measure(report: &mut Report) -> Result<()> {
    let mut platform = Platform::start(setup::options(1)).await?;
    let tenant = setup::drive(&platform, 1, ITEMS).await?;
    let before = setup::stand_in_cpu(&platform).await?;
    let run = setup::import(&platform, &tenant).await?;
    let stand_in = setup::stand_in_cpu(&platform).await? - before;
    let seconds = run["seconds"].as_f64().context("no duration")?;
    let documents = tenant.compare(&platform).await?;
    let own = stand_in / setup::cores();
    let net = seconds - own;

    let copied = copy::measure(platform.sql.url(), &platform.folder).await?;
    let rows = copied.items + copied.documents;
    report.note(
        format!("(a) import of {ITEMS} items ({documents} documents)"),
        format!("{seconds:.2} s, {:.0} items/s", f64::from(ITEMS) / seconds),
    );
    report.note(
        format!("    stand-in: {stand_in:.2} s CPU over {} cores", setup::cores()),
        format!("{own:.2} s of the run"),
    );
    report.note("    without it", format!("{net:.2} s, {:.0} items/s", f64::from(ITEMS) / net));
    report.note(
        format!("    COPY of the same {} + {} rows", copied.items, copied.documents),
        format!("{:.2} s, {:.0} rows/s", copied.seconds, rows as f64 / copied.seconds),
    );
    let share = copied.seconds / net;
    report.goal(
        "    share of COPY, same rows, same tables and indexes",
        format!("{:.0} %", share * 100.0),
        format!(">= {:.0} %", SHARE * 100.0),
        share >= SHARE,
    );
    for label in ["sync-worker-1", "graph-connector"] {
        let peak = platform.process(label)?.peak_memory()?;
        report.goal(format!("(c) peak memory of {label}"), mib(peak), "< 64 MiB", peak < PEAK);
    }
    platform.stop().await
}
