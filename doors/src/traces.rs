//! Spans of decisions, over OTLP to a collector: behind the feature `otlp`, and behind `--otlp-endpoint`.
//!
//! A span joins the trace that Envoy's call names in its gRPC metadata (`traceparent`, W3C Trace Context). A `traceparent` in the request that is judged is
//! the client's word and names nobody's parent; Envoy passes it on where it believes it. Whoever decides never waits for the collector: spans find room in a
//! bounded queue or are lost, and counted.
//!
//! What stands in a span has a type or a name in the code, and a bounded length: no header, path, token, key or body.

use std::borrow::Cow;

use bulkhead_tenancy::tenant::Tenant;
use tonic::metadata::MetadataMap;

use crate::{args::Service, fatal::Fatal, metrics::Metrics};

#[cfg(not(feature = "otlp"))]
#[path = "traces/absent.rs"]
mod otlp;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(test)]
mod tests;

pub(crate) use self::otlp::Exporting;

/// The longest value of an attribute, in characters.
const LONGEST: usize = 128;

/// Where spans go, and how many.
#[derive(Debug, Clone, clap::Args)]
pub struct TraceArgs {
    /// Where spans of decisions are sent: OTLP over gRPC, http://HOST:PORT or https://HOST:PORT (by the system's roots); without it there are none
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub otlp_endpoint: Option<String>,
    /// How many of the decisions that belong to no trace of Envoy's begin one, from 0 to 1; those of a trace are sent if the trace is sampled
    #[arg(long, value_name = "RATIO", value_parser = ratio, default_value = "1")]
    pub otlp_sample_ratio: f64,
}

/// Makes spans, or none. A clone is a reference.
#[derive(Clone, Default)]
pub struct Traces(Option<otlp::Tracer>);

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traces").field("on", &self.0.is_some()).finish()
    }
}

impl Traces {
    /// As the flags say. Spans are sent for as long as the other half is held; dropped, it waits a moment for the last ones.
    ///
    /// # Errors
    /// Usage (status 2): an endpoint that does not do.
    pub(crate) fn start(service: &Service, args: &TraceArgs, metrics: &Metrics) -> Result<(Self, Option<Exporting>), Fatal> {
        let Some(endpoint) = &args.otlp_endpoint else { return Ok((Self(None), None)) };
        let (tracer, exporting) = otlp::start(service, endpoint, args.otlp_sample_ratio, metrics)?;
        Ok((Self(Some(tracer)), Some(exporting)))
    }

    /// Begins the span of a call, by what the call's metadata says of its trace. Dropped, it ends.
    #[must_use]
    pub fn span(&self, name: &'static str, metadata: &MetadataMap) -> Span {
        Span(self.0.as_ref().and_then(|tracer| tracer.span(name, metadata)))
    }
}

/// The span of one call, if it has one.
#[derive(Default)]
pub struct Span(Option<otlp::Recording>);

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Span").field("on", &self.0.is_some()).finish()
    }
}

impl Span {
    /// Whose call it is: the proven tenant, which only a snapshot has; none is told of where none is proven.
    pub fn tenant(&mut self, tenant: Option<&Tenant>) {
        self.own("tenant_id", tenant.map(|tenant| tenant.name.as_str()));
    }

    /// The API of that tenant's contract.
    pub fn api(&mut self, name: Option<&str>) {
        self.own("bulkhead.api", name);
    }

    /// The decision's id.
    pub fn decision(&mut self, id: Option<&str>) {
        self.own("bulkhead.decision_id", id);
    }

    /// What was decided; said again, the last word counts.
    pub fn verdict(&mut self, verdict: &'static str) {
        self.set("bulkhead.verdict", verdict);
    }

    /// The level that denied.
    pub fn scope(&mut self, scope: &'static str) {
        self.set("bulkhead.scope", scope);
    }

    /// What was done with the body of the request, or of the answer.
    pub fn body(&mut self, side: &'static str, handled: &'static str) {
        let key = if side == "request" { "bulkhead.request_body" } else { "bulkhead.response_body" };
        self.set(key, handled);
    }

    /// It was not decided as it should have been, because of us or of what we need.
    pub fn failed(&mut self) {
        if let Some(recording) = &mut self.0 {
            recording.failed();
        }
    }

    fn own(&mut self, key: &'static str, value: Option<&str>) {
        if let (true, Some(value)) = (self.0.is_some(), value) {
            self.set(key, value.chars().take(LONGEST).collect::<String>());
        }
    }

    fn set(&mut self, key: &'static str, value: impl Into<Cow<'static, str>>) {
        if let Some(recording) = &mut self.0 {
            recording.set(key, value.into());
        }
    }
}

/// Reads `--otlp-endpoint`.
fn endpoint(text: &str) -> Result<String, String> {
    if !cfg!(feature = "otlp") {
        return Err("this build sends no spans: it was built without the feature `otlp`".to_owned());
    }
    let wrong = || "must be http://HOST:PORT or https://HOST:PORT".to_owned();
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let host = uri.authority().filter(|authority| !authority.as_str().contains('@') && authority.port_u16().is_some());
    let whole =
        host.is_some() && matches!(uri.scheme_str(), Some("http" | "https")) && matches!(uri.path(), "" | "/") && uri.query().is_none();
    if whole { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// Reads `--otlp-sample-ratio`.
fn ratio(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or_else(|| "must be a number from 0 to 1".to_owned())
}
