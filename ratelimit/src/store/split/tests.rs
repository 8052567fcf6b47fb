//! The split against one place: what it admits, what it gives back, and what becomes of it when a place is away.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bulkhead_doors::metrics::Metrics;
use bulkhead_tenancy::{
    clock::ManualClock,
    limit::{Rate, RateLimit},
    name::TenantUid,
};
use proptest::prelude::*;

use super::*;
use crate::{
    charge::{Part, Scope, Shape},
    key::Keyspace,
    store::{Adjustment, Change, Hour, Metered, Tally, memory::MemoryStore},
};

/// A memory store where every account is a place of its own, and one decision reaches one place.
pub(super) struct Spread {
    store: MemoryStore,
    /// The platform's place is away.
    away: AtomicBool,
    /// Whose place is away.
    lost: Mutex<Option<Account>>,
    /// No meter is told anything.
    untold: AtomicBool,
    /// Tokens of the platform's place that were charged, held in advance, given back unused, and held no longer.
    global: Mutex<[u64; 4]>,
}

impl Places for Spread {
    fn place(&self, account: &Account) -> Place {
        Place(account.as_str().bytes().fold(7, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte)))
    }
}

#[async_trait]
impl Store for Spread {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        let platform = Keyspace::default().platform();
        for ask in asks {
            let mut places: Vec<Place> = ask.charge.levels().map(|(level, _)| self.place(level.key().account())).collect();
            places.dedup();
            assert_eq!(places.len(), 1, "no decision reaches two places");
            let lost = self.lost.lock().unwrap().clone();
            if ask.charge.levels().any(|(level, _)| Some(level.key().account()) == lost.as_ref()) {
                return Err(StoreError::Away);
            }
            if self.away.load(Ordering::Relaxed) && ask.charge.levels().any(|(level, _)| *level.key().account() == platform) {
                return Err(StoreError::Away);
            }
        }
        let answers = self.store.decide(now, asks).await?;
        for (ask, answer) in asks.iter().zip(&answers) {
            for (_, cost) in ask.charge.levels().filter(|(level, _)| *level.key().account() == platform) {
                let mut global = self.global.lock().unwrap();
                global[0] += u64::from(answer.admitted + answer.ahead) * cost;
                global[1] += u64::from(answer.ahead) * cost;
            }
        }
        Ok(answers)
    }

    fn ledger(&self) -> &dyn Ledger {
        self
    }
}

