use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bulkhead_tenancy::clock::ManualClock;
use serde_json::{Value, json};

use super::*;
use crate::tenant::{
    compartment::{Caps, Compartments},
    keys::{MAX_KEYS, Pace},
    testing::{Answer, NOW_US, Provider, Signer, fetched, issuer, until},
};

const ACME: &str = "https://auth.example/realms/tenant-acme";
const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

struct Rig {
    compartments: Compartments,
    clock: ManualClock,
    provider: Arc<Provider>,
}

impl Rig {
    fn new(caps: Caps) -> Self {
        let provider = Provider::new();
        Self::with(caps, Arc::clone(&provider) as Arc<dyn KeyProvider>, provider, 256)
    }

    fn with(caps: Caps, keys: Arc<dyn KeyProvider>, provider: Arc<Provider>, fetches: usize) -> Self {
        let clock = ManualClock::at_us(NOW_US);
        let fetches = Arc::new(Semaphore::new(fetches));
        // Longer than a test on a busy machine: what hangs does so to its end.
        let pace = Pace { fetch: Duration::from_secs(600), ..Pace::default() };
        let supply = Supply { provider: keys, clock: Arc::new(clock.clone()), pace, fetches };
        Self { compartments: Compartments::new(caps, supply), clock, provider }
    }

    fn ring(&self, tenant: &str, issuer: Issuer) -> Arc<Keyring> {
        self.compartments.ring(&self.compartments.of(&tenant.parse().unwrap()), &Arc::new(issuer))
    }
}

fn rig() -> (Rig, Arc<Keyring>) {
    let rig = Rig::new(Caps::default());
    rig.provider.set(ACME, keys(&["one"]));
    let ring = rig.ring("acme", fetched(ACME));
    (rig, ring)
}

fn keys(kids: &[&str]) -> Answer {
    Answer::Keys(jwks(kids))
}

fn jwks(kids: &[&str]) -> Vec<Value> {
    kids.iter().map(|kid| Signer::ed25519().jwk(kid)).collect()
}

/// Far enough that a test which waits for it has failed.
fn patient() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn kids(keys: &KeySet) -> Vec<&str> {
    keys.keys.iter().filter_map(|key| key.kid()).collect()
}

#[tokio::test]
async fn s18_everybody_who_waits_waits_for_one_fetch() {
    let (rig, ring) = rig();
    rig.provider.set(ACME, Answer::Late(jwks(&["one"])));
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn({
                let ring = Arc::clone(&ring);
                async move { ring.keys(patient()).await }
            })
        })
        .collect();
    until("all wait", || ring.landed.receiver_count() == 50).await;
    rig.provider.gate.add_permits(1);
    for one in waiting {
        assert_eq!(kids(&one.await.unwrap().unwrap()), ["one"]);
    }
    assert_eq!(rig.provider.asked(), 1);
    assert_eq!(kids(&ring.current().unwrap()), ["one"]);
    assert_eq!(rig.provider.asked(), 1, "young keys are not fetched again");
}

#[tokio::test]
async fn s18_a_storm_of_unknown_kids_is_one_fetch_in_ten_seconds() {
    let (rig, ring) = rig();
    let seen = ring.keys(patient()).await.unwrap();
    for round in 0..3 {
        let asking: Vec<_> = (0..50)
            .map(|_| {
                tokio::spawn({
                    let (ring, seen) = (Arc::clone(&ring), Arc::clone(&seen));
                    async move { ring.newer_than(&seen, Standing::Suspect, patient()).await }
                })
            })
            .collect();
        for one in asking {
            assert!(one.await.unwrap().unwrap().is_none(), "the same keys are not newer ones");
        }
        assert_eq!(rig.provider.asked(), 1 + round);
        rig.clock.advance_us(10 * SECOND);
    }
}

