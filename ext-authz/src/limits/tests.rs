use std::sync::Mutex;

use async_trait::async_trait;
use bulkhead_proto::pb::google::protobuf::{UInt64Value, value::Kind};
use bulkhead_proto::{
    contract::{DOMAIN, descriptor, metadata},
    pb::envoy::{
        config::core::v3::HeaderValueOption,
        extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::Entry},
        service::{
            auth::v3::{CheckResponse, check_response::HttpResponse},
            ratelimit::v3::{RateLimitRequest, rate_limit_response::Code, rate_limit_service_server::RateLimitService},
        },
    },
};
use bulkhead_ratelimit::{
    ask::{Answer, Ask},
    metering::later::Later,
    rls::Rls,
    store::{Ledger, Micros, Store, StoreError, leasing::Leasing, memory::MemoryStore},
};
use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::{ManualClock, SystemClock},
    fault::Severity,
    snapshot::Live,
};
use tonic::Request;

use super::*;
use crate::{
    attributes::Attributes,
    decide::{Declared, Due, Judge},
    fixture::{Asked, Stand, get},
    record::{Kept, Noted, Processed, Record, Seen},
    service::CheckService,
    verdict::Decision,
};
use bulkhead_audit::refused::Refused;

mod look;

/// How long the store may take.
const DEADLINE: Duration = Duration::from_millis(20);

/// What a Check has: Envoy's 250 ms less the way back.
const PATIENCE: Duration = Duration::from_millis(230);

/// A store that keeps what it is asked, and how it is.
struct Spy {
    store: MemoryStore,
    asked: Mutex<Vec<Ask>>,
    hangs: bool,
}

#[async_trait]
impl Store for Spy {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        self.asked.lock().unwrap().extend(asks.iter().cloned());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.store.decide(now, asks).await
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.ledger()
    }
}

/// Notes the verdicts, and says of the first record what it is told to.
#[derive(Default)]
struct Notes {
    records: Mutex<Vec<(bool, &'static str)>>,
    answered: Mutex<Vec<&'static str>>,
    refuses: bool,
}

impl Record for Notes {
    fn keep(&self, noted: &Noted<'_>) -> Kept {
        let verdict = &noted.decision.verdict;
        self.records.lock().unwrap().push((verdict.charged.is_some(), verdict.name()));
        if self.refuses { Kept::Never(Refused::Nowhere) } else { Kept::Now }
    }

    fn unkept(&self, _: &Noted<'_>, _: &Refused) {}

    fn answered(&self, decision: Decision, _: Option<Seen>, _: Duration) {
        self.answered.lock().unwrap().push(decision.verdict.name());
    }

    fn processed(&self, _: &Processed) -> Kept {
        Kept::Now
    }
}

/// Tenants of three failure modes, with ten requests each and three for a subscription; one level more for an API.
fn live() -> Live {
    live_with(&[])
}

fn live_with(more: &[(&str, &str)]) -> Live {
    let tenant = |name: &str, mode: &str| {
        format!(
            "
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: {{ name: {name} }}
spec: {{ plan: small, uid: uid-{name}, issuers: [ {{ issuer: 'https://auth.example.com/{name}' }} ], upstreams: ['*.{name}.internal'], limiter: {{ onStoreFailure: {mode} }} }}
---
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: {{ name: contract, namespace: tenant-{name} }}
spec:
  apis:
  - {{ name: plain-api, upstream: 'http://a.{name}.internal', methods: [GET] }}
  - {{ name: limited-api, upstream: 'http://b.{name}.internal', rateLimit: {{ requestsPerMinute: 5 }} }}
  - {{ name: roles-api, upstream: 'http://c.{name}.internal', access: {{ roles: [admin] }} }}
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: {{ name: app, namespace: tenant-{name} }}
spec: {{ clientId: app, rateLimit: {{ requestsPerMinute: 3 }}, quotas: [ {{ requests: 100, per: day }} ] }}
"
        )
    };
    let platform = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec: { rateLimit: { requestsPerMinute: 1000 }, addressing: { path: '/{tenant}/{api}' } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: small }
spec: { rateLimit: { requestsPerMinute: 10 }, guaranteed: { requestsPerMinute: 1 } }
";
    let whole: Vec<(String, String, String)> = ["open", "closed", "local"]
        .map(|mode| {
            let text = tenant(mode, mode);
            let (own, rest) = text.split_once("---").unwrap();
            (mode.to_owned(), own.to_owned(), rest.to_owned())
        })
        .into();
    let mut files = vec![("platform.yaml".to_owned(), platform.to_owned())];
    for (name, own, rest) in whole {
        files.push((format!("tenants/{name}.yaml"), own));
        files.push((format!("namespaces/tenant-{name}/all.yaml"), rest));
    }
    let files = files.iter().map(|(file, text)| (file.as_str(), text.as_str()));
    let files: Vec<(&str, &str)> = files.chain(more.iter().copied()).collect();
    let mut catalog = Catalog::new(Arc::new(SystemClock));
    let live = Live::default();
    live.publish(catalog.apply(changes_of(&files)).unwrap());
    assert!(catalog.faults().iter().all(|fault| fault.severity == Severity::Warning), "{:?}", catalog.faults());
    live
}

struct Stage {
    live: Live,
    service: CheckService<Stand>,
    charging: Charging,
    notes: Arc<Notes>,
    spy: Arc<Spy>,
    rls: Rls,
    metrics: Metrics,
}

impl Stage {
    fn new() -> Self {
        Self::of(false, Notes::default())
    }

