//! A double of an OpenTelemetry collector.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span},
};
use tonic::{Request, Response, Status};

use super::{Record, Serving};

/// A running collector.
pub struct Collector {
    serving: Serving,
    record: Record<ExportTraceServiceRequest>,
    hangs: Arc<AtomicBool>,
}

/// A span that was received, and which service sent it.
#[derive(Debug, Clone)]
pub struct Received {
    /// `service.name` of its resource.
    pub service: String,
    /// The span.
    pub span: Span,
}

impl Received {
    /// The value of an attribute; empty where it has none of that name.
    #[must_use]
    pub fn attribute(&self, key: &str) -> String {
        text(&self.span.attributes, key)
    }
}

struct Door {
    record: Record<ExportTraceServiceRequest>,
    hangs: Arc<AtomicBool>,
}

impl Collector {
    /// Starts one that takes everything.
    pub async fn start() -> Self {
        let (record, hangs) = (Record::new(), Arc::new(AtomicBool::new(false)));
        let door = Door { record: record.clone(), hangs: Arc::clone(&hangs) };
        Self { serving: Serving::start(TraceServiceServer::new(door)).await, record, hangs }
    }

    /// Starts one that accepts calls and never answers.
    pub async fn hanging() -> Self {
        let collector = Self::start().await;
        collector.hangs.store(true, Ordering::SeqCst);
        collector
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// What `--otlp-endpoint` takes.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    fn received(&self) -> Vec<ResourceSpans> {
        self.record.all().into_iter().flat_map(|request| request.resource_spans).collect()
    }

    /// Every byte that services of such a name sent.
    #[must_use]
    pub fn sent_by(&self, fits: impl Fn(&str) -> bool) -> Vec<u8> {
        self.received().iter().filter(|of_resource| fits(&service(of_resource))).flat_map(prost::Message::encode_to_vec).collect()
    }

    /// The spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Received> {
        let mut spans = Vec::new();
        for of_resource in self.received() {
            let service = service(&of_resource);
            let of_scope = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(of_scope.map(|span| Received { service: service.clone(), span }));
        }
        spans
    }
}

#[tonic::async_trait]
impl TraceService for Door {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.record.push(request.into_inner());
        if self.hangs.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn service(of_resource: &ResourceSpans) -> String {
    of_resource.resource.as_ref().map(|resource| text(&resource.attributes, "service.name")).unwrap_or_default()
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|one| one.key == key).and_then(|one| one.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}
