//! Every kind of bucket, copies of one charge, tokens in advance and adjustments: the script does exactly what the model does, and both keep what
//! each kind promises.

mod meters;
mod returns;
mod told;

use std::sync::Arc;

use bulkhead_ratelimit::{
    ask::{Ahead, Answer, Ask, HOLD_US},
    bucket::{Bucket, CalendarQuota, Sliding, Window},
    charge::{Charge, Scope, Shape},
    key::{Key, Keyspace},
    look,
    outcome::Verdict,
    store::{Adjustment, Change, Hour, Micros, Store, StoreError, Tally, memory::MemoryStore},
};
use bulkhead_tenancy::{
    calendar::{Calendar, Per},
    clock::SystemClock,
    limit::{MINUTE_US, Rate, RateLimit},
    name::TenantUid,
};
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy},
    prop_assert, prop_assert_eq, prop_oneof,
    test_runner::{TestCaseError, TestRunner},
};
use tokio::runtime::Runtime;

use crate::support::{own_keys, valkey::Server};

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;
/// 2025-03-29, 22:13:20 UTC: hours before Europe sets its clocks forward.
const START: u64 = 1_743_286_400 * SECOND;

/// Both stores, for as long as a property runs.
struct Stores {
    runtime: Runtime,
    memory: MemoryStore,
    script: Box<dyn Store>,
    _server: Server,
}

