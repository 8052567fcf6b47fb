use std::{borrow::Cow, sync::Mutex, time::SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanEvents, SpanLinks},
};
use tokio::sync::mpsc::{Sender, channel};

use super::*;

/// A collector that refuses its first calls.
#[derive(Debug, Clone, Default)]
struct Collector {
    calls: Arc<Mutex<Vec<usize>>>,
    refuses: Arc<Mutex<usize>>,
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.calls.lock().unwrap().push(batch.len());
        let mut refuses = self.refuses.lock().unwrap();
        if *refuses > 0 {
            *refuses -= 1;
            return Err(OTelSdkError::InternalFailure("no".to_owned()));
        }
        Ok(())
    }
}

fn span() -> SpanData {
    SpanData {
        span_context: SpanContext::empty_context(),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Server,
        name: Cow::Borrowed("Check"),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: opentelemetry::InstrumentationScope::default(),
    }
}

fn waiting(number: usize) -> (Sender<SpanData>, Receiver<SpanData>) {
    let (queue, spans) = channel(2 * BATCH);
    (0..number).for_each(|_| queue.try_send(span()).unwrap());
    (queue, spans)
}

#[tokio::test]
async fn everything_that_waits_is_sent_before_the_end_in_bounded_calls() {
    let (_queue, spans) = waiting(BATCH + 3);
    let (collector, counts, end) = (Collector::default(), Counts::default(), CancellationToken::new());
    end.cancel();
    export(spans, collector.clone(), &counts, end).await;
    assert_eq!(*collector.calls.lock().unwrap(), [BATCH, 3]);
    assert_eq!((counts.sent.into_inner(), counts.lost.into_inner()), (BATCH as u64 + 3, 0));
}

#[tokio::test]
async fn what_the_collector_refuses_is_lost_and_counted_and_the_next_are_sent() {
    let (_queue, spans) = waiting(BATCH + 3);
    let (collector, counts, end) =
        (Collector { refuses: Arc::new(Mutex::new(1)), ..Collector::default() }, Counts::default(), CancellationToken::new());
    end.cancel();
    export(spans, collector, &counts, end).await;
    assert_eq!((counts.sent.into_inner(), counts.lost.into_inner()), (3, BATCH as u64));
}

#[tokio::test]
async fn a_few_that_come_together_are_sent_together() {
    let (queue, spans) = waiting(1);
    let (collector, counts, end) = (Collector::default(), Arc::new(Counts::default()), CancellationToken::new());
    let sending = tokio::spawn({
        let (collector, counts, end) = (collector.clone(), Arc::clone(&counts), end.clone());
        async move { export(spans, collector, &counts, end).await }
    });
    while queue.capacity() < 2 * BATCH {
        tokio::task::yield_now().await;
    }
    queue.try_send(span()).unwrap();
    while counts.sent.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*collector.calls.lock().unwrap(), [2]);
    end.cancel();
    sending.await.unwrap();
}

#[test]
fn the_end_does_not_wait_for_a_collector_that_hangs() {
    let (_ending, ended) = blocking::channel();
    let exporting = Exporting { end: CancellationToken::new(), ended };
    let end = exporting.end.clone();
    drop(exporting);
    assert!(end.is_cancelled());
}
