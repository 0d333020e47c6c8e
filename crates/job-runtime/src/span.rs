//! The spans of attempts: in the trace of the request that enqueued the job, and linked to it as OpenTelemetry
//! asks of consumers.

use broker::Delivery;
use store::jobs::Claim;
use tracing::Span;
use tracing::field::Empty;

/// Most members of a group that its span is linked to.
const MAX_LINKS: usize = 32;

/// The span of one attempt. A job that was claimed in the place of another has no delivery of its own.
pub(crate) fn of_job(queue: &'static str, delivery: Option<&Delivery>, claim: &Claim) -> Span {
    let destination = match delivery {
        Some(delivery) => format!("{}:{}:{queue}", delivery.exchange(), delivery.routing_key()),
        None => queue.to_owned(),
    };
    let span = tracing::info_span!(
        "job",
        otel.name = format!("process {destination}"),
        otel.status_code = Empty,
        error.type = Empty,
        otel.kind = "consumer",
        messaging.system = "rabbitmq",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = destination,
        messaging.rabbitmq.destination.routing_key = claim.kind,
        messaging.rabbitmq.message.delivery_tag = delivery.map(Delivery::tag),
        messaging.message.id = delivery.and_then(Delivery::message_id),
        messaging.message.body.size = delivery.map(|delivery| delivery.body().len()),
        job_id = %claim.fence.job,
        company_id = %claim.fence.company,
        kind = claim.kind,
        attempt = claim.attempt,
    );
    if span.is_disabled() {
        return span;
    }
    // The ledger knows who enqueued the job; the message knows which publishing brought it here.
    let message = delivery.map(Delivery::trace).filter(|trace| trace.trace_id().is_some());
    let own = Some(&claim.trace).filter(|trace| trace.trace_id().is_some()).or(message.as_ref());
    if let Some(parent) = own {
        parent.set_as_parent_of(&span);
        message.as_ref().unwrap_or(parent).link_to(&span);
    }
    span
}

/// The span of one call of a group handler, linked to the requests behind its jobs.
pub(crate) fn of_group<'a>(
    queue: &'static str,
    kind: &'static str,
    claims: impl ExactSizeIterator<Item = &'a Claim>,
) -> Span {
    let span = tracing::info_span!(
        "jobs",
        otel.name = format!("process {queue}"),
        otel.kind = "consumer",
        messaging.system = "rabbitmq",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = queue,
        messaging.batch.message_count = claims.len(),
        kind,
    );
    if !span.is_disabled() {
        for claim in claims.take(MAX_LINKS) {
            claim.trace.link_to(&span);
        }
    }
    span
}
