//! What a service tells of itself: metrics, logs and spans, from before anything else happens until all else has ended.

use crate::{
    args::{DoorArgs, Service},
    fatal::Fatal,
    logs::{self, Logs},
    metrics::Metrics,
    traces::{Exporting, Traces},
};

/// All of it. Hold it to the end: what is logged or traced after it is dropped is lost.
#[derive(Debug)]
#[must_use = "dropped, it ends"]
pub struct Telemetry {
    /// What is counted.
    pub metrics: Metrics,
    /// What makes spans.
    pub traces: Traces,
    // Dropped in this order: the first may have something to log.
    _exporting: Option<Exporting>,
    _logs: Logs,
}

impl Telemetry {
    /// Starts it as the flags say, once a process.
    ///
    /// # Errors
    /// Usage (status 2): an endpoint for spans that does not do. A failure where something else has set up logging or metrics.
    pub fn start(service: &Service, args: &DoorArgs) -> Result<Self, Fatal> {
        let metrics = Metrics::install()?;
        let logs = logs::install(&args.logs, &metrics)?;
        let (traces, exporting) = Traces::start(service, &args.traces, &metrics)?;
        Ok(Self { metrics, traces, _exporting: exporting, _logs: logs })
    }
}
