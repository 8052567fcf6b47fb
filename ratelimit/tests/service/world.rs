//! A platform of a few tenants, and a service that decides for it.

use std::{sync::Arc, time::Duration};

use bulkhead_doors::metrics::Metrics;
use bulkhead_proto::pb::{
    envoy::{
        extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::Entry},
        service::ratelimit::v3::{
            RateLimitRequest, RateLimitResponse, rate_limit_response::Code, rate_limit_service_server::RateLimitService,
        },
    },
    google::protobuf::UInt64Value,
};
use bulkhead_ratelimit::{
    levels::Levels,
    limiter::Limiter,
    rls::Rls,
    store::{Store, memory::MemoryStore},
};
use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::{ManualClock, SystemClock},
    snapshot::Live,
};
use tonic::{Request, Status};

use crate::support::own_keys;

pub(crate) const PLATFORM: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  issuerTemplate: https://auth.gostoa.dev/realms/tenant-{tenant}
  addressing: { path: \"/{tenant}/{api}\" }
  rateLimit: { requestsPerMinute: 600 }
  unresolved: { requestsPerMinute: 3 }
  limiter: { mode: exact, replicas: 2 }
";

pub(crate) const TENANTS: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: small }
spec: { rateLimit: { requestsPerMinute: 60 }, guaranteed: { requestsPerMinute: 60, burstSeconds: 10 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: plain }
spec: { rateLimit: { requestsPerMinute: 600 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: counted }
spec:
  rateLimit: { requestsPerMinute: 60 }
  guaranteed: { requestsPerMinute: 1, burstSeconds: 600 }
  quotas:
  - { requests: 8, per: month, anchorDay: 31, timeZone: Europe/Paris }
  - { requests: 5, per: day }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: hooli }
spec: { plan: counted, uid: u-hooli, limiter: { onStoreFailure: local } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { plan: small, uid: u-acme, limiter: { onStoreFailure: local } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: globex }
spec: { plan: small, uid: u-globex, limiter: { onStoreFailure: closed } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: initech }
spec: { plan: plain, uid: u-initech, limiter: { onStoreFailure: open } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: broken }
spec: { plan: small, uid: u-broken }
";

pub(crate) const ACME: &str = "
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
spec: { clientId: one, rateLimit: { requestsPerMinute: 6 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: GuardrailPolicy
metadata: { name: trial, namespace: tenant-acme }
spec: { shadow: true, rateLimit: { requestsPerMinute: 40 } }
";

const INITECH: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: initech-contract, namespace: tenant-initech }
spec:
  version: \"1.0\"
  apis:
  - { name: stopped-api, upstream: \"https://stopped.initech.internal/v1\", rateLimit: { requestsPerMinute: 0 } }
";

pub(crate) const HOOLI: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: hooli-contract, namespace: tenant-hooli }
spec:
  version: \"1.0\"
  apis:
  - { name: search-api, upstream: \"https://search.hooli.internal/v1\" }
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: { name: slow, namespace: tenant-hooli }
spec: { clientId: slow, quotas: [ { requests: 2, per: hour, window: sliding } ] }
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: { name: stopped, namespace: tenant-hooli }
spec: { clientId: stopped, quotas: [ { requests: 0, per: hour } ] }
";

/// A service and what surrounds it.
pub(crate) struct World {
    pub(crate) rls: Rls,
    pub(crate) clock: ManualClock,
    metrics: Metrics,
}

impl World {
    /// Over the memory store, on a clock that stands still.
    pub(crate) fn memory() -> Self {
        let clock = ManualClock::at_us(1_700_000_000_000_000);
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        Self::over(store, Levels::new(own_keys()), clock, Duration::from_secs(20))
    }

    /// Over any store. The clock is that of the local buckets.
    pub(crate) fn over(store: Arc<dyn Store>, levels: Levels, clock: ManualClock, deadline: Duration) -> Self {
        let mut catalog = Catalog::new(Arc::new(SystemClock));
        let files = [
            ("platform.yaml", PLATFORM),
            ("tenants.yaml", TENANTS),
            ("namespaces/tenant-acme/contract.yaml", ACME),
            ("namespaces/tenant-initech/contract.yaml", INITECH),
            ("namespaces/tenant-hooli/contract.yaml", HOOLI),
            ("namespaces/tenant-broken/contract.yaml", "kind: Nonsense"),
        ];
        let snapshot = catalog.apply(changes_of(&files)).expect("a platform");
        let errors: Vec<String> = catalog.faults().iter().map(ToString::to_string).filter(|fault| fault.contains(": must")).collect();
        assert_eq!(snapshot.tenants().count(), 5, "{errors:?}");
        let live = Live::default();
        live.publish(snapshot);
        let metrics = Metrics::with_tenant_series(10).unwrap();
        let limiter = Arc::new(Limiter::new(store, Arc::new(clock.clone()), deadline));
        Self { rls: Rls::new(live, levels, limiter, &metrics), clock, metrics }
    }

    pub(crate) async fn ask(&self, request: RateLimitRequest) -> Result<RateLimitResponse, Status> {
        self.rls.should_rate_limit(Request::new(request)).await.map(tonic::Response::into_inner)
    }

    /// Whether a request is admitted; panics where nothing was decided.
    pub(crate) async fn admits(&self, descriptors: &[RateLimitDescriptor]) -> bool {
        let answer = self.ask(request(descriptors)).await.expect("an answer");
        code(&answer) == Code::Ok
    }

    /// How many of so many requests are admitted.
    pub(crate) async fn admitted_of(&self, tries: usize, descriptors: &[RateLimitDescriptor]) -> usize {
        let mut admitted = 0;
        for _ in 0..tries {
            admitted += usize::from(self.admits(descriptors).await);
        }
        admitted
    }

    /// A counter's value; 0 where it has not counted.
    pub(crate) fn counted(&self, series: &str) -> u64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or(0)
    }
}

/// The contract's descriptor.
pub(crate) fn descriptor(tenant: &str, subscription: &str, api: &str) -> RateLimitDescriptor {
    entries(&[("tenant", tenant), ("subscription", subscription), ("api", api)])
}

/// A tenant's descriptor without subscription and API.
pub(crate) fn of(tenant: &str) -> RateLimitDescriptor {
    descriptor(tenant, "__none__", "__none__")
}

pub(crate) fn entries(entries: &[(&str, &str)]) -> RateLimitDescriptor {
    let entry = |(key, value): &(&str, &str)| Entry { key: (*key).to_owned(), value: (*value).to_owned() };
    RateLimitDescriptor { entries: entries.iter().map(entry).collect(), ..RateLimitDescriptor::default() }
}

/// A descriptor with hits of its own.
pub(crate) fn costing(mut descriptor: RateLimitDescriptor, hits: u64) -> RateLimitDescriptor {
    descriptor.hits_addend = Some(UInt64Value { value: hits });
    descriptor
}

pub(crate) fn request(descriptors: &[RateLimitDescriptor]) -> RateLimitRequest {
    RateLimitRequest { domain: "bulkhead".to_owned(), descriptors: descriptors.to_vec(), hits_addend: 0 }
}

pub(crate) fn code(answer: &RateLimitResponse) -> Code {
    let code = Code::try_from(answer.overall_code).expect("a code of the enumeration");
    assert_ne!(code, Code::Unknown, "Envoy lets UNKNOWN through");
    code
}

pub(crate) fn header<'a>(answer: &'a RateLimitResponse, name: &str) -> Option<&'a str> {
    answer.response_headers_to_add.iter().find(|header| header.key == name).map(|header| header.value.as_str())
}
