//! The same through the service that an operator runs: one of each class, and tenants with stores of their own.

use std::time::Instant;

use bulkhead_proto::{
    contract::DOMAIN,
    pb::envoy::{
        extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::Entry},
        service::ratelimit::v3::{RateLimitRequest, rate_limit_response::Code, rate_limit_service_client::RateLimitServiceClient},
    },
};
use bulkhead_ratelimit::key::Keyspace;
use bulkhead_tests::{
    config::Config,
    deadline::{self, PATIENCE},
    service::Service,
    valkey::{Valkey, cluster::Cluster, sentinel::Sentinel, tls::TlsServer},
};
use tonic::transport::Channel;

use crate::load::uid;

/// A limit of 300, and one more each second.
const CAPACITY: u64 = 300;

const OPERATOR: &str = r#"
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  issuerTemplate: https://auth.gostoa.dev/realms/tenant-{tenant}
  addressing: { path: "/{tenant}/{api}" }
  rateLimit: { requestsPerMinute: 60000 }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: plan }
spec: { rateLimit: { requestsPerMinute: 60, burstMultiplier: 5 }, guaranteed: { requestsPerMinute: 60, burstSeconds: 20 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: silo }
spec: { rateLimit: { requestsPerMinute: 60, burstMultiplier: 5 }, guaranteed: { requestsPerMinute: 60, burstSeconds: 20 }, isolation: silo }
"#;

/// A folder with tenants that are closed while their store is away.
fn config(tenants: &[(&str, Option<&str>)]) -> Config {
    let config = Config::empty();
    config.write("operator.yaml", OPERATOR);
    for (tenant, store) in tenants {
        let (plan, store) = store.map_or(("plan", String::new()), |store| ("silo", format!(", store: \"{store}\"")));
        let spec = format!("{{ plan: {plan}, uid: {tenant}, limiter: {{ onStoreFailure: closed }}{store} }}");
        let text = format!("apiVersion: gostoa.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: {tenant} }}\nspec: {spec}\n");
        config.write(&format!("tenants/{tenant}.yaml"), &text);
    }
    config
}

/// What Envoy would be told, as the service runs.
struct Asking {
    client: RateLimitServiceClient<Channel>,
    began: Instant,
    admitted: u64,
}

impl Asking {
    async fn of(service: &Service) -> Self {
        let client = RateLimitServiceClient::connect(format!("http://{}", service.grpc())).await.expect("ratelimit listens");
        Self { client, began: Instant::now(), admitted: 0 }
    }

    /// Admitted, over a limit, or none where nothing was decided.
    async fn ask(&mut self, tenant: &str) -> Option<bool> {
        let entry = |(key, value): (&str, &str)| Entry { key: key.to_owned(), value: value.to_owned() };
        let entries = [("tenant", tenant), ("subscription", "__none__"), ("api", "__none__")].map(entry).to_vec();
        let descriptors = vec![RateLimitDescriptor { entries, ..RateLimitDescriptor::default() }];
        let request = RateLimitRequest { domain: DOMAIN.to_owned(), descriptors, hits_addend: 0 };
        let answer = self.client.should_rate_limit(request).await.ok()?.into_inner();
        let admitted = answer.overall_code() == Code::Ok;
        self.admitted += u64::from(admitted);
        Some(admitted)
    }

    async fn until(&mut self, tenant: &str, what: Option<bool>) {
        let began = Instant::now();
        while self.ask(tenant).await != what {
            assert!(began.elapsed() < PATIENCE, "{tenant} never came to {what:?}");
        }
    }

    /// What one tenant's limit may have admitted by now, its bucket lost so many times.
    fn bound(&self, lost: u64) -> u64 {
        CAPACITY * (1 + lost) + self.began.elapsed().as_secs() + 1
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_under_the_service() {
    let mut sentinel = Sentinel::start().await;
    let config = config(&[("acme", None)]);
    let service = Service::ratelimit(&config.path(), &sentinel.url(), &["--store-deadline", "200ms"]).await;
    let mut asking = Asking::of(&service).await;
    asking.until("acme", Some(false)).await;
    sentinel.servers[0].kill();
    asking.until("acme", None).await;
    asking.until("acme", Some(false)).await;
    assert!(asking.admitted <= asking.bound(1), "{}", asking.admitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_under_the_service() {
    let mut cluster = Cluster::start(0).await;
    let names: Vec<String> = (0..40).map(|number| format!("tenant-{number}")).collect();
    let tenants: Vec<(&str, Option<&str>)> = names.iter().map(|name| (name.as_str(), None)).collect();
    let config = config(&tenants);
    let service = Service::ratelimit(&config.path(), &cluster.url(), &["--store-deadline", "200ms"]).await;
    let mut homes = Vec::new();
    for name in &names {
        homes.push(cluster.home(Keyspace::default().account(&uid(name)).as_str()).await);
    }
    let on = |master: usize| names[homes.iter().position(|home| *home == master).expect("40 tenants are on every master")].clone();
    let platform = cluster.home(Keyspace::default().platform().as_str()).await;
    let (dead, lives) = (on((platform + 1) % 3), on((platform + 2) % 3));
    let mut asking = Asking::of(&service).await;
    asking.until(&dead, Some(false)).await;
    assert!(asking.admitted <= asking.bound(0), "{}", asking.admitted);
    cluster.masters[(platform + 1) % 3].kill();
    asking.until(&dead, None).await;
    for _ in 0..50 {
        assert_eq!(asking.ask(&lives).await, Some(true), "a tenant of another node");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_under_the_service() {
    let redis = TlsServer::start(&[]).await;
    let config = config(&[("acme", None)]);
    let (ca, cert, key) = (redis.file("ca.pem"), redis.file("client.pem"), redis.file("client.key"));
    let arguments = ["--store-tls-ca", &ca, "--store-tls-cert", &cert, "--store-tls-key", &key, "--store-deadline", "500ms"];
    let service = Service::ratelimit(&config.path(), &redis.url(), &arguments).await;
    let mut asking = Asking::of(&service).await;
    asking.until("acme", Some(false)).await;
    assert!((CAPACITY..=asking.bound(0)).contains(&asking.admitted), "{}", asking.admitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_silo_and_the_platform_do_not_share_their_stores_fate() {
    let mut main = Valkey::start().await;
    let mut own = Valkey::with(&["--requirepass", "hunter2"]).await;
    let address = own.url().replace("redis://", "redis://:hunter2@");
    let config = config(&[("acme", None), ("globex", Some(&address))]);
    let service = Service::ratelimit(&config.path(), &main.url(), &["--store-deadline", "200ms"]).await;
    let (mut acme, mut globex) = (Asking::of(&service).await, Asking::of(&service).await);
    globex.until("globex", Some(true)).await;
    globex.until("globex", Some(false)).await;
    assert!((CAPACITY..=globex.bound(0)).contains(&globex.admitted), "{}", globex.admitted);
    let kept: Vec<String> = main.ask(&["KEYS", "*globex*"]).await;
    assert!(kept.is_empty(), "a silo's counters are in its own store: {kept:?}");

    own.kill();
    globex.until("globex", None).await;
    for _ in 0..50 {
        assert_eq!(acme.ask("acme").await, Some(true), "the silo's dead store is its own");
    }
    own.restart().await;
    globex.until("globex", Some(true)).await;
    globex.until("globex", Some(false)).await;
    assert!(globex.admitted <= globex.bound(1), "{}", globex.admitted);

    main.kill();
    acme.until("acme", None).await;
    // Its own limit still decides, and with nobody to ask for more, its guarantee admits.
    for _ in 0..20 {
        assert!(globex.ask("globex").await.is_some(), "the platform's dead store is not the silo's");
    }
    main.restart().await;
    acme.until("acme", Some(true)).await;

    config.write("tenants/globex.yaml", "# nobody");
    deadline::until("the silo's connections to close", PATIENCE, || async {
        let clients: String = bulkhead_tests::valkey::try_ask(&address, &["CLIENT", "LIST"]).await.ok()?;
        (clients.lines().count() == 1).then_some(())
    })
    .await;
    assert!(!service.log().contains("hunter2"), "{}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_be_used_says_why() {
    let (alone, secret) = (Valkey::start().await, Valkey::with(&["--requirepass", "hunter2"]).await);
    let config = config(&[]);
    for (url, says) in [
        (alone.url().replace("redis://", "redis-cluster://"), "tells no slots: ERR"),
        (secret.url().replace("redis://", "redis-cluster://:nonsense@"), "tells no slots: "),
        ("redis-cluster://127.0.0.1:1".to_owned(), "Connection refused"),
    ] {
        let service = Service::ratelimit(&config.path(), &url, &[]).await;
        deadline::until(&format!("the log to say {says}"), PATIENCE, || async {
            service.log().lines().any(|line| line.contains("cannot use the store") && line.contains(says)).then_some(())
        })
        .await;
        assert!(!service.log().contains("nonsense"), "{}", service.log());
    }
}
