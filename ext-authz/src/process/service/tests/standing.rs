//! What a stream of events stands on, as Check told it.

use super::*;
use crate::process::message::Buffering;

/// What Check told of an allow by a policy that is not in force any more, and asked so much of Process.
fn told(process: &str, more: &[(&str, &str)]) -> Metadata {
    let of_globex = [
        (key::VERDICT, "allow"),
        (key::TENANT, "globex"),
        (key::API, "inventory-api"),
        (key::DECISION_ID, "0190-d"),
        (key::PROCESS, process),
        (key::POLICY, "another"),
    ];
    metadata(&[&of_globex[..], more].concat())
}

/// The answer's head, which says that this kind of body follows.
fn answered_with(kind: &str) -> ProcessingRequest {
    let header =
        |(key, value): (&str, &str)| HeaderValue { key: key.to_owned(), raw_value: value.as_bytes().to_vec(), ..HeaderValue::default() };
    let headers = [(":status", "200"), ("content-type", kind)].map(header).to_vec();
    let head = HttpHeaders { headers: Some(HeaderMap { headers }), ..HttpHeaders::default() };
    ProcessingRequest { request: Some(Asked::ResponseHeaders(head)), ..ProcessingRequest::default() }
}

#[tokio::test]
async fn s14_a_stream_of_events_that_nobody_was_told_the_end_of_is_refused() {
    let reading = fixture::guarded("contentFilter: { apply: [response], piiDetection: block }");
    for (process, kind, expected) in [
        // Check read nothing, and so told nothing: neither when the token is over nor which key it is of.
        ("none", "text/event-stream", 503),
        ("none", "application/json", 0),
        ("request", "text/event-stream", 0),
        ("response", "text/event-stream", 0),
    ] {
        let (service, _, (live, _)) = world();
        live.publish(Arc::clone(&reading));
        let begun = post(Some(told(process, &[])));
        let answers = all(&service, vec![Ok(begun), Ok(answered_with(kind))], None).await;
        // The request, of which nobody knows any more what was asked, is another matter.
        if process == "request" {
            assert_eq!(status(&answers[0]), 503);
            continue;
        }
        assert_eq!((status(&answers[0]), status(&answers[1])), (0, expected), "{process} {kind}");
    }
}

#[test]
fn it_is_told_apart_whether_a_token_or_a_subscription_is_over() {
    let snapshot = fixture::own();
    let acme = |subscription: &str, expires: &str| {
        let mut ours = ours("none");
        let fields = &mut ours.filter_metadata.get_mut(METADATA_NAMESPACE).unwrap().fields;
        for (key, value) in [(key::SUBSCRIPTION, subscription), (key::EXPIRES, expires)] {
            fields.insert(key.to_owned(), Value { kind: Some(Kind::StringValue(value.to_owned())) });
        }
        let plan = Plan::of(Some(&ours), Buffering::of(&post(None)), Some(&snapshot)).unwrap();
        plan.over(Some(&snapshot), i64::try_from(NOW_S).unwrap()).map(|denial| denial.reason)
    };
    // The subscription `over` was until the first moment of 2020.
    assert_eq!(acme("over", "1577836800"), Some(Reason::Subscription));
    assert_eq!(acme("over", "1577836799"), Some(Reason::InvalidToken), "of which the token was over sooner");
    assert_eq!(acme("by-client", "1577836800"), Some(Reason::InvalidToken));
    assert_eq!(acme("by-client", "9999999999"), None);
}
