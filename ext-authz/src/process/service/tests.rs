use std::{collections::HashMap, sync::Mutex};

use bulkhead_audit::refused::Refused;
use bulkhead_content::Budget;
use bulkhead_proto::{
    contract::{METADATA_NAMESPACE, metadata as key},
    pb::{
        envoy::{
            config::core::v3::{HeaderMap, HeaderValue, Metadata},
            extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode,
            service::ext_proc::v3::{
                HttpBody, HttpHeaders, HttpTrailers, ProtocolConfiguration, processing_request::Request as Asked,
                processing_response::Response as Told,
            },
        },
        google::protobuf::{Struct, Value, value::Kind},
    },
};
use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::{ManualClock, SystemClock},
    snapshot::Live,
};

use super::*;
use crate::{
    fixture,
    process::{exchange::tests::plan_with, plan::Signed, reader::Reader},
    record::{Noted, Seen},
    tenant::{
        Addressed, Identity, KeyProvider, Presented, Sender, Settings,
        testing::{Answer as Keys, Provider, Signer, claims},
    },
    verdict::{Decision, Process},
};

mod crowd;
mod standing;

const PATIENCE: Duration = Duration::from_millis(800);
const NOW_S: u64 = 1_800_000_000;

#[derive(Default)]
struct Notes(Mutex<Vec<(String, &'static str)>>);

impl Record for Notes {
    fn keep(&self, _: &Noted<'_>) -> Kept {
        Kept::Now
    }

    fn unkept(&self, _: &Noted<'_>, _: &Refused) {}

    fn answered(&self, _: Decision, _: Option<Seen>, _: std::time::Duration) {}

    fn processed(&self, processed: &Processed) -> Kept {
        self.0.lock().unwrap().push((processed.id.clone(), processed.name()));
        Kept::Now
    }
}

fn service() -> (ProcessService, Arc<Notes>) {
    let (service, notes, _) = world();
    (service, notes)
}

fn world() -> (ProcessService, Arc<Notes>, (Live, ManualClock)) {
    let (live, notes) = (Live::default(), Arc::new(Notes::default()));
    live.publish(fixture::own());
    let clock = ManualClock::at_us(NOW_S * 1_000_000);
    let surroundings = (live.clone(), clock.clone());
    (ProcessService::new(live, Arc::new(clock), Arc::new(Offload::default()), PATIENCE, Arc::<Notes>::clone(&notes)), notes, surroundings)
}

fn metadata(fields: &[(&str, &str)]) -> Metadata {
    let text = |value: &str| Value { kind: Some(Kind::StringValue(value.to_owned())) };
    let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect();
    Metadata { filter_metadata: HashMap::from([(METADATA_NAMESPACE.to_owned(), Struct { fields })]), ..Metadata::default() }
}

fn ours(process: &str) -> Metadata {
    let policy = match &fixture::own().tenant("acme").unwrap().policy {
        bulkhead_tenancy::tenant::Policy::Ready(policy) => policy.hash().as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    metadata(&[
        (key::VERDICT, "allow"),
        (key::TENANT, "acme"),
        (key::API, "billing-api"),
        (key::DECISION_ID, "0190-d"),
        (key::PROCESS, process),
        (key::POLICY, &policy),
    ])
}

fn post(metadata_context: Option<Metadata>) -> ProcessingRequest {
    let method = HeaderValue { key: ":method".to_owned(), raw_value: b"POST".to_vec(), ..HeaderValue::default() };
    let head = HttpHeaders { headers: Some(HeaderMap { headers: vec![method] }), ..HttpHeaders::default() };
    let whole = BodySendMode::Buffered.into();
    let buffered = ProtocolConfiguration { request_body_mode: whole, response_body_mode: whole, ..ProtocolConfiguration::default() };
    ProcessingRequest {
        request: Some(Asked::RequestHeaders(head)),
        metadata_context,
        protocol_config: Some(buffered),
        ..ProcessingRequest::default()
    }
}

fn body() -> ProcessingRequest {
    let body = HttpBody { body: b"body".to_vec(), end_of_stream: true, ..HttpBody::default() };
    ProcessingRequest { request: Some(Asked::RequestBody(body)), ..ProcessingRequest::default() }
}

async fn all(
    service: &ProcessService,
    messages: Vec<Result<ProcessingRequest, Status>>,
    exchange: Option<Exchange>,
) -> Vec<Result<ProcessingResponse, Status>> {
    Box::pin(service.converse(stream::iter(messages), exchange, Span::default())).collect().await
}

fn status(answer: &Result<ProcessingResponse, Status>) -> i32 {
    match answer.as_ref().unwrap().response.as_ref().unwrap() {
        Told::ImmediateResponse(immediate) => immediate.status.as_ref().unwrap().code,
        _ => 0,
    }
}

#[tokio::test]
async fn every_message_has_one_answer_and_the_end_is_clean_only_after_envoys_own() {
    let (service, _) = service();
    let trailers = ProcessingRequest { request: Some(Asked::RequestTrailers(HttpTrailers::default())), ..ProcessingRequest::default() };
    let answers = all(&service, vec![Ok(post(Some(ours("none")))), Ok(body()), Ok(trailers)], None).await;
    assert_eq!(answers.iter().map(status).collect::<Vec<_>>(), [0, 0, 0]);

    let answers = all(&service, vec![Ok(post(Some(ours("none")))), Err(Status::out_of_range("too large"))], None).await;
    assert_eq!(answers.len(), 2);
    assert!(answers[1].is_err(), "fact 3: an end as if all were well would let the body through");
}

#[tokio::test]
async fn what_cannot_be_believed_is_denied() {
    let (service, notes) = service();
    let with = |change: &[(&'static str, &'static str)]| {
        let mut ours = ours("none");
        let fields = &mut ours.filter_metadata.get_mut(METADATA_NAMESPACE).unwrap().fields;
        for (key, value) in change {
            fields.insert((*key).to_owned(), Value { kind: Some(Kind::StringValue((*value).to_owned())) });
        }
        post(Some(ours))
    };
    let cases = [
        ("no metadata", post(None)),
        ("metadata of another filter", post(Some(Metadata::default()))),
        ("a denial's", with(&[(key::VERDICT, "tool")])),
        ("no tenant", with(&[(key::TENANT, "")])),
        ("an unknown obligation", with(&[(key::PROCESS, "everything")])),
        ("a tenant that is not there", with(&[(key::TENANT, "initech")])),
        ("a tenant that is suspended", with(&[(key::TENANT, "sleepy"), (key::API, "sleepy-api")])),
        ("a tenant without a policy", with(&[(key::TENANT, "broken")])),
        ("an API of another tenant", with(&[(key::API, "inventory-api")])),
        ("what the policy does not know", with(&[(key::PROCESS, "request")])),
        ("what another policy asked for", with(&[(key::PROCESS, "both"), (key::POLICY, "another")])),
    ];
    for (what, message) in cases {
        let answers = all(&service, vec![Ok(message), Ok(body())], None).await;
        assert!(answers.iter().all(|answer| status(answer) >= 400), "{what}");
    }
    assert!(notes.0.lock().unwrap().iter().all(|(_, name)| *name == "request_denied"));
}

/// Does what a test wants with a body.
struct Doing<F>(F);

impl<F: Fn() -> Result<Reading, Refusal> + Send + Sync> Reader for Doing<F> {
    fn read(&self, _: &Representation, _: &[u8], _: &Budget<'_>) -> Result<Reading, Refusal> {
        (self.0)()
    }
}

async fn read_by(reader: impl Fn() -> Result<Reading, Refusal> + Send + Sync + 'static) -> (i32, Vec<(String, &'static str)>) {
    let (service, notes) = service();
    let exchange = Exchange::new(Ok(plan_with(Doing(reader), Process::Request)), None);
    let answers = all(&service, vec![Ok(post(None)), Ok(body())], Some(exchange)).await;
    let told = notes.0.lock().unwrap().clone();
    (status(&answers[1]), told)
}

#[tokio::test]
async fn a_reader_that_breaks_denies() {
    assert_eq!(read_by(|| panic!("broken")).await, (503, vec![("0190-d".to_owned(), "request_denied")]));
}

#[tokio::test]
async fn a_reader_that_takes_too_long_denies() {
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let outcome = read_by(move || {
        let _ended = wait.lock().unwrap().recv();
        Ok(Reading::default())
    });
    let outcome = outcome.await;
    drop(end);
    assert_eq!(outcome.0, 503);
}

#[tokio::test]
async fn only_what_was_written_anew_is_told_so() {
    let kept = read_by(|| Ok(Reading::default())).await;
    assert_eq!(kept, (0, vec![("0190-d".to_owned(), "request_kept")]));
    let rewritten = read_by(|| Ok(Reading { body: Some(Vec::new()), ..Reading::default() })).await;
    assert_eq!(rewritten, (0, vec![("0190-d".to_owned(), "request_redacted")]));
}

#[tokio::test]
async fn s5_a_body_that_there_is_no_room_for_is_denied() {
    let (service, notes) = service();
    let uid = plan_with(Doing(|| Ok(Reading::default())), Process::Request).tenant.uid.clone();
    let hold = service.processor.offload.hold(&uid, 256 << 20).unwrap();
    let read = || async {
        let exchange = Exchange::new(Ok(plan_with(Doing(|| Ok(Reading::default())), Process::Request)), None);
        status(&all(&service, vec![Ok(post(None)), Ok(body())], Some(exchange)).await[1])
    };
    assert_eq!(read().await, 503);
    drop(hold);
    assert_eq!(read().await, 0);
    assert_eq!(notes.0.lock().unwrap().iter().map(|(_, name)| *name).collect::<Vec<_>>(), ["request_denied", "request_kept"]);
}

/// The answers in a stream of events that was opened, in which one event has come and nothing more does.
fn open(service: &ProcessService) -> impl Stream<Item = Result<ProcessingResponse, Status>> + Unpin + use<> {
    let plan = plan_with(Doing(|| Ok(Reading::default())), Process::Response);
    stream_of(service, Plan { expires: Some(i64::try_from(NOW_S).unwrap() + 60), ..plan }, "data: 1")
}

/// The same with this plan and this event.
fn stream_of(service: &ProcessService, plan: Plan, event: &str) -> impl Stream<Item = Result<ProcessingResponse, Status>> + Unpin + use<> {
    let header =
        |(key, value): (&str, &str)| HeaderValue { key: key.to_owned(), raw_value: value.as_bytes().to_vec(), ..HeaderValue::default() };
    let headers = [(":status", "200"), ("content-type", "text/event-stream")].map(header).to_vec();
    let head = HttpHeaders { headers: Some(HeaderMap { headers }), ..HttpHeaders::default() };
    let event = HttpBody { body: format!("{event}\n\n").into_bytes(), ..HttpBody::default() };
    let of = |asked| Ok(ProcessingRequest { request: Some(asked), ..ProcessingRequest::default() });
    let messages = [Ok(post(None)), of(Asked::ResponseHeaders(head)), of(Asked::ResponseBody(event))];
    let exchange = Exchange::new(Ok(plan), None);
    Box::pin(service.converse(stream::iter(messages).chain(stream::pending()), Some(exchange), Span::default()))
}

/// What comes, if it does within a time that is long for a machine with much else to do.
async fn soon<T>(comes: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), comes).await.expect("in time")
}

#[tokio::test]
async fn a_stream_of_events_ends_when_its_token_does_though_nothing_comes_in_it() {
    let (service, notes, (_, clock)) = world();
    let mut answers = open(&service);
    for _ in 0..3 {
        assert_eq!(status(&answers.next().await.unwrap()), 0);
    }
    assert!(answers.next().now_or_never().is_none(), "it goes on");
    clock.advance_us(60_000_000);
    assert_eq!(status(&soon(answers.next()).await.unwrap()), 401);
    drop(answers);
    assert_eq!(*notes.0.lock().unwrap(), [("0190-d".to_owned(), "response_denied")], "which is its end on record, too");
}

#[tokio::test]
async fn a_stream_of_events_ends_with_its_tenants_policy_though_nothing_comes_in_it() {
    let (service, notes, (live, _)) = world();
    let mut answers = open(&service);
    for _ in 0..3 {
        assert_eq!(status(&answers.next().await.unwrap()), 0);
    }
    let platform =
        "apiVersion: gostoa.dev/v1alpha1\nkind: Platform\nmetadata: { name: p }\nspec: { rateLimit: { requestsPerMinute: 1 } }\n";
    live.publish(Catalog::new(Arc::new(SystemClock)).apply(changes_of(&[("platform.yaml", platform)])).unwrap());
    assert_eq!(status(&soon(answers.next()).await.unwrap()), 503);
    drop(answers);
    assert_eq!(*notes.0.lock().unwrap(), [("0190-d".to_owned(), "response_denied")]);
}

#[tokio::test]
async fn a_stream_of_events_that_is_cut_is_on_record() {
    let (service, notes) = service();
    let mut answers = open(&service);
    assert_eq!(status(&answers.next().await.unwrap()), 0);
    drop(answers);
    assert!(notes.0.lock().unwrap().is_empty(), "nothing was answered yet");
    let mut answers = open(&service);
    for _ in 0..3 {
        assert_eq!(status(&answers.next().await.unwrap()), 0);
    }
    drop(answers);
    assert_eq!(*notes.0.lock().unwrap(), [("0190-d".to_owned(), "response_cut")]);
}

#[tokio::test]
async fn s23_a_stream_of_events_ends_with_the_key_of_its_token_though_nothing_comes_in_it() {
    let (service, notes, (live, clock)) = world();
    let issuer = fixture::issuer("acme");
    let (signer, provider) = (Signer::ed25519(), Provider::new());
    provider.set(&issuer, Keys::Keys(vec![signer.jwk("k")]));
    let identity = Identity::new(Settings::default(), Arc::new(clock.clone()), Arc::clone(&provider) as Arc<dyn KeyProvider>);
    let bearer = format!("Bearer {}", signer.token("k", &claims(&issuer)));
    let presented = Presented { authorization: vec![bearer.as_bytes()], ..Presented::default() };
    let sender = Sender { source: None, until: tokio::time::Instant::now() + Duration::from_secs(20) };
    let addressed = Addressed { name: Some("acme"), consistent: true };
    let caller = identity.identify(&live.load().unwrap(), &presented, addressed, sender).await.unwrap();
    let service = service.looking_after(identity.keys_in_force());
    let plan = plan_with(Doing(|| Ok(Reading::default())), Process::Response);
    let mut lasting = stream_of(&service, plan.clone(), "data: 1");
    let mut answers = stream_of(&service, Plan { signed_by: caller.signed_by.map(Signed::Read), ..plan }, "data: 1");
    for answers in [&mut lasting, &mut answers] {
        for _ in 0..3 {
            assert_eq!(status(&answers.next().await.unwrap()), 0);
        }
    }
    let more = timeout(Duration::from_millis(2_500), answers.next()).await;
    assert!(more.is_err(), "it goes on: {more:?}");
    provider.set(&issuer, Keys::Keys(vec![Signer::ed25519().jwk("k")]));
    clock.advance_us(300_000_000);
    assert_eq!(status(&soon(answers.next()).await.unwrap()), 401);
    assert_eq!(*notes.0.lock().unwrap(), [("0190-d".to_owned(), "response_denied")]);
    assert!(lasting.next().now_or_never().is_none(), "one that came with an API key is of none");
}