#[async_trait]
impl Ledger for Spread {
    async fn adjust(&self, now: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>> {
        for one in adjustments.iter().filter(|one| *one.key.account() == Keyspace::default().platform()) {
            if let Change::Return { unused, held, .. } = one.change {
                let mut global = self.global.lock().unwrap();
                global[2] += unused;
                global[3] += held;
            }
        }
        self.store.ledger().adjust(now, adjustments).await
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        if self.untold.load(Ordering::Relaxed) {
            return vec![Err(StoreError::Late); tallies.len()];
        }
        self.store.ledger().tally(now, tallies).await
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        self.store.ledger().metered(account, hour).await
    }
}

pub(super) fn spread() -> (Arc<Spread>, Split) {
    let store = MemoryStore::new(Arc::new(ManualClock::at_us(1_700_000_000_000_000)));
    let spread = Arc::new(Spread {
        store,
        away: AtomicBool::new(false),
        lost: Mutex::default(),
        untold: AtomicBool::new(false),
        global: Mutex::default(),
    });
    let split = Split::before(Arc::clone(&spread) as Arc<dyn Places>, Duration::from_secs(20));
    (spread, split)
}

/// A limit that gains nothing while a test runs.
fn once(capacity: u64) -> Bucket {
    Bucket::token(RateLimit { rate: Rate { requests: 1, period_us: 3_600_000_000 }, capacity })
}

fn uid(tenant: &str) -> TenantUid {
    tenant.parse().unwrap()
}

fn shape(tenant: &str, global: u64, guarantee: u64, limit: u64) -> Arc<Shape> {
    let (keys, uid) = (Keyspace::default(), uid(tenant));
    let shape = Shape::new().shared(keys.global(), once(global), Some((keys.guarantee(&uid), once(guarantee))));
    let meter = keys.meter(&uid, None, None);
    Arc::new(shape.hold(Scope::Tenant, keys.tenant(&uid), once(limit)).metered(meter))
}

async fn ask(split: &Split, charge: Charge, count: u32) -> u32 {
    split.decide(None, &[Ask::of(charge, count, None)]).await.unwrap()[0].admitted
}

#[tokio::test]
async fn a_denial_names_the_level_that_denied() {
    let (_, split) = spread();
    let outcome = async |shape: &Arc<Shape>| split.decide_each(None, &[Charge::of(Arc::clone(shape), 1)]).await.unwrap().remove(0);
    let narrow = shape("narrow", 10, 1, 1);
    assert_eq!(outcome(&narrow).await.denial(), None);
    assert_eq!(outcome(&narrow).await.denial().unwrap().scope, Scope::Tenant);
    let wide = shape("wide", 10, 1, 100);
    assert_eq!(ask(&split, Charge::of(Arc::clone(&wide), 1), 50).await, 9, "what is left of global, which the guarantee pays too");
    let denial = outcome(&wide).await.denial().unwrap();
    assert_eq!(denial.scope, Scope::Global);
    assert!(denial.retry_after_us.is_some());
}

#[tokio::test]
async fn with_global_away_a_guarantee_admits_and_the_debt_arrives_later() {
    let (spread, split) = spread();
    spread.away.store(true, Ordering::Relaxed);
    assert_eq!(ask(&split, Charge::of(shape("acme", 10, 4, 100), 1), 20).await, 4);
    spread.away.store(false, Ordering::Relaxed);
    let global = Charge::new().hold(Scope::Global, Keyspace::default().global(), once(10), 7);
    let charged = async {
        while spread.decide_each(None, std::slice::from_ref(&global)).await.unwrap()[0].denial().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            spread
                .ledger()
                .adjust(None, &[Adjustment { key: Keyspace::default().global(), bucket: once(10), change: Change::Grant { requests: 7 } }])
                .await
                .remove(0)
                .unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), charged).await.expect("4 of 10 are charged, so 7 do not fit");
}

