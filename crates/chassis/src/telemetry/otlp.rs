//! Spans: their ids always, their export when a collector is configured.

use std::time::Duration;

use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

/// Longest time that the end of the process waits for the collector.
const FLUSH: Duration = Duration::from_secs(2);
/// Longest time of one export.
const EXPORT: Duration = Duration::from_secs(5);

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter refused its settings.
    #[error("the OTLP exporter cannot be built for {endpoint}")]
    Exporter {
        /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
        endpoint: String,
        /// What it said.
        #[source]
        source: ExporterBuildError,
    },
}

#[derive(Debug)]
pub(super) struct Traces {
    pub(super) provider: SdkTracerProvider,
    exporting: bool,
}

impl Traces {
    pub(super) fn new(service: &'static str, endpoint: Option<&str>) -> Result<Self, TelemetryError> {
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(opentelemetry::KeyValue::new("service.version", crate::process::VERSION))
            .build();
        let builder = SdkTracerProvider::builder().with_resource(resource);
        let provider = match endpoint {
            Some(endpoint) => {
                let exporter = SpanExporter::builder()
                    .with_tonic()
                    .with_endpoint(endpoint)
                    .with_timeout(EXPORT)
                    .build()
                    .map_err(|source| TelemetryError::Exporter { endpoint: endpoint.to_owned(), source })?;
                builder.with_batch_exporter(exporter).build()
            }
            // Nobody reads the spans: give out ids, keep the caller's decision, record nothing else.
            None => builder.with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff))).build(),
        };
        Ok(Self { provider, exporting: endpoint.is_some() })
    }

    pub(super) fn shut_down(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH)
            && self.exporting
        {
            tracing::warn!(error = super::chain(&error), "the last spans may be lost");
        }
    }
}
