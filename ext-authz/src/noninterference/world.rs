//! The authorizer in process, whole: a catalog over files in memory, identity over providers in memory, the judge and the service.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bulkhead_audit::refused::Refused;
use bulkhead_proto::{
    contract::{header, metadata},
    pb::{
        envoy::{
            config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address},
            service::auth::v3::{
                AttributeContext, CheckRequest, CheckResponse,
                attribute_context::{HttpRequest, Peer, Request},
                check_response::HttpResponse,
            },
        },
        google::protobuf::value::Kind,
    },
};
use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::{Clock, ManualClock},
    fault::Severity,
    place::Place,
    snapshot::Live,
    source::{Change, Content, PartitionKey},
};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{
    OTHERS, VICTIM,
    events::{Ask, Credential, Deed, Keys},
    resources::{api_key, contract, contract_file, platform, tenant_file},
};
use crate::{
    decide::{Declared, Judge},
    fixture::{PLAN, issuer, tenant},
    record::{Kept, Noted, Processed, Record, Seen},
    resolve::{Lookup, Resolver},
    service::CheckService,
    tenant::{
        Identity, KeyProvider, Settings,
        testing::{self, NOW_US, Provider, Signer, claims, with},
    },
    verdict::Decision,
};

/// Keys are refreshed at this age at the latest, if their provider answers, whatever failed before.
const REFRESHED_S: u64 = 301;
/// How long it takes until a turn of the victim's provider is known for certain.
pub(super) const TURN_S: u64 = 2 * REFRESHED_S;

/// Longer than anything takes that does not hang.
const PATIENT: Duration = Duration::from_secs(60);
const IMPATIENT: Duration = Duration::from_millis(30);

/// Two keys for each issuer, and one that is nobody's.
static SIGNERS: LazyLock<HashMap<&str, [Signer; 2]>> =
    LazyLock::new(|| OTHERS.into_iter().chain([VICTIM, "nobody"]).map(|name| (name, [(); 2].map(|()| Signer::ed25519()))).collect());
static FORGER: LazyLock<Signer> = LazyLock::new(Signer::ed25519);

fn kid(key: usize) -> String {
    format!("k{key}")
}

/// What is answered, without what is new in every answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) verdict: String,
    response: CheckResponse,
    /// What is recorded beside it.
    recorded: String,
}

impl Answer {
    fn of(mut response: CheckResponse, notes: &Notes) -> Self {
        let fields = &mut response.dynamic_metadata.as_mut().unwrap().fields;
        fields.remove(metadata::GENERATION);
        let mut text = |key: &str| match fields.remove(key).unwrap().kind {
            Some(Kind::StringValue(text)) => text,
            other => panic!("{key}: {other:?}"),
        };
        let (id, verdict) = (text(metadata::DECISION_ID), text(metadata::VERDICT));
        match response.http_response.as_mut().unwrap() {
            HttpResponse::OkResponse(ok) => {
                ok.headers.retain(|option| option.header.as_ref().unwrap().key != header::DECISION);
            }
            HttpResponse::DeniedResponse(denied) => denied.body = denied.body.replace(&id, ""),
            HttpResponse::ErrorResponse(_) => panic!("an error response"),
        }
        let recorded = notes.0.lock().unwrap().remove(&id).unwrap();
        Self { verdict, response, recorded }
    }
}

/// What is recorded of decisions, by id.
#[derive(Default)]
struct Notes(Mutex<HashMap<String, String>>);

impl Record for Notes {
    fn keep(&self, _: &Noted<'_>) -> Kept {
        Kept::Now
    }

