//! Random schedules on a simulated clock: the script does exactly what the model does, and both keep the promises of SEMANTICS "Limits" ([`promises`]).

mod promises;

use std::sync::Arc;

use bulkhead_ratelimit::{
    bucket::Bucket,
    charge::{Charge, Scope},
    key::Keyspace,
    outcome::Outcome,
    store::{Micros, Store, memory::MemoryStore},
};
use bulkhead_tenancy::{
    clock::SystemClock,
    limit::{MAX_REQUESTS, MINUTE_US, Rate, RateLimit},
    name::TenantUid,
};
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any},
    prop_assert, prop_assert_eq, prop_oneof,
    test_runner::{TestCaseError, TestRunner},
};
use tokio::runtime::Runtime;

use crate::support::{own_keys, valkey::Server};

const START: u64 = 1_700_000_000_000_000;

/// Both stores, for as long as a property runs.
struct Stores {
    runtime: Runtime,
    both: Vec<(&'static str, Arc<dyn Store>)>,
    _server: Server,
}

impl Stores {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let server = Server::get();
        let redis: Arc<dyn Store> = Arc::new(runtime.block_on(server.store()));
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        Self { runtime, both: vec![("memory", memory), ("script", redis)], _server: server }
    }

    fn decide(&self, store: &dyn Store, now: u64, charges: &[Charge]) -> Vec<Outcome> {
        self.runtime.block_on(store.decide_each(Some(Micros(now)), charges)).unwrap()
    }

    fn decide_one(&self, store: &dyn Store, now: u64, charge: &Charge) -> Outcome {
        self.decide(store, now, std::slice::from_ref(charge)).remove(0)
    }
}

fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: std::fmt::Debug,
{
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    if let Err(failure) = TestRunner::new(config).run(&strategy, test) {
        panic!("{failure}");
    }
}

fn uid(tenant: usize) -> TenantUid {
    format!("t{tenant}").parse().unwrap()
}

/// One level of a random charge: which of the keys, under which limit.
#[derive(Debug, Clone)]
struct Level {
    tenant: usize,
    kind: usize,
    limit: RateLimit,
    guarantee: RateLimit,
    cost: u64,
}

fn any_limit() -> impl Strategy<Value = RateLimit> {
    let requests = prop_oneof![1 => Just(0), 6 => 1_u64..200, 2 => 1..=MAX_REQUESTS, 1 => any::<u64>()];
    let period =
        prop_oneof![6 => Just(MINUTE_US), 2 => Just(1_000_000), 1 => 1_u64..100, 3 => 1_u64..10_000_000_000_000, 1 => any::<u64>()];
    let capacity = prop_oneof![8 => 0_u64..30, 2 => 0..=MAX_REQUESTS, 1 => any::<u64>()];
    (requests, period, capacity).prop_map(|(requests, period_us, capacity)| RateLimit { rate: Rate { requests, period_us }, capacity })
}

fn any_level() -> impl Strategy<Value = Level> {
    let cost = prop_oneof![2 => Just(0), 8 => Just(1), 6 => 2_u64..20, 1 => 1..=MAX_REQUESTS, 1 => any::<u64>()];
    (0..2_usize, 0..4_usize, any_limit(), any_limit(), cost).prop_map(|(tenant, kind, limit, guarantee, cost)| Level {
        tenant,
        kind,
        limit,
        guarantee,
        cost,
    })
}

fn charge_of(keys: &Keyspace, levels: &[Level]) -> Charge {
    levels.iter().fold(Charge::new(), |charge, level| {
        let (uid, limit) = (uid(level.tenant), Bucket::token(level.limit));
        match level.kind {
            0 => charge.shared(keys.global(), limit, Some((keys.guarantee(&uid), Bucket::token(level.guarantee))), level.cost),
            1 => charge.shared(keys.global(), limit, None, level.cost),
            2 => charge.hold(Scope::Tenant, keys.tenant(&uid), limit, level.cost),
            _ => charge.hold(Scope::Subscription, keys.subscription(&uid, &"s".parse().unwrap()), limit, level.cost),
        }
    })
}

/// Moments: mostly a little later, at times much later, or earlier.
fn any_step() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0_i64..5_000_000, 2 => 0_i64..100_000_000_000, 1 => -100_000_000_i64..0, 1 => Just(0)]
}

#[test]
fn the_script_decides_exactly_as_the_model_does() {
    let stores = Stores::start();
    let batch = vec(vec(any_level(), 1..6), 1..6);
    check(300, vec((any_step(), batch), 1..20), |schedule| {
        let keys = own_keys();
        let mut now = START;
        for (step, batch) in schedule {
            now = now.saturating_add_signed(step);
            let charges: Vec<Charge> = batch.iter().map(|levels| charge_of(&keys, levels)).collect();
            let [model, script] = [0, 1].map(|store| stores.decide(&*stores.both[store].1, now, &charges));
            prop_assert_eq!(model, script, "at {}", now);
        }
        Ok(())
    });
}

/// A charge may look at what it pays from under another limit: what is kept is then in that one's units, and is not taken for a full bucket's.
#[test]
fn a_key_that_is_looked_at_under_another_limit_is_kept_under_that_one() {
    let stores = Stores::start();
    let limit = |requests, period_us, capacity| RateLimit { rate: Rate { requests, period_us }, capacity };
    let level = |limit, cost| Level { tenant: 0, kind: 1, limit, guarantee: RateLimit::DENY_ALL, cost };
    let (wide, narrow) = (limit(60, MINUTE_US, 16), limit(1, MAX_REQUESTS * MINUTE_US, 1));
    // One write in 64 sweeps what is long full again: one of these does.
    for first in START..START + 64 {
        let charge = charge_of(&own_keys(), &[level(wide, 1), level(narrow, 0)]);
        for now in [first, first + 1] {
            let [model, script] = [0, 1].map(|store| stores.decide_one(&*stores.both[store].1, now, &charge));
            assert_eq!(model, script, "at {now}");
        }
    }
}

#[test]
fn the_script_decides_exactly_as_the_model_does_while_only_time_passes() {
    let stores = Stores::start();
    let world = (vec(any_limit(), 8), vec((any_step(), 0..2_usize, 0..4_usize, 0..12_u64), 1..60));
    check(150, world, |(limits, schedule)| {
        let keys = own_keys();
        let mut now = START;
        for (step, tenant, kind, cost) in schedule {
            now = now.saturating_add_signed(step);
            let level = |kind: usize| Level { tenant, kind, limit: limits[kind], guarantee: limits[4 + tenant], cost };
            let charge = charge_of(&keys, &[level(kind % 2), level(2), level(3)]);
            let [model, script] = [0, 1].map(|store| stores.decide_one(&*stores.both[store].1, now, &charge));
            prop_assert_eq!(model, script, "at {}", now);
        }
        Ok(())
    });
}