    fn of(hangs: bool, notes: Notes) -> Self {
        Self::with(live(), hangs, notes)
    }

    fn with(live: Live, hangs: bool, notes: Notes) -> Self {
        let clock = ManualClock::at_us(1_700_000_000_000_000);
        let spy = Arc::new(Spy { store: MemoryStore::new(Arc::new(clock.clone())), asked: Mutex::default(), hangs });
        let metrics = Metrics::with_tenant_series(10).unwrap();
        let later = Arc::new(Later::new(Arc::<Spy>::clone(&spy), Arc::new(clock.clone())));
        let leases = Arc::new(Leasing::before(Arc::<Spy>::clone(&spy), later));
        let limiter = Arc::new(Limiter::new(leases, Arc::new(clock), DEADLINE));
        let charging = || Charging::new(Levels::default(), Arc::clone(&limiter), &metrics);
        let rls = Rls::new(live.clone(), Levels::default(), Arc::clone(&limiter), &Metrics::with_tenant_series(10).unwrap());
        let notes = Arc::new(notes);
        let judge = Judge::new(Stand, Arc::new(SystemClock), Declared { limits: true, ..Declared::default() });
        let service = CheckService::new(live.clone(), judge, Arc::<Notes>::clone(&notes)).charging(Some(charging()));
        Self { live, service, charging: charging(), notes, spy, rls, metrics }
    }

    async fn check(&self, asked: &Asked) -> CheckResponse {
        self.service.answer(asked.request(), PATIENCE).await.read().unwrap()
    }

    async fn status(&self, asked: &Asked) -> i32 {
        status(&self.check(asked).await)
    }

    fn asks(&self) -> Vec<Ask> {
        std::mem::take(&mut self.spy.asked.lock().unwrap())
    }

