//! One line per event: `timestamp`, `level`, `target`, `message`, `service`, the ids of the spans
//! around it (`trace_id`, `request_id`, `job_id`) and `fields`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;

use chrono::SecondsFormat;
use domain::time::Clock;
use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::dispatcher::WeakDispatch;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;
use super::fields::Fields;
use crate::time::SystemClock;

/// Span fields that stand at the top of a line, where searches expect them.
const IDS: [&str; 2] = ["request_id", "job_id"];

/// Writes events to standard output.
pub(super) struct LogLayer {
    service: &'static str,
    format: LogFormat,
    dispatch: OnceLock<WeakDispatch>,
}

impl LogLayer {
    pub(super) fn new(service: &'static str, format: LogFormat) -> Self {
        Self { service, format, dispatch: OnceLock::new() }
    }

    /// The trace of the innermost span around the event.
    fn trace_id(&self, span: &Id) -> Option<String> {
        let dispatch = self.dispatch.get()?.upgrade()?;
        let context = tracing_opentelemetry::get_otel_context(span, &dispatch)?;
        let id = context.span().span_context().trace_id();
        (id != opentelemetry::TraceId::INVALID).then(|| id.to_string())
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.dispatch.get_or_init(|| dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut ids = Map::new();
        if let Some(innermost) = context.event_span(event) {
            if let Some(trace_id) = self.trace_id(&innermost.id()) {
                ids.insert("trace_id".to_owned(), Value::from(trace_id));
            }
            for span in innermost.scope() {
                let extensions = span.extensions();
                let Some(Fields(around)) = extensions.get::<Fields>() else { continue };
                for id in IDS {
                    if let Some(value) = around.get(id).filter(|_| !ids.contains_key(id)) {
                        ids.insert(id.to_owned(), value.clone());
                    }
                }
            }
        }
        // The event's own ids win over those of the spans.
        for id in ["trace_id", IDS[0], IDS[1]] {
            if let Some(value) = fields.0.remove(id) {
                ids.insert(id.to_owned(), value);
            }
        }
        let message = match fields.0.remove("message") {
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let metadata = event.metadata();
        let line = Line {
            level: metadata.level().as_str(),
            target: metadata.target(),
            service: self.service,
            message,
            ids,
            fields: fields.0,
        };
        let text = match self.format {
            LogFormat::Json => line.json(),
            LogFormat::Pretty => line.pretty(),
        };
        // A closed standard output must not stop the service.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }
}

struct Line {
    level: &'static str,
    target: &'static str,
    service: &'static str,
    message: String,
    ids: Map<String, Value>,
    fields: Map<String, Value>,
}

impl Line {
    fn timestamp() -> String {
        SystemClock.now().to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    fn json(self) -> String {
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), Value::from(Self::timestamp()));
        line.insert("level".to_owned(), Value::from(self.level));
        line.insert("target".to_owned(), Value::from(self.target));
        line.insert("message".to_owned(), Value::from(self.message));
        line.insert("service".to_owned(), Value::from(self.service));
        line.extend(self.ids);
        if !self.fields.is_empty() {
            line.insert("fields".to_owned(), Value::Object(self.fields));
        }
        Value::Object(line).to_string() + "\n"
    }

    fn pretty(self) -> String {
        let mut text = format!("{} {:5} {}: {}", Self::timestamp(), self.level, self.target, self.message);
        for (name, value) in self.fields.iter().chain(&self.ids) {
            let _ = match value {
                Value::String(value) => write!(text, " {name}={value}"),
                value => write!(text, " {name}={value}"),
            };
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_is_one_line_with_the_ids_on_top() {
        let line = Line {
            level: "WARN",
            target: "store",
            service: "api",
            message: "two\nlines".to_owned(),
            ids: Map::from_iter([("trace_id".to_owned(), Value::from("ab"))]),
            fields: Map::from_iter([("count".to_owned(), Value::from(3))]),
        };
        let text = line.json();
        assert_eq!(text.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["trace_id"], "ab");
        assert_eq!(value["fields"]["count"], 3);
        assert_eq!(value["message"], "two\nlines");
    }
}