#[tokio::test]
async fn a_key_that_was_added_is_found_by_the_first_token_that_names_it() {
    let (rig, ring) = rig();
    let seen = ring.keys(patient()).await.unwrap();
    rig.provider.set(ACME, keys(&["one", "two"]));
    rig.clock.advance_us(11 * SECOND);
    let newer = ring.newer_than(&seen, Standing::Suspect, patient()).await.unwrap().unwrap();
    assert_eq!(kids(&newer), ["one", "two"]);
    assert_eq!(rig.provider.asked(), 2);
}

#[tokio::test]
async fn s18_old_keys_serve_at_once_while_they_are_refreshed() {
    let (rig, ring) = rig();
    ring.keys(patient()).await.unwrap();
    rig.provider.set(ACME, Answer::Late(jwks(&["two"])));
    rig.clock.advance_us(5 * MINUTE);
    // The gate is shut: nobody could have waited for the new ones.
    for _ in 0..10 {
        assert_eq!(kids(&ring.keys(patient()).await.unwrap()), ["one"]);
    }
    until("one refresh is on its way", || rig.provider.asked() == 2).await;
    rig.provider.gate.add_permits(1);
    until("the new keys are there", || kids(&ring.current().unwrap()) == ["two"]).await;
    assert_eq!(rig.provider.asked(), 2);
}

#[tokio::test]
async fn s18_keys_are_believed_for_an_hour_while_the_provider_is_down_and_no_longer() {
    let (rig, ring) = rig();
    ring.keys(patient()).await.unwrap();
    rig.provider.set(ACME, Answer::Down);
    for _ in 0..59 {
        rig.clock.advance_us(MINUTE);
        assert!(ring.keys(patient()).await.is_ok());
    }
    rig.clock.advance_us(MINUTE);
    assert!(ring.keys(patient()).await.is_err());
    assert!(ring.current().is_none());
    rig.provider.set(ACME, keys(&["two"]));
    rig.clock.advance_us(MINUTE);
    assert_eq!(kids(&ring.keys(patient()).await.unwrap()), ["two"]);
}

#[tokio::test]
async fn s18_failures_back_off_and_cost_those_who_come_meanwhile_nothing() {
    let (rig, ring) = rig();
    rig.provider.set(ACME, Answer::Down);
    let mut asked = 0;
    // The waits double up to a minute.
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        asked += 1;
        for _ in 0..20 {
            assert!(ring.keys(patient()).await.is_err());
        }
        assert_eq!(rig.provider.asked(), asked);
        rig.clock.advance_us(wait * SECOND - 1);
        assert!(ring.keys(patient()).await.is_err());
        assert_eq!(rig.provider.asked(), asked, "not before {wait} seconds");
        rig.clock.advance_us(1);
    }
}

#[tokio::test]
async fn s18_a_clock_that_is_set_back_makes_keys_old_and_stops_no_fetch() {
    let (rig, ring) = rig();
    ring.keys(patient()).await.unwrap();
    rig.provider.set(ACME, keys(&["two"]));
    rig.clock.set_us(NOW_US - 100 * MINUTE);
    assert_eq!(kids(&ring.keys(patient()).await.unwrap()), ["two"]);
}

#[tokio::test]
async fn s18_a_wait_ends_at_its_deadline_and_the_fetch_goes_on() {
    let (rig, ring) = rig();
    rig.provider.set(ACME, Answer::Late(jwks(&["one"])));
    let late = ring.keys(Instant::now() + Duration::from_millis(20)).await;
    assert_eq!(late.unwrap_err().why, "the issuer's keys did not come in time");
    rig.provider.gate.add_permits(1);
    until("the keys are there", || ring.current().is_some()).await;
    assert_eq!(rig.provider.asked(), 1);
}