#[tokio::test]
async fn s12_with_global_away_what_no_guarantee_holds_is_undecided_and_counted_nowhere() {
    let (spread, split) = spread();
    spread.away.store(true, Ordering::Relaxed);
    let acme = shape("acme", 10, 4, 6);
    let ask = async |shape: &Arc<Shape>| split.decide_apart(&[Ask::one(Charge::of(Arc::clone(shape), 1))]).await.remove(0);
    for _ in 0..4 {
        assert_eq!(ask(&acme).await.unwrap().admitted, 1, "inside its guarantee");
    }
    for _ in 0..3 {
        assert_eq!(ask(&acme).await, Err(StoreError::Away), "nobody knows what global holds");
    }
    // What its own limit denies is denied, whatever global holds.
    let narrow = shape("narrow", 10, 4, 2);
    for _ in 0..2 {
        assert_eq!(ask(&narrow).await.unwrap().admitted, 1);
    }
    let denied = split.decide_each(None, &[Charge::of(Arc::clone(&narrow), 1)]).await.unwrap().remove(0);
    assert_eq!(denied.denial().unwrap().scope, Scope::Tenant);
    let hour = Hour::of(Micros(1_700_000_000_000_000));
    let lines = async |tenant| split.ledger().metered(&Keyspace::default().account(&uid(tenant)), hour).await.unwrap();
    assert_eq!(lines("acme").await.iter().map(|line| (line.admitted, line.denied)).collect::<Vec<_>>(), [(4, 0)]);
    assert_eq!(lines("narrow").await.iter().map(|line| (line.admitted, line.denied)).collect::<Vec<_>>(), [(2, 1)]);

    spread.away.store(false, Ordering::Relaxed);
    let back = async {
        while ask(&acme).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.expect("it is decided again");
}

#[tokio::test]
async fn parts_in_several_places_are_all_charged_or_none() {
    let (_, split) = spread();
    let (keys, rich, poor) = (Keyspace::default(), once(5), once(1));
    let part = |tenant: &str, bucket: &Bucket| Part {
        shape: Arc::new(Shape::new().hold(Scope::Tenant, keys.tenant(&uid(tenant)), bucket.clone())),
        cost: 1,
    };
    let both = || Charge::from_parts(vec![part("rich", &rich), part("poor", &poor)]);
    let only = || Charge::from_parts(vec![part("rich", &rich)]);
    assert_eq!(ask(&split, both(), 1).await, 1);
    for _ in 0..10 {
        assert_eq!(ask(&split, both(), 1).await, 0, "poor has nothing left");
    }
    assert_eq!(ask(&split, only(), 10).await, 4, "and rich was given back what it paid");
}

/// SEMANTICS: every level that applies holds the whole cost. A tenant that runs its own store must not switch off the limit that it shares.
#[tokio::test]
async fn a_tenant_whose_own_place_is_away_pays_what_all_share() {
    let (spread, split) = spread();
    let charge = |tenant: &str| Charge::of(shape(tenant, 10, 1, 100), 1);
    *spread.lost.lock().unwrap() = Some(Keyspace::default().account(&uid("acme")));
    for _ in 0..4 {
        assert_eq!(split.decide(None, &[Ask::one(charge("acme"))]).await, Err(StoreError::Away));
        // Its failure mode lets it pass.
        split.passed_without(&charge("acme"));
    }
    let paid = async {
        while spread.global.lock().unwrap()[0] < 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), paid).await.unwrap();
    let others = ask(&split, charge("globex"), 20).await;
    assert!((6..=7).contains(&others), "{others} of the six that are left, and its guarantee");
    let denial = split.decide_each(None, &[charge("acme")]).await.unwrap().remove(0).denial().unwrap();
    assert_eq!(denial.scope, Scope::Global, "its failure mode is not asked about what all share");
}

#[tokio::test]
async fn where_one_place_is_away_the_others_are_given_back_and_count_nothing() {
    let (spread, split) = spread();
    let (keys, acme) = (Keyspace::default(), uid("acme"));
    let shape = Shape::new().hold(Scope::Tenant, keys.tenant(&acme), once(1)).metered(keys.meter(&acme, None, None));
    let both = Charge::of(Arc::new(shape), 1).hold(Scope::Tenant, keys.global(), once(10), 1);
    spread.away.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        // Whoever answers without the store tells the meter: counted here too, it would be on the bill twice.
        assert_eq!(split.decide(None, &[Ask::one(both.clone())]).await, Err(StoreError::Away));
    }
    spread.away.store(false, Ordering::Relaxed);
    assert_eq!(ask(&split, both, 1).await, 1, "given back");
    let hour = Hour::of(Micros(1_700_000_000_000_000));
    let metered = split.ledger().metered(&keys.account(&acme), hour).await.unwrap();
    assert_eq!((metered[0].admitted, metered[0].denied), (1, 0));
}

