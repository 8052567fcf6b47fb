use std::sync::Mutex;

use bulkhead_audit::refused::Refused;
use bulkhead_proto::{
    contract::{header, metadata},
    pb::{
        envoy::service::auth::v3::{CheckRequest, CheckResponse, attribute_context, check_response::HttpResponse},
        google::protobuf::value::Kind,
    },
};
use bulkhead_tenancy::clock::SystemClock;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::{
    decide::Declared,
    fixture::{self, Stand, get},
    record::{Kept, Processed},
    tenant::{Addressed, Presented, Refusal, Sender},
    verdict::Caller,
};

impl<I: Identify> CheckService<I> {
    /// Decides within `patience`, as if Envoy had asked.
    pub(crate) async fn answer(&self, request: CheckRequest, patience: Duration) -> Reply {
        let message = request.encode_to_vec();
        self.traced(&Attributes::read(&message).unwrap(), patience, &mut Span::default()).await
    }
}

fn sent(request: &CheckRequest) -> Request<Unread> {
    Request::new(Unread(request.encode_to_vec().into()))
}

/// Keeps what it is told.
#[derive(Default)]
struct Notes(Mutex<Vec<(String, &'static str)>>);

impl Record for Notes {
    fn keep(&self, _: &Noted<'_>) -> Kept {
        Kept::Now
    }

    fn unkept(&self, _: &Noted<'_>, _: &Refused) {}

    fn answered(&self, decision: Decision, _: Option<Seen>, _took: Duration) {
        self.0.lock().unwrap().push((decision.id.clone(), decision.verdict.name()));
    }

    fn processed(&self, _processed: &Processed) -> Kept {
        Kept::Now
    }
}

fn service<I: Identify>(live: Live, identity: I) -> (CheckService<I>, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let judge = Judge::new(identity, Arc::new(SystemClock), Declared::default());
    (CheckService::new(live, judge, Arc::<Notes>::clone(&notes)), notes)
}

fn live() -> Live {
    let live = Live::default();
    live.publish(fixture::own());
    live
}

fn status_of(response: &CheckResponse) -> i32 {
    match &response.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => denied.status.as_ref().unwrap().code,
        Some(HttpResponse::OkResponse(_)) => 200,
        other => panic!("{other:?}"),
    }
}

fn text(response: &CheckResponse, key: &str) -> Option<String> {
    match response.dynamic_metadata.as_ref()?.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// An identity step that breaks, or that never comes back.
struct Broken(bool);

impl Identify for Broken {
    async fn identify(&self, _: &Arc<Snapshot>, _: &Presented<'_>, _: Addressed<'_>, _: Sender) -> Result<Caller, Refusal> {
        if self.0 {
            panic!("a fault of ours");
        }
        std::future::pending().await
    }
}

/// An identity step that finds out whether it was given less time than the whole decision has.
struct Timed(Duration);

impl Identify for Timed {
    async fn identify(&self, _: &Arc<Snapshot>, _: &Presented<'_>, _: Addressed<'_>, sender: Sender) -> Result<Caller, Refusal> {
        let in_time = sender.until < tokio::time::Instant::now() + self.0;
        Err(Denial::new(if in_time { Reason::InvalidToken } else { Reason::Unavailable }, "whatever the address lets it say").into())
    }
}

#[tokio::test]
async fn s22_who_somebody_is_is_settled_before_the_time_out_that_knows_no_address() {
    for patience in [Duration::from_millis(50), Duration::from_millis(250), deadline::LONGEST] {
        let (service, _) = service(live(), Timed(patience));
        let response = service.answer(get("/acme/billing-api").by("acme").request(), patience).await.read().unwrap();
        assert_eq!(status_of(&response), 401, "{patience:?}");
    }
}

#[tokio::test]
async fn without_a_snapshot_everything_is_denied() {
    let (service, notes) = service(Live::default(), Stand);
    let response = service.answer(get("/acme/billing-api").by("acme").request(), Duration::from_secs(1)).await.read().unwrap();
    assert_eq!(status_of(&response), 503);
    assert_eq!(text(&response, metadata::GENERATION), None);
    assert_eq!(notes.0.lock().unwrap()[0].1, "unavailable");
}

#[tokio::test]
async fn a_decision_that_breaks_denies_and_the_next_one_is_made() {
    let (service, notes) = service(live(), Broken(true));
    for _ in 0..2 {
        let response = service.answer(get("/acme/billing-api").by("acme").request(), Duration::from_secs(1)).await.read().unwrap();
        assert_eq!((status_of(&response), response.status.unwrap().code), (503, 7));
    }
    assert_eq!(notes.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_decision_that_takes_too_long_denies_within_its_time() {
    let (service, _) = service(live(), Broken(false));
    let mut request = sent(&get("/acme/billing-api").by("acme").request());
    request.metadata_mut().insert("grpc-timeout", "50m".parse().unwrap());
    // Whoever ignored the caller's time would take the longest there is.
    let response = tokio::time::timeout(deadline::LONGEST / 2, service.check(request)).await.unwrap().unwrap().read().unwrap();
    assert_eq!(status_of(&response), 503);
}

#[tokio::test]
async fn a_decision_is_never_a_grpc_error_and_has_one_id_everywhere() {
    let (service, notes) = service(live(), Stand);
    for asked in [get("/acme/billing-api").by("acme"), get("/globex/x").by("acme"), get("/..")] {
        service.check(sent(&asked.request())).await.unwrap();
    }
    service.check(sent(&CheckRequest::default())).await.unwrap();
    let verdicts: Vec<&str> = notes.0.lock().unwrap().iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(verdicts, ["allow", "wrong_tenant", "bad_path", "unavailable"]);

    // What is no CheckRequest is denied, and on record: a gRPC error is no denial to Envoy.
    let unread = [vec![0x0a, 1], prost::Message::encode_to_vec(&get("/acme/billing-api").by("acme").request())];
    let [broken, mut odd] = unread;
    // A server name in TLS that is no UTF-8: attributes.tls_session.sni.
    odd.extend([0x0a, 6, 0x62, 4, 0x0a, 2, b'a', 0xff]);
    for message in [broken, odd] {
        let response = service.check(Request::new(Unread(message.into()))).await.unwrap().read().unwrap();
        let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else { panic!("denied") };
        assert_eq!(denied.status.unwrap().code, 400);
    }
    assert_eq!(notes.0.lock().unwrap().len(), 6);

    let response = service.answer(get("/globex/x").by("acme").request(), Duration::from_secs(1)).await.read().unwrap();
    let id = notes.0.lock().unwrap().last().unwrap().0.clone();
    assert_eq!(text(&response, metadata::DECISION_ID).as_deref(), Some(id.as_str()));
    assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 7);
    let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else { panic!("denied") };
    assert!(denied.body.contains(&id));
}

#[tokio::test]
async fn one_decision_reads_one_snapshot() {
    let live = live();
    let (service, _) = service(live.clone(), Stand);
    let before = live.load().unwrap().generation().to_string();
    let response = service.answer(get("/acme/billing-api").by("acme").request(), Duration::from_secs(1)).await.read().unwrap();
    assert_eq!(text(&response, metadata::GENERATION), Some(before));
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("acme".to_owned()),
        Just("globex".to_owned()),
        Just("sleepy".to_owned()),
        Just("broken".to_owned()),
        Just("billing-api".to_owned()),
        Just("inventory-api".to_owned()),
        Just("key-api".to_owned()),
        Just("..".to_owned()),
        Just(String::new()),
        "[a-z%.;]{0,6}",
    ]
}

fn credential() -> impl Strategy<Value = String> {
    (word(), prop_oneof![Just(""), Just(" key"), Just(" key-only"), Just(" client:app"), Just(" role:reader")])
        .prop_map(|(tenant, with)| format!("{tenant}{with}"))
}

prop_compose! {
    fn request()(
        method in prop_oneof![Just("GET"), Just("DELETE"), Just("")],
        host in prop_oneof![
            Just("gateway"), Just("hosted.acme.example.com"), Just("globex.example.com"), Just("[::1]:80"), Just("a,b"), Just("")
        ],
        segments in proptest::collection::vec(word(), 0..5),
        headers in proptest::collection::vec((prop_oneof![
            Just("authorization"), Just("x-bulkhead-tenant"), Just("X_Bulkhead_Tenant"), Just("bulkhead-hop"), Just("x-tenant-id")
        ], credential()), 0..4),
        context in proptest::collection::hash_map(prop_oneof![Just("tenant".to_owned()), Just("api".to_owned())], word(), 0..2),
        complete in prop::bool::weighted(0.95),
    ) -> CheckRequest {
        let mut request = get(&format!("/{}", segments.join("/"))).request();
        let attributes = request.attributes.as_mut().unwrap();
        attributes.context_extensions = context;
        let http = attributes.request.as_mut().unwrap().http.as_mut().unwrap();
        http.method = method.to_owned();
        http.host = host.to_owned();
        http.headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if !complete {
            attributes.request = Some(attribute_context::Request::default());
        }
        request
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// Whatever is asked: an answer that Envoy cannot mistake, and an allow only for a caller that is proven, at an API of its own.
    #[test]
    fn an_allow_is_never_given_without_a_proven_caller_and_an_api_of_its_own(request in request()) {
        static LIVE: std::sync::OnceLock<Live> = std::sync::OnceLock::new();
        let live = LIVE.get_or_init(live);
        let (service, notes) = service(live.clone(), Stand);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let response = runtime.block_on(service.answer(request.clone(), Duration::from_secs(5))).read().unwrap();

        prop_assert_ne!(&response, &CheckResponse::default());
        let code = response.status.as_ref().unwrap().code;
        let tenant = text(&response, metadata::TENANT);
        match response.http_response.as_ref().unwrap() {
            HttpResponse::OkResponse(ok) => {
                prop_assert_eq!(code, 0);
                prop_assert_eq!(text(&response, metadata::VERDICT), Some("allow".to_owned()));
                let tenant = tenant.unwrap();
                let api = text(&response, metadata::API).unwrap();
                let http = request.attributes.unwrap().request.unwrap().http.unwrap();
                prop_assert!(http.headers["authorization"].starts_with(&tenant), "the credential proves it");
                let snapshot = live.load().unwrap();
                let own = crate::route::policy(snapshot.tenant(&tenant).unwrap()).unwrap().api(&api).is_some();
                prop_assert!(own);
                let set = |name: &str| ok.headers.iter().filter_map(|option| option.header.as_ref()).find(|header| header.key == name);
                prop_assert_eq!(&set(header::TENANT).unwrap().value, &tenant);
            }
            HttpResponse::DeniedResponse(denied) => {
                prop_assert_ne!(code, 0);
                prop_assert!(denied.status.as_ref().unwrap().code >= 400);
            }
            HttpResponse::ErrorResponse(_) => prop_assert!(false, "an error response honours failure_mode_allow"),
        }
        let cost = response.dynamic_metadata.unwrap().fields[metadata::COST].kind.clone();
        prop_assert_eq!(cost, Some(Kind::NumberValue(1.0)));
        prop_assert_eq!(notes.0.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_context_token_goes_with_an_allow_where_the_platform_asks_for_it_and_nothing_is_allowed_without() {
    let clock: Arc<dyn bulkhead_tenancy::clock::Clock> = Arc::new(SystemClock);
    let keys = crate::context_token::Keys::new(crate::context_token::KeySource::Own, clock.now_s()).unwrap();
    let tokens = Arc::new(ContextTokens::new(keys, clock));
    let ask = async |platform: &str, signing: bool| {
        let live = Live::default();
        live.publish(fixture::snapshot(platform));
        let (service, notes) = service(live, Stand);
        let service = if signing { service.signing(Arc::clone(&tokens)) } else { service };
        let asked = get("/acme/billing-api").by("acme").with(header::CONTEXT, "forged").request();
        let response = service.answer(asked, Duration::from_secs(5)).await.read().unwrap();
        let recorded = notes.0.lock().unwrap()[0].1;
        let Some(HttpResponse::OkResponse(ok)) = &response.http_response else { return (status_of(&response), recorded, None, false) };
        let value = |option: &bulkhead_proto::pb::envoy::config::core::v3::HeaderValueOption| {
            option.header.as_ref().filter(|header| header.key == header::CONTEXT).map(|header| header.value.clone())
        };
        let removed = ok.headers_to_remove.iter().any(|name| name == header::CONTEXT);
        (200, recorded, ok.headers.iter().find_map(value), removed)
    };
    let (status, verdict, token, removed) = ask("  contextToken: { enabled: true }", true).await;
    assert_eq!((status, verdict, removed), (200, "allow", false));
    assert_eq!(token.unwrap().split('.').count(), 3);
    // A client's own never gets through, whether or not there is one of ours.
    assert_eq!(ask("  contextToken: { enabled: false }", true).await, (200, "allow", None, true));
    // What is recorded is what is answered.
    assert_eq!(ask("  contextToken: { enabled: true }", false).await, (503, "unavailable", None, false));
}