#[tokio::test]
async fn s5_no_more_than_so_many_requests_of_a_tenant_wait() {
    let rig = Rig::new(Caps { waiting: 3, ..Caps::default() });
    rig.provider.set(ACME, Answer::Late(jwks(&["one"])));
    let ring = rig.ring("acme", fetched(ACME));
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            tokio::spawn({
                let ring = Arc::clone(&ring);
                async move { ring.keys(patient()).await }
            })
        })
        .collect();
    until("three wait", || ring.bounds.waiting.available_permits() == 0).await;
    assert_eq!(ring.keys(patient()).await.unwrap_err().why, "too many requests of the tenant wait for keys");
    // Another tenant's requests have their own places.
    rig.provider.set("https://auth.example/realms/tenant-globex", keys(&["g"]));
    assert!(rig.ring("globex", fetched("https://auth.example/realms/tenant-globex")).keys(patient()).await.is_ok());
    rig.provider.gate.add_permits(1);
    for one in waiting {
        assert!(one.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn s18_one_tenants_dead_providers_take_no_place_of_anothers() {
    let caps = Caps { fetching: 1, ..Caps::default() };
    let provider = Provider::new();
    let rig = Rig::with(caps, Arc::clone(&provider) as Arc<dyn KeyProvider>, provider, 2);
    for realm in 0..20 {
        let issuer = format!("https://dead.example/{realm}");
        rig.provider.set(&issuer, Answer::Late(Vec::new()));
        assert!(rig.ring("acme", fetched(&issuer)).keys(Instant::now()).await.is_err());
    }
    until("the first of them hangs", || rig.provider.asked() == 1).await;
    let globex = "https://auth.example/realms/tenant-globex";
    rig.provider.set(globex, keys(&["g"]));
    assert!(rig.ring("globex", fetched(globex)).keys(patient()).await.is_ok());
    assert_eq!(rig.provider.asked(), 2, "acme has one fetch on its way, whatever it has to fetch");
}

/// Two providers of each of thousands of tenants hang, and hold every place that is everybody's.
#[tokio::test]
async fn s18_a_tenants_first_fetch_waits_for_no_other_however_many_hang() {
    const TENANTS: usize = 1_500;
    let provider = Provider::new();
    let rig = Rig::with(Caps::default(), Arc::clone(&provider) as Arc<dyn KeyProvider>, provider, 16);
    for nth in 0..2 * TENANTS {
        let issuer = format!("https://dead.example/{nth}");
        rig.provider.set(&issuer, Answer::Late(Vec::new()));
        assert!(rig.ring(&format!("dead-{}", nth % TENANTS), fetched(&issuer)).keys(Instant::now()).await.is_err());
    }
    until("one of each hangs, and so many more", || rig.provider.asked() == TENANTS + 16).await;
    rig.provider.set(ACME, keys(&["one"]));
    assert_eq!(kids(&rig.ring("acme", fetched(ACME)).keys(patient()).await.unwrap()), ["one"]);
    assert_eq!(rig.provider.asked(), TENANTS + 17);
}

/// A provider that fails in the worst way, once.
struct Panicking(AtomicUsize);

#[async_trait]
impl KeyProvider for Panicking {
    async fn fetch(&self, _: &Issuer) -> Result<Vec<Value>, FetchError> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "the first fetch panics on purpose");
        Ok(jwks(&["one"]))
    }
}

#[tokio::test]
async fn a_fetch_that_panics_is_a_failed_fetch() {
    let rig = Rig::with(Caps::default(), Arc::new(Panicking(AtomicUsize::new(0))), Provider::new(), 1);
    let ring = rig.ring("acme", fetched(ACME));
    assert!(ring.keys(patient()).await.is_err());
    rig.clock.advance_us(2 * SECOND);
    assert!(ring.keys(patient()).await.is_ok());
}

#[tokio::test]
async fn s18_a_set_of_too_many_keys_is_refused_and_the_last_good_one_stays() {
    let (rig, ring) = rig();
    ring.keys(patient()).await.unwrap();
    let one = Signer::ed25519().jwk("many");
    for bad in [vec![one.clone(); MAX_KEYS + 1], vec![one; 10_000]] {
        rig.provider.set(ACME, Answer::Keys(bad));
        let asked = rig.provider.asked();
        rig.clock.advance_us(5 * MINUTE);
        assert_eq!(kids(&ring.keys(patient()).await.unwrap()), ["one"]);
        until("the refresh was tried", || rig.provider.asked() == asked + 1 && !ring.state().flying).await;
        assert_eq!(kids(&ring.current().unwrap()), ["one"]);
    }
}

