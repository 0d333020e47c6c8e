//! What the metrics of this process say. Every test is a process of its own, so the numbers are its own.

use crate::wait::eventually;

/// Sum of the series of a metric that carry all of these labels, such as `cause="silent"`; 0 when there are none.
/// Starts the recording at the first call, so call it before what is to be counted.
///
/// # Panics
/// When the rendered metrics cannot be read.
pub fn meter(name: &str, labels: &[&str]) -> f64 {
    chassis::metrics::install();
    let text = chassis::metrics::render();
    let series = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    series
        .map(|line| {
            let value = line.rsplit(' ').next().unwrap_or_default();
            value.parse::<f64>().unwrap_or_else(|_| panic!("not a number: {line}"))
        })
        .sum()
}

/// Waits until [`meter`] shows at least `least`.
///
/// # Panics
/// After 30 s.
pub async fn metered(name: &str, labels: &[&str], least: f64) {
    eventually(&format!("{name}{labels:?} reaches {least}"), async || {
        (meter(name, labels) >= least).then_some(())
    })
    .await;
}
