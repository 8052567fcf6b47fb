//! Quotas on simulated time: calendars across changes of the clock and ends of months, a service whose clock is wrong, and every kind together.

mod sliding;
mod together;

use std::{sync::Arc, time::Duration};

use bulkhead_ratelimit::{
    ask::Ask,
    bucket::{Bucket, CalendarQuota},
    charge::{Charge, Scope},
    key::{Key, Keyspace},
    outcome::Verdict,
    store::{Adjustment, Change, Store, redis::RedisStore},
};
use bulkhead_tenancy::{
    calendar::{Calendar, Per},
    clock::{Clock as _, ManualClock, SystemClock},
    limit::RateLimit,
};

use crate::{
    both::{Both, One},
    support::{own_keys, valkey::Server},
};

fn us(text: &str) -> u64 {
    text.parse::<jiff::Timestamp>().unwrap().as_microsecond().unsigned_abs()
}

fn quota(per: Per, day: Option<u8>, zone: &str, limit: u64) -> Bucket {
    Bucket::Calendar(CalendarQuota::new(limit, Calendar::new(per, day, zone).unwrap()))
}

fn key(keys: &Keyspace, kind: &str) -> Key {
    keys.quota(&"acme".parse().unwrap(), kind)
}

fn one(keys: &Keyspace, bucket: &Bucket) -> Charge {
    Charge::new().hold(Scope::Tenant, key(keys, "k"), bucket.clone(), 1)
}

fn admitted(store: One<'_>, now: u64, tries: usize, charge: &Charge) -> usize {
    (0..tries).filter(|_| store.decide(now, charge).verdict() == Verdict::Admitted).count()
}

#[test]
fn a_quota_is_whole_again_when_its_period_begins_and_not_before() {
    let both = Both::start();
    // Of five requests at each moment, how many a quota of three admits.
    for (per, day, zone, moments) in [
        (Per::Day, None, "UTC", &[("2026-11-22T00:00:00Z", 3), ("2026-11-22T23:59:59.999999Z", 0), ("2026-11-23T00:00:00Z", 3)][..]),
        // A day of 23 hours, and one of 25.
        (
            Per::Day,
            None,
            "Europe/Berlin",
            &[("2026-03-28T23:00:00Z", 3), ("2026-03-29T21:59:59Z", 0), ("2026-03-29T22:00:00Z", 3), ("2026-03-29T23:00:00Z", 0)],
        ),
        (
            Per::Day,
            None,
            "Europe/Berlin",
            &[("2026-10-24T22:00:00Z", 3), ("2026-10-25T22:00:00Z", 0), ("2026-10-25T22:59:59Z", 0), ("2026-10-25T23:00:00Z", 3)],
        ),
        // Midnight that does not exist.
        (Per::Day, None, "America/Sao_Paulo", &[("2018-11-04T02:59:59Z", 3), ("2018-11-04T03:00:00Z", 3), ("2018-11-05T02:00:00Z", 3)]),
        // A day that does not exist.
        (Per::Day, None, "Pacific/Apia", &[("2011-12-30T09:59:59Z", 3), ("2011-12-30T10:00:00Z", 3), ("2011-12-31T10:00:00Z", 3)]),
        // Two to three o'clock twice: two hours.
        (Per::Hour, None, "Europe/Berlin", &[("2026-10-25T00:30:00Z", 3), ("2026-10-25T00:59:00Z", 0), ("2026-10-25T01:30:00Z", 3)]),
        (Per::Hour, None, "Asia/Kathmandu", &[("2026-11-22T04:14:59Z", 3), ("2026-11-22T04:15:00Z", 3), ("2026-11-22T05:00:00Z", 0)]),
        (Per::Week, None, "UTC", &[("2026-11-22T23:59:59Z", 3), ("2026-11-23T00:00:00Z", 3), ("2026-11-29T12:00:00Z", 0)]),
        (Per::Week, Some(7), "UTC", &[("2026-11-22T00:00:00Z", 3), ("2026-11-28T23:59:59Z", 0), ("2026-11-29T00:00:00Z", 3)]),
        // The 31st, in months that have none; the 29th of February.
        (
            Per::Month,
            Some(31),
            "UTC",
            &[("2026-01-31T00:00:00Z", 3), ("2026-02-27T23:59:59Z", 0), ("2026-02-28T00:00:00Z", 3), ("2026-03-30T00:00:00Z", 0)],
        ),
        (Per::Month, Some(30), "UTC", &[("2028-02-28T23:59:59Z", 3), ("2028-02-29T00:00:00Z", 3), ("2028-03-30T00:00:00Z", 3)]),
        (Per::Month, None, "America/New_York", &[("2026-11-01T03:59:59Z", 3), ("2026-11-01T04:00:00Z", 3), ("2026-12-01T04:59:59Z", 0)]),
        // Nobody asked for years.
        (Per::Hour, None, "UTC", &[("2026-01-01T00:00:00Z", 3), ("2031-07-01T00:00:00Z", 3)]),
        // A clock that goes back, into a period that is over and in the one it came from.
        (Per::Day, None, "UTC", &[("2026-11-23T00:00:00Z", 3), ("2026-11-22T23:00:00Z", 0), ("2026-11-23T01:00:00Z", 0)]),
    ] {
        for store in both.each() {
            let (keys, bucket) = (own_keys(), quota(per, day, zone, 3));
            for (moment, expected) in moments {
                let admitted = admitted(store, us(moment), 5, &one(&keys, &bucket));
                assert_eq!(admitted, *expected, "{}: {per:?} of {zone} at {moment}", store.name);
            }
        }
    }
}