/// What is withdrawn is gone at the next refresh, also if it was all; and what comes back is found by the first token that needs it.
#[tokio::test]
async fn s23_a_set_without_a_key_withdraws_all_of_them_at_once() {
    for none in [Vec::new(), vec![json!({"kty": "oct", "k": "AAAA"})], vec![json!(null)]] {
        let (rig, ring) = rig();
        ring.keys(patient()).await.unwrap();
        rig.provider.set(ACME, Answer::Keys(none));
        rig.clock.advance_us(5 * MINUTE);
        ring.keys(patient()).await.unwrap();
        until("the refresh was made", || rig.provider.asked() == 2 && !ring.state().flying).await;
        let empty = ring.current().unwrap();
        assert_eq!(kids(&empty), Vec::<&str>::new());
        rig.provider.set(ACME, keys(&["two"]));
        rig.clock.advance_us(SECOND);
        let newer = ring.newer_than(&empty, Standing::Good, patient()).await.unwrap().unwrap();
        assert_eq!(kids(&newer), ["two"]);
    }
}

#[tokio::test]
async fn s19_one_bad_key_spoils_no_other() {
    let (rig, ring) = rig();
    let bad = [json!(null), json!({"kty": "RSA", "kid": "small", "n": "AQAB", "e": "AQAB"}), json!({"kid": 7}), json!("key")];
    rig.provider.set(ACME, Answer::Keys([&bad[..], &jwks(&["good"]), &bad[..]].concat()));
    assert_eq!(kids(&ring.keys(patient()).await.unwrap()), ["good"]);
}

#[tokio::test]
async fn s5_keys_are_bounded_in_bytes_for_each_tenant() {
    use crate::shares::Shares;
    let small = Shares { floor: 2_400, ceiling: 2_400, pool: 0 };
    let rig = Rig::new(Caps { keys: small, ..Caps::default() });
    rig.provider.set(ACME, keys(&["one", "two", "three", "four", "five", "six"]));
    assert!(rig.ring("acme", fetched(ACME)).keys(patient()).await.is_err());
    let globex = "https://auth.example/realms/tenant-globex";
    rig.provider.set(globex, keys(&["g"]));
    assert!(rig.ring("globex", fetched(globex)).keys(patient()).await.is_ok());
}

#[tokio::test]
async fn keys_in_the_configuration_are_never_fetched_and_never_grow_old() {
    let (rig, _) = rig();
    let ring = rig.ring("acme", issuer("inline", KeySource::Inline(jwks(&["one"]))));
    rig.clock.advance_us(1_000 * MINUTE);
    let seen = ring.keys(patient()).await.unwrap();
    assert_eq!(kids(&seen), ["one"]);
    assert!(ring.newer_than(&seen, Standing::Suspect, patient()).await.unwrap().is_none());
    let broken = rig.ring("acme", issuer("broken", KeySource::Inline(vec![json!({})])));
    assert_eq!(kids(&broken.keys(patient()).await.unwrap()), Vec::<&str>::new());
    assert_eq!(rig.provider.asked(), 0);
}

#[tokio::test]
async fn keys_follow_the_issuers_configuration_and_the_tenants_uid() {
    let (rig, ring) = rig();
    ring.keys(patient()).await.unwrap();
    let mut leeway = fetched(ACME);
    leeway.leeway_seconds = 5;
    assert!(Arc::ptr_eq(&ring, &rig.ring("acme", leeway)), "what keys are not read by keeps them");
    let elsewhere = issuer(ACME, KeySource::JwksUri("https://other.example/jwks".parse().unwrap()));
    assert!(!Arc::ptr_eq(&ring, &rig.ring("acme", elsewhere)));
    let mut narrower = fetched(ACME);
    narrower.algorithms = [bulkhead_tenancy::issuer::Algorithm::EdDSA].into();
    assert!(rig.ring("acme", narrower).current().is_none());
    assert!(rig.ring("acme-made-anew", fetched(ACME)).state().keys.is_none());
}
