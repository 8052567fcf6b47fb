//! What both stores promise, on a platform as the loader would accept it (the guarantees add up to at most the global rate): all levels or none, guarantees,
//! the most of any interval, and one tenant's answers whatever others do.

use bulkhead_ratelimit::{
    outcome::Verdict,
    store::batching::{Batching, Bounds},
};

use super::*;

const TENANTS: usize = 3;

#[derive(Debug, Clone)]
struct Platform {
    global: RateLimit,
    guarantees: Vec<RateLimit>,
    tenants: Vec<RateLimit>,
    subscriptions: Vec<RateLimit>,
}

/// Who asks, how much later than the last one, and for how much.
type Ask = (u64, usize, u64);

fn limit(requests: impl Strategy<Value = u64>, capacity: impl Strategy<Value = u64>) -> impl Strategy<Value = RateLimit> {
    (requests, capacity).prop_map(|(requests, capacity)| RateLimit { rate: Rate::per_minute(requests), capacity })
}

fn any_platform() -> impl Strategy<Value = Platform> {
    let global = limit(600_u64..3_000, 1_u64..60);
    let guarantees = vec(limit(1_u64..=200, 1_u64..8), TENANTS);
    let tenants = vec(limit(60_u64..3_000, 1_u64..60), TENANTS);
    let subscriptions = vec(limit(30_u64..3_000, 1_u64..60), TENANTS);
    (global, guarantees, tenants, subscriptions).prop_map(|(global, guarantees, tenants, subscriptions)| Platform {
        global,
        guarantees,
        tenants,
        subscriptions,
    })
}

fn any_asks() -> impl Strategy<Value = Vec<Ask>> {
    let step = prop_oneof![4 => Just(0), 6 => 0_u64..200_000, 1 => 0_u64..20_000_000];
    vec((step, 0..TENANTS, prop_oneof![6 => Just(1_u64), 3 => 1_u64..6, 1 => 0_u64..80]), 1..150)
}

fn charge(keys: &Keyspace, platform: &Platform, tenant: usize, cost: u64) -> Charge {
    let uid = uid(tenant);
    Charge::new()
        .shared(
            keys.global(),
            Bucket::token(platform.global),
            Some((keys.guarantee(&uid), Bucket::token(platform.guarantees[tenant]))),
            cost,
        )
        .hold(Scope::Tenant, keys.tenant(&uid), Bucket::token(platform.tenants[tenant]), cost)
        .hold(Scope::Subscription, keys.subscription(&uid, &"s".parse().unwrap()), Bucket::token(platform.subscriptions[tenant]), cost)
}

/// A bucket as a sentence of SEMANTICS has it, written another way than the model: credit in units at a moment, no bounds but the capacity.
#[derive(Clone, Copy)]
struct Naive {
    limit: RateLimit,
    credit: i128,
    at: u64,
}

impl Naive {
    fn full(limit: RateLimit) -> Self {
        Self { limit, credit: i128::from(limit.capacity) * i128::from(limit.rate.period_us), at: START }
    }

    fn pass(&mut self, now: u64) {
        let full = Self::full(self.limit).credit;
        self.credit = full.min(self.credit + i128::from(now - self.at) * i128::from(self.limit.rate.requests));
        self.at = now;
    }

    fn cost(&self, cost: u64) -> i128 {
        i128::from(cost) * i128::from(self.limit.rate.period_us)
    }

    fn holds(&self, cost: u64) -> bool {
        self.credit >= self.cost(cost)
    }
}

#[test]
fn every_level_or_none_is_charged_and_a_guarantee_is_never_denied_by_global() {
    let stores = Stores::start();
    check(150, (any_platform(), any_asks()), |(platform, asks)| {
        for (name, store) in &stores.both {
            let keys = own_keys();
            let mut global = Naive::full(platform.global);
            let mut guarantees: Vec<Naive> = platform.guarantees.iter().copied().map(Naive::full).collect();
            let mut tenants: Vec<Naive> = platform.tenants.iter().copied().map(Naive::full).collect();
            let mut subscriptions: Vec<Naive> = platform.subscriptions.iter().copied().map(Naive::full).collect();
            let mut now = START;
            for &(step, tenant, cost) in &asks {
                now += step;
                let (guarantee, own, sub) = (&mut guarantees[tenant], &mut tenants[tenant], &mut subscriptions[tenant]);
                [&mut global, guarantee, own, sub].into_iter().for_each(|bucket| bucket.pass(now));
                let inside = guarantee.holds(cost);
                let shared = inside || global.holds(cost);
                let expected = shared && own.holds(cost) && sub.holds(cost);
                let outcome = stores.decide_one(&**store, now, &charge(&keys, &platform, tenant, cost));
                prop_assert_eq!(outcome.verdict() == Verdict::Admitted, expected, "{} at {}", name, now);
                prop_assert_eq!(outcome.standings()[0].passed, shared, "{}: global, at {}", name, now);
                if expected {
                    global.credit -= global.cost(cost);
                    own.credit -= own.cost(cost);
                    sub.credit -= sub.cost(cost);
                    if inside {
                        guarantee.credit -= guarantee.cost(cost);
                    }
                }
            }
        }
        Ok(())
    });
}