    fn counted(&self, series: &str) -> bool {
        self.metrics.render().lines().any(|line| line.starts_with(series))
    }
}

fn status(response: &CheckResponse) -> i32 {
    match response.http_response.as_ref().unwrap() {
        HttpResponse::OkResponse(_) => 200,
        HttpResponse::DeniedResponse(denied) => denied.status.as_ref().unwrap().code,
        HttpResponse::ErrorResponse(_) => panic!("an error response"),
    }
}

fn text_of(headers: &[HeaderValueOption], name: &str) -> Option<String> {
    headers.iter().filter_map(|option| option.header.as_ref()).find(|header| header.key == name).map(|header| header.value.clone())
}

/// A header that the caller gets.
fn told(response: &CheckResponse, name: &str) -> Option<String> {
    match response.http_response.as_ref()? {
        HttpResponse::OkResponse(ok) => text_of(&ok.response_headers_to_add, name),
        HttpResponse::DeniedResponse(denied) => text_of(&denied.headers, name),
        HttpResponse::ErrorResponse(_) => None,
    }
}

fn has_cost(response: &CheckResponse) -> bool {
    response.dynamic_metadata.as_ref().unwrap().fields.contains_key(metadata::COST)
}

/// What the rate limit filter would have asked of a request that was let in.
fn descriptor_of(response: &CheckResponse) -> RateLimitRequest {
    let fields = &response.dynamic_metadata.as_ref().unwrap().fields;
    let entry = |key: &str, from: &str, default: &str| {
        let text = fields.get(from).and_then(|value| match &value.kind {
            Some(Kind::StringValue(text)) => Some(text.clone()),
            _ => None,
        });
        Entry { key: key.to_owned(), value: text.unwrap_or_else(|| default.to_owned()) }
    };
    let entries = vec![
        entry(descriptor::TENANT, metadata::TENANT, descriptor::UNRESOLVED),
        entry(descriptor::SUBSCRIPTION, metadata::SUBSCRIPTION, descriptor::NONE),
        entry(descriptor::API, metadata::API, descriptor::NONE),
        entry(descriptor::DECISION, metadata::DECISION_ID, descriptor::NONE),
    ];
    let descriptors = vec![RateLimitDescriptor { entries, hits_addend: Some(UInt64Value { value: 1 }), ..RateLimitDescriptor::default() }];
    RateLimitRequest { domain: DOMAIN.to_owned(), descriptors, hits_addend: 0 }
}

#[tokio::test]
async fn both_doors_charge_the_same_and_tell_the_caller_the_same() {
    for asked in [
        get("/open/plain-api").by("open"),
        get("/open/plain-api").by("open client:app"),
        get("/open/limited-api").by("open client:app"),
        get("/local/limited-api").by("local"),
    ] {
        let (one, two) = (Stage::new(), Stage::new());
        for round in 0..12 {
            let response = one.check(&asked).await;
            let ratelimited = two.rls.should_rate_limit(Request::new(descriptor_of(&response))).await.unwrap().into_inner();
            assert_eq!(one.asks(), two.asks(), "keys, buckets, cost and meter");
            let over = ratelimited.overall_code() == Code::OverLimit;
            assert_eq!((status(&response) == 429, round >= 3 && over), (over, over), "{round}: {response:?}");
            for header in &ratelimited.response_headers_to_add {
                assert_eq!(told(&response, &header.key).as_deref(), Some(header.value.as_str()), "{}", header.key);
            }
            if let Some(HttpResponse::DeniedResponse(denied)) = &response.http_response {
                assert_eq!(denied.body.as_bytes(), ratelimited.raw_body, "the decision's id too");
                let own = ["x-envoy-ratelimited"];
                let others = denied.headers.iter().filter(|one| !own.contains(&one.header.as_ref().unwrap().key.as_str()));
                assert_eq!(others.count(), ratelimited.response_headers_to_add.len());
            }
            assert_eq!(has_cost(&response), over, "what is charged is charged once");
        }
    }
}

#[tokio::test]
async fn what_is_denied_before_is_not_charged() {
    let stage = Stage::new();
    for (asked, expected) in [
        (get("/open/../x").by("open"), 400),
        (get("/open/plain-api"), 401),
        (get("/closed/plain-api").by("open"), 401),
        (get("/open/nothing").by("open"), 404),
        (get("/open/plain-api").by("open").method("DELETE"), 405),
        (get("/open/roles-api").by("open"), 403),
        (get("/open/plain-api").by("open").with("bulkhead-hop", "1"), 508),
    ] {
        let response = stage.check(&asked).await;
        assert_eq!((status(&response), has_cost(&response)), (expected, true));
    }
    assert_eq!(stage.asks(), []);
    assert_eq!(stage.status(&get("/open/plain-api").by("open")).await, 200);
    assert_eq!(stage.asks().len(), 1);
    assert!(stage.counted(r#"bulkhead_ratelimit_decisions_total{tenant_id="open",verdict="ok"} 1"#), "{}", stage.metrics.render());
}

#[tokio::test]
async fn a_grpc_caller_that_is_over_a_limit_is_told_so_in_its_own_words() {
    let stage = Stage::new();
    let asked = |content_type| get("/open/plain-api").by("open client:app").with("content-type", content_type);
    for _ in 0..3 {
        assert_eq!(stage.status(&asked("application/grpc")).await, 200);
    }
    for (content_type, expected) in
        [("application/grpc", Some("8")), ("application/grpc+proto", Some("8")), ("application/grpc-web", None), ("application/json", None)]
    {
        let response = stage.check(&asked(content_type)).await;
        assert_eq!((status(&response), told(&response, "grpc-status").as_deref()), (429, expected), "{content_type}");
    }
}

#[tokio::test]
async fn while_the_store_hangs_each_failure_mode_answers_in_time() {
    let stage = Stage::of(true, Notes::default());
    for (asked, expected, mode) in [
        (get("/open/plain-api").by("open"), vec![200; 20], "open"),
        (get("/closed/plain-api").by("closed"), vec![503; 2], "closed"),
        (get("/local/plain-api").by("local"), [vec![200; 10], vec![429; 2]].concat(), "local"),
    ] {
        for expected in expected {
            assert_eq!(stage.status(&asked).await, expected, "{mode}");
        }
        assert!(stage.counted(&format!(r#"bulkhead_ratelimit_fallbacks_total{{tenant_id="{mode}",mode="{mode}"}}"#)));
    }
    let response = stage.check(&get("/open/plain-api").by("open")).await;
    assert_eq!((told(&response, "ratelimit-limit"), has_cost(&response)), (None, false), "nothing is known, and nobody asks again");
}

#[tokio::test]
async fn s9_what_left_the_store_no_time_is_denied_and_not_let_through_by_the_failure_mode() {
    let stage = Stage::new();
    let snapshot = live().load().unwrap();
    let judge = Judge::new(Stand, Arc::new(SystemClock), Declared::default());
    let attributes = Attributes::of(get("/open/plain-api").by("open").request()).unwrap();
    for (left, expected, asked) in [(Duration::ZERO, "unavailable", 0), (DEADLINE / 3, "unavailable", 0), (PATIENCE * 100, "allow", 1)] {
        let mut verdict = judge.decide(&snapshot, &attributes, Due::at(Instant::now() + PATIENCE * 100)).await;
        stage.charging.charge(&snapshot, &mut verdict, Instant::now() + left, DEADLINE).await;
        assert_eq!((verdict.name(), stage.asks().len()), (expected, asked), "{left:?}");
    }
}

#[tokio::test]
async fn that_it_was_authorized_is_recorded_before_it_is_charged_and_its_limit_after() {
    let stage = Stage::new();
    let asked = get("/open/plain-api").by("open client:app");
    for _ in 0..4 {
        stage.check(&asked).await;
    }
    assert_eq!(stage.status(&get("/open/roles-api").by("open")).await, 403);
    let allowed = [(false, "allow"), (true, "allow")];
    let expected = [&allowed[..], &allowed, &allowed, &[(false, "allow"), (true, "over_limit"), (false, "role")]].concat();
    assert_eq!(*stage.notes.records.lock().unwrap(), expected);
    assert_eq!(*stage.notes.answered.lock().unwrap(), ["allow", "allow", "allow", "over_limit", "role"]);

    let stage = Stage::of(false, Notes { refuses: true, ..Notes::default() });
    assert_eq!(stage.status(&asked).await, 503);
    assert_eq!(stage.asks(), [], "what is not on record is not charged");
}

#[tokio::test]
async fn s9_a_route_that_leaves_limits_to_check_is_closed_where_check_has_no_store() {
    let asked = get("/open/plain-api").by("open").context("bulkhead.limits", "on");
    assert_eq!(Stage::new().status(&asked).await, 200);
    for (word, limits, expected) in [("on", false, 503), ("off", false, 503), ("", false, 503), ("off", true, 200)] {
        let judge = Judge::new(Stand, Arc::new(SystemClock), Declared { limits, ..Declared::default() });
        let service = CheckService::new(live(), judge, Arc::new(Notes::default()));
        let asked = get("/open/plain-api").by("open").context("bulkhead.limits", word);
        assert_eq!(status(&service.answer(asked.request(), PATIENCE).await.read().unwrap()), expected, "{word}");
    }
}
