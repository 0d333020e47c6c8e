//! Whatever the provider does on the way, the end state is the same.

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use testkit::e2e::caller::encode;
use testkit::e2e::{Options, Platform, Tenant};

use crate::support::{LATER, drive_id, identities, mutate};

/// Runs at the same time.
const AT_ONCE: usize = 6;

/// A fault: which delta call of the drive it hits first, how many, and what it is.
#[derive(Debug, Clone)]
struct Case {
    name: &'static str,
    after: u64,
    times: u64,
    fault: Value,
}

fn case(name: &'static str, after: u64, times: u64, fault: Value) -> Case {
    Case { name, after, times, fault }
}

fn gone(code: &str, location: Option<&str>) -> Value {
    let mut fault = json!({"kind": "status", "status": 410, "body": {"error": {
        "code": "resyncRequired", "message": "Resync required.", "innerError": {"code": code}}}});
    if let Some(location) = location {
        fault["headers"] = json!({"Location": location});
    }
    fault
}

fn cases() -> Vec<Case> {
    let status = |status: u16| json!({"kind": "status", "status": status});
    let throttled = |after: Value| json!({"kind": "status", "status": 429, "retry_after": after});
    vec![
        case("410 without a location", 3, 1, gone("resyncChangesApplyDifferences", None)),
        case("410 with a location", 3, 1, gone("resyncChangesUploadDifferences", Some("{location}"))),
        case("410 on the first call", 0, 1, gone("resyncRequired", Some("{location}"))),
        case(
            "410 to another host",
            2,
            1,
            gone("resyncRequired", Some("http://127.0.0.1:9/v1.0/drives/x/root/delta")),
        ),
        case("410 to an address that fails", 2, 1, gone("resyncRequired", Some("{broken}"))),
        case("410 twice", 2, 2, gone("resyncRequired", None)),
        case("410 with an empty body", 2, 1, json!({"kind": "status", "status": 410, "body": ""})),
        case("429 in seconds", 1, 2, throttled(json!("1"))),
        case("429 with decimals", 1, 2, throttled(json!("0.75"))),
        case("429 with a date in the past", 1, 2, throttled(json!("Wed, 21 Oct 2015 07:28:00 GMT"))),
        case("429 without a word", 1, 2, throttled(Value::Null)),
        case("429 with nonsense", 1, 1, throttled(json!("soon"))),
        case("503 with a wait", 2, 3, json!({"kind": "status", "status": 503, "retry_after": "1"})),
        case("503 with an empty body", 2, 3, json!({"kind": "status", "status": 503, "body": ""})),
        case("500 again and again", 2, 7, status(500)),
        case("504 once", 4, 1, status(504)),
        case("401 in the middle", 3, 1, status(401)),
        case("404 in the middle", 3, 1, status(404)),
        case("400 in the middle", 3, 1, status(400)),
        case("409 in the middle", 3, 2, status(409)),
        case("500 after the effect", 2, 2, json!({"kind": "status_after_commit", "status": 500})),
        case("reset before", 2, 3, json!({"kind": "reset", "at": "before"})),
        case("reset after", 2, 2, json!({"kind": "reset", "at": "after_commit"})),
        case("reset in the middle of a body", 2, 3, json!({"kind": "reset", "at": "mid_body"})),
        case("malformed JSON", 2, 2, json!({"kind": "malformed_json"})),
        case("a page that links to itself", 3, 2, json!({"kind": "next_link_loop"})),
        case("empty pages", 1, 6, json!({"kind": "empty_page"})),
        case("slow bodies", 1, 2, json!({"kind": "slow_body", "bytes_per_second": 20_000})),
        case("delays", 0, 5, json!({"kind": "delay", "ms": 300})),
    ]
}

async fn arm(platform: &Platform, tenant: &Tenant, case: &Case) -> Result<()> {
    // The id as the connector writes it into addresses, escaped or not.
    let id = tenant.drive.trim_start_matches("b!");
    let path = format!("{id}.*delta");
    let broken = format!("{}/drives/{}/root/delta?broken=1", platform.graph_url, encode(&tenant.drive));
    let fault: Value = serde_json::from_str(&case.fault.to_string().replace("{broken}", &broken))?;
    if fault != case.fault {
        platform.fault("broken=1", None, json!({"kind": "status", "status": 500})).await?;
    }
    platform.fault_after(&path, case.after, Some(case.times), fault).await
}

