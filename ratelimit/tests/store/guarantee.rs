//! Guarantees through random histories (SEMANTICS "Guarantee"): tenants come and go, plans change, bursts add up to many times what the platform
//! holds, requests cost more than one.
//!
//! The oracle is written another way than the model: millionths of millionths of requests, and one sentence a rule.

mod platform;

use std::{collections::HashMap, sync::Arc};

use bulkhead_ratelimit::{
    bucket::Bucket,
    charge::Charge,
    key::Keyspace,
    levels::Levels,
    outcome::{Outcome, Verdict},
};
use bulkhead_tenancy::{
    limit::{Rate, RateLimit},
    name::TenantUid,
    snapshot::Snapshot,
    tenant::Tenant,
};
use proptest::{prop_assert, prop_assert_eq, test_runner::TestCaseError};

use self::platform::{Event, Platform, any_events, any_start};
use crate::{
    both::{Both, One, check},
    support::own_keys,
};

const START: u64 = 1_700_000_000_000_000;

/// A request in the oracle's unit.
const REQUEST: i128 = 1_000_000_000_000;

/// Where the oracle's credit is so close to a cost, nobody asks: a guarantee whose period changed is rounded down by the store.
const CLOSE: i128 = REQUEST / 100;

/// A bucket as a sentence has it: what was left when it last paid, and what has come since.
#[derive(Debug, Clone, Copy)]
struct Held {
    left: i128,
    at: u64,
}

impl Held {
    fn credit(known: Option<Self>, limit: RateLimit, now: u64) -> i128 {
        let full = i128::from(limit.capacity) * REQUEST;
        known.map_or(full, |one| {
            let refilled = i128::from(now - one.at) * i128::from(limit.rate.requests) * REQUEST / i128::from(limit.rate.period_us);
            (one.left.min(full) + refilled).min(full)
        })
    }
}

fn requests(cost: u64) -> i128 {
    i128::from(cost) * REQUEST
}

fn whole(credit: i128) -> u64 {
    u64::try_from(credit / REQUEST).unwrap_or(0)
}

fn guarantees(snapshot: &Snapshot) -> HashMap<TenantUid, RateLimit> {
    snapshot.tenants().map(|tenant| (tenant.uid.clone(), snapshot.guarantee(tenant))).collect()
}

fn capacities<'l>(limits: impl IntoIterator<Item = &'l RateLimit>) -> i128 {
    limits.into_iter().map(|limit| requests(limit.capacity)).sum()
}

/// What is known of a platform from outside: who was answered what.
struct Oracle {
    global: Option<Held>,
    guarantees: HashMap<TenantUid, Held>,
    /// Capacities of guarantees that were deleted or changed since global was last out of debt.
    former: i128,
    /// The deepest debt that was ever allowed, and all that was admitted.
    worst: i128,
    admitted: i128,
}

impl Oracle {
    fn new() -> Self {
        Self { global: None, guarantees: HashMap::new(), former: 0, worst: 0, admitted: 0 }
    }

    /// What a request costs, and whether it is inside its tenant's guarantee; nothing where that is too close to tell.
    fn inside(&self, snapshot: &Snapshot, tenant: &Tenant, now: u64, cost: Option<u64>) -> Option<(u64, bool)> {
        let limit = snapshot.guarantee(tenant);
        let credit = Held::credit(self.guarantees.get(&tenant.uid).copied(), limit, now);
        let cost = cost.unwrap_or_else(|| whole(credit));
        let near = (credit - requests(cost)).abs() < CLOSE && credit < requests(limit.capacity);
        (!near).then_some((cost, limit.capacity > 0 && credit >= requests(cost)))
    }

    /// Takes whatever the platform has.
    fn drain(&mut self, keys: &Keyspace, snapshot: &Snapshot, now: u64, store: One<'_>) {
        let limit = snapshot.platform().rate_limit;
        let credit = Held::credit(self.global, limit, now);
        let cost = whole(credit);
        if cost > 0 {
            let outcome = store.decide(now, &Charge::new().shared(keys.global(), Bucket::token(limit), None, cost));
            assert_eq!(outcome.verdict(), Verdict::Admitted, "{}: {cost} of {limit:?}", store.name);
            self.admitted += requests(cost);
            self.global = Some(Held { left: credit - requests(cost), at: now });
        }
    }

