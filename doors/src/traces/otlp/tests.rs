use opentelemetry::trace::SpanId;
use tokio::sync::mpsc::Receiver;

use super::{super::Span as Ours, *};

/// A tracer whose spans go nowhere but into its queue.
fn tracer(queue: usize, ratio: f64) -> (Tracer, Receiver<SpanData>, Arc<Counts>) {
    let (spans, waiting) = mpsc::channel(queue);
    let counts = Arc::new(Counts::default());
    let provider =
        SdkTracerProvider::builder().with_sampler(sampler(ratio)).with_span_processor(Queue { spans, counts: Arc::clone(&counts) }).build();
    (Tracer(provider.tracer("test")), waiting, counts)
}

fn called(traceparent: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("traceparent", traceparent.parse().unwrap());
    metadata
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

#[test]
fn a_span_is_a_child_of_what_the_call_names_and_its_values_are_bounded() {
    let (tracer, mut waiting, _) = tracer(1, 0.0);
    let mut span = Ours(tracer.span("Check", &called(SAMPLED)));
    span.verdict("allow");
    span.verdict("unavailable");
    span.decision(Some(&"ü".repeat(1_000)));
    span.tenant(None);
    span.failed();
    drop(span);
    let span = waiting.try_recv().unwrap();
    assert_eq!((span.name.as_ref(), &span.span_kind), ("Check", &SpanKind::Server));
    assert_eq!(span.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_ne!(span.span_context.span_id().to_string(), "b7ad6b7169203331");
    let attributes: Vec<(&str, usize)> = span.attributes.iter().map(|one| (one.key.as_str(), one.value.as_str().chars().count())).collect();
    assert_eq!(attributes, [("bulkhead.verdict", 11), ("bulkhead.decision_id", 128)]);
    assert!(matches!(span.status, Status::Error { .. }));
}

#[test]
fn a_trace_that_is_not_sampled_has_no_span_and_the_ratio_is_for_calls_without_one() {
    for (ratio, call, recorded) in [
        (1.0, called(UNSAMPLED), false),
        (0.0, called(SAMPLED), true),
        (1.0, MetadataMap::new(), true),
        (0.0, MetadataMap::new(), false),
        (1.0, called("not a parent"), true),
        (0.0, called("not a parent"), false),
    ] {
        let (tracer, mut waiting, _) = tracer(1, ratio);
        let span = tracer.span("Check", &call);
        assert_eq!(span.is_some(), recorded, "{ratio} {call:?}");
        drop(span);
        let sent = waiting.try_recv();
        assert_eq!(sent.is_ok(), recorded);
        assert!(
            sent.is_err() || call.get("traceparent").is_some_and(|text| text == SAMPLED) || sent.unwrap().parent_span_id == SpanId::INVALID
        );
    }
}

#[test]
fn what_finds_no_room_is_lost_and_counted_and_nobody_waits() {
    let (tracer, _waiting, counts) = tracer(2, 1.0);
    for _ in 0..10 {
        drop(tracer.span("Check", &MetadataMap::new()));
    }
    assert_eq!(counts.lost.load(Ordering::Relaxed), 8);
}
