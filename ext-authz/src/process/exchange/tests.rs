use std::sync::Arc;

use bulkhead_content::Budget;
use bulkhead_proto::pb::envoy::{
    config::core::v3::{HeaderMap, HeaderValue},
    extensions::filters::http::ext_proc::v3::processing_mode::{BodySendMode, HeaderSendMode},
    service::ext_proc::v3::{ImmediateResponse, processing_response::Response},
};
use proptest::prelude::*;

use super::*;
use crate::{
    attributes::Headers,
    fixture,
    process::reader::{self, Reader},
};

/// Takes every `a` out, and refuses what holds an `x`.
struct WithoutA;

impl Reader for WithoutA {
    fn read(&self, _: &Representation, body: &[u8], _: &Budget<'_>) -> Result<Reading, Refusal> {
        if body.contains(&b'x') {
            return Err(Refusal::new(Side::Request, Denial::new(Reason::Topic, "an x")));
        }
        let new = body.contains(&b'a').then(|| body.iter().copied().filter(|byte| *byte != b'a').collect());
        Ok(Reading { body: new, ..Reading::default() })
    }
}

/// A plan of acme's billing-api with this reader where it is asked for.
pub(crate) fn plan_with(reader: impl Reader + 'static, process: Process) -> Plan {
    let snapshot = fixture::own();
    let tenant = snapshot.tenant("acme").unwrap();
    let bulkhead_tenancy::tenant::Policy::Ready(policy) = &tenant.policy else { panic!("acme has a policy") };
    let reader: Arc<dyn Reader> = Arc::new(reader);
    let one = |asked| if asked { vec![Arc::clone(&reader)] } else { Vec::new() };
    Plan {
        tenant: tenant.clone(),
        api: policy.api("billing-api").unwrap().clone(),
        policy: policy.hash().clone(),
        decision_id: "0190-d".to_owned(),
        expires: None,
        expired: Reason::InvalidToken,
        watched: true,
        signed_by: None,
        request: one(process.requests()),
        response: one(process.responses()),
    }
}