    fn change(&mut self, platform: &mut Platform, event: &Event) {
        let before = guarantees(platform.snapshot());
        platform.change(event);
        let after = guarantees(platform.snapshot());
        self.former += capacities(before.iter().filter(|(uid, limit)| after.get(*uid) != Some(*limit)).map(|(_, limit)| limit));
    }

    /// Global denies nothing that is inside, and lends nothing that is not; its debt has a floor.
    fn answered(
        &mut self,
        snapshot: &Snapshot,
        tenant: &Tenant,
        now: u64,
        cost: u64,
        inside: bool,
        outcome: &Outcome,
    ) -> Result<(), TestCaseError> {
        let limit = snapshot.platform().rate_limit;
        let credit = Held::credit(self.global, limit, now);
        if credit >= 0 {
            self.former = 0;
        }
        prop_assert_eq!(outcome.standings()[0].passed, inside || credit >= requests(cost), "global, which holds {}", credit);
        if outcome.verdict() == Verdict::Admitted && cost > 0 {
            self.admitted += requests(cost);
            self.global = Some(Held { left: credit - requests(cost), at: now });
            if inside {
                let own = Held::credit(self.guarantees.get(&tenant.uid).copied(), snapshot.guarantee(tenant), now);
                self.guarantees.insert(tenant.uid.clone(), Held { left: own - requests(cost), at: now });
            }
        }
        let floor = capacities(guarantees(snapshot).values()) + self.former;
        self.worst = self.worst.max(floor);
        let left = Held::credit(self.global, limit, now);
        prop_assert!(left >= -floor, "a debt of {} where {} is the most", -left, floor);
        Ok(())
    }
}

fn charge(levels: &Levels, snapshot: &Snapshot, tenant: &Arc<Tenant>, cost: u64) -> Charge {
    levels.of_tenant(snapshot, tenant, None, None, cost)
}

#[test]
fn s25_no_history_denies_a_guarantee_or_deepens_the_debt_beyond_its_floor() {
    let both = Both::start();
    check(150, (any_start(), any_events(0)), |(start, events)| {
        for store in both.each() {
            let (keys, mut platform, mut oracle, mut now) = (own_keys(), Platform::start(&start), Oracle::new(), START);
            let levels = Levels::new(keys.clone());
            for event in &events {
                let (tenant, cost) = match event {
                    Event::Ask { after_us, tenant, cost } => {
                        now += after_us;
                        (*tenant, *cost)
                    }
                    Event::Drain => {
                        oracle.drain(&keys, platform.snapshot(), now, store);
                        continue;
                    }
                    change => {
                        oracle.change(&mut platform, change);
                        continue;
                    }
                };
                let snapshot = platform.snapshot();
                let Some(tenant) = platform.tenant(tenant) else { continue };
                let Some((cost, inside)) = oracle.inside(snapshot, tenant, now, cost) else { continue };
                let outcome = store.decide(now, &charge(&levels, snapshot, tenant, cost));
                oracle.answered(snapshot, tenant, now, cost, inside, &outcome)?;
            }
            let limit = platform.snapshot().platform().rate_limit;
            let refilled = i128::from(now - START) * i128::from(limit.rate.requests) * REQUEST / i128::from(limit.rate.period_us);
            let most = requests(limit.capacity) + refilled + oracle.worst;
            prop_assert!(oracle.admitted <= most, "{}: {} in the long run, where {} is the most", store.name, oracle.admitted, most);
        }
        Ok(())
    });
}