#[tokio::test]
async fn what_the_meters_of_several_places_are_not_told_is_counted_as_unmetered() {
    // Of this process: no other test loses what several places are told.
    let metrics = Metrics::install().unwrap();
    let (spread, split) = spread();
    let keys = Keyspace::default();
    let metered = |tenant: &str, cost| {
        let shape = Shape::new().hold(Scope::Tenant, keys.tenant(&uid(tenant)), once(4)).metered(keys.meter(&uid(tenant), None, None));
        Part { shape: Arc::new(shape), cost }
    };
    let both = || Charge::from_parts(vec![metered("acme", 3), metered("globex", 1)]);
    let lost = |costs| metrics.render().contains(&format!(r#"bulkhead_ratelimit_unmetered_total{{why="apart"}} {costs}"#));
    assert_eq!(ask(&split, both(), 1).await, 1);
    assert!(!metrics.render().contains(r#"why="apart""#), "all was told");
    spread.untold.store(true, Ordering::Relaxed);
    assert_eq!(ask(&split, both(), 1).await, 0, "acme has one left");
    assert!(lost(4), "{}", metrics.render());
}

#[tokio::test]
async fn what_is_admitted_and_denied_is_metered_once() {
    let (_, split) = spread();
    let acme = shape("acme", 8, 2, 100);
    for _ in 0..12 {
        ask(&split, Charge::of(Arc::clone(&acme), 1), 1).await;
    }
    let hour = Hour::of(Micros(1_700_000_000_000_000));
    let metered = split.ledger().metered(&Keyspace::default().account(&uid("acme")), hour).await.unwrap();
    assert_eq!((metered[0].admitted, metered[0].denied), (8, 4));
}

#[tokio::test]
async fn a_cost_that_can_never_pass_takes_nothing_of_global() {
    let (spread, split) = spread();
    let narrow = shape("narrow", 10, 1, 5);
    assert_eq!(ask(&split, Charge::of(Arc::clone(&narrow), 6), 1).await, 0);
    let outcome = split.decide_each(None, &[Charge::of(narrow, 6)]).await.unwrap().remove(0);
    assert_eq!(outcome.denial().unwrap().scope, Scope::Tenant);
    assert_eq!(ask(&split, Charge::of(shape("wide", 10, 1, 100), 11), 1).await, 0, "more than global holds");
    assert_eq!(*spread.global.lock().unwrap(), [0; 4]);
}

#[tokio::test]
async fn every_token_is_used_or_goes_back_and_every_hold_ends() {
    let (spread, split) = spread();
    let acme = shape("acme", 10_000, 1, 1_000);
    let (one, mut used) = (Charge::of(acme, 1), 0);
    for _ in 0..20 {
        // More than the tenant's limit lets pass: the rest is reserved, denied and given back.
        let flood = join_all((0..60).map(|_| ask(&split, one.clone(), 1))).await;
        used += u64::from(flood.into_iter().sum::<u32>());
    }
    assert_eq!(used, 1_000);
    let settled = async {
        loop {
            let [charged, held, unused, released] = *spread.global.lock().unwrap();
            assert!(charged - unused >= used && released <= held);
            if charged - unused == used && released == held {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(30), settled).await.expect("all that is not used goes back");
    assert!(held > 0, "tokens were taken in advance");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn global_holds_but_for_guarantees_and_no_guarantee_is_lost(
        global in 0_u64..60,
        tenants in prop::collection::vec((1_u64..10, 0_u64..60), 1..4),
        asks in prop::collection::vec((0_usize..4, 1_u32..9, 1_u64..3), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_, split) = spread();
            let shapes: Vec<Arc<Shape>> =
                tenants.iter().enumerate().map(|(n, (guarantee, limit))| shape(&format!("t{n}"), global, *guarantee, *limit)).collect();
            let (mut total, mut each) = (0, vec![(0, 0); tenants.len()]);
            for (tenant, count, cost) in asks {
                let tenant = tenant % tenants.len();
                let admitted = u64::from(ask(&split, Charge::of(Arc::clone(&shapes[tenant]), cost), count).await);
                total += admitted * cost;
                let (used, asked) = &mut each[tenant];
                (*used, *asked) = (*used + admitted * cost, *asked + u64::from(count) * cost);
                let (guarantee, limit) = tenants[tenant];
                prop_assert!(*used <= limit, "a tenant's own limit is exact");
                if global > 0 && *asked <= guarantee.min(limit) {
                    prop_assert_eq!(*used, *asked, "whoever stays inside its guarantee loses nothing");
                }
            }
            let guarantees: u64 = tenants.iter().map(|(guarantee, _)| guarantee).sum();
            prop_assert!(total <= if global == 0 { 0 } else { global + guarantees }, "{total}");
            Ok(())
        })?;
    }
}
