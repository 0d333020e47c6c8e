//! `load`: keep-alive connections that send notifications to `--port` for `--seconds`, as fast as they are answered, or
//! at `--rate` a second in all (0 = as fast as it goes). At a rate the time of an answer counts from when its request
//! was due, so that a stall is not hidden by the requests that it held back.
//!
//! Prints answers a second, percentiles in microseconds, and how many answers were not 202.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::Numbers;

#[derive(Default)]
struct Seen {
    micros: Vec<u64>,
    failed: u64,
}

/// Runs for the time that is asked for.
pub async fn run(numbers: &Numbers) -> Result<()> {
    let port = u16::try_from(numbers.get("port")?)?;
    let (connections, seconds) = (numbers.get("connections")?, numbers.get("seconds")?);
    let (rate, subscriptions) = (numbers.get("rate")?, numbers.get("subscriptions")?.max(1));
    let path = if numbers.get("product")? == 1 { "/api/webhooks/onedrive" } else { "/door" };
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let gap = (rate > 0).then(|| Duration::from_secs(connections) / u32::try_from(rate).unwrap_or(u32::MAX));
    let mut tasks = JoinSet::new();
    for n in 0..connections {
        let request = request(path, n % subscriptions);
        let first = begun + gap.unwrap_or_default() * u32::try_from(n)? / u32::try_from(connections)?;
        tasks.spawn(connection(port, request, first, gap, until));
    }
    let mut all = Seen::default();
    while let Some(one) = tasks.join_next().await {
        let one = one??;
        all.micros.extend(one.micros);
        all.failed += one.failed;
    }
    let took = begun.elapsed().as_secs_f64();
    all.micros.sort_unstable();
    let at =
        |share: f64| all.micros.get(((all.micros.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(0);
    println!(
        "{}",
        serde_json::json!({
            "answers": all.micros.len(), "per_second": all.micros.len() as f64 / took, "failed": all.failed,
            "p50_us": at(0.5), "p99_us": at(0.99), "max_us": at(1.0),
        })
    );
    Ok(())
}

fn request(path: &str, subscription: u64) -> Vec<u8> {
    let body = serde_json::json!({ "value": [{
        "subscriptionId": format!("bench-{subscription}"), "clientState": "bench state", "changeType": "updated",
        "resource": "drives/b!bench/root", "tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95",
        "subscriptionExpirationDateTime": "2030-01-01T00:00:00.0000000Z",
        "resourceData": { "@odata.type": "#Microsoft.Graph.DriveItem" },
    }] })
    .to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

async fn connection(
    port: u16,
    request: Vec<u8>,
    first: Instant,
    gap: Option<Duration>,
    until: Instant,
) -> Result<Seen> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
    stream.set_nodelay(true)?;
    let (mut seen, mut held, mut due) = (Seen::default(), Vec::with_capacity(4096), first);
    loop {
        if gap.is_some() {
            sleep_until(due).await;
        }
        let begun = if gap.is_some() { due } else { Instant::now() };
        if begun >= until {
            return Ok(seen);
        }
        stream.write_all(&request).await?;
        let accepted = answer(&mut stream, &mut held).await?;
        seen.micros.push(u64::try_from(begun.elapsed().as_micros())?);
        seen.failed += u64::from(!accepted);
        due += gap.unwrap_or_default();
    }
}

/// Reads one answer; whether it is 202.
async fn answer(stream: &mut TcpStream, held: &mut Vec<u8>) -> Result<bool> {
    loop {
        if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let whole = end + 4 + length.unwrap_or(0_usize);
            if held.len() >= whole {
                let accepted = held.starts_with(b"HTTP/1.1 202");
                held.drain(..whole);
                return Ok(accepted);
            }
        }
        if stream.read_buf(held).await? == 0 {
            bail!("the door closed a connection");
        }
    }
}
