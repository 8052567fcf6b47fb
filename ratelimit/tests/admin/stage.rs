//! A service in process, with its admin door open.

use std::{
    ffi::OsString,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bulkhead_doors::{
    admin::SnapshotReport,
    args::{self, DoorArgs, Service},
    metrics::Metrics,
    run::{Doors, Rooms},
    shutdown::Shutdown,
};
use bulkhead_proto::pb::{
    envoy::{
        extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::Entry},
        service::ratelimit::v3::{RateLimitRequest, rate_limit_response::Code, rate_limit_service_server::RateLimitService},
    },
    google::protobuf::UInt64Value,
};
use bulkhead_ratelimit::{
    admin::{self, Inside},
    ask::{Answer, Ask},
    key::{Account, Keyspace},
    levels::Levels,
    limiter::Limiter,
    rls::Rls,
    store::{Adjustment, Hour, Ledger, Metered, Micros, Store, StoreError, Tally, memory::MemoryStore},
};
use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::{Clock, ManualClock, SystemClock},
    snapshot::Live,
};
use reqwest::RequestBuilder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tonic::{Request, Status};

use crate::support::own_keys;

const FILES: [(&str, &str); 4] = [
    (
        "platform.yaml",
        "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  issuerTemplate: https://auth.gostoa.dev/realms/tenant-{tenant}
  addressing: { path: \"/{tenant}/{api}\" }
  rateLimit: { requestsPerMinute: 6000 }
  unresolved: { requestsPerMinute: 3 }
",
    ),
    (
        "tenants.yaml",
        "
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: small }
spec:
  rateLimit: { requestsPerMinute: 60 }
  guaranteed: { requestsPerMinute: 60, burstSeconds: 10 }
  quotas:
  - { requests: 1000, per: month, timeZone: Europe/Berlin }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: plain }
spec: { rateLimit: { requestsPerMinute: 600 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { plan: small, uid: u-acme }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: globex }
spec: { plan: plain, uid: u-globex }
",
    ),
    (
        "namespaces/tenant-acme/contract.yaml",
        "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: acme-contract, namespace: tenant-acme }
spec:
  version: \"1.0\"
  apis:
  - { name: billing-api, upstream: \"https://billing.acme.internal/v1\", rateLimit: { requestsPerMinute: 20 } }
  - { name: orders-api, upstream: \"https://orders.acme.internal/v1\" }
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: { name: s-01, namespace: tenant-acme }
spec:
  clientId: one
  rateLimit: { requestsPerMinute: 6 }
  quotas:
  - { requests: 50, per: day, window: sliding }
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: { name: s-02, namespace: tenant-acme }
spec: { clientId: two, rateLimit: { requestsPerMinute: 12 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: { name: s, namespace: tenant-acme }
spec: { clientId: three, rateLimit: { requestsPerMinute: 12 }, quotas: [{ requests: 50, per: day }, { requests: 9, per: hour, window: sliding }] }
",
    ),
    (
        "namespaces/tenant-globex/contract.yaml",
        "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: globex-contract, namespace: tenant-globex }
spec:
  version: \"1.0\"
  apis:
  - { name: billing-api, upstream: \"https://billing.globex.internal/v1\" }
",
    ),
];

/// 2026-11-22T05:00:00Z, and a little.
pub(crate) const NOW_US: u64 = 1_795_323_600_000_000 + 60_000_000;

static SERVICE: Service = Service {
    name: "bulkhead-stage",
    variables: "BULKHEAD_STAGE",
    grpc_services: &[],
    grpc: "127.0.0.1:0",
    health: "127.0.0.1:0",
    admin: "127.0.0.1:0",
};

#[derive(clap::Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Serve(Box<DoorArgs>),
}

/// A store that decides at the moment of a clock, and does not answer where it is told so.
pub(crate) struct Staged {
    store: Box<dyn Store>,
    clock: ManualClock,
    /// What every call fails with.
    pub(crate) broken: Mutex<Option<StoreError>>,
    /// Whose meter cannot be read.
    pub(crate) away: Mutex<Option<Account>>,
    /// Changes are made, and their answers lost.
    pub(crate) late_changes: Mutex<bool>,
}

impl Staged {
    fn now(&self) -> Result<Option<Micros>, StoreError> {
        match self.broken.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok(Some(Micros(self.clock.now_us()))),
        }
    }
}

#[async_trait]
impl Store for Staged {
    async fn decide(&self, _: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        self.store.decide(self.now()?, asks).await
    }

    fn ledger(&self) -> &dyn Ledger {
        self
    }
}

#[async_trait]
impl Ledger for Staged {
    async fn adjust(&self, _: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>> {
        let changed = match self.now() {
            Ok(now) => self.store.ledger().adjust(now, adjustments).await,
            Err(error) => vec![Err(error); adjustments.len()],
        };
        if *self.late_changes.lock().unwrap() { vec![Err(StoreError::Late); adjustments.len()] } else { changed }
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        match self.now() {
            Ok(default) => self.store.ledger().tally(now.or(default), tallies).await,
            Err(error) => vec![Err(error); tallies.len()],
        }
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        self.now()?;
        if self.away.lock().unwrap().as_ref() == Some(account) {
            return Err(StoreError::Away);
        }
        self.store.ledger().metered(account, hour).await
    }
}

/// The running service.
pub(crate) struct Stage {
    pub(crate) rls: Rls,
    /// The store's.
    pub(crate) clock: ManualClock,
    /// The process's own.
    pub(crate) process: ManualClock,
    pub(crate) store: Arc<Staged>,
    pub(crate) keys: Keyspace,
    admin: String,
    client: reqwest::Client,
    catalog: Mutex<Catalog>,
    live: Live,
    _tokens: tempfile::TempDir,
}

impl Stage {
    /// Over the memory store.
    pub(crate) async fn memory() -> Self {
        let clock = ManualClock::at_us(NOW_US);
        Self::over(Box::new(MemoryStore::new(Arc::new(clock.clone()))), clock).await
    }

    /// Over any store, at the moment of a clock.
    pub(crate) async fn over(store: Box<dyn Store>, clock: ManualClock) -> Self {
        let process = ManualClock::at_us(NOW_US);
        let store = Arc::new(Staged {
            store,
            clock: clock.clone(),
            broken: Mutex::default(),
            away: Mutex::default(),
            late_changes: Mutex::default(),
        });
        let mut catalog = Catalog::new(Arc::new(SystemClock));
        let snapshot = catalog.apply(changes_of(&FILES)).expect("a platform");
        let faults: Vec<String> = catalog.faults().iter().map(ToString::to_string).collect();
        assert_eq!(snapshot.tenants().count(), 2, "{faults:?}");
        let live = Live::default();
        live.publish(snapshot);
        let (catalog, shown) = (Mutex::new(catalog), live.clone());
        let metrics = Metrics::with_tenant_series(10).unwrap();
        let keys = own_keys();
        let decided: Arc<dyn Store> = Arc::<Staged>::clone(&store);
        let limiter = Arc::new(Limiter::new(Arc::clone(&decided), Arc::new(clock.clone()), Duration::from_secs(20)));
        let rls = Rls::new(live.clone(), Levels::new(keys.clone()), limiter, &metrics);

        let tokens = tempfile::tempdir().unwrap();
        let (operator, tenants) = (tokens.path().join("operator"), tokens.path().join("tenants"));
        std::fs::write(&operator, "operator-token").unwrap();
        let hash = |token: &str| hex::encode(Sha256::digest(token));
        let lines =
            format!("acme@u-acme: sha256:{}\nglobex: sha256:{}\nacme@u-gone: sha256:{}\n", hash("acme"), hash("globex"), hash("gone"));
        std::fs::write(&tenants, lines).unwrap();
        let flags = ["x", "--admin-token-file", operator.to_str().unwrap(), "--admin-tenant-tokens", tenants.to_str().unwrap()];
        let Command::Serve(flags) = args::parse_from::<Cli>(&SERVICE, flags.iter().map(OsString::from)).unwrap().command;
        let doors = Doors::bind(&SERVICE, &flags).await.unwrap();
        let admin = doors.addresses().admin.to_string();
        let rooms = Rooms {
            methods: Vec::new(),
            grpc: tonic::service::Routes::default(),
            health: axum::Router::new(),
            admin: admin::routes(Inside {
                live,
                store: decided,
                keys: keys.clone(),
                dropin: None,
                audit: None,
                clock: Arc::new(process.clone()),
            }),
            waits_for: Arc::new(|| None),
            report: Arc::new(SnapshotReport::default),
        };
        tokio::spawn(doors.run(rooms, metrics, Shutdown::default()));
        Self { rls, clock, process, store, keys, admin, client: reqwest::Client::new(), catalog, live: shown, _tokens: tokens }
    }

    /// Asks the limiter once: whether it was admitted.
    pub(crate) async fn ask(&self, descriptor: RateLimitDescriptor) -> Result<bool, Status> {
        let request = RateLimitRequest { domain: "bulkhead".into(), descriptors: vec![descriptor], hits_addend: 0 };
        let answer = self.rls.should_rate_limit(Request::new(request)).await?;
        Ok(answer.into_inner().overall_code() == Code::Ok)
    }

    /// Gives acme a store of its own, as far as the configuration says.
    pub(crate) fn silo(&self) {
        let (file, text) = FILES[1];
        let text = text.replace("metadata: { name: small }\nspec:\n", "metadata: { name: small }\nspec:\n  isolation: silo\n");
        let text = text.replace("{ plan: small,", "{ plan: small, store: \"redis://127.0.0.1:1\",");
        let mut catalog = self.catalog.lock().unwrap();
        let snapshot = catalog.apply(changes_of(&[(file, text.as_str())])).expect("a platform");
        assert!(snapshot.tenant("acme").unwrap().store.is_some(), "{:?}", catalog.faults());
        self.live.publish(snapshot);
    }

    pub(crate) fn get(&self, token: &str, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.admin)).bearer_auth(token)
    }

    pub(crate) fn post(&self, token: &str, path: &str, body: &Value) -> RequestBuilder {
        self.bare_post(token, path).header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn bare_post(&self, token: &str, path: &str) -> RequestBuilder {
        self.client.post(format!("http://{}{path}", self.admin)).bearer_auth(token)
    }

    /// What the operator is answered; it must be 200.
    pub(crate) async fn see(&self, path: &str) -> Value {
        let (status, body) = told(self.get("operator-token", path)).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// Status and body.
pub(crate) async fn told(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The contract's descriptor at a cost.
pub(crate) fn descriptor(tenant: &str, subscription: &str, api: &str, cost: u64) -> RateLimitDescriptor {
    let entry = |key: &str, value: &str| Entry { key: key.to_owned(), value: value.to_owned() };
    RateLimitDescriptor {
        entries: vec![entry("tenant", tenant), entry("subscription", subscription), entry("api", api)],
        hits_addend: Some(UInt64Value { value: cost }),
        ..RateLimitDescriptor::default()
    }
}
