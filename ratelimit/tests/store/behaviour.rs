//! What every store does: each case runs over both.

use std::sync::Arc;

use bulkhead_ratelimit::{
    bucket::Bucket,
    charge::{Charge, Scope},
    key::{Key, Keyspace},
    outcome::{Outcome, Verdict},
    store::{Micros, Store, memory::MemoryStore},
};
use bulkhead_tenancy::{
    clock::SystemClock,
    limit::{Rate, RateLimit},
    name::TenantUid,
};

use crate::support::{own_keys, valkey::Server};

const SECOND: u64 = 1_000_000;
const START: u64 = 1_700_000_000 * SECOND;

/// The store of a case, with keys of its own and a clock in hand.
struct World {
    store: Box<dyn Store>,
    keys: Keyspace,
    now: u64,
    _server: Option<Server>,
}

impl World {
    fn memory() -> Self {
        Self { store: Box::new(MemoryStore::new(Arc::new(SystemClock))), keys: own_keys(), now: START, _server: None }
    }

    async fn redis() -> Self {
        let server = Server::get();
        Self { store: Box::new(server.store().await), keys: own_keys(), now: START, _server: Some(server) }
    }

    async fn decide(&self, charge: &Charge) -> Outcome {
        let mut outcomes = self.store.decide_each(Some(Micros(self.now)), std::slice::from_ref(charge)).await.unwrap();
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }

    async fn admits(&self, charge: &Charge) -> bool {
        self.decide(charge).await.verdict() == Verdict::Admitted
    }

    async fn admitted_of(&self, tries: usize, charge: &Charge) -> usize {
        let mut admitted = 0;
        for _ in 0..tries {
            admitted += usize::from(self.admits(charge).await);
        }
        admitted
    }

    fn tenant(&self, name: &str) -> Key {
        self.keys.tenant(&uid(name))
    }

    fn guarantee(&self, name: &str) -> Key {
        self.keys.guarantee(&uid(name))
    }
}

fn uid(name: &str) -> TenantUid {
    name.parse().unwrap()
}

fn per_minute(requests: u64) -> Bucket {
    Bucket::token(RateLimit::per_minute(requests, 1.0))
}

fn per_second(requests: u64, capacity: u64) -> Bucket {
    Bucket::token(RateLimit { rate: Rate { requests, period_us: SECOND }, capacity })
}

