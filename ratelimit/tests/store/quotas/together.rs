//! Every kind of bucket in one charge: all or none, against oracles that know one kind each.

use bulkhead_ratelimit::{
    bucket::{Bucket, CalendarQuota, Sliding},
    charge::{Charge, Scope},
    key::Keyspace,
    outcome::Verdict,
};
use bulkhead_tenancy::{
    calendar::{Calendar, Per},
    limit::{Rate, RateLimit},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy},
    prop_assert, prop_assert_eq, prop_oneof,
};

use super::key;
use crate::{
    both::{Both, check},
    support::own_keys,
};

/// 28 March 2026, 22:30 UTC: half an hour before Berlin's day of 23 hours.
const START: u64 = 1_774_737_000_000_000;
const MINUTE: u64 = 60_000_000;

/// Limits of: platform, its guarantee, a token bucket, an hour, a day of Berlin, and any ten minutes.
type Limits = [u64; 6];

/// How much of each was used when.
struct Oracle {
    limits: Limits,
    log: Vec<(u64, u64)>,
    global: (i128, u64),
    guarantee: (i128, u64),
    token: (i128, u64),
}

fn token(limit: u64) -> RateLimit {
    RateLimit { rate: Rate::per_minute(limit), capacity: limit }
}

fn calendar(per: Per) -> Calendar {
    Calendar::new(per, None, "Europe/Berlin").unwrap()
}

/// A token bucket's credit, in units of a minute's microseconds.
fn credit((left, at): (i128, u64), limit: u64, now: u64) -> i128 {
    (left + i128::from(now - at) * i128::from(limit)).min(i128::from(limit * MINUTE))
}

impl Oracle {
    fn new(limits: Limits) -> Self {
        let full = |limit: u64| (i128::from(limit * MINUTE), START);
        Self { limits, log: Vec::new(), global: full(limits[0]), guarantee: full(limits[1]), token: full(limits[2]) }
    }

    /// Which levels hold a cost: global (guarantee or not), token bucket, hour, day. The sliding window is asked about with its own two bounds.
    fn holds(&self, now: u64, cost: u64) -> [bool; 4] {
        let need = i128::from(cost * MINUTE);
        let [inside, global, token] = [(self.guarantee, 1), (self.global, 0), (self.token, 2)]
            .map(|(bucket, index): ((i128, u64), usize)| credit(bucket, self.limits[index], now) >= need);
        let [hour, day] = [(Per::Hour, 3), (Per::Day, 4)].map(|(per, index): (Per, usize)| {
            let period = calendar(per).period_at(now);
            self.used(|at| at >= period.start_us) + cost <= self.limits[index]
        });
        [inside || global, token, hour, day]
    }

    fn used(&self, counts: impl Fn(u64) -> bool) -> u64 {
        self.log.iter().filter(|(at, _)| counts(*at)).map(|(_, cost)| cost).sum()
    }

    fn pay(&mut self, now: u64, cost: u64) {
        let need = i128::from(cost * MINUTE);
        let inside = credit(self.guarantee, self.limits[1], now) >= need;
        self.global = (credit(self.global, self.limits[0], now) - need, now);
        self.token = (credit(self.token, self.limits[2], now) - need, now);
        if inside {
            self.guarantee = (credit(self.guarantee, self.limits[1], now) - need, now);
        }
        self.log.push((now, cost));
    }
}

fn sliding(limits: &Limits) -> Sliding {
    Sliding::new(limits[5], 10 * MINUTE)
}

fn charge(keys: &Keyspace, limits: &Limits, cost: u64) -> Charge {
    let uid = "acme".parse().unwrap();
    let mut charge = Charge::new()
        .shared(keys.global(), Bucket::token(token(limits[0])), Some((keys.guarantee(&uid), Bucket::token(token(limits[1])))), cost)
        .hold(Scope::Tenant, keys.tenant(&uid), Bucket::token(token(limits[2])), cost);
    for (per, index) in [(Per::Hour, 3), (Per::Day, 4)] {
        let quota = CalendarQuota::new(limits[index], calendar(per));
        charge = charge.hold(Scope::Tenant, key(keys, per.as_str()), Bucket::Calendar(quota), cost);
    }
    charge.hold(Scope::Subscription, key(keys, "sliding"), Bucket::Sliding(sliding(limits)), cost)
}

fn any_history() -> impl Strategy<Value = (Limits, Vec<(u64, u64)>)> {
    let limits = (4_u64..40, 1_u64..10, 3_u64..40, 5_u64..60, 5_u64..200, 3_u64..40).prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f]);
    let step = prop_oneof![4 => Just(0), 4 => 0..MINUTE, 2 => 0..10 * MINUTE, 1 => 0..600 * MINUTE];
    let cost = prop_oneof![6 => Just(1_u64), 3 => 1_u64..8, 1 => 0_u64..40];
    (limits, vec((step, cost), 1..120))
}

#[test]
fn every_kind_pays_or_none_does() {
    let both = Both::start();
    check(120, any_history(), |(limits, asks)| {
        for store in both.each() {
            let (keys, mut oracle, mut now) = (own_keys(), Oracle::new(limits), START);
            for &(step, cost) in &asks {
                now += step;
                let outcome = store.decide(now, &charge(&keys, &limits, cost));
                let passed: Vec<bool> = outcome.standings().iter().map(|one| one.passed).collect();
                prop_assert_eq!(&passed[..4], &oracle.holds(now, cost)[..], "{} at {}", store.name, now);
                // The sliding window passes where any span has room, and may not where one slice more has none.
                let window = sliding(&limits);
                let used = |span: u64| oracle.used(|at| now - at < span);
                let (least, most) = (used(window.length_us() + window.slice_us()), used(window.length_us()));
                prop_assert!(!passed[4] || most + cost <= limits[5], "{} at {}", store.name, now);
                prop_assert!(passed[4] || least + cost > limits[5], "{} at {}", store.name, now);
                prop_assert_eq!(outcome.verdict() == Verdict::Admitted, passed.iter().all(|one| *one), "{} at {}", store.name, now);
                if outcome.verdict() == Verdict::Admitted {
                    oracle.pay(now, cost);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn what_is_denied_passes_after_its_wait_and_not_a_microsecond_earlier() {
    let both = Both::start();
    check(120, (any_history(), 1_u64..12), |((limits, asks), cost)| {
        for store in both.each() {
            let (keys, mut now) = (own_keys(), START);
            for &(step, cost) in &asks {
                now += step;
                let _ = store.decide(now, &charge(&keys, &limits, cost));
            }
            let last = charge(&keys, &limits, cost);
            let Some(denial) = store.decide(now, &last).denial() else { continue };
            let quotas = [3, 4, 5].map(|index: usize| limits[index]);
            let never = cost > limits[2] || cost > limits[0].max(limits[1]) || quotas.iter().any(|limit| cost > *limit);
            prop_assert_eq!(denial.retry_after_us.is_none(), never, "{}", store.name);
            if let Some(wait) = denial.retry_after_us {
                prop_assert_eq!(store.decide(now + wait - 1, &last).verdict(), Verdict::Denied, "{}: {}", store.name, wait);
                // A quota that was whole again meanwhile may be so for its own sake only: all the others were waited for as well.
                prop_assert_eq!(store.decide(now + wait, &last).verdict(), Verdict::Admitted, "{}: {}", store.name, wait);
            }
        }
        Ok(())
    });
}
