//! Spans as the OpenTelemetry SDK makes them, on their way to a queue that nobody waits for.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::EnvResourceDetector,
    trace::{IdGenerator as _, RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tokio::sync::mpsc;
use tonic::metadata::MetadataMap;

use self::export::Counts;
pub(crate) use self::export::Exporting;
use crate::{args::Service, fatal::Fatal, metrics::Metrics};

mod export;
mod parent;

/// How many spans wait to be sent, before further ones are lost: some megabytes.
const QUEUE: usize = 8_192;

#[derive(Clone)]
pub(super) struct Tracer(SdkTracer);

impl Tracer {
    /// A span, where the trace is sampled.
    pub(super) fn span(&self, name: &'static str, metadata: &MetadataMap) -> Option<Recording> {
        let context = parent::of(metadata).map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let span = self.0.span_builder(name).with_kind(SpanKind::Server);
        let span = self.0.build_with_context(span, &context);
        span.is_recording().then(|| Recording { span: Box::new(span), attributes: Vec::new() })
    }
}

/// A span in progress. Dropped, it ends and goes into the queue.
pub(super) struct Recording {
    span: Box<Span>,
    /// Until the end, because the SDK takes a name twice where the last word is meant.
    attributes: Vec<KeyValue>,
}

impl Recording {
    pub(super) fn set(&mut self, key: &'static str, value: Cow<'static, str>) {
        self.attributes.retain(|one| one.key.as_str() != key);
        self.attributes.push(KeyValue::new(key, value));
    }

    pub(super) fn failed(&mut self) {
        self.span.set_status(Status::error(""));
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.span.set_attributes(self.attributes.drain(..));
    }
}

/// Starts the thread that sends spans, and what makes them.
pub(super) fn start(service: &Service, endpoint: &str, ratio: f64, metrics: &Metrics) -> Result<(Tracer, Exporting), Fatal> {
    let resource = resource(service);
    let (queue, waiting) = mpsc::channel(QUEUE);
    let counts = Arc::new(Counts::default());
    let exporting = Exporting::start(endpoint, &resource, waiting, &counts)?;
    read(metrics, "bulkhead_trace_spans_sent_total", "Spans that the collector took.", &counts, |counts| &counts.sent);
    let help = "Spans that were not sent: too many waited, or the collector did not take them.";
    read(metrics, "bulkhead_trace_spans_lost_total", help, &counts, |counts| &counts.lost);
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(sampler(ratio))
        .with_span_processor(Queue { spans: queue, counts })
        .build();
    Ok((Tracer(provider.tracer("bulkhead")), exporting))
}

/// As the trace that a call names is sampled, and so many of those that name none.
fn sampler(ratio: f64) -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)))
}

fn read(metrics: &Metrics, name: &'static str, help: &'static str, counts: &Arc<Counts>, which: fn(&Counts) -> &AtomicU64) {
    let counts = Arc::clone(counts);
    metrics.read_counter(name, help, move || which(&counts).load(Ordering::Relaxed));
}

/// Who sends: an instance of a service. What `OTEL_RESOURCE_ATTRIBUTES` says goes before it.
fn resource(service: &Service) -> Resource {
    let instance = RandomIdGenerator::default().new_trace_id().to_string();
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", service.name),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ])
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build()
}

/// The SDK's own queue counts nothing that we could show, and sends from within a runtime of ours.
#[derive(Debug)]
struct Queue {
    spans: mpsc::Sender<SpanData>,
    counts: Arc<Counts>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