macro_rules! suite {
    ($($case:ident),+ $(,)?) => {
        mod memory { $( #[tokio::test] async fn $case() { super::$case(super::World::memory()).await; } )+ }
        mod redis { $( #[tokio::test] async fn $case() { super::$case(super::World::redis().await).await; } )+ }
    };
}

suite!(
    a_fresh_bucket_is_full_and_refills_at_its_rate,
    a_request_that_one_level_denies_costs_no_level_anything,
    the_first_denying_level_is_named_and_the_longest_wait_counts,
    a_cost_beyond_capacity_is_denied_for_ever_and_charges_nothing,
    a_rate_of_zero_denies_all,
    a_cost_of_zero_looks_and_charges_nothing,
    traffic_inside_the_guarantee_is_admitted_on_a_saturated_platform,
    traffic_above_the_guarantee_waits_until_the_debt_is_paid,
    a_global_denial_ends_when_either_the_platform_or_the_guarantee_can_pay,
    a_guarantee_lends_nothing_to_a_later_descriptor,
    a_lowered_limit_bounds_the_credit_and_a_raised_one_adds_none,
    a_guarantee_whose_period_changes_keeps_its_credit,
    a_clock_that_goes_back_adds_nothing,
    costs_of_one_charge_on_one_key_add_up,
    a_batch_is_decided_in_order_and_each_charge_alone,
    an_oversized_charge_is_faulty_and_the_others_are_decided,
    s12_a_huge_cost_fails_that_decision_only,
    an_empty_batch_is_decided,
);

async fn a_fresh_bucket_is_full_and_refills_at_its_rate(mut world: World) {
    let charge = Charge::new().hold(Scope::Tenant, world.tenant("acme"), per_second(2, 5), 1);
    assert_eq!(world.admitted_of(10, &charge).await, 5);
    world.now += SECOND;
    assert_eq!(world.admitted_of(10, &charge).await, 2);
    world.now += 1000 * SECOND;
    assert_eq!(world.admitted_of(10, &charge).await, 5);
}

async fn a_request_that_one_level_denies_costs_no_level_anything(world: World) {
    let tenant = world.tenant("acme");
    let sub = world.keys.subscription(&uid("acme"), &"s".parse().unwrap());
    let charge = Charge::new()
        .shared(world.keys.global(), per_minute(100), None, 1)
        .hold(Scope::Tenant, tenant.clone(), per_minute(50), 1)
        .hold(Scope::Subscription, sub, per_minute(3), 1);
    assert_eq!(world.admitted_of(20, &charge).await, 3);
    let look = Charge::new().shared(world.keys.global(), per_minute(100), None, 0).hold(Scope::Tenant, tenant, per_minute(50), 0);
    let standings = world.decide(&look).await;
    assert_eq!(standings.standings().iter().map(|one| one.remaining).collect::<Vec<_>>(), [97, 47]);
}

async fn the_first_denying_level_is_named_and_the_longest_wait_counts(world: World) {
    let sub = world.keys.subscription(&uid("acme"), &"s".parse().unwrap());
    let charge = Charge::new()
        .shared(world.keys.global(), per_minute(100), None, 1)
        .hold(Scope::Tenant, world.tenant("acme"), per_second(10, 1), 1)
        .hold(Scope::Subscription, sub, per_minute(1), 1);
    assert!(world.admits(&charge).await);
    let denial = world.decide(&charge).await.denial().unwrap();
    assert_eq!(denial.scope, Scope::Tenant);
    assert_eq!(denial.retry_after_us, Some(60 * SECOND));
}

async fn a_cost_beyond_capacity_is_denied_for_ever_and_charges_nothing(world: World) {
    let of = |cost| Charge::new().hold(Scope::Tenant, world.tenant("acme"), per_minute(10), cost);
    let outcome = world.decide(&of(11)).await;
    assert_eq!(outcome.denial().unwrap().retry_after_us, None);
    assert!(world.admits(&of(10)).await);
}

async fn a_rate_of_zero_denies_all(world: World) {
    for cost in [0, 1, u64::MAX] {
        let charge = Charge::new().hold(Scope::Tenant, world.tenant("acme"), Bucket::token(RateLimit::DENY_ALL), cost);
        assert_eq!(world.decide(&charge).await.denial().unwrap().retry_after_us, None);
        let pair = (world.guarantee("acme"), per_minute(60));
        let charge = Charge::new().shared(world.keys.global(), Bucket::token(RateLimit::DENY_ALL), Some(pair), cost);
        assert_eq!(world.decide(&charge).await.verdict(), Verdict::Denied);
    }
}

async fn a_cost_of_zero_looks_and_charges_nothing(world: World) {
    let of = |cost| Charge::new().hold(Scope::Tenant, world.tenant("acme"), per_minute(3), cost);
    assert_eq!(world.admitted_of(50, &of(0)).await, 50);
    assert_eq!(world.admitted_of(50, &of(1)).await, 3);
    assert!(world.admits(&of(0)).await, "what was charged for the last token may still be looked at");
}

async fn traffic_inside_the_guarantee_is_admitted_on_a_saturated_platform(mut world: World) {
    let global = per_second(10, 10);
    let stranger = Charge::new().shared(world.keys.global(), global.clone(), None, 1);
    let victim = Charge::new().shared(world.keys.global(), global.clone(), Some((world.guarantee("acme"), per_second(4, 4))), 1);
    for _ in 0..10 {
        world.admitted_of(40, &stranger).await;
        assert_eq!(world.admitted_of(4, &victim).await, 4, "the whole guarantee of a second");
        world.now += SECOND;
    }
}

async fn traffic_above_the_guarantee_waits_until_the_debt_is_paid(mut world: World) {
    let global = per_second(10, 10);
    let of = |name: &str| Charge::new().shared(world.keys.global(), global.clone(), Some((world.guarantee(name), per_second(2, 2))), 1);
    let (acme, globex) = (of("acme"), of("globex"));
    assert_eq!(world.admitted_of(100, &acme).await, 10, "two of them by the guarantee, which also drains the platform");
    assert_eq!(world.admitted_of(100, &globex).await, 2, "only what is guaranteed, as a debt of 2");
    world.now += SECOND / 10;
    assert_eq!(world.admitted_of(5, &acme).await, 0, "one of the debt is paid, nothing is left to lend");
    world.now += SECOND / 10 * 2;
    assert_eq!(world.admitted_of(5, &acme).await, 1);
}

async fn a_global_denial_ends_when_either_the_platform_or_the_guarantee_can_pay(world: World) {
    let global = per_minute(1);
    let charge = Charge::new().shared(world.keys.global(), global.clone(), Some((world.guarantee("acme"), per_second(1, 1))), 1);
    assert!(world.admits(&charge).await);
    let denial = world.decide(&charge).await.denial().unwrap();
    assert_eq!((denial.scope, denial.retry_after_us), (Scope::Global, Some(SECOND)));
    // More than the platform ever holds, and more than the guarantee ever holds.
    let huge = Charge::new().shared(world.keys.global(), global.clone(), Some((world.guarantee("acme"), per_second(1, 1))), 2);
    assert_eq!(world.decide(&huge).await.denial().unwrap().retry_after_us, None);
}

async fn a_guarantee_lends_nothing_to_a_later_descriptor(world: World) {
    let global = per_minute(1);
    let pair = || Some((world.guarantee("acme"), per_minute(1)));
    let mut charge = Charge::new().shared(world.keys.global(), global.clone(), pair(), 1);
    charge.append(Charge::new().shared(world.keys.global(), global.clone(), None, 1));
    assert!(!world.admits(&charge).await, "the second one has no guarantee, and the first took the platform's last");
    assert!(world.admits(&Charge::new().shared(world.keys.global(), global.clone(), pair(), 1)).await, "nothing was charged");
}

async fn a_lowered_limit_bounds_the_credit_and_a_raised_one_adds_none(world: World) {
    let of = |capacity, cost| Charge::new().hold(Scope::Tenant, world.tenant("acme"), per_second(1, capacity), cost);
    assert!(world.admits(&of(100, 40)).await);
    assert_eq!(world.decide(&of(1000, 1)).await.standings()[0].remaining, 59, "raised: no credit was added");
    assert_eq!(world.decide(&of(10, 1)).await.standings()[0].remaining, 9, "lowered: the credit is bounded");
    assert_eq!(world.decide(&of(100, 1)).await.standings()[0].remaining, 8, "what was bounded stays so once it was charged");
}

async fn a_guarantee_whose_period_changes_keeps_its_credit(world: World) {
    let of = |period_us, cost| {
        let bucket = Bucket::token(RateLimit { rate: Rate { requests: 7, period_us }, capacity: 10 });
        Charge::new().hold(Scope::Tenant, world.tenant("acme"), bucket, cost)
    };
    assert!(world.admits(&of(120_000_000, 4)).await);
    for period in [180_000_000, 77_777_777_777, 1, 60_000_000] {
        assert_eq!(world.decide(&of(period, 0)).await.standings()[0].remaining, 6);
    }
    assert!(world.admits(&of(180_000_000_001, 3)).await);
    assert_eq!(world.decide(&of(60_000_000, 0)).await.standings()[0].remaining, 3);
}

async fn a_clock_that_goes_back_adds_nothing(mut world: World) {
    let charge = Charge::new().hold(Scope::Tenant, world.tenant("acme"), per_second(1, 3), 1);
    assert_eq!(world.admitted_of(5, &charge).await, 3);
    world.now -= 100 * SECOND;
    assert_eq!(world.admitted_of(5, &charge).await, 0);
    world.now += 100 * SECOND;
    assert_eq!(world.admitted_of(5, &charge).await, 0, "the same seconds are not counted twice");
    world.now += SECOND;
    assert_eq!(world.admitted_of(5, &charge).await, 1);
}

async fn costs_of_one_charge_on_one_key_add_up(world: World) {
    let key = world.tenant("acme");
    let one = |cost| Charge::new().hold(Scope::Tenant, key.clone(), per_minute(10), cost);
    let mut both = one(6);
    both.append(one(5));
    let outcome = world.decide(&both).await;
    assert_eq!(outcome.verdict(), Verdict::Denied);
    assert_eq!(outcome.denial().unwrap().retry_after_us, None, "the bucket never holds eleven");
    let mut both = one(6);
    both.append(one(4));
    assert!(world.admits(&both).await);
    assert!(!world.admits(&one(1)).await);
    let mut both = one(2);
    both.append(one(1));
    let outcome = world.decide(&both).await;
    assert_eq!(outcome.denial().unwrap().retry_after_us, Some(18 * SECOND), "three requests are missing for the two of them");
}

async fn a_batch_is_decided_in_order_and_each_charge_alone(world: World) {
    let key = world.tenant("acme");
    let of = |cost| Charge::new().hold(Scope::Tenant, key.clone(), per_minute(10), cost);
    let batch = [of(6), of(6), of(0), of(4), of(1)];
    let outcomes = world.store.decide_each(Some(Micros(world.now)), &batch).await.unwrap();
    let admitted: Vec<bool> = outcomes.iter().map(|outcome| outcome.verdict() == Verdict::Admitted).collect();
    assert_eq!(admitted, [true, false, true, true, false]);
}

async fn an_oversized_charge_is_faulty_and_the_others_are_decided(world: World) {
    let key = world.tenant("acme");
    let one = Charge::new().hold(Scope::Tenant, key.clone(), per_minute(10), 1);
    let mut huge = Charge::new();
    for _ in 0..300 {
        huge = huge.hold(Scope::Tenant, key.clone(), per_minute(10), 1);
    }
    let outcomes = world.store.decide_each(Some(Micros(world.now)), &[one.clone(), huge, one]).await.unwrap();
    let verdicts: Vec<Verdict> = outcomes.iter().map(Outcome::verdict).collect();
    assert_eq!(verdicts, [Verdict::Admitted, Verdict::Faulty, Verdict::Admitted]);
}

async fn s12_a_huge_cost_fails_that_decision_only(world: World) {
    let of = |name: &str, cost| {
        Charge::new().shared(world.keys.global(), per_minute(10), None, cost).hold(Scope::Tenant, world.tenant(name), per_minute(10), cost)
    };
    let batch = [of("acme", 1), of("globex", u64::MAX), of("globex", 1 << 53), of("acme", 1)];
    let outcomes = world.store.decide_each(Some(Micros(world.now)), &batch).await.unwrap();
    let admitted: Vec<bool> = outcomes.iter().map(|outcome| outcome.verdict() == Verdict::Admitted).collect();
    assert_eq!(admitted, [true, false, false, true]);
}

async fn an_empty_batch_is_decided(world: World) {
    assert_eq!(world.store.decide_each(None, &[]).await, Ok(Vec::new()));
    assert_eq!(world.decide(&Charge::new()).await.verdict(), Verdict::Admitted);
}
