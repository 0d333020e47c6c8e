//! One trace from a request to the provider, as a collector sees it.

mod collector;

use anyhow::{Context as _, Result, bail, ensure};
use outbound::Method;
use serde_json::json;
use testkit::e2e::patience::wait_until;
use testkit::e2e::{Options, Platform};

use collector::{Collector, Seen};

use crate::support::{SOON, imported, mutate, subscribed};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// A platform whose services export what they do at once.
async fn traced(collector: &Collector) -> Result<Platform> {
    let options = Options::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    Platform::start(options).await
}

/// The one span of a trace that fits.
fn one<'a>(spans: &'a [Seen], what: &str, fits: impl Fn(&Seen) -> bool) -> Result<&'a Seen> {
    let found: Vec<&Seen> = spans.iter().filter(|span| fits(span)).collect();
    match found[..] {
        [span] => Ok(span),
        _ => bail!("{} spans are {what} in {:#?}", found.len(), spans),
    }
}

fn text(span: &Seen, name: &str, expected: &str) -> Result<()> {
    let found = span.attributes.get(name).map(String::as_str);
    ensure!(found == Some(expected), "{name} of {} is {found:?}, not {expected:?}", span.name);
    Ok(())
}

fn present(span: &Seen, names: &[&str]) -> Result<()> {
    for name in names {
        ensure!(span.attributes.contains_key(*name), "{} has no {name}: {:?}", span.name, span.attributes);
    }
    Ok(())
}

/// Every parent is a span of the same trace, but that of the first, which is `above`.
fn connected(spans: &[Seen], above: &str) -> Result<()> {
    for span in spans {
        let known = span.parent == above || spans.iter().any(|other| other.id == span.parent);
        ensure!(
            known,
            "{} of {} is an orphan: nobody sent its parent {:?}",
            span.name,
            span.service,
            span.parent
        );
    }
    Ok(())
}

/// Whether `above` is the span or one above it.
fn is_below(spans: &[Seen], span: &Seen, above: &str) -> bool {
    let mut at = span;
    loop {
        if at.id == above {
            return true;
        }
        match spans.iter().find(|other| other.id == at.parent) {
            Some(parent) => at = parent,
            None => return false,
        }
    }
}

/// The way of a job of this kind: published by the scheduler, processed by a worker, carried to the provider.
fn way_of_job(spans: &[Seen], request: &Seen, kind: &str) -> Result<()> {
    let publish = one(spans, "publishing the job", |span| {
        span.kind == PRODUCER
            && span
                .attributes
                .get("messaging.rabbitmq.destination.routing_key")
                .is_some_and(|key| key == kind)
    })?;
    ensure!(
        publish.service == "scheduler" && publish.parent == request.id,
        "published beside the request: {publish:?}"
    );
    text(publish, "messaging.system", "rabbitmq")?;
    text(publish, "messaging.operation.name", "publish")?;
    text(publish, "messaging.operation.type", "send")?;
    let destination = publish.attributes.get("messaging.destination.name").context("a destination")?;
    ensure!(destination.ends_with(&format!("jobs:{kind}")), "published to {destination}");
    ensure!(publish.name == format!("publish {destination}"), "named {}", publish.name);
    present(publish, &["messaging.message.id", "messaging.message.body.size"])?;

    let process = one(spans, "processing the job", |span| {
        span.kind == CONSUMER && span.attributes.get("kind").is_some_and(|found| found == kind)
    })?;
    ensure!(
        process.service == "sync-worker" && process.parent == request.id,
        "processed beside the request: {process:?}"
    );
    ensure!(
        process.links.contains(&(publish.trace.clone(), publish.id.clone())),
        "the consumer is not linked to the producer: {:?}",
        process.links
    );
    text(process, "messaging.system", "rabbitmq")?;
    text(process, "messaging.operation.name", "process")?;
    text(process, "messaging.operation.type", "process")?;
    text(process, "messaging.rabbitmq.destination.routing_key", kind)?;
    text(process, "messaging.message.id", publish.attributes.get("messaging.message.id").context("an id")?)?;
    let consumed = process.attributes.get("messaging.destination.name").context("a destination")?;
    ensure!(
        consumed.starts_with(destination.as_str()) && consumed.ends_with("jobs.documents"),
        "consumed from {consumed}, published to {destination}"
    );

    let call = spans
        .iter()
        .find(|span| {
            span.kind == CLIENT && span.service == "sync-worker" && is_below(spans, span, &process.id)
        })
        .context("a call of the connector below the job")?;
    present(call, &["rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"])?;
    let provider = spans
        .iter()
        .filter(|span| span.kind == CLIENT && span.service == "graph-connector")
        .find(|span| is_below(spans, span, &process.id))
        .context("a call of the provider below the job")?;
    present(provider, &["http.request.method", "http.response.status_code", "server.address", "url.full"])?;
    let served = spans.iter().find(|span| span.id == provider.parent).context("what called the provider")?;
    ensure!(served.kind == SERVER && served.service == "graph-connector", "called by {served:?}");
    let asked = spans.iter().find(|span| span.id == served.parent).context("who asked the connector")?;
    ensure!(asked.kind == CLIENT && asked.service == "sync-worker", "asked by {asked:?}");
    Ok(())
}

