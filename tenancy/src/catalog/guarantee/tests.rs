use proptest::prelude::*;

use super::*;
use crate::tenant::{Guarantee, Isolation};

fn plan(name: &str, guaranteed: Option<u64>) -> Arc<Plan> {
    Arc::new(Plan {
        name: name.parse().unwrap(),
        rate_limit: RateLimit::per_minute(1000, 1.0),
        guaranteed: guaranteed.map(|requests| Guarantee { rate: Rate::per_minute(requests), burst_seconds: 1 }),
        quotas: Vec::new(),
        isolation: Isolation::Bridge,
        require_tenant_claim: false,
    })
}

fn ledger(total: u64, plans: &[(&str, Option<u64>)], tenants: &[(&str, &str)]) -> Ledger {
    Ledger {
        total: Some(RateLimit::per_minute(total, 1.0)),
        plans: plans.iter().map(|(name, guaranteed)| (name.parse().unwrap(), plan(name, *guaranteed))).collect(),
        tenants: tenants.iter().map(|(tenant, plan)| (tenant.parse().unwrap(), plan.parse().unwrap())).collect(),
    }
}

fn names<N: ToString>(names: &BTreeSet<N>) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn s17_of_newcomers_those_that_fit_are_served() {
    let asked = ledger(100, &[("p", Some(40))], &[("a-a", "p"), ("b-b", "p"), ("c-c", "p")]);
    let (granted, refused) = settle(&Ledger::default(), &asked);
    assert_eq!(names(&refused.newcomers), ["c-c"]);
    assert_eq!(granted.tenants.len(), 2);
    // A tenant that leaves makes room for the one that waits.
    let mut fewer = asked;
    fewer.tenants.remove("a-a");
    let (granted, refused) = settle(&granted, &fewer);
    assert_eq!(refused, Refused::default());
    assert_eq!(granted.tenants.len(), 2);
}

#[test]
fn s17_what_lowers_makes_room_for_what_raises_in_the_same_change() {
    let before = settle(&Ledger::default(), &ledger(100, &[("p", Some(60)), ("q", Some(40))], &[("a-a", "p"), ("b-b", "q")])).0;
    let (granted, refused) = settle(&before, &ledger(100, &[("p", Some(40)), ("q", Some(60))], &[("a-a", "p"), ("b-b", "q")]));
    assert_eq!(refused, Refused::default());
    assert_eq!(granted.plans["q"].guaranteed.unwrap().rate, Rate::per_minute(60));
    let (granted, refused) = settle(&granted, &ledger(100, &[("p", Some(40)), ("q", Some(60))], &[("a-a", "q"), ("b-b", "p")]));
    assert_eq!((refused, granted.tenants["a-a"].as_str()), (Refused::default(), "q"));
}

#[test]
fn s25_without_anything_left_no_tenant_without_a_stated_guarantee_is_admitted() {
    let (granted, refused) =
        settle(&Ledger::default(), &ledger(100, &[("all", Some(100)), ("free", None)], &[("a-a", "all"), ("b-b", "free")]));
    assert_eq!(names(&refused.newcomers), ["b-b"]);
    assert_eq!(granted.default_share().requests, 0);
    let (granted, refused) =
        settle(&Ledger::default(), &ledger(100, &[("all", Some(99)), ("free", None)], &[("a-a", "all"), ("b-b", "free")]));
    assert_eq!(refused, Refused::default());
    assert_eq!(granted.default_share(), Rate { requests: 1, period_us: 2 * MINUTE_US });
}

fn ledgers() -> impl Strategy<Value = Ledger> {
    let guaranteed = prop::option::weighted(0.7, 1_u64..80);
    let plans = prop::collection::vec(guaranteed, 1..4);
    (1_u64..200, plans, prop::collection::btree_map("t[a-f]", 0_usize..4, 0..6)).prop_map(|(total, plans, tenants)| {
        let named: Vec<_> = ["p-0", "p-1", "p-2"].into_iter().zip(plans).collect();
        let tenants: Vec<_> = tenants.iter().filter_map(|(name, at)| Some((name.as_str(), named.get(*at)?.0))).collect();
        ledger(total, &named, &tenants)
    })
}

proptest! {
    /// Whatever is asked for, in whatever order: guarantees add up, every tenant has one, and nobody who asks for no change is closed.
    #[test]
    fn s17_s25_guarantees_always_add_up(history in prop::collection::vec(ledgers(), 1..6)) {
        let mut held = Ledger::default();
        for asked in history {
            let (granted, refused) = settle(&held, &asked);
            let total = a_minute(granted.total.unwrap().rate);
            let plans: Vec<_> = granted.tenants.values().map(|plan| &granted.plans[plan]).collect();
            let sum: i128 = plans.iter().filter_map(|plan| stated(plan)).sum();
            prop_assert!(sum <= total);
            prop_assert!(plans.iter().all(|plan| plan.guaranteed.is_some()) || sum < total);
            if plans.iter().any(|plan| plan.guaranteed.is_none()) {
                let share = granted.default_share();
                prop_assert!(share.requests > 0);
                // All the shares together are half of what is left, at most.
                let unstated = plans.iter().filter(|plan| plan.guaranteed.is_none()).count() as u128;
                let shares = u128::from(share.requests) * u128::from(MINUTE_US) * unstated;
                prop_assert!(shares * 2 <= (total - sum) as u128 * u128::from(share.period_us));
            }
            for (tenant, plan) in &held.tenants {
                if asked.tenants.contains_key(tenant) && asked.plans.contains_key(plan) {
                    prop_assert!(granted.tenants.contains_key(tenant), "{tenant} lost its place");
                }
            }
            for tenant in asked.tenants.keys() {
                prop_assert_eq!(granted.tenants.contains_key(tenant), !refused.newcomers.contains(tenant));
            }
            held = granted;
        }
    }
}
