//! The sliding window against a log of everything that was admitted.

use bulkhead_ratelimit::{
    bucket::{Bucket, SLICES, Sliding},
    charge::{Charge, Scope},
    outcome::Verdict,
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

const START: u64 = 1_700_000_000_000_000;

/// Limit, length in microseconds, and who asks how much later for how much: mostly at distances that the length makes interesting.
fn any_history() -> impl Strategy<Value = (u64, u64, Vec<(u64, u64)>)> {
    let length = prop_oneof![1_u64..5_000, Just(3_600_000_000), 60_000_000_u64..90_000_000];
    length.prop_flat_map(|length| {
        let slice = length.div_ceil(SLICES);
        let step =
            prop_oneof![4 => Just(0), 4 => 0..=slice, 3 => 0..=length / 4 + 1, 1 => length..=length + 2 * slice, 1 => 0..=3 * length];
        let cost = prop_oneof![6 => Just(1_u64), 3 => 1_u64..8, 1 => 0_u64..60];
        (1_u64..40, Just(length), vec((step, cost), 1..150))
    })
}

#[test]
fn no_span_admits_more_than_its_limit_and_nothing_is_denied_that_a_slice_less_would_admit() {
    let both = Both::start();
    check(150, any_history(), |(limit, length, asks)| {
        for store in both.each() {
            let (keys, window) = (own_keys(), Sliding::new(limit, length));
            let (slice, length) = (window.slice_us(), window.length_us());
            let mut log: Vec<(u64, u64)> = Vec::new();
            let mut now = START;
            for &(step, cost) in &asks {
                now += step;
                let used = |span: u64| log.iter().filter(|(at, _)| now - at < span).map(|(_, cost)| cost).sum::<u64>();
                let charge = Charge::new().hold(Scope::Tenant, key(&keys, "sliding"), Bucket::Sliding(window), cost);
                let outcome = store.decide(now, &charge);
                if outcome.verdict() == Verdict::Admitted {
                    prop_assert!(used(length) + cost <= limit, "{} admits {} more than {} at {}", store.name, cost, limit, now);
                    log.push((now, cost));
                } else {
                    prop_assert!(used(length + slice) + cost > limit, "{} denies {} of {} at {}", store.name, cost, limit, now);
                    let wait = outcome.denial().unwrap().retry_after_us;
                    prop_assert_eq!(wait.is_none(), cost > limit, "{} at {}", store.name, now);
                    prop_assert!(wait.is_none_or(|wait| (1..=length + slice).contains(&wait)), "{} at {}: {:?}", store.name, now, wait);
                }
            }
        }
        Ok(())
    });
}