    fn unkept(&self, _: &Noted<'_>, _: &Refused) {}

    fn answered(&self, decision: Decision, _: Option<Seen>, _took: Duration) {
        let verdict = &decision.verdict;
        let text = format!("{:?} {:?} {:?}", verdict.step, verdict.facts.findings, verdict.shadow);
        self.0.lock().unwrap().insert(decision.id, text);
    }

    fn processed(&self, _: &Processed) -> Kept {
        Kept::Now
    }
}

pub(super) struct World {
    clock: ManualClock,
    catalog: Catalog,
    files: BTreeMap<String, String>,
    live: Live,
    provider: Arc<Provider>,
    service: Arc<CheckService<Identity>>,
    notes: Arc<Notes>,
    /// The last fresh token of each tenant, and its `kid`.
    last: HashMap<&'static str, (String, usize)>,
    /// The key that each tenant's provider has, or had last.
    keys: HashMap<&'static str, usize>,
    /// The others' requests that are not known to have ended.
    busy: Vec<JoinHandle<()>>,
}

impl World {
    /// The victim alone.
    pub(super) fn new(strangers_a_minute: u64) -> Self {
        let clock = ManualClock::at_us(NOW_US);
        let provider = Provider::new();
        for (name, [signer, _]) in SIGNERS.iter() {
            provider.set(&issuer(name), testing::Answer::Keys(vec![signer.jwk(&kid(0))]));
        }
        // As few fetches at a time as the others together may have on their way, and the victim's.
        let settings = Settings { wait: PATIENT, fetches: 2 * (OTHERS.len() + 1), ..Settings::default() };
        let identity = Identity::new(settings, Arc::new(clock.clone()), Arc::clone(&provider) as Arc<dyn KeyProvider>);
        let live = Live::default();
        let notes = Arc::new(Notes::default());
        let judge = Judge::new(identity, Arc::new(clock.clone()), Declared { body: true, process: true, ..Declared::default() });
        let service = CheckService::new(live.clone(), judge, Arc::<Notes>::clone(&notes));
        let service = Arc::new(service.resolving(Resolver::new(Somewhere, Arc::new(clock.clone()))));
        let files = [
            ("platform.yaml".to_owned(), platform(strangers_a_minute)),
            ("plans.yaml".to_owned(), PLAN.to_owned()),
            (tenant_file(VICTIM), tenant(VICTIM, "active")),
            (contract_file(VICTIM), contract(VICTIM)),
        ];
        let catalog = Catalog::new(Arc::new(clock.clone()));
        let (last, keys, busy) = (HashMap::new(), SIGNERS.keys().map(|name| (*name, 0)).collect(), Vec::new());
        let mut world = Self { clock, catalog, files: files.into(), live, provider, service, notes, last, keys, busy };
        world.apply(world.changes());
        assert!(world.catalog.faults().iter().all(|fault| fault.severity == Severity::Warning), "{:?}", world.catalog.faults());
        world
    }

    fn changes(&self) -> Vec<Change> {
        changes_of(&self.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>())
    }

    fn apply(&mut self, changes: Vec<Change>) {
        self.live.publish(self.catalog.apply(changes).unwrap());
    }

    /// Tells the catalog of the partition that a file is in.
    fn tell(&mut self, path: &str) {
        let partition = changes_of(&[(path, "")]).pop().unwrap().partition;
        let mut changes = self.changes();
        changes.retain(|change| change.partition == partition);
        if changes.is_empty() {
            changes.push(Change { partition, content: Content::Gone });
        }
        self.apply(changes);
    }

    pub(super) fn write(&mut self, path: &str, text: &str) {
        self.files.insert(path.to_owned(), text.to_owned());
        self.tell(path);
    }

    fn unreadable(&mut self, partition: PartitionKey) {
        let fault = Place::file(&Arc::from("the folder")).fault("permission denied");
        self.apply(vec![Change { partition, content: Content::Unreadable(fault) }]);
    }

    /// Lets seconds go by, once what was asked before has its answer.
    pub(super) async fn time(&mut self, seconds: u64) {
        self.quiet().await;
        self.clock.advance_us(seconds * 1_000_000);
        self.apply(Vec::new());
    }

    /// Waits until what the others asked is answered: not for long, whatever hangs.
    async fn quiet(&mut self) {
        futures::future::join_all(self.busy.drain(..)).await;
    }

    /// Turns the victim's provider. When its turn shows is not the victim's alone to say: whoever names its issuer may have it asked early.
    /// So its keys are as old in every history before it turns, and known to have been looked at when it has.
    pub(super) async fn turn(&mut self, number: usize, keys: Keys) {
        self.quiet().await;
        self.refresh(number, 0).await;
        self.set(VICTIM, keys);
        self.refresh(number, 1).await;
    }

    async fn refresh(&mut self, number: usize, time: usize) {
        self.clock.advance_us(REFRESHED_S * 1_000_000);
        let key = self.keys[VICTIM];
        let token = self.token(VICTIM, key, &kid(key), json!({"jti": format!("refresh {number} {time}")}));
        let ask =
            Ask { credential: Credential::Fresh, of: VICTIM, at: VICTIM, by_host: false, api: "api", method: "GET", body: "", source: 9 };
        let request = check(&ask, "192.0.2.9", &[("authorization", format!("Bearer {token}"))]);
        self.service.answer(request, PATIENT).await;
        settle().await;
    }

    fn set(&mut self, tenant: &'static str, keys: Keys) {
        if let Keys::Has(key) = keys {
            self.keys.insert(tenant, key);
        }
        let answer = match keys {
            Keys::Has(key) => testing::Answer::Keys(vec![SIGNERS[tenant][key].jwk(&kid(key))]),
            Keys::Down => testing::Answer::Down,
            Keys::Hangs => testing::Answer::Late(Vec::new()),
        };
        self.provider.set(&issuer(tenant), answer);
    }

    /// Lets the victim ask.
    pub(super) async fn ask(&mut self, number: usize, ask: &Ask) -> Answer {
        let (headers, key) = self.credential(number, ask);
        // Whether an unknown key is 401 or 503 may be others' doing, and so would be whether its source is closed.
        let source = if key.is_none_or(|key| key == self.keys[VICTIM]) {
            format!("192.0.2.{}", ask.source)
        } else {
            format!("2001:db8:{number:x}::1")
        };
        let response = self.service.answer(check(ask, &source, &headers), PATIENT).await.read().unwrap();
        settle().await;
        Answer::of(response, &self.notes)
    }