/// The first tenant asks inside its guarantee only. What it is answered, with the others there or silent; what changes in the files is the same.
fn answers(store: One<'_>, start: &platform::Start, events: &[Event], crowded: bool) -> Vec<(u64, Outcome)> {
    let (keys, mut platform, mut oracle, mut now) = (own_keys(), Platform::start(start), Oracle::new(), START);
    let levels = Levels::new(keys.clone());
    let mut answers = Vec::new();
    for event in events {
        let (number, cost) = match event {
            Event::Ask { after_us, tenant, cost } => {
                now += after_us;
                (*tenant, *cost)
            }
            Event::Drain => {
                if crowded {
                    let limit = platform.snapshot().platform().rate_limit;
                    for cost in (0..u64::BITS).rev().map(|bit| 1 << bit).filter(|cost| *cost <= limit.capacity) {
                        let _ = store.decide(now, &Charge::new().shared(keys.global(), Bucket::token(limit), None, cost));
                    }
                }
                continue;
            }
            change => {
                oracle.change(&mut platform, change);
                continue;
            }
        };
        let snapshot = platform.snapshot();
        let Some(tenant) = platform.tenant(number) else { continue };
        if number > 0 {
            if crowded {
                let _ = store.decide(now, &charge(&levels, snapshot, tenant, cost.unwrap_or(1)));
            }
        } else if let Some((cost, true)) = oracle.inside(snapshot, tenant, now, cost) {
            let outcome = store.decide(now, &charge(&levels, snapshot, tenant, cost));
            if outcome.verdict() == Verdict::Admitted && cost > 0 {
                let own = Held::credit(oracle.guarantees.get(&tenant.uid).copied(), snapshot.guarantee(tenant), now);
                oracle.guarantees.insert(tenant.uid.clone(), Held { left: own - requests(cost), at: now });
            }
            answers.push((now, outcome));
        }
    }
    answers
}

#[test]
fn s25_whatever_the_others_do_a_tenant_inside_its_guarantee_is_answered_the_same() {
    let both = Both::start();
    check(120, (any_start(), any_events(1)), |(start, events)| {
        for store in both.each() {
            let (alone, crowded) = (answers(store, &start, &events, false), answers(store, &start, &events, true));
            prop_assert_eq!(alone.len(), crowded.len());
            for ((now, alone), (_, crowded)) in alone.iter().zip(&crowded) {
                prop_assert_eq!(alone.verdict(), crowded.verdict(), "{} at {}", store.name, now);
                prop_assert!(crowded.standings()[0].passed, "{} at {}: global denied", store.name, now);
                // Everything but global's own numbers, which it is not shown (S22).
                prop_assert_eq!(&alone.standings()[1..], &crowded.standings()[1..], "{} at {}", store.name, now);
            }
        }
        Ok(())
    });
}

/// A rate that changed holds for the time before as well, as far back as the bucket last paid. So a guarantee that is raised may lend again what it
/// has lent, and every guarantee that changes counts in the floor of the debt, not only one that is lowered.
#[test]
fn s25_a_raised_guarantee_deepens_the_debt_by_its_former_capacity_at_most() {
    let minute = |requests, capacity| RateLimit { rate: Rate::per_minute(requests), capacity };
    let both = Both::start();
    for store in both.each() {
        let (keys, global) = (own_keys(), minute(301, 301));
        let of = |name: &str, guarantee: RateLimit, cost| {
            let guarantee = (keys.guarantee(&name.parse().unwrap()), Bucket::token(guarantee));
            Charge::new().shared(keys.global(), Bucket::token(global), Some(guarantee), cost)
        };
        let admits = |now, charge: &Charge| store.decide(now, charge).verdict() == Verdict::Admitted;
        assert!(admits(START, &Charge::new().shared(keys.global(), Bucket::token(global), None, 301)));
        // One is guaranteed 1 a minute and holds 60; the other 300 a minute and uses each of them as it comes, for ten minutes.
        let (slow, busy) = (minute(1, 60), minute(300, 5));
        assert!(admits(START, &of("slow", slow, 60)) && admits(START, &of("busy", busy, 5)));
        let mut now = START;
        for _ in 0..10 * 60 {
            now += 1_000_000;
            assert!(admits(now, &of("busy", busy, 5)), "{}", store.name);
        }
        // The debt was 65, of which the slow one's own rate has paid 10. Now they change places.
        assert!(admits(now, &of("slow", minute(300, 60), 60)), "{}", store.name);
        // 115 below nothing: so long until the platform has one to give.
        let look = Charge::new().shared(keys.global(), Bucket::token(global), None, 1);
        let wait = store.decide(now, &look).denial().unwrap().retry_after_us.unwrap();
        assert_eq!(wait, (116 * 60_000_000_u64).div_ceil(301), "{}", store.name);
        let (held, former) = (60 + 1, 60 + 5);
        assert!(115 > held + 5 && 115 <= held + former, "beyond what stands and was lowered, within what stands and was changed");
    }
}
