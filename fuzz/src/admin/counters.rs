//! The limiter's door: counters and the bill.

use std::{cell::OnceCell, sync::Arc, time::Duration};

use bulkhead_ratelimit::{
    admin::{self, Inside},
    ask::Ask,
    dropin::{
        counting::Stores,
        file,
        rules::Configuration,
        service::Dropin,
        settings::{Settings, Variables},
        start,
    },
    key::Keyspace,
    levels::Levels,
    store::{Store, memory::MemoryStore},
};
use bulkhead_tenancy::{
    clock::{Clock, ManualClock},
    snapshot::{Live, Snapshot},
};
use http::{Method, StatusCode};

use super::{Asked, Door, Services};

/// What a tenant has counters of.
const ACME: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: acme-contract, namespace: tenant-acme }
spec:
  version: \"1.0\"
  apis:
  - { name: billing-api, upstream: \"https://billing.acme.example/v1\", rateLimit: { requestsPerMinute: 20 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: { name: s-01, namespace: tenant-acme }
spec:
  clientId: one
  rateLimit: { requestsPerMinute: 6 }
  quotas:
  - { requests: 50, per: day, window: sliding }
  - { requests: 500, per: month, timeZone: Europe/Berlin }
";

/// What the drop-in has counters of.
const RULES: &str = "
domain: shop
descriptors:
- { key: user, rate_limit: { unit: hour, requests_per_unit: 3 } }
- { key: free, rate_limit: { unlimited: true } }
";

/// Paths of one list that are followed.
const FOLLOWED: usize = 8;

async fn door(snapshot: Arc<Snapshot>) -> Door {
    // 2026-11-22T05:01:00Z.
    let clock = ManualClock::at_us(1_795_323_660_000_000);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    for tenant in snapshot.tenants() {
        let charge = Levels::default().charge(&snapshot, tenant, None, None, 3);
        store.decide(None, &[Ask::one(charge)]).await.expect("the memory store answers");
    }
    let dropin = dropin(&store, &clock);
    let live = Live::default();
    live.publish(snapshot);
    Door::of(admin::routes(Inside { live, store, keys: Keyspace::default(), dropin: Some(dropin), audit: None, clock: Arc::new(clock) }))
}

fn dropin(store: &Arc<dyn Store>, clock: &ManualClock) -> Arc<Dropin> {
    let settings = Settings::read(Variables::new([("RUNTIME_ROOT", "/rules")])).expect("settings");
    let deadline = Duration::from_secs(20);
    let stores = Stores { main: Arc::clone(store), per_second: None, deadline, per_second_deadline: deadline };
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let (dropin, live) = start::dropin(&settings, stores, clock);
    let parsed = file::parse("shop.yaml", RULES).expect("rules");
    live.publish(Configuration::build(&[parsed.draft], false).map_err(|refused| refused.to_string()));
    dropin
}

thread_local! {
    static SERVICES: OnceCell<Services> = const { OnceCell::new() };
}

/// Nothing breaks the door. A tenant changes nothing, and is answered the same whether or not there is another tenant. What a list names is there.
pub(crate) fn counters(data: &[u8]) {
    let Some(asked) = Asked::read(data) else { return };
    SERVICES.with(|services| {
        let services = services.get_or_init(|| Services::start(ACME, door));
        services.runtime.block_on(async {
            let Some((status, text)) = services.answer(&asked).await else { return };
            if asked.is_the_operators() && status == StatusCode::OK && asked.method == Method::GET {
                let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                for counter in told["counters"].as_array().into_iter().flatten().take(FOLLOWED) {
                    assert_eq!(services.both.follow(counter["path"].as_str().expect("a path")).await, *counter);
                }
                if let Some(next) = told["next"].as_str() {
                    services.both.follow(next).await;
                }
            }
        });
    });
}