async fn run(platform: &Platform, case: Case, seed: u64) -> Result<()> {
    let tenant = Tenant::generated(platform, &drive_id(), seed, 300, json!({})).await?;
    tenant.without_mass_change_limit().await?;
    arm(platform, &tenant, &case).await?;
    tenant.register().await?;
    tenant.quiet(platform, LATER).await.context("first import")?;
    let documents = tenant.compare(platform).await.context("first import")?;
    ensure!(documents > 0, "nothing to compare");

    // Nothing has changed: a fault must not make rows come, go or be born again.
    let before = identities(platform, &tenant).await?;
    arm(platform, &tenant, &Case { after: 0, ..case.clone() }).await?;
    tenant.sync_to_end(platform, LATER).await.context("idle round")?;
    tenant.compare(platform).await.context("idle round")?;
    ensure!(identities(platform, &tenant).await? == before, "rows came, went or were born again");

    mutate(platform, &tenant, seed, 50).await?;
    arm(platform, &tenant, &Case { after: 0, ..case }).await?;
    tenant.sync_to_end(platform, LATER).await.context("delta round")?;
    tenant.settled(platform, LATER).await.context("delta round")
}

async fn run_all(cases: Vec<Case>) -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    stream::iter(cases.into_iter().zip(100_u64..))
        .map(|(case, seed)| {
            let (platform, name) = (&platform, case.name);
            async move { run(platform, case, seed).await.with_context(|| name) }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    let dead = platform.dead_letters().await?;
    ensure!(dead.is_empty(), "dead letters: {dead:?}");
    platform.stop().await
}

#[tokio::test]
async fn the_provider_forgets_and_refuses() -> Result<()> {
    run_all(cases().into_iter().filter(|case| case.name.starts_with('4')).collect()).await
}

#[tokio::test]
async fn the_provider_breaks() -> Result<()> {
    run_all(cases().into_iter().filter(|case| !case.name.starts_with('4')).collect()).await
}

#[tokio::test]
async fn no_call_comes_inside_an_announced_window() -> Result<()> {
    let platform = Platform::start(Options { workers: 2, ..Options::default() }).await?;
    let mut tenants = Vec::new();
    for seed in 0..4 {
        tenants.push(Tenant::generated(&platform, &drive_id(), seed, 400, json!({})).await?);
    }
    for (every, form) in [(15, "decimal"), (31, "int"), (47, "date")] {
        let gate = json!({"kind": "gate", "every": every, "seconds": 1.5, "retry_after_form": form});
        platform.fault("delta", Some(1), gate).await?;
    }
    for tenant in &tenants {
        tenant.register().await?;
    }
    for tenant in &tenants {
        tenant.quiet(&platform, LATER).await?;
        tenant.compare(&platform).await?;
    }
    let (calls, _) = platform.calls(0).await?;
    let throttled = calls.iter().filter(|call| call["status"] == 429).count();
    let inside = calls.iter().filter(|call| call["inside_throttle_window"] == true).count();
    ensure!(throttled > 0, "the gate never closed");
    // What was on its way when the window opened could not know.
    ensure!(inside <= throttled && inside <= 12, "{inside} calls inside a window, {throttled} refused");
    let leaked = calls.iter().filter(|call| call["bearer_leaked"] == true).count();
    ensure!(leaked == 0, "{leaked} calls carried a token where none was needed");
    platform.stop().await
}

#[tokio::test]
async fn a_token_goes_to_no_other_host() -> Result<()> {
    let platform = Platform::start(Options::default()).await?;
    let tenant = Tenant::generated(&platform, &drive_id(), 3, 200, json!({})).await?;
    let page = json!({"value": [], "@odata.nextLink": format!("{}/v1.0/drives/x/root/delta?token=1", platform.webhook_url)});
    platform
        .fault(
            &format!("{}.*delta", encode(&tenant.drive).trim_start_matches("b%21")),
            Some(1),
            json!({"kind": "status", "status": 200, "body": page}),
        )
        .await?;
    tenant.register().await?;
    tenant.quiet(&platform, LATER).await?;
    tenant.compare(&platform).await?;
    let log = std::fs::read_to_string(platform.folder.join("webhook-ingress.log"))?;
    ensure!(!log.contains("root/delta"), "the connector followed a link to another host");
    platform.stop().await
}