#[test]
fn a_quota_that_changes_keeps_what_was_consumed() {
    let both = Both::start();
    for store in both.each() {
        let (keys, now) = (own_keys(), us("2026-11-22T12:00:00Z"));
        let of = |limit| one(&keys, &quota(Per::Day, None, "UTC", limit));
        assert_eq!(admitted(store, now, 4, &of(5)), 4);
        assert_eq!(admitted(store, now, 4, &of(3)), 0, "{}: lowered below what was consumed", store.name);
        assert_eq!(admitted(store, now, 4, &of(6)), 2, "{}: raised by one", store.name);
        assert_eq!(admitted(store, now, 1, &of(0)), 0, "{}", store.name);
    }
}

#[test]
fn a_quota_tells_when_it_renews_and_what_is_left() {
    let both = Both::start();
    for store in both.each() {
        let (keys, now) = (own_keys(), us("2026-10-25T12:00:00Z"));
        let charge = one(&keys, &quota(Per::Day, None, "Europe/Berlin", 2));
        let standing = store.decide(now, &charge).standings()[0].clone();
        let midnight = us("2026-10-25T23:00:00Z");
        assert_eq!((standing.remaining, standing.reset_us, standing.renews_us), (1, midnight - now, Some(midnight)), "{}", store.name);
        let _ = store.decide(now, &charge);
        let denial = store.decide(now, &charge).denial().unwrap();
        assert_eq!((denial.retry_after_us, denial.renews_us), (Some(midnight - now), Some(midnight)), "{}", store.name);
        assert_eq!(denial.scope, Scope::Tenant);
    }
}

/// Two services of one store. The store's clock decides: where one's own is hours or months off, it sends periods that are not now, is told so,
/// and asks again; what has no calendar is decided the first time, and once.
#[tokio::test]
async fn a_service_whose_clock_is_wrong_asks_again_and_charges_once() {
    let server = Server::get();
    let right = server.store().await;
    let day_us = 24 * 3_600_000_000_i64;
    for skew in [-400 * day_us, -40 * day_us, -day_us, day_us, 40 * day_us, 400 * day_us] {
        let clock = ManualClock::at_us(SystemClock.now_us().saturating_add_signed(skew));
        let wrong = server.cold_store().with_clock(Arc::new(clock));
        assert!(wrong.ready(Duration::from_secs(30)).await);
        for (first, second) in [(&wrong, &right), (&right, &wrong)] {
            while !used_up_for_both(first, second).await {}
        }
    }
}

/// Uses quotas up through one service, and finds them used up through the other. Whether all of it was in one hour.
async fn used_up_for_both(first: &RedisStore, second: &RedisStore) -> bool {
    let (keys, thousand) = (own_keys(), Bucket::token(RateLimit::per_minute(1000, 1.0)));
    let quotas = [quota(Per::Hour, None, "UTC", 3), quota(Per::Month, Some(7), "Europe/Berlin", 3)];
    let before = quotas[0].period_at(SystemClock.now_us());
    let plain = |cost| Charge::new().hold(Scope::Tenant, key(&keys, "token"), thousand.clone(), cost);
    let both = plain(100).hold(Scope::Tenant, key(&keys, "hour"), quotas[0].clone(), 1).hold(
        Scope::Tenant,
        key(&keys, "month"),
        quotas[1].clone(),
        1,
    );
    let asks = [&plain(100), &both, &plain(100), &both, &both, &both].map(|charge| Ask::one(charge.clone()));
    let through_first = first.decide(None, &asks).await.unwrap();
    let through_second = second.decide(None, &[Ask::one(both)]).await.unwrap();
    let left = second.decide_each(None, &[plain(0)]).await.unwrap()[0].standings()[0].remaining;
    let reset = Adjustment { key: key(&keys, "month"), bucket: quotas[1].clone(), change: Change::Reset };
    let done = first.ledger().adjust(None, &[reset]).await;
    let one_hour = quotas[0].period_at(SystemClock.now_us()) == before;
    if one_hour {
        let admitted: Vec<u32> = through_first.iter().chain(&through_second).map(|answer| answer.admitted).collect();
        assert_eq!(admitted, [1, 1, 1, 1, 1, 0, 0]);
        assert!((500..1000).contains(&left), "five hundred were charged, and {left} are left");
        assert_eq!(done, [Ok(true)]);
    }
    one_hour
}