pub(crate) fn head(headers: &[(&str, &str)], ends: bool) -> Head {
    let header = |(name, value): &(&str, &str)| HeaderValue {
        key: (*name).to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    Head { headers: Headers::listed(&HeaderMap { headers: headers.iter().map(header).collect() }), ends, details: None }
}

fn post() -> Message {
    Message::RequestHeaders(head(&[(":method", "POST"), ("content-type", "text/plain")], false))
}

fn answered(status: &str, more: &[(&str, &str)]) -> Message {
    Message::ResponseHeaders(head(&[&[(":status", status), ("content-type", "text/plain")], more].concat(), false))
}

/// Takes a message, and reads the body if there is one to be read.
fn through(exchange: &mut Exchange, message: Message) -> Answer {
    match exchange.take(message) {
        Next::Answer(answer) => answer,
        Next::Read(side, representation, body) => {
            let readers = exchange.plan().unwrap().readers(side).clone();
            exchange.read(reader::read(&readers, &representation, &body, &Budget::default()))
        }
    }
}

fn exchange(process: Process) -> Exchange {
    Exchange::new(Ok(plan_with(WithoutA, process)), None)
}

fn refused(answer: &Answer) -> Option<(i32, Reason)> {
    let Some(Response::ImmediateResponse(ImmediateResponse { status, body, details, .. })) = &answer.response.response else {
        assert!(answer.denied.is_none(), "a denial is told of a denial alone");
        return None;
    };
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap();
    let all = [Reason::Unavailable, Reason::Unreadable, Reason::TooLarge, Reason::Topic, Reason::Pii];
    let reason = answer.denied.as_ref().map(|denied| denied.1.denial.reason);
    let reason = reason.or_else(|| all.into_iter().find(|one| problem["type"] == format!("urn:bulkhead:{}", one.name()))).unwrap();
    assert_eq!(problem["type"], format!("urn:bulkhead:{}", reason.name()));
    assert_eq!(details, &format!("bulkhead_{}", reason.name()));
    Some((status.as_ref().unwrap().code, reason))
}

/// The body that an answer sends on in place of the one that came.
fn new_body(answer: &Answer) -> Option<Vec<u8>> {
    use bulkhead_proto::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
    let (Some(Response::RequestBody(body)) | Some(Response::ResponseBody(body))) = &answer.response.response else { return None };
    match body.response.as_ref()?.body_mutation.as_ref()?.mutation.as_ref()? {
        Mutation::Body(body) => Some(body.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_and_its_answer_are_read_and_written_anew() {
    let mut both = exchange(Process::Both);
    let first = through(&mut both, post());
    let mode = first.response.mode_override.unwrap();
    assert_eq!((mode.request_body_mode(), mode.response_body_mode()), (BodySendMode::Buffered, BodySendMode::Buffered));
    assert_eq!(mode.response_header_mode(), HeaderSendMode::Send);
    let Some(Response::RequestHeaders(headers)) = &first.response.response else { panic!("the answer of a head is a head's") };
    let removed = headers.response.as_ref().unwrap().header_mutation.as_ref().unwrap().remove_headers.clone();
    assert_eq!(removed, ["range", "if-range", "accept-encoding"]);

    let body = through(&mut both, Message::RequestBody(b"banana".to_vec()));
    assert_eq!(new_body(&body).as_deref(), Some(&b"bnn"[..]));
    let Some(Response::RequestBody(request)) = &body.response.response else { panic!("the answer of a body is a body's") };
    let mutation = request.response.as_ref().unwrap().header_mutation.as_ref().unwrap();
    let length = mutation.set_headers[0].header.as_ref().unwrap();
    assert_eq!((length.key.as_str(), length.raw_value.as_slice()), ("content-length", &b"3"[..]));
    assert!(mutation.remove_headers.contains(&"content-encoding".to_owned()));

    assert!(refused(&through(&mut both, answered("200", &[]))).is_none());
    assert_eq!(new_body(&through(&mut both, Message::ResponseBody(b"data".to_vec(), true))).as_deref(), Some(&b"dt"[..]));
}

#[test]
fn a_body_that_is_owed_and_has_no_bytes_ends_with_trailers() {
    let mut both = exchange(Process::Both);
    assert_eq!(through(&mut both, post()).response.mode_override.unwrap().request_trailer_mode(), HeaderSendMode::Send);
    let answer = through(&mut both, Message::RequestTrailers);
    assert!(matches!(answer.response.response, Some(Response::RequestTrailers(_))));
    assert!(refused(&through(&mut both, answered("200", &[]))).is_none());
    let mut unread = exchange(Process::Response);
    assert_eq!(through(&mut unread, post()).response.mode_override.unwrap().request_trailer_mode(), HeaderSendMode::Skip);
}

#[test]
fn s11_what_comes_after_a_denial_is_answered_with_it_and_is_no_denial_of_its_own() {
    let mut one = exchange(Process::Response);
    through(&mut one, post());
    let first = through(&mut one, answered("206", &[]));
    assert_eq!(first.denied.as_ref().unwrap().0, Side::Response);
    for message in [Message::ResponseBody(b"x".to_vec(), true), Message::ResponseTrailers, post()] {
        let answer = through(&mut one, message);
        assert!(answer.response == first.response && answer.denied.is_none());
    }
    assert!(one.end(Denial::new(Reason::Unavailable, "no time left")).denied.is_none());
}

#[test]
fn a_body_with_nothing_in_it_goes_on_as_it_is() {
    let mut request = exchange(Process::Request);
    through(&mut request, post());
    let answer = through(&mut request, Message::RequestBody(b"hello".to_vec()));
    assert!(refused(&answer).is_none() && new_body(&answer).is_none());
}

#[test]
fn what_need_not_be_read_is_switched_off_and_passes_if_it_is_shown_all_the_same() {
    let mut none = exchange(Process::None);
    let mode = through(&mut none, post()).response.mode_override.unwrap();
    assert_eq!((mode.request_body_mode(), mode.response_body_mode()), (BodySendMode::None, BodySendMode::None));
    assert_eq!(mode.response_header_mode(), HeaderSendMode::Skip);
    for message in
        [Message::RequestBody(b"ax".to_vec()), Message::RequestTrailers, answered("206", &[]), Message::ResponseBody(b"ax".to_vec(), true)]
    {
        let answer = through(&mut none, message);
        assert!(refused(&answer).is_none() && new_body(&answer).is_none());
    }
}

#[test]
fn s14_without_an_allow_of_ours_everything_is_denied_but_envoys_own_refusals() {
    let nobody = || Exchange::new(Err(Denial::new(Reason::Unavailable, "no metadata")), None);
    assert_eq!(refused(&through(&mut nobody(), post())), Some((503, Reason::Unavailable)));
    assert_eq!(refused(&through(&mut nobody(), answered("200", &[]))), Some((503, Reason::Unavailable)));
    let mut refusal = nobody();
    assert_eq!(refused(&through(&mut refusal, answered("429", &[]))), None);
    assert_eq!(refused(&through(&mut refusal, Message::ResponseBody(b"{}".to_vec(), true))), None);
}

#[test]
fn a_body_that_had_to_be_read_and_was_not_shown_is_not_answered_for() {
    let mut bypassed = exchange(Process::Request);
    through(&mut bypassed, post());
    assert_eq!(refused(&through(&mut bypassed, answered("200", &[]))), Some((503, Reason::Unavailable)), "fact 2");
    let mut too_large = exchange(Process::Request);
    through(&mut too_large, post());
    assert_eq!(refused(&through(&mut too_large, answered("413", &[]))), None, "Envoy's own answer to a body that it cannot hold");
    assert_eq!(
        refused(&through(&mut exchange(Process::Request), answered("200", &[]))),
        Some((503, Reason::Unavailable)),
        "heads are skipped"
    );
    assert_eq!(refused(&through(&mut exchange(Process::Both), answered("429", &[]))), None, "ratelimit's answer");
    // An error of the upstream says that it has the body.
    let of_upstream = [("x-envoy-upstream-service-time", "1")];
    let mut bypassed = exchange(Process::Request);
    through(&mut bypassed, post());
    assert_eq!(refused(&through(&mut bypassed, answered("404", &of_upstream))), Some((503, Reason::Unavailable)));
    assert_eq!(refused(&through(&mut exchange(Process::Both), answered("404", &of_upstream))), Some((503, Reason::Unavailable)));
    assert_eq!(refused(&through(&mut exchange(Process::Response), answered("404", &of_upstream))), None, "nothing was owed; it is read");
    // Envoy's own word for it goes before what a header says or leaves out.
    for (details, said, verdict) in [("via_upstream", &[][..], Some((503, Reason::Unavailable))), ("rate_limited", &of_upstream, None)] {
        let Message::ResponseHeaders(head) = answered("404", said) else { panic!("a head") };
        let told = Message::ResponseHeaders(Head { details: Some(details.to_owned()), ..head });
        assert_eq!(refused(&through(&mut exchange(Process::Request), told)), verdict, "{details}");
    }
}

#[test]
fn what_has_no_end_or_comes_in_parts_is_refused_where_it_must_be_read() {
    for headers in [
        &[(":method", "GET"), ("upgrade", "websocket")][..],
        &[(":method", "CONNECT"), (":protocol", "websocket")],
        &[(":method", "CONNECT")],
        &[(":method", "POST"), ("content-type", "application/grpc+proto")],
    ] {
        let answer = through(&mut exchange(Process::Response), Message::RequestHeaders(head(headers, false)));
        assert_eq!(refused(&answer), Some((503, Reason::Unavailable)), "{headers:?}");
        assert_eq!(refused(&through(&mut exchange(Process::None), Message::RequestHeaders(head(headers, false)))), None);
    }
    let get = || Message::RequestHeaders(head(&[(":method", "GET")], true));
    let answers = |request: Message, status: &str, more: &[(&str, &str)]| {
        let mut exchange = exchange(Process::Response);
        through(&mut exchange, request);
        refused(&through(&mut exchange, Message::ResponseHeaders(head(&[&[(":status", status)], more].concat(), false))))
    };
    assert_eq!(answers(get(), "101", &[]), Some((503, Reason::Unavailable)));
    assert_eq!(answers(get(), "206", &[]), Some((502, Reason::Unreadable)));
    assert_eq!(answers(get(), "200", &[("content-type", "Multipart/Byteranges; boundary=x")]), Some((502, Reason::Unreadable)));
    assert_eq!(answers(get(), "200", &[("content-type", "text/event-stream")]), None, "its events are read as they come");
    assert_eq!(
        answers(get(), "200", &[("content-type", "text/event-stream"), ("content-encoding", "gzip")]),
        Some((502, Reason::Unreadable))
    );
    for plain in ["Identity", "", "identity, identity"] {
        let mut exchange = exchange(Process::Response);
        through(&mut exchange, get());
        let headers =
            [(":status", "200"), ("content-type", "text/event-stream"), ("content-encoding", plain), ("content-encoding", "identity")];
        through(&mut exchange, Message::ResponseHeaders(head(&headers, false)));
        assert!(exchange.is_open(), "{plain:?} is no coding");
    }
    assert_eq!(answers(post(), "200", &[("content-type", "text/event-stream")]), None, "an answer to a POST ends");
    assert_eq!(answers(get(), "200", &[("content-length", "99999999")]), Some((502, Reason::TooLarge)));
    assert_eq!(answers(get(), "200", &[("content-length", "10")]), None);
}

#[test]
fn events_are_read_as_they_come_and_what_has_begun_waits() {
    let mut stream = exchange(Process::Response);
    through(&mut stream, Message::RequestHeaders(head(&[(":method", "GET")], true)));
    let headers = [(":status", "200"), ("content-type", "text/event-stream; charset=utf-8"), ("content-length", "7")];
    let opened = through(&mut stream, Message::ResponseHeaders(head(&headers, false)));
    let mode = opened.response.mode_override.unwrap();
    assert_eq!((mode.request_body_mode(), mode.response_body_mode()), (BodySendMode::None, BodySendMode::Streamed));
    let Some(Response::ResponseHeaders(opened)) = &opened.response.response else { panic!("the answer of a head is a head's") };
    assert!(opened.response.as_ref().unwrap().header_mutation.as_ref().unwrap().remove_headers.contains(&"content-length".to_owned()));
    let mut sends = |piece: &str, ends| {
        new_body(&through(&mut stream, Message::ResponseBody(piece.into(), ends))).map(|sent| String::from_utf8(sent).unwrap())
    };
    assert_eq!(sends("data: one\n\ndata: tw", false).as_deref(), Some("dt: one\n\n"));
    assert_eq!(sends("", false).as_deref(), Some(""));
    assert_eq!(sends("o\n", false).as_deref(), Some(""));
    assert_eq!(sends("\nid: 3", false).as_deref(), Some("dt: two\n\n"));
    assert_eq!(sends("\n\n:\n\n", false).as_deref(), Some("id: 3\n\n:\n\n"));
    assert_eq!(sends("data: end", true).as_deref(), Some("dt: end"), "what was not ended is read too");
    // After a denial nothing goes on.
    let mut denied = exchange(Process::Response);
    through(&mut denied, post());
    through(&mut denied, Message::ResponseHeaders(head(&headers, false)));
    assert_eq!(
        refused(&through(&mut denied, Message::ResponseBody(b"data: x\n\n".to_vec(), false))).map(|(_, reason)| reason),
        Some(Reason::Topic)
    );
    assert!(refused(&through(&mut denied, Message::ResponseBody(b"data: 1\n\n".to_vec(), false))).is_some());
}

#[test]
fn trailers_end_a_stream_of_events_and_what_has_begun_is_left_out() {
    for (piece, sent, left_out) in [("id: 1\n\n", "id: 1\n\n", false), ("id: 1\n\nid: 2", "id: 1\n\n", true), ("", "", false)] {
        let mut stream = exchange(Process::Response);
        through(&mut stream, Message::RequestHeaders(head(&[(":method", "GET")], true)));
        let opened = Message::ResponseHeaders(head(&[(":status", "200"), ("content-type", "text/event-stream")], false));
        let opened = through(&mut stream, opened);
        assert_eq!(opened.response.mode_override.unwrap().response_trailer_mode(), HeaderSendMode::Send);
        assert_eq!(new_body(&through(&mut stream, Message::ResponseBody(piece.into(), false))), Some(sent.into()));
        let Next::Read(Side::Response, _, body) = stream.take(Message::ResponseTrailers) else { panic!("its end is looked at") };
        assert!(body.is_empty() && stream.is_told(&Reading::default()), "its end is on record");
        assert_eq!(stream.has_rewritten(), left_out);
        let answer = stream.read(Ok(Reading::default()));
        assert!(matches!(answer.response.response, Some(Response::ResponseTrailers(_))));
        assert!(!stream.is_begun() && refused(&through(&mut stream, Message::ResponseBody(b"id: 3\n\n".to_vec(), false))).is_some());
    }
}

#[test]
fn an_answer_without_a_body_is_not_waited_for() {
    let mut response = exchange(Process::Response);
    through(&mut response, Message::RequestHeaders(head(&[(":method", "HEAD")], true)));
    let answer = through(&mut response, Message::ResponseHeaders(head(&[(":status", "200"), ("content-length", "99999999")], true)));
    assert_eq!(refused(&answer), None);
    assert_eq!(refused(&through(&mut response, Message::ResponseTrailers)), None);
}

#[test]
fn a_topic_is_403_with_the_decisions_id() {
    let mut request = exchange(Process::Request);
    through(&mut request, post());
    let answer = through(&mut request, Message::RequestBody(b"x".to_vec()));
    assert_eq!(refused(&answer), Some((403, Reason::Topic)));
    let Some(Response::ImmediateResponse(immediate)) = answer.response.response else { panic!("it is refused") };
    assert!(String::from_utf8(immediate.body).unwrap().contains(r#""decision_id":"0190-d""#));
}

fn any_message() -> impl Strategy<Value = Message> {
    let body = prop::collection::vec(prop::sample::select(b"abx".to_vec()), 0..4);
    let status = prop::sample::select(vec!["200", "101", "206", "404", "no"]);
    prop_oneof![
        any::<bool>().prop_map(|ends| Message::RequestHeaders(head(&[(":method", "POST")], ends))),
        (status, any::<bool>(), any::<bool>()).prop_map(|(status, ends, events)| {
            let of_events: &[_] = if events { &[("content-type", "text/event-stream")] } else { &[] };
            Message::ResponseHeaders(head(&[&[(":status", status)], of_events].concat(), ends))
        }),
        body.clone().prop_map(Message::RequestBody),
        (body, any::<bool>()).prop_map(|(body, ends)| Message::ResponseBody(body, ends)),
        Just(Message::RequestTrailers),
        Just(Message::ResponseTrailers),
        Just(Message::Unknown),
    ]
}

proptest! {
    /// In any order of messages: no body of a side that must be read goes on with anything in it that a reader takes out or refuses, nothing goes
    /// on after a denial, and an answer is of the kind of its message.
    #[test]
    fn no_order_of_messages_lets_an_unread_body_pass(
        messages in prop::collection::vec(any_message(), 1..8),
        process in prop::sample::select(vec![Process::None, Process::Request, Process::Response, Process::Both]),
    ) {
        let mut exchange = exchange(process);
        let mut denied = false;
        for message in messages {
            let answer = through(&mut exchange, message.clone());
            let refusal = refused(&answer).is_some();
            prop_assert!(refusal || !denied, "{message:?} went on after a denial");
            prop_assert_eq!(answer.denied.is_some(), refusal && !denied, "one end is told once");
            denied |= refusal;
            if refusal {
                continue;
            }
            let (body, read, fits) = match (&message, answer.response.response.as_ref().unwrap()) {
                (Message::RequestBody(body), Response::RequestBody(_)) => (Some(body), process.requests(), true),
                (Message::ResponseBody(body, _), Response::ResponseBody(_)) => (Some(body), process.responses(), true),
                (Message::RequestHeaders(_), Response::RequestHeaders(_)) | (Message::ResponseHeaders(_), Response::ResponseHeaders(_)) => (None, false, true),
                (Message::RequestTrailers, Response::RequestTrailers(_)) | (Message::ResponseTrailers, Response::ResponseTrailers(_)) => (None, false, true),
                _ => (None, false, false),
            };
            prop_assert!(fits, "{message:?} has an answer of another kind");
            if let Some(body) = body.filter(|_| read) {
                let sent = new_body(&answer).unwrap_or_else(|| body.clone());
                prop_assert!(!sent.contains(&b'a') && !sent.contains(&b'x'), "an unread body went on");
            }
        }
    }
}
