//! The span of one message on its way to the broker (OpenTelemetry messaging conventions).

use chassis::trace::TraceContext;
use tracing::Span;

use crate::publisher::Outgoing;

/// Begins the span of publishing `message`, in the trace of the request that enqueued its job, and gives the context
/// that travels in the message's headers: consumers link to it. The batch under way is linked to it as well. A
/// message whose trace nobody records has no span, and carries the context of its row.
pub(crate) fn of_message(exchange: &str, message: &Outgoing) -> (Span, TraceContext) {
    if !message.trace.is_sampled() {
        return (Span::none(), message.trace.clone());
    }
    let destination = format!("{exchange}:{}", message.routing_key);
    let span = tracing::info_span!(
        parent: None,
        "message",
        otel.name = format!("publish {destination}"),
        otel.kind = "producer",
        messaging.system = "rabbitmq",
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.destination.name = destination,
        messaging.rabbitmq.destination.routing_key = message.routing_key,
        messaging.message.id = message.message_id,
        messaging.message.body.size = message.body.len(),
        company_id = %message.company,
    );
    message.trace.set_as_parent_of(&span);
    let context = TraceContext::of(&span);
    if context.trace_id().is_none() {
        return (span, message.trace.clone());
    }
    context.link_to(&Span::current());
    (span, context)
}