#[tokio::test]
async fn a_request_is_one_trace_down_to_the_provider() -> Result<()> {
    let collector = Collector::start().await?;
    let platform = traced(&collector).await?;
    let tenant = imported(&platform, 81, 120, json!({})).await?;
    let aos = tenant.api.get("/api/aos?limit=1").await?;
    let ao = aos["items"][0]["id"].as_str().context("an AO")?.to_owned();

    let (trace, above) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let path = format!("/api/sync/onedrive/{ao}?force=true");
    let traceparent = format!("00-{trace}-{above}-01");
    let answer = tenant.api.call_in_trace(Method::POST, &path, None, Some(&traceparent)).await?;
    ensure!(answer.status.as_u16() == 202, "{answer:?}");
    ensure!(answer.header("x-trace-id") == Some(trace), "the answer names another trace");
    tenant.quiet(&platform, SOON).await?;

    wait_until(SOON, "the trace is complete", async || {
        Ok(connected(&collector.trace(trace), above).is_ok()
            && collector.trace(trace).iter().any(|span| span.kind == CONSUMER))
    })
    .await?;
    let spans = collector.trace(trace);
    let root = one(&spans, "the request", |span| span.parent == above)?;
    ensure!(root.kind == SERVER && root.service == "api", "{root:?}");
    ensure!(root.name == "POST /api/sync/onedrive/{aoId}", "named {}", root.name);
    text(root, "http.response.status_code", "202")?;
    way_of_job(&spans, root, "documents.sync_ao")?;

    // The batch that carried the message says how many it had, and is linked to it.
    let published = one(&spans, "the publishing", |span| span.kind == PRODUCER)?;
    let batches = collector.all();
    let batch = batches
        .iter()
        .find(|span| {
            span.links.contains(&(published.trace.clone(), published.id.clone()))
                && span.service == "scheduler"
        })
        .context("the batch of the message")?;
    present(batch, &["messaging.batch.message_count", "messaging.system", "messaging.destination.name"])?;
    platform.stop().await
}

#[tokio::test]
async fn a_notification_is_one_trace_down_to_the_provider() -> Result<()> {
    let collector = Collector::start().await?;
    let platform = traced(&collector).await?;
    let tenant = imported(&platform, 82, 120, json!({})).await?;
    subscribed(&platform, &tenant).await?;
    mutate(&platform, &tenant, 5, 3).await?;

    let complete = || {
        let all = collector.all();
        let roots = all.iter().filter(|span| {
            span.service == "webhook-ingress"
                && span.kind == SERVER
                && span.name.starts_with("POST /api/webhooks/")
        });
        roots.cloned().find_map(|root| {
            let spans = collector.trace(&root.trace);
            way_of_job(&spans, &root, "documents.sync_drive").ok()?;
            connected(&spans, "").ok()?;
            Some(())
        })
    };
    wait_until(SOON, "a notification leads to the provider in one trace", async || Ok(complete().is_some()))
        .await?;
    platform.stop().await
}

#[tokio::test]
async fn a_failed_call_says_so_in_its_trace() -> Result<()> {
    let collector = Collector::start().await?;
    let platform = traced(&collector).await?;
    let tenant = imported(&platform, 83, 60, json!({})).await?;
    platform.fault("delta", Some(1), json!({ "kind": "status", "status": 503 })).await?;
    tenant.sync().await?;
    tenant.quiet(&platform, SOON).await?;
    wait_until(SOON, "the refused call is in a trace", async || {
        Ok(collector.all().iter().any(|span| {
            span.service == "graph-connector"
                && span.failed
                && span.attributes.get("error.type").is_some_and(|kind| kind == "503")
        }))
    })
    .await?;
    platform.stop().await
}
