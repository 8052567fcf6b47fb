//! Sends spans in a thread of its own: names, TLS, encoding and a collector that hangs take nothing from whoever decides.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc as blocking,
    },
    thread,
    time::{Duration, Instant},
};

use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig as _, WithTonicConfig as _, tonic_types::transport::ClientTlsConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter},
};
use tokio::{sync::mpsc::Receiver, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::fatal::Fatal;

/// Spans of one call to the collector, at most.
const BATCH: usize = 512;
/// How long the first of few waits for others.
const GATHER: Duration = Duration::from_millis(100);
/// How long a call to the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is said that the collector takes nothing.
const SAID_AGAIN: Duration = Duration::from_secs(60);
/// How long the end of the process waits for its last spans to be sent.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// What became of spans.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: AtomicU64,
    pub(super) lost: AtomicU64,
}

/// The thread that sends, for as long as it is held. Dropped, it waits a moment for the last spans.
#[derive(Debug)]
pub(crate) struct Exporting {
    end: CancellationToken,
    ended: blocking::Receiver<()>,
}

impl Drop for Exporting {
    fn drop(&mut self) {
        self.end.cancel();
        let _ = self.ended.recv_timeout(LAST_SPANS);
    }
}

impl Exporting {
    /// Starts it.
    ///
    /// # Errors
    /// Usage: an endpoint that does not do.
    pub(super) fn start(endpoint: &str, resource: &Resource, spans: Receiver<SpanData>, counts: &Arc<Counts>) -> Result<Self, Fatal> {
        let (ready, started) = blocking::channel();
        let (ending, ended) = blocking::channel();
        let end = CancellationToken::new();
        let (to, resource, counts, asked) = (endpoint.to_owned(), resource.clone(), Arc::clone(counts), end.clone());
        let thread = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(why) => return drop(ready.send(Err(why.to_string()))),
            };
            let exporter = runtime.block_on(async { exporter(&to, &resource) });
            let started = ready.send(exporter.as_ref().map(drop).map_err(Clone::clone));
            if let (Ok(exporter), Ok(())) = (exporter, started) {
                runtime.block_on(export(spans, exporter, &counts, asked));
            }
            drop(ending);
        };
        thread::Builder::new().name("spans".to_owned()).spawn(thread).map_err(|why| Fatal::failed(format!("cannot send spans: {why}")))?;
        let ready = started.recv().unwrap_or_else(|_| Err("the thread that sends them ended".to_owned()));
        ready.map_err(|why| Fatal::usage(format!("--otlp-endpoint: {why}")))?;
        Ok(Self { end, ended })
    }
}

fn exporter(endpoint: &str, resource: &Resource) -> Result<Otlp, String> {
    let mut builder = Otlp::builder().with_tonic().with_endpoint(endpoint).with_timeout(PATIENCE);
    if endpoint.starts_with("https") {
        builder = builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
    }
    let mut exporter = builder.build().map_err(|why| why.to_string())?;
    exporter.set_resource(resource);
    Ok(exporter)
}

/// Sends what waits, batch by batch, until the end is asked for and nothing waits any more.
async fn export(mut spans: Receiver<SpanData>, exporter: impl SpanExporter, counts: &Counts, end: CancellationToken) {
    let mut said: Option<Instant> = None;
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        tokio::select! {
            received = spans.recv_many(&mut batch, BATCH) => if received == 0 { return },
            () = end.cancelled(), if !spans.is_closed() => {
                spans.close();
                continue;
            }
        }
        if batch.len() < BATCH && !spans.is_closed() {
            sleep(GATHER).await;
            while batch.len() < BATCH
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
        }
        let number = batch.len() as u64;
        match exporter.export(batch).await {
            Ok(()) => {
                counts.sent.fetch_add(number, Ordering::Relaxed);
                if said.take().is_some() {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(why) => {
                let lost = counts.lost.fetch_add(number, Ordering::Relaxed) + number;
                if said.is_none_or(|said| said.elapsed() >= SAID_AGAIN) {
                    tracing::warn!(error = %why, spans.lost = lost, "the collector does not take spans");
                    said = Some(Instant::now());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
