//! Which events are printed, changeable while the process runs.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Directives for events. Spans of level INFO and above always pass, because a warning's line
/// takes its trace, request and job ids from the spans around it.
pub(super) struct LogFilter {
    directives: String,
    inner: EnvFilter,
}

impl LogFilter {
    pub(super) fn info() -> Self {
        "info".parse().expect("a plain level is valid")
    }

    pub(super) fn warn() -> Self {
        "warn".parse().expect("a plain level is valid")
    }

    fn keeps_span(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && *metadata.level() <= Level::INFO
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(directives: &str) -> Result<Self, Self::Err> {
        // A lone word that is no level would count as a target and silence everything.
        let word = directives.trim();
        let level = word.parse::<LevelFilter>().is_ok();
        if word.is_empty() || (!level && word.chars().all(|c| c.is_ascii_alphabetic())) {
            return Err(
                "must be off, error, warn, info, debug, trace, or directives such as info,store=debug".into(),
            );
        }
        let inner = EnvFilter::builder().parse(word).map_err(|error| error.to_string())?;
        Ok(Self { directives: word.to_owned(), inner })
    }
}

impl Clone for LogFilter {
    fn clone(&self) -> Self {
        self.directives.parse().expect("it was parsed before")
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.directives, f)
    }
}

impl<S: tracing::Subscriber> Filter<S> for LogFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        Self::keeps_span(metadata) || Filter::enabled(&self.inner, metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The inner filter is asked in any case: it registers span directives here.
        let interest = Filter::<S>::callsite_enabled(&self.inner, metadata);
        if Self::keeps_span(metadata) { Interest::always() } else { interest }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&self.inner).map(|hint| hint.max(LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Filter::on_new_span(&self.inner, attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Filter::on_record(&self.inner, id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Filter::on_enter(&self.inner, id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Filter::on_exit(&self.inner, id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Filter::on_close(&self.inner, id, context);
    }
}

/// The subscriber that the log layer sits on.
pub(super) type Base = tracing_subscriber::layer::Layered<SpanLayer, Registry>;
/// The tracing layer below the log layer.
pub(super) type SpanLayer = tracing_subscriber::filter::Filtered<
    tracing_opentelemetry::OpenTelemetryLayer<Registry, opentelemetry_sdk::trace::SdkTracer>,
    LevelFilter,
    Registry,
>;

/// Changes the filter of the running process.
pub(super) struct Switch(reload::Handle<LogFilter, Base>);

impl Switch {
    pub(super) fn current(&self) -> String {
        self.0.with_current(|filter| filter.directives.clone()).unwrap_or_default()
    }

    pub(super) fn set(&self, filter: LogFilter) -> Result<(), String> {
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

/// A filter and the switch that changes it.
pub(super) fn switchable(filter: LogFilter) -> (reload::Layer<LogFilter, Base>, Switch) {
    let (layer, handle) = reload::Layer::new(filter);
    (layer, Switch(handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_checked() {
        for good in ["info", "DEBUG", "off", "info,store=debug", "warn,sync_worker::documents=trace"] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["", "loud", "info,store=loud", "=,="] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }
}
