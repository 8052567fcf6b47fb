use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::{Clock, ManualClock},
    issuer::Issuer,
};
use serde_json::Value;

use super::*;
use crate::tenant::{
    compartment::Caps,
    keys::{FetchError, KeyProvider, Pace, Supply},
    testing::{NOW_US, Signer, until},
};

/// So many tenants, each with one issuer.
fn world(tenants: usize) -> Live {
    let resource = |kind: &str, name: &str, spec: &str| {
        format!("apiVersion: gostoa.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
    };
    let mut files = vec![
        ("platform.yaml".to_owned(), resource("Platform", "platform", "rateLimit: { requestsPerMinute: 10000000 }")),
        ("plan.yaml".to_owned(), resource("Plan", "standard", "rateLimit: { requestsPerMinute: 10 }")),
    ];
    files.extend((0..tenants).map(|number| {
        let status = if number % 10 == 9 { "suspended" } else { "active" };
        let id = format!("https://auth.example/realms/t{number}");
        let spec = format!("plan: standard, uid: uid-{number}, status: {status}, issuers: [ {{ issuer: {id} }} ]");
        (format!("tenants/t{number}.yaml"), resource("Tenant", &format!("t{number}"), &spec))
    }));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut catalog = Catalog::new(Arc::new(ManualClock::at_us(NOW_US)));
    let live = Live::default();
    live.publish(catalog.apply(changes_of(&files)).unwrap());
    live
}

/// Providers of which some behave as badly as they can.
#[derive(Default)]
struct Motley {
    keys: Mutex<HashMap<String, u32>>,
    now: AtomicUsize,
    most: AtomicUsize,
    good: Vec<Value>,
    junk: Vec<Value>,
}

impl Motley {
    fn new() -> Arc<Self> {
        let good = vec![Signer::p256().jwk("k")];
        let mut nested = Value::Null;
        (0..100).for_each(|_| nested = Value::Array(vec![nested.take()]));
        let junk = (0..500).map(|_| nested.clone()).collect();
        Arc::new(Self { good, junk, ..Self::default() })
    }

    fn asked(&self, issuer: &str) -> u32 {
        self.keys.lock().unwrap().get(issuer).copied().unwrap_or(0)
    }
}

#[async_trait]
impl KeyProvider for Motley {
    async fn fetch(&self, issuer: &Issuer) -> Result<Vec<Value>, FetchError> {
        let number: usize = issuer.id.as_str().rsplit_once("/t").and_then(|(_, number)| number.parse().ok()).unwrap();
        *self.keys.lock().unwrap().entry(issuer.id.as_str().to_owned()).or_default() += 1;
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _flying = Flying(&self.now);
        match number % 100 {
            // Never answers: the pace of the rings ends it.
            1 => std::future::pending().await,
            2 => Err(FetchError::Status(500)),
            3 => Ok(self.junk.clone()),
            4 => Ok(vec![Value::Null; 64]),
            5 if number == 5 => panic!("a provider that breaks us, on purpose"),
            5 => Err(FetchError::Refused("its host is banned")),
            6 => Ok(vec![Signer::p256().jwk("flips")]),
            _ => Ok(self.good.clone()),
        }
    }
}

/// A fetch on its way, however it ends.
struct Flying<'a>(&'a AtomicUsize);

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Rig {
    compartments: Arc<Compartments>,
    provider: Arc<Motley>,
    clock: ManualClock,
    live: Live,
    places: Arc<Semaphore>,
}

const QUICK: Ahead = Ahead { between: Duration::ZERO, flying: 64, round: Duration::from_secs(5) };

impl Rig {
    fn new(tenants: usize) -> Self {
        let (provider, clock) = (Motley::new(), ManualClock::at_us(NOW_US));
        let pace = Pace { fetch: Duration::from_millis(50), ..Pace::default() };
        let keys: Arc<dyn KeyProvider> = Arc::<Motley>::clone(&provider);
        let ours: Arc<dyn Clock> = Arc::new(clock.clone());
        let supply = Supply { provider: keys, clock: ours, pace, fetches: Arc::new(Semaphore::new(256)) };
        let compartments = Arc::new(Compartments::new(Caps::default(), supply));
        Self { compartments, provider, clock, live: world(tenants), places: Arc::new(Semaphore::new(QUICK.flying)) }
    }

    async fn round(&self) {
        QUICK.round(&self.compartments, &self.live, &self.places, &RandomState::new()).await;
        until("all fetches have ended", || self.places.available_permits() == QUICK.flying).await;
    }

    fn has_keys(&self, number: usize) -> bool {
        let snapshot = self.live.load().unwrap();
        let tenant = snapshot.tenant(&format!("t{number}")).unwrap();
        self.compartments.ring(&self.compartments.of(&tenant.uid), &tenant.issuers[0]).has_keys()
    }
}

fn bad(number: usize) -> bool {
    (1..=5).contains(&(number % 100))
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_ten_thousand_issuers_of_which_some_are_hostile_all_others_have_their_keys() {
    const TENANTS: usize = 10_000;
    let rig = Rig::new(TENANTS);
    rig.round().await;
    for number in 0..TENANTS {
        let expected = !bad(number) && number % 10 != 9;
        assert_eq!(rig.has_keys(number), expected, "t{number}");
    }
    assert!(rig.provider.most.load(Ordering::SeqCst) <= QUICK.flying);
    assert_eq!(rig.provider.asked("https://auth.example/realms/t9"), 0, "nothing is fetched for who is not served");
    // Nothing is due: a round of ten thousand costs next to nothing, and asks nobody.
    let before: u32 = rig.provider.keys.lock().unwrap().values().sum();
    rig.round().await;
    assert_eq!(rig.provider.keys.lock().unwrap().values().sum::<u32>(), before);
    // Nobody came in all this time; the keys are fresh all the same.
    rig.clock.advance_us(300_000_000);
    rig.round().await;
    assert!(rig.has_keys(0));
    assert_eq!(rig.provider.asked("https://auth.example/realms/t0"), 2);
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(alive < QUICK.flying, "{alive} tasks are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_a_key_that_is_withdrawn_while_nobody_comes_is_gone_after_five_minutes() {
    let rig = Rig::new(7);
    rig.round().await;
    let snapshot = rig.live.load().unwrap();
    let tenant = snapshot.tenant("t6").unwrap();
    let ring = rig.compartments.ring(&rig.compartments.of(&tenant.uid), &tenant.issuers[0]);
    let first = ring.current().unwrap();
    rig.clock.advance_us(300_000_000);
    rig.round().await;
    let second = ring.current().unwrap();
    assert!(!Arc::ptr_eq(&first, &second), "its keys flip at each fetch");
    drop(first);
    assert_eq!(Arc::strong_count(&second), 2, "the ring's and ours: no old set is kept");
}

#[tokio::test]
async fn s18_a_provider_that_fails_is_asked_ever_less_often_while_nobody_comes() {
    let rig = Rig::new(3);
    // Three hours, looked at every five seconds.
    for _ in 0..3 * 720 {
        rig.round().await;
        rig.clock.advance_us(5_000_000);
    }
    let asked = rig.provider.asked("https://auth.example/realms/t2");
    assert!((10..20).contains(&asked), "{asked}");
    assert!((35..40).contains(&rig.provider.asked("https://auth.example/realms/t0")));
}
