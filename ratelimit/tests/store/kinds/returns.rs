//! What comes back after its limit was raised or lowered: no more than the new limit gives, and nothing of what that gave is lost to the old one.

use super::*;

const SLOW: (u64, u64) = (100, 3_600 * SECOND);
const FAST: (u64, u64) = (1_000, SECOND / 1_000);

/// Requests that a bucket holds, and the time in which one is refilled.
fn limit((capacity, refill_us): (u64, u64)) -> Bucket {
    Bucket::token(RateLimit { rate: Rate { requests: 1, period_us: refill_us }, capacity })
}

/// One bucket in one store.
struct One<'s> {
    stores: &'s Stores,
    store: &'s dyn Store,
    key: Key,
}

impl One<'_> {
    fn decide(&self, now: u64, under: (u64, u64), cost: u64, count: u32, ahead: Option<Ahead>) -> Answer {
        let charge = Charge::of(Arc::new(Shape::new().hold(Scope::Tenant, self.key.clone(), limit(under))), cost);
        self.stores.decide(self.store, now, &[Ask::of(charge, count, ahead)]).remove(0)
    }

    /// Twenty are taken in advance, besides one.
    fn lease(&self, under: (u64, u64)) {
        let ahead = Some(Ahead::of(20, 1, HOLD_US));
        assert_eq!(self.decide(START, under, 1, 1, ahead).ahead, 20);
    }

    fn come_back(&self, now: u64, under: (u64, u64)) {
        let change = Change::Return { unused: 20, held: 20, taken_us: START };
        assert!(self.stores.adjust(self.store, now, &Adjustment { key: self.key.clone(), bucket: limit(under), change }));
    }

    /// How many more it admits.
    fn left(&self, now: u64, under: (u64, u64)) -> u32 {
        self.decide(now, under, 1, 5_000, None).admitted
    }
}

fn of_each(test: impl Fn(&str, One<'_>)) {
    let stores = Stores::start();
    for (name, store) in stores.both() {
        test(name, One { stores: &stores, store, key: key(&own_keys(), 0, 0) });
    }
}

#[test]
fn what_was_leased_under_a_lower_limit_takes_nothing_from_the_higher_when_it_comes_back() {
    of_each(|name, one| {
        one.lease(SLOW);
        // Refilled up to what the new limit holds, less what is held in advance.
        assert_eq!(one.decide(START + 2 * SECOND, FAST, 1, 1, None).admitted, 1);
        one.come_back(START + 2 * SECOND, SLOW);
        assert_eq!(one.left(START + 2 * SECOND, FAST), 999, "{name}");
    });
}

#[test]
fn what_was_leased_under_a_higher_limit_brings_no_more_than_itself_under_the_lower() {
    of_each(|name, one| {
        one.lease(FAST);
        assert_eq!(one.decide(START, FAST, 939, 1, None).admitted, 1, "{name}: 40 are left");
        assert_eq!(one.decide(START, SLOW, 1, 1, None).admitted, 1);
        one.come_back(START + 5 * SECOND, FAST);
        assert_eq!(one.left(START + 5 * SECOND, SLOW), 59, "{name}: not refilled at the old rate");
    });
}

#[test]
fn what_comes_back_to_a_bucket_that_holds_nothing_for_replicas_changes_nothing() {
    of_each(|name, one| {
        one.lease(SLOW);
        let adjustment = Adjustment { key: one.key.clone(), bucket: limit(SLOW), change: Change::Reset };
        assert!(one.stores.adjust(one.store, START, &adjustment));
        assert_eq!(one.decide(START, FAST, 100, 1, None).admitted, 1);
        one.come_back(START, SLOW);
        assert_eq!(one.left(START, FAST), 900, "{name}");
    });
}