/// Whether in every interval the cost admitted stays within `capacity + rate x length` (and a debt, for the platform).
fn within(admitted: &[(u64, u64)], limit: RateLimit, debt: u64) -> bool {
    let period = u128::from(limit.rate.period_us);
    (0..admitted.len()).all(|first| {
        let mut sum = 0_u128;
        admitted[first..].iter().all(|&(at, cost)| {
            sum += u128::from(cost);
            let grown = u128::from(at - admitted[first].0) * u128::from(limit.rate.requests);
            sum * period <= u128::from(limit.capacity + debt) * period + grown
        })
    })
}

#[test]
fn no_interval_admits_more_than_its_limit() {
    let stores = Stores::start();
    check(100, (any_platform(), any_asks()), |(platform, asks)| {
        let debt = platform.guarantees.iter().map(|guarantee| guarantee.capacity).sum();
        for (name, store) in &stores.both {
            let keys = own_keys();
            let mut now = START;
            let mut all = Vec::new();
            let mut by_tenant = vec![Vec::new(); TENANTS];
            for &(step, tenant, cost) in &asks {
                now += step;
                if stores.decide_one(&**store, now, &charge(&keys, &platform, tenant, cost)).verdict() == Verdict::Admitted {
                    all.push((now, cost));
                    by_tenant[tenant].push((now, cost));
                }
            }
            prop_assert!(within(&all, platform.global, debt), "{}: the platform", name);
            for (tenant, admitted) in by_tenant.iter().enumerate() {
                prop_assert!(within(admitted, platform.tenants[tenant], 0), "{}: tenant {}", name, tenant);
                prop_assert!(within(admitted, platform.subscriptions[tenant], 0), "{}: subscription {}", name, tenant);
            }
        }
        Ok(())
    });
}

#[test]
fn what_is_admitted_now_would_be_admitted_later() {
    let stores = Stores::start();
    let ask = (0..TENANTS, 1_u64..10, 0_u64..1_000_000, 0_u64..100_000_000);
    check(100, (any_platform(), any_asks(), ask), |(platform, asks, (tenant, cost, soon, later))| {
        for (name, store) in &stores.both {
            let admitted = |wait: u64| {
                let keys = own_keys();
                let mut now = START;
                for &(step, tenant, cost) in &asks {
                    now += step;
                    let _ = stores.decide_one(&**store, now, &charge(&keys, &platform, tenant, cost));
                }
                let outcome = stores.decide_one(&**store, now + wait, &charge(&keys, &platform, tenant, cost));
                (outcome.verdict() == Verdict::Admitted, outcome.denial().map(|denial| denial.retry_after_us))
            };
            let (now, denial) = admitted(soon);
            prop_assert!(!now || admitted(soon + later).0, "{}", name);
            if let Some(Some(wait)) = denial {
                prop_assert!(admitted(soon + wait).0, "{}: Retry-After is when it passes", name);
                prop_assert!(!admitted(soon + wait - 1).0, "{}: and not a microsecond earlier", name);
            }
        }
        Ok(())
    });
}

#[test]
fn a_tenants_answers_inside_its_guarantee_are_the_same_whatever_the_others_do() {
    let stores = Stores::start();
    check(100, (any_platform(), any_asks(), any_asks()), |(platform, victim, others)| {
        for (name, store) in &stores.both {
            // The victim asks inside its guarantee only: as its naive bucket has it, and its own limits allow.
            let run = |with_others: bool| {
                let keys = own_keys();
                let mut guarantee = Naive::full(platform.guarantees[0]);
                let mut now = START;
                let mut answers = Vec::new();
                for (index, &(step, _, cost)) in victim.iter().enumerate() {
                    now += step;
                    if with_others && let Some(&(_, tenant, cost)) = others.get(index) {
                        let _ = stores.decide_one(&**store, now, &charge(&keys, &platform, 1 + tenant % (TENANTS - 1), cost));
                    }
                    guarantee.pass(now);
                    if guarantee.holds(cost) {
                        let admitted = stores.decide_one(&**store, now, &charge(&keys, &platform, 0, cost)).verdict() == Verdict::Admitted;
                        guarantee.credit -= if admitted { guarantee.cost(cost) } else { 0 };
                        answers.push(admitted);
                    }
                }
                answers
            };
            prop_assert_eq!(run(false), run(true), "{}", name);
        }
        Ok(())
    });
}

#[test]
fn a_hundred_at_once_are_admitted_exactly_as_often_as_the_bucket_holds() {
    let stores = Stores::start();
    for (name, store) in &stores.both {
        let keys = own_keys();
        let limit = Bucket::token(RateLimit { rate: Rate { requests: 1, period_us: 1 << 50 }, capacity: 7 });
        let one = Charge::new().shared(keys.global(), limit.clone(), None, 1).hold(Scope::Tenant, keys.tenant(&uid(0)), limit.clone(), 1);
        let batching = stores.runtime.block_on(async { Arc::new(Batching::before(Arc::clone(store), Bounds::default())) });
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (batching, one) = (Arc::clone(&batching), one.clone());
                stores.runtime.spawn(async move { batching.decide_each(None, &[one]).await.unwrap().remove(0) })
            })
            .collect();
        let admitted = tasks
            .into_iter()
            .map(|task| stores.runtime.block_on(task).unwrap())
            .filter(|outcome| outcome.verdict() == Verdict::Admitted)
            .count();
        assert_eq!(admitted, 7, "{name}");
    }
}
