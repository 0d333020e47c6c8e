//! (e) calls inside an announced throttle window, with four workers behind two connectors.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::e2e::Platform;

use crate::report::Report;
use crate::setup;

const WORKERS: usize = 4;
const DRIVES: u64 = 8;
const ITEMS: u32 = 8_000;
/// Calls between two windows, seconds of a window, number of windows.
const GATE: (u64, f64, u64) = (60, 2.0, 5);
/// A call that was on its way when the window opened arrives within this.
const FLIGHT_MS: i64 = 100;

/// Measures.
pub async fn measure(report: &mut Report) -> Result<()> {
    let mut options = setup::options(WORKERS).env("REDIS_URL", testkit::servers::redis_url());
    options.connectors = 2;
    let platform = Platform::start(options).await?;
    let mut tenants = Vec::new();
    for seed in 0..DRIVES {
        tenants.push(setup::drive(&platform, seed, ITEMS).await?);
    }
    let gate = json!({"kind": "gate", "every": GATE.0, "seconds": GATE.1, "retry_after_form": "decimal"});
    platform.fault("delta", Some(GATE.2), gate).await?;
    for tenant in &tenants {
        tenant.register().await?;
    }
    for tenant in &tenants {
        tenant.quiet(&platform, setup::LONG).await?;
        tenant.compare(&platform).await?;
    }
    let (calls, _) = platform.calls(0).await?;
    let seen = Seen::of(&calls)?;
    ensure!(seen.windows > 0, "no window opened");
    report.note(
        format!("(e) {} calls, {WORKERS} workers, 2 connectors", calls.len()),
        format!("{} windows of {} s", seen.windows, GATE.1),
    );
    report.note(
        format!("    on their way when a window opened (first {FLIGHT_MS} ms)"),
        seen.in_flight.to_string(),
    );
    report.goal("    calls inside an open window after that", seen.late.to_string(), "0", seen.late == 0);
    platform.stop().await
}

#[derive(Debug, Default)]
struct Seen {
    windows: usize,
    in_flight: usize,
    late: usize,
}

impl Seen {
    /// A window opens with the first refused call that is not inside one.
    fn of(calls: &[Value]) -> Result<Self> {
        let mut seen = Self::default();
        let mut by_time: BTreeMap<(i64, i64), &Value> = BTreeMap::new();
        for call in calls {
            let time = call["time_ms"].as_i64().context("a call without a time")?;
            by_time.insert((time, call["seq"].as_i64().unwrap_or_default()), call);
        }
        let mut opened = i64::MIN;
        for ((time, _), call) in by_time {
            let inside = call["inside_throttle_window"] == true;
            if call["status"] == 429 && !inside {
                seen.windows += 1;
                opened = time;
            } else if inside && time - opened <= FLIGHT_MS {
                seen.in_flight += 1;
            } else if inside {
                seen.late += 1;
            }
        }
        Ok(seen)
    }
}