impl Stores {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let server = Server::get();
        let script = Box::new(runtime.block_on(server.store()));
        Self { runtime, memory: MemoryStore::new(Arc::new(SystemClock)), script, _server: server }
    }

    fn both(&self) -> [(&'static str, &dyn Store); 2] {
        [("memory", &self.memory), ("script", &*self.script)]
    }

    fn decide(&self, store: &dyn Store, now: u64, asks: &[Ask]) -> Vec<Answer> {
        self.runtime.block_on(store.decide(Some(Micros(now)), asks)).unwrap()
    }

    fn adjust(&self, store: &dyn Store, now: u64, adjustment: &Adjustment) -> bool {
        self.runtime.block_on(store.ledger().adjust(Some(Micros(now)), std::slice::from_ref(adjustment))).remove(0).unwrap()
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

fn calendar(per: Per) -> Calendar {
    Calendar::new(per, None, "Europe/Paris").unwrap()
}

/// A bucket of a kind: the key's kind is part of its name, so a key never changes its kind.
fn bucket(kind: usize, limit: u64) -> Bucket {
    match kind {
        0 => Bucket::token(RateLimit { rate: Rate { requests: limit, period_us: MINUTE_US }, capacity: limit }),
        1 => Bucket::Window(Window::new(limit, 10 * SECOND)),
        2 => Bucket::Sliding(Sliding::new(limit, 60 * SECOND)),
        3 => Bucket::Calendar(CalendarQuota::new(limit, calendar(Per::Hour))),
        _ => Bucket::Calendar(CalendarQuota::new(limit, calendar(Per::Day))),
    }
}

fn key(keys: &Keyspace, tenant: usize, kind: usize) -> Key {
    keys.quota(&uid(tenant), &format!("kind-{kind}"))
}

/// A tenant's shape: global with its guarantee or without, some kinds of bucket with their limits, and a limit in shadow.
type Levels = (usize, Option<u64>, bool, Vec<(usize, u64)>, Option<u64>);

fn shape(keys: &Keyspace, (tenant, guarantee, count, levels, shadow): &Levels) -> Arc<Shape> {
    let meter = keys.meter(&uid(*tenant), None, None);
    let mut shape = Shape::new().metered(meter);
    if let Some(limit) = guarantee {
        shape = shape.shared(keys.global(), bucket(0, 40), Some((keys.guarantee(&uid(*tenant)), bucket(0, *limit))));
    }
    for (kind, limit) in levels {
        let (key, bucket) = (key(keys, *tenant, *kind), bucket(*kind, *limit));
        shape = if *count { shape.count(Scope::Tenant, key, bucket) } else { shape.hold(Scope::Tenant, key, bucket) };
    }
    if let Some(limit) = shadow {
        shape = shape.shadow("trial", keys.shadow(&uid(*tenant), "trial"), bucket(0, *limit));
    }
    Arc::new(shape)
}

#[derive(Debug, Clone)]
enum Step {
    Ask { levels: Levels, cost: u64, count: u32, ahead: Option<Ahead> },
    Adjust { tenant: usize, kind: usize, limit: u64, change: Change },
}

fn any_step() -> impl Strategy<Value = Step> {
    let limit = || prop_oneof![1 => Just(0_u64), 8 => 1_u64..60];
    let guarantee = prop_oneof![1 => Just(None), 2 => (1_u64..20).prop_map(Some)];
    let count = prop_oneof![4 => Just(false), 1 => Just(true)];
    let shadow = prop_oneof![2 => Just(None), 1 => limit().prop_map(Some)];
    let levels = (0..2_usize, guarantee, count, vec((0..5_usize, limit()), 0..4), shadow);
    let ahead = (1_u32..60, 1_u32..5, 1_u64..30 * SECOND).prop_map(|(want, share, ttl_us)| Ahead::of(want, share, ttl_us));
    let ahead = prop_oneof![3 => Just(None), 1 => ahead.prop_map(Some)];
    let cost = prop_oneof![1 => Just(0), 8 => Just(1), 4 => 2_u64..10, 1 => Just(u64::MAX)];
    let count = prop_oneof![3 => Just(1_u32), 2 => 1_u32..80, 1 => Just(0)];
    // Without anything in advance a look is for one level.
    let ask = (levels, cost, count, ahead).prop_map(|(levels, cost, count, ahead)| {
        let count = if ahead.is_none() { count.max(1) } else { count };
        Step::Ask { levels, cost, count, ahead }
    });
    let change = prop_oneof![
        Just(Change::Reset),
        (0_u64..50).prop_map(|requests| Change::Grant { requests }),
        (0_u64..30, 0_u64..30, 0_u64..4 * HOUR).prop_map(|(unused, held, ago)| Change::Return { unused, held, taken_us: START + ago }),
        (0_u64..30, 0_u64..30, 0_u64..10 * SECOND).prop_map(|(unused, held, ago)| Change::Return { unused, held, taken_us: START + ago }),
    ];
    let adjust =
        (0..2_usize, 0..5_usize, limit(), change).prop_map(|(tenant, kind, limit, change)| Step::Adjust { tenant, kind, limit, change });
    prop_oneof![6 => ask, 1 => adjust]
}

#[test]
fn the_script_answers_exactly_as_the_model_does() {
    let stores = Stores::start();
    let wait = prop_oneof![4 => Just(0_i64), 6 => 0_i64..20_000_000, 2 => 0_i64..10_000_000_000, 1 => -30_000_000_i64..0];
    check(300, vec((wait, any_step()), 1..40), |schedule| {
        let keys = own_keys();
        let mut now = START;
        for (wait, step) in schedule {
            now = now.saturating_add_signed(wait);
            match step {
                Step::Ask { levels, cost, count, ahead } => {
                    let ask = Ask::of(Charge::of(shape(&keys, &levels), cost), count, ahead);
                    let [model, script] = stores.both().map(|(_, store)| stores.decide(store, now, std::slice::from_ref(&ask)));
                    prop_assert_eq!(&model, &script, "at {}", now);
                    let last = |answers: &[Answer]| answers[0].outcome(&ask.charge, count.saturating_sub(1));
                    prop_assert_eq!(last(&model), last(&script));
                }
                Step::Adjust { tenant, kind, limit, change } => {
                    let adjustment = Adjustment { key: key(&keys, tenant, kind), bucket: bucket(kind, limit), change };
                    let [model, script] = stores.both().map(|(_, store)| stores.adjust(store, now, &adjustment));
                    prop_assert_eq!(model, script, "at {}", now);
                }
            }
        }
        let account = keys.account(&uid(0));
        let [mut model, mut script] =
            stores.both().map(|(_, store)| stores.runtime.block_on(store.ledger().metered(&account, Hour::of(Micros(START)))).unwrap());
        model.retain(|line| (line.admitted, line.denied) != (0, 0));
        model.sort_by(|one, other| one.line.cmp(&other.line));
        script.sort_by(|one, other| one.line.cmp(&other.line));
        let enormous = model.iter().any(|line| line.admitted.max(line.denied) >= 1 << 53);
        prop_assert!(enormous || model == script, "{:?} is {:?}", script, model);
        Ok(())
    });
}

#[test]
fn copies_of_one_charge_are_decided_as_if_each_were_asked_alone() {
    let stores = Stores::start();
    let guarantee = prop_oneof![1 => Just(None), 2 => (1_u64..20).prop_map(Some)];
    let shadow = prop_oneof![1 => Just(None), 1 => (0_u64..20).prop_map(Some)];
    let levels = (Just(0_usize), guarantee, Just(false), vec((0..5_usize, 1_u64..30), 0..3), shadow);
    check(150, (levels, 0_u64..4, 1_u32..50), |(levels, cost, count)| {
        for (name, store) in stores.both() {
            let (together, apart) = (own_keys(), own_keys());
            let one = |keys: &Keyspace| Charge::of(shape(keys, &levels), cost);
            let answer = stores.decide(store, START, &[Ask::of(one(&together), count, None)]).remove(0);
            let single = one(&apart);
            for copy in 0..count {
                let alone = stores.decide(store, START, &[Ask::one(single.clone())]).remove(0);
                prop_assert_eq!(answer.outcome(&one(&together), copy), alone.outcome(&single, 0), "{}, copy {}", name, copy);
            }
        }
        Ok(())
    });
}

#[test]
fn a_look_tells_exactly_what_the_next_request_meets_and_changes_nothing() {
    let stores = Stores::start();
    let wait = prop_oneof![4 => Just(0_u64), 6 => 0_u64..20_000_000, 2 => 0_u64..10_000_000_000];
    check(200, vec((wait, any_step()), 1..30), |schedule| {
        for (name, store) in stores.both() {
            let (keys, mut now) = (own_keys(), START);
            for (wait, step) in &schedule {
                now += wait;
                let Step::Ask { levels: (tenant, guarantee, _, levels, shadow), cost, count, ahead } = step else { continue };
                let charge = Charge::of(shape(&keys, &(*tenant, *guarantee, false, levels.clone(), *shadow)), *cost);
                let look = || stores.runtime.block_on(look::at(store, Some(Micros(now)), &charge));
                if charge.levels().next().is_none() {
                    prop_assert_eq!(look(), Err(StoreError::Garbled));
                    continue;
                }
                let looked = (look().unwrap().outcome(&charge, 0), look().unwrap().outcome(&charge, 0));
                let ask = Ask::of(charge.clone(), (*count).max(1), *ahead);
                let met = stores.decide(store, now, &[ask]).remove(0).outcome(&charge, 0);
                prop_assert_eq!(looked, (met.clone(), met), "{} at {}", name, now);
            }
        }
        Ok(())
    });
}

#[test]
fn a_limit_in_shadow_changes_no_answer_and_marks_what_it_would_have_denied_if_it_stood() {
    let stores = Stores::start();
    let guarantee = prop_oneof![1 => Just(None), 2 => (1_u64..20).prop_map(Some)];
    let levels = (guarantee, vec((0..5_usize, 1_u64..60), 0..3));
    let asks = vec((0_u64..8 * SECOND, 0_u64..6), 1..60);
    check(60, (levels, 0_u64..20, asks), |((guarantee, levels), limit, asks)| {
        for (name, store) in stores.both() {
            let (tried, without, alone) = (own_keys(), own_keys(), own_keys());
            let mut now = START;
            for (wait, cost) in &asks {
                now += wait;
                let one = |keys: &Keyspace, shadow| {
                    let charge = Charge::of(shape(keys, &(0, guarantee, false, levels.clone(), shadow)), *cost);
                    stores.decide(store, now, &[Ask::one(charge.clone())])[0].outcome(&charge, 0)
                };
                let (tried, without) = (one(&tried, Some(limit)), one(&without, None));
                prop_assert_eq!((tried.verdict(), tried.standings()), (without.verdict(), without.standings()), "{}", name);
                // If it stood it would be asked for what all others admit.
                let admits = || {
                    let charge = Charge::new().hold(Scope::Tenant, alone.tenant(&uid(0)), bucket(0, limit), *cost);
                    stores.decide(store, now, &[Ask::one(charge)])[0].admitted == 1
                };
                let marked = tried.verdict() == Verdict::Admitted && !admits();
                prop_assert_eq!(tried.shadowed().len(), usize::from(marked), "{}", name);
            }
        }
        Ok(())
    });
}

/// One request at a moment.
fn admits(stores: &Stores, store: &dyn Store, now: u64, key: &Key, bucket: &Bucket) -> bool {
    let charge = Charge::new().hold(Scope::Tenant, key.clone(), bucket.clone(), 1);
    stores.decide(store, now, &[Ask::one(charge)])[0].admitted == 1
}

#[test]
fn tokens_held_in_advance_are_never_there_twice() {
    let stores = Stores::start();
    let limit = RateLimit { rate: Rate { requests: 10, period_us: SECOND }, capacity: 10 };
    for (name, store) in stores.both() {
        let keys = own_keys();
        let (key, bucket) = (keys.tenant(&uid(0)), Bucket::token(limit));
        let charge = Charge::new().hold(Scope::Tenant, key.clone(), bucket.clone(), 1);
        let lease = Ask::of(charge, 1, Some(Ahead::of(100, 3, 9 * SECOND)));
        let answer = stores.decide(store, START, &[lease]).remove(0);
        assert_eq!(
            (answer.admitted, answer.ahead, answer.until_us),
            (1, 3, START + HOLD_US),
            "{name}: a third of nine, and no longer than is remembered"
        );
        // The bucket would be full again, had it forgotten what is held.
        let later = START + HOLD_US - 1;
        let admitted = (0..20).filter(|_| admits(&stores, store, later, &key, &bucket)).count();
        assert_eq!(admitted, 7, "{name}");
        let back = Adjustment { key: key.clone(), bucket: bucket.clone(), change: Change::Return { unused: 2, held: 3, taken_us: START } };
        assert!(stores.adjust(store, later, &back));
        let admitted = (0..20).filter(|_| admits(&stores, store, later, &key, &bucket)).count();
        assert_eq!(admitted, 2, "{name}: what came back, and no more");
        // Held by somebody who died, while others go on: forgotten two epochs later.
        let lease = |now, share| {
            let charge = Charge::new().hold(Scope::Tenant, key.clone(), bucket.clone(), 1);
            stores.decide(store, now, &[Ask::of(charge, 1, Some(Ahead::of(3, share, HOLD_US)))]).remove(0).ahead
        };
        let much_later = START + 60 * SECOND;
        assert_eq!(lease(much_later, 1), 3, "{name}");
        assert_eq!(lease(much_later + HOLD_US, 1), 3, "{name}");
        assert_eq!(lease(much_later + 2 * HOLD_US, 2), 3, "{name}: ten, less the other three, less one: half of six");
        // What comes back when it is held no longer has been refilled already.
        assert!(stores.adjust(
            store,
            much_later + 2 * HOLD_US,
            &Adjustment { change: Change::Return { unused: 3, held: 3, taken_us: much_later }, ..back }
        ));
        assert_eq!(lease(much_later + 2 * HOLD_US, 3), 0, "{name}: two are left");
        let much_later = much_later + 60 * SECOND;
        let admitted = (0..20).filter(|_| admits(&stores, store, much_later, &key, &bucket)).count();
        assert_eq!(admitted, 10, "{name}: nothing is held for ever");
    }
}

#[test]
fn a_reset_forgets_and_a_grant_gives_back() {
    let stores = Stores::start();
    for (name, store) in stores.both() {
        for kind in 0..5 {
            let keys = own_keys();
            let (key, bucket) = (key(&keys, 0, kind), bucket(kind, 5));
            let admitted = || (0..20).filter(|_| admits(&stores, store, START, &key, &bucket)).count();
            let adjust = |change| assert!(stores.adjust(store, START, &Adjustment { key: key.clone(), bucket: bucket.clone(), change }));
            assert_eq!(admitted(), 5, "{name}, kind {kind}");
            adjust(Change::Grant { requests: 3 });
            assert_eq!(admitted(), 3, "{name}, kind {kind}");
            adjust(Change::Reset);
            assert_eq!(admitted(), 5, "{name}, kind {kind}");
        }
    }
}

/// What replicas held in advance when an operator reset the bucket and others used it again: given back, it is nobody's gain.
#[test]
fn what_comes_back_to_a_bucket_that_was_reset_is_no_grant() {
    let stores = Stores::start();
    for (name, store) in stores.both() {
        for kind in [0, 1, 3] {
            let keys = own_keys();
            let (key, bucket) = (key(&keys, 0, kind), bucket(kind, 100));
            let charge = |cost| Charge::new().hold(Scope::Tenant, key.clone(), bucket.clone(), cost);
            let lease = Ask::of(charge(1), 1, Some(Ahead::of(30, 1, HOLD_US)));
            let ahead = stores.decide(store, START, &[lease]).remove(0).ahead;
            assert_eq!(ahead, 30, "{name}, kind {kind}");
            let adjust = |change| stores.adjust(store, START + 1, &Adjustment { key: key.clone(), bucket: bucket.clone(), change });
            assert!(adjust(Change::Reset));
            assert_eq!(stores.decide(store, START + 1, &[Ask::one(charge(60))])[0].admitted, 1, "{name}, kind {kind}");
            adjust(Change::Return { unused: 30, held: 30, taken_us: START });
            let more = Ask::of(charge(1), 100, None);
            assert_eq!(stores.decide(store, START + 1, &[more])[0].admitted, 40, "{name}, kind {kind}");
        }
    }
}

/// More values than Lua's stack takes, in the question and in the answer.
#[test]
fn a_batch_of_very_many_keys_is_decided_as_any_other() {
    let stores = Stores::start();
    let keys = own_keys();
    let ask = |number: usize| {
        let (sliding, window) = (bucket(2, 3), bucket(1, 3));
        let shape = Shape::new()
            .hold(Scope::Tenant, keys.quota(&uid(number % 700), "kind-2"), sliding)
            .hold(Scope::Tenant, keys.quota(&uid(number / 9), "kind-1"), window)
            .metered(keys.meter(&uid(number), None, None));
        Ask::one(Charge::of(Arc::new(shape), 1))
    };
    let asks: Vec<Ask> = (0..1_500).map(ask).collect();
    let [model, script] = stores.both().map(|(_, store)| stores.decide(store, START, &asks));
    assert!(model.iter().any(|answer| answer.admitted == 0) && model.iter().any(|answer| answer.admitted == 1));
    assert!(model == script);
}
