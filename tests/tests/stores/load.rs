//! Requests of one tenant, without pause, and what became of each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bulkhead_ratelimit::{
    args,
    bucket::Bucket,
    charge::{Charge, Scope, Shape},
    key::Keyspace,
    limiter::{Fallback, Limiter, Ruling},
    outcome::Verdict,
    store::redis::settings::StoreSettings,
};
use bulkhead_tenancy::{
    clock::SystemClock,
    limit::{Rate, RateLimit},
    name::TenantUid,
    tenant::StoreFailure,
};
use bulkhead_tests::deadline::{self, PATIENCE};
use tokio::task::JoinSet;

/// Long enough for a store on a busy machine, short enough to notice one that hangs.
pub(crate) const DEADLINE: Duration = Duration::from_millis(500);

/// The settings of an address.
pub(crate) fn settings(url: &str) -> StoreSettings {
    StoreSettings::new(url.parse().expect("an address"), DEADLINE)
}

/// A limiter over the store of an address, which is there.
pub(crate) async fn limiter(url: &str) -> Arc<Limiter> {
    let (limiter, ready) = open(&settings(url)).await;
    assert!(ready, "{url} cannot be used");
    limiter
}

/// A limiter over a store, and whether that is there.
pub(crate) async fn open(settings: &StoreSettings) -> (Arc<Limiter>, bool) {
    let (store, ready) = args::open(settings, PATIENCE).await.expect("settings that fit");
    (Arc::new(Limiter::new(store, Arc::new(SystemClock), settings.deadline)), ready)
}

/// A tenant's limit that holds so many requests, and gains one in an hour.
pub(crate) fn once(capacity: u64) -> Bucket {
    Bucket::token(RateLimit { rate: Rate { requests: 1, period_us: 3_600_000_000 }, capacity })
}

/// A tenant by name.
pub(crate) fn uid(tenant: &str) -> TenantUid {
    tenant.parse().expect("a name")
}

/// What a request of a tenant costs, where only the tenant has a limit.
pub(crate) fn charge(tenant: &str, limit: Bucket) -> Charge {
    Charge::of(Arc::new(Shape::new().hold(Scope::Tenant, Keyspace::default().tenant(&uid(tenant)), limit)), 1)
}

/// How often each end came about.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) admitted: AtomicU64,
    pub(crate) denied: AtomicU64,
    pub(crate) locally_admitted: AtomicU64,
    pub(crate) locally_denied: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) unavailable: AtomicU64,
}

impl Counts {
    fn count(&self, ruling: &Ruling) {
        let admitted = |outcome: &bulkhead_ratelimit::outcome::Outcome| outcome.verdict() == Verdict::Admitted;
        let counter = match ruling {
            Ruling::Exact(outcome) if admitted(outcome) => &self.admitted,
            Ruling::Exact(_) => &self.denied,
            Ruling::Local(outcome) if admitted(outcome) => &self.locally_admitted,
            Ruling::Local(_) => &self.locally_denied,
            Ruling::Open => &self.open,
            Ruling::Unavailable => &self.unavailable,
            #[allow(unreachable_patterns, reason = "more ends may come")]
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Decided by the store, either way.
    pub(crate) fn exact(&self) -> u64 {
        of(&self.admitted) + of(&self.denied)
    }

    /// Answered by the failure mode, whichever it is.
    pub(crate) fn fallen_back(&self) -> u64 {
        of(&self.locally_admitted) + of(&self.locally_denied) + of(&self.open) + of(&self.unavailable)
    }
}

/// A counter's value.
pub(crate) fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Callers that ask, one request after the other, until the value is dropped.
pub(crate) struct Load {
    pub(crate) counts: Arc<Counts>,
    _callers: JoinSet<()>,
}

impl Load {
    /// Eight callers of one tenant.
    pub(crate) fn start(limiter: &Arc<Limiter>, charge: &Charge, mode: StoreFailure) -> Self {
        let counts = Arc::new(Counts::default());
        let mut callers = JoinSet::new();
        for _ in 0..8 {
            let (limiter, charge, counts) = (Arc::clone(limiter), charge.clone(), Arc::clone(&counts));
            callers.spawn(async move {
                loop {
                    counts.count(&limiter.decide(&charge, Fallback { mode, replicas: 1 }, None).await);
                    // Not to measure anything: eight callers without pause leave the store itself no processor.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        Self { counts, _callers: callers }
    }

    /// Waits until the counts are so.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Counts) -> bool) {
        deadline::until(what, PATIENCE, || std::future::ready(condition(&self.counts).then_some(()))).await;
    }

    /// Waits until the store has decided so many more requests.
    pub(crate) async fn until_decided(&self, more: u64) {
        let before = self.counts.exact();
        self.until("the store to decide", |counts| counts.exact() >= before + more).await;
    }

    /// Waits until the failure mode has answered so many more.
    pub(crate) async fn until_fallen_back(&self, more: u64) {
        let before = self.counts.fallen_back();
        self.until("the failure mode to answer", |counts| counts.fallen_back() >= before + more).await;
    }
}
