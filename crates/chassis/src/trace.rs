//! W3C trace context (<https://www.w3.org/TR/trace-context/>) as data that travels in headers, rows
//! and messages.

use std::collections::HashMap;

use http::{HeaderMap, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde::{Deserialize, Serialize};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Header and field name of the trace and parent ids.
const TRACEPARENT: &str = "traceparent";
/// Header and field name of the vendors' part.
const TRACESTATE: &str = "tracestate";
/// Longest tracestate that is passed on (the standard asks for at least 512 characters).
const MAX_TRACESTATE: usize = 512;

/// The place in a trace that work belongs to. Empty when there is none; what is not valid is kept
/// out on the way in, and ignored when it comes from a stored row.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<trace id>-<parent id>-<flags>`, lower case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Vendor list, passed on unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// The context of the current span.
    pub fn current() -> Self {
        Self::of(&tracing::Span::current())
    }

    /// The context of `span`. Fixes the span's parent: set that first.
    pub fn of(span: &tracing::Span) -> Self {
        Self::from_span_context(span.context().span().span_context())
    }

    /// What the headers carry. A malformed or repeated `traceparent` counts as none, as the
    /// standard asks; a malformed `tracestate` is dropped alone.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (parents.next(), parents.next()) else {
            return Self::default();
        };
        let states: Vec<&str> =
            headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
        let received = Self {
            traceparent: parent.to_str().ok().map(str::to_owned),
            tracestate: Some(states.join(",")).filter(|state| !state.is_empty()),
        };
        received.span_context().map(|context| Self::from_span_context(&context)).unwrap_or_default()
    }

    /// Writes the context into `headers`, in place of what stands there; an invalid one leaves them.
    pub fn inject(&self, headers: &mut HeaderMap) {
        let Some(clean) = self.span_context().map(|context| Self::from_span_context(&context)) else {
            return;
        };
        for (name, value) in [(TRACEPARENT, clean.traceparent), (TRACESTATE, clean.tracestate)] {
            headers.remove(name);
            if let Some(value) = value.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.insert(name, value);
            }
        }
    }

    /// The trace's id, 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.span_context()?;
        self.traceparent.as_deref()?.trim().get(3..35)
    }

    /// Whether someone records the trace.
    pub fn is_sampled(&self) -> bool {
        self.span_context().is_some_and(|context| context.is_sampled())
    }

    /// Makes `span` a child of this context. Call it right after the span was made: a span that has
    /// been entered, logged in or asked for its context keeps the parent that it had.
    pub fn set_as_parent_of(&self, span: &tracing::Span) {
        if let Some(context) = self.span_context() {
            // Fails only for a span that is disabled or already under way, where there is nothing to do.
            let _ = span.set_parent(Context::new().with_remote_span_context(context));
        }
    }

    /// Links `span` to this context, as a consumer does to the producer of its message.
    pub fn link_to(&self, span: &tracing::Span) {
        if let Some(context) = self.span_context() {
            span.add_link(context);
        }
    }

    fn span_context(&self) -> Option<SpanContext> {
        let parent = self.traceparent.as_deref()?.trim();
        // The SDK accepts short and signed fields; the standard fixes their width.
        let bytes = parent.as_bytes();
        let fixed = bytes.len() >= 55 && [2, 35, 52].iter().all(|at| bytes[*at] == b'-');
        let digits = bytes.iter().take(55).all(|b| matches!(b, b'-' | b'0'..=b'9' | b'a'..=b'f'));
        if !fixed || !digits || (bytes.len() > 55 && bytes[55] != b'-') {
            return None;
        }
        let mut carrier = HashMap::from([(TRACEPARENT.to_owned(), parent.to_owned())]);
        if let Some(state) = self.tracestate.as_ref().filter(|state| state.len() <= MAX_TRACESTATE) {
            carrier.insert(TRACESTATE.to_owned(), state.clone());
        }
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        let span_context = context.span().span_context().clone();
        span_context.is_valid().then_some(span_context)
    }

    fn from_span_context(context: &SpanContext) -> Self {
        if !context.is_valid() {
            return Self::default();
        }
        let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags().to_u8());
        let state = context.trace_state().header();
        Self {
            traceparent: Some(format!("00-{trace}-{span}-{flags:02x}")),
            tracestate: Some(state).filter(|state| !state.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(*name, value);
            }
        }
        headers
    }

    #[test]
    fn a_valid_context_survives_the_way_in_and_out() {
        let context = TraceContext::from_headers(&headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1,b=2")]));
        assert_eq!(context.traceparent.as_deref(), Some(PARENT));
        assert_eq!(context.tracestate.as_deref(), Some("a=1,b=2"));
        assert_eq!(context.trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
        let mut out = headers(&[(TRACEPARENT, "stale")]);
        context.inject(&mut out);
        assert_eq!(TraceContext::from_headers(&out), context);
    }

    #[test]
    fn malformed_and_repeated_parents_count_as_none() {
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-001",
        ] {
            assert_eq!(
                TraceContext::from_headers(&headers(&[(TRACEPARENT, bad)])),
                TraceContext::default(),
                "{bad}"
            );
        }
        let twice = headers(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]);
        assert_eq!(TraceContext::from_headers(&twice), TraceContext::default());
        let later_version = PARENT.replacen("00", "cc", 1) + "-what";
        let context = TraceContext::from_headers(&headers(&[(TRACEPARENT, &later_version)]));
        assert_eq!(context.traceparent.as_deref(), Some(PARENT), "read as version 00");
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_never_leaves(parent in "\\PC{0,80}", state in "\\PC{0,600}") {
            let stored = TraceContext { traceparent: Some(parent.clone()), tracestate: Some(state.clone()) };
            let mut out = HeaderMap::new();
            stored.inject(&mut out);
            prop_assert_eq!(stored.trace_id().is_some(), out.contains_key(TRACEPARENT));
            let _ = TraceContext::from_headers(&headers(&[(TRACEPARENT, &parent), (TRACESTATE, &state)]));
        }

        #[test]
        fn near_misses_are_read_or_refused_whole(
            mut parent in "0[0-9a-f]-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", at in 0..55usize, to in "[ -~]",
        ) {
            parent.replace_range(at..=at, &to);
            let context = TraceContext::from_headers(&headers(&[(TRACEPARENT, &parent)]));
            if let Some(id) = context.trace_id() {
                prop_assert_eq!(id, &parent[3..35]);
            }
        }
    }
}