    /// Lets something happen to the others. What they ask goes on while the next events happen.
    pub(super) fn suffer(&mut self, number: usize, deed: &Deed) {
        match deed {
            Deed::Write(path, text) => self.write(path, text),
            Deed::Delete(path) => {
                self.files.remove(path);
                self.tell(path);
            }
            Deed::UnreadablePartition(name) => self.unreadable(PartitionKey::Namespace(format!("tenant-{name}").parse().unwrap())),
            Deed::UnreadableOperator => self.unreadable(PartitionKey::Operator),
            Deed::Provider(name, keys) => self.set(name, *keys),
            Deed::Asks(asks) => {
                for (place, ask) in asks.iter().enumerate() {
                    let (headers, _) = self.credential(number * 1000 + place, ask);
                    // Some sources fail much, others once.
                    let source =
                        if ask.source == 0 { "203.0.113.1".to_owned() } else { format!("2001:db8:1:{:x}::1", number * 64 + place) };
                    let (service, request) = (Arc::clone(&self.service), check(ask, &source, &headers));
                    self.busy.push(tokio::spawn(async move { drop(service.answer(request, IMPATIENT).await) }));
                }
            }
        }
    }

    /// The headers of a credential, and the key that its `kid` names if it has one.
    fn credential(&mut self, number: usize, ask: &Ask) -> (Vec<(&'static str, String)>, Option<usize>) {
        let of = ask.of;
        let roles = if ask.source == 0 { json!({"jti": number}) } else { json!({"jti": number, "roles": ["admin"]}) };
        let key = self.keys[of];
        let bearer = |token: String| ("authorization", format!("Bearer {token}"));
        match ask.credential {
            Credential::None => (Vec::new(), None),
            Credential::Garbage => (vec![bearer("garbage".to_owned())], None),
            Credential::Fresh | Credential::FreshOfOtherKey => {
                let key = if ask.credential == Credential::Fresh { key } else { 1 - key };
                let token = self.token(of, key, &kid(key), roles);
                self.last.insert(of, (token.clone(), key));
                (vec![bearer(token)], Some(key))
            }
            Credential::Again => match self.last.get(of) {
                Some((token, key)) => (vec![bearer(token.clone())], Some(*key)),
                None => (Vec::new(), None),
            },
            Credential::Expired => {
                let expired = self.clock.now_s() - 100;
                (vec![bearer(self.token(of, key, &kid(key), with(roles, json!({"exp": expired}))))], Some(key))
            }
            Credential::Forged => (vec![bearer(FORGER.token(&kid(key), &self.claims(of, roles)))], Some(key)),
            Credential::UnknownKid => (vec![bearer(self.token(of, key, "unknown", roles))], Some(usize::MAX)),
            Credential::Key => (vec![("x-api-key", api_key(of))], None),
            Credential::WrongKey => (vec![("x-api-key", format!("{}x", api_key(of)))], None),
        }
    }

    fn claims(&self, of: &str, others: serde_json::Value) -> serde_json::Value {
        let now = self.clock.now_s();
        with(with(claims(&issuer(of)), json!({"iat": now, "exp": now + 300})), others)
    }

    fn token(&self, of: &str, key: usize, kid: &str, others: serde_json::Value) -> String {
        SIGNERS[of][key].token(kid, &self.claims(of, others))
    }
}

/// Lets what nobody waits for get done: a fetch whose provider answers at once ends here.
async fn settle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

fn check(ask: &Ask, source: &str, headers: &[(&'static str, String)]) -> CheckRequest {
    let (host, path) = if ask.by_host {
        (format!("api.{}.example.com", ask.at), "/orders".to_owned())
    } else {
        ("gateway.example.com".to_owned(), format!("/{}/{}/orders", ask.at, ask.api))
    };
    let raw_body = match ask.body {
        "large" => format!("{{\"a\":\"{}\"}}", "x".repeat(20_000)).into_bytes(),
        body => body.as_bytes().to_vec(),
    };
    let headers = headers.iter().cloned().chain([("content-type", "application/json".to_owned())]);
    let headers = headers.map(|(key, value)| HeaderValue { key: key.to_owned(), raw_value: value.into_bytes(), ..HeaderValue::default() });
    let http = HttpRequest {
        method: ask.method.to_owned(),
        host,
        path,
        scheme: "https".to_owned(),
        header_map: Some(HeaderMap { headers: headers.collect() }),
        raw_body,
        ..HttpRequest::default()
    };
    let socket = SocketAddress { address: source.to_owned(), ..SocketAddress::default() };
    let source = Peer { address: Some(Address { address: Some(address::Address::SocketAddress(socket)) }), ..Peer::default() };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source),
            request: Some(Request { http: Some(http), ..Request::default() }),
            ..AttributeContext::default()
        }),
    }
}

/// Every name leads to an address that nobody has.
struct Somewhere;

#[async_trait]
impl Lookup for Somewhere {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([192, 0, 2, 1])])
    }
}
