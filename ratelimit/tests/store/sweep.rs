//! A busy tenant's account does not grow with the names that were once used in it.

use bulkhead_ratelimit::{
    bucket::{Bucket, CalendarQuota, Sliding},
    charge::{Charge, Scope},
    store::{Micros, Store},
};
use bulkhead_tenancy::{
    calendar::{Calendar, Per},
    limit::RateLimit,
    name::TenantUid,
};
use redis::AsyncCommands;

use crate::support::{own_keys, valkey::Server};

/// 2025-01-15, in microseconds since 1970.
const START: u64 = 1_736_899_200_000_000;
const DAY: u64 = 24 * 3_600 * 1_000_000;

#[tokio::test]
async fn subscriptions_that_are_renamed_for_ever_leave_an_account_that_stays_small_and_forgets_nothing() {
    let server = Server::get();
    let (store, keys) = (server.store().await, own_keys());
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let uid: TenantUid = "acme".parse().unwrap();
    let token = |a_minute| Bucket::token(RateLimit::per_minute(a_minute, 1.0));
    let month = Bucket::Calendar(CalendarQuota::new(1_000_000, Calendar::new(Per::Month, None, "UTC").unwrap()));
    let (month_key, slow_key) = (keys.quota(&uid, "month/1/UTC"), keys.api(&uid, &"slow".parse().unwrap()));
    // Years until it is full again: nothing of it may be swept meanwhile.
    let slow = Bucket::token(RateLimit { rate: bulkhead_tenancy::limit::Rate { requests: 1, period_us: 3_000 * DAY }, capacity: 1 });
    let first = Charge::new().hold(Scope::Api, slow_key.clone(), slow.clone(), 1);
    assert!(store.decide_each(Some(Micros(START)), std::slice::from_ref(&first)).await.unwrap()[0].denial().is_none());

    let mut most = 0;
    for name in 0..400_u64 {
        let subscription = format!("s-{name}").parse().unwrap();
        let sliding = Bucket::Sliding(Sliding::new(1_000, 60_000_000));
        let charge = Charge::new()
            .hold(Scope::Tenant, keys.tenant(&uid), token(6_000_000), 1)
            .hold(Scope::Tenant, month_key.clone(), month.clone(), 1)
            .hold(Scope::Subscription, keys.subscription(&uid, &subscription), token(600), 1)
            .hold(Scope::Subscription, keys.subscription_quota(&uid, &subscription, "sliding/60"), sliding, 1);
        // Five requests a second, whatever the store's clock shows beside: microseconds are as good as dice.
        for request in 0..20_u64 {
            let now = START + name * DAY + request * 200_003 + name;
            let outcomes = store.decide_each(Some(Micros(now)), std::slice::from_ref(&charge)).await.unwrap();
            assert!(outcomes[0].denial().is_none());
        }
        most = most.max(connection.hlen::<_, u64>(keys.account(&uid).as_str()).await.unwrap());
    }
    assert!((5..=200).contains(&most), "{most} fields, of 800 that were ever used");
    // 2026-02-18, with requests on all its days from the first.
    let (now, this_month) = (Some(Micros(START + 399 * DAY + DAY / 2)), 18 * 20);
    let looks = [Charge::new().hold(Scope::Tenant, month_key, month, 0), Charge::new().hold(Scope::Api, slow_key, slow, 1)];
    let outcomes = store.decide_each(now, &looks).await.unwrap();
    assert_eq!(outcomes[0].standings()[0].remaining, 1_000_000 - this_month, "a month is forgotten by no sweep");
    assert!(outcomes[1].denial().is_some(), "nor is a bucket that is not full yet");
}

/// Redis searches a small hash field by field: a tenant of some hundred subscriptions cost more than twice what one of ten does.
#[tokio::test]
async fn an_account_of_many_subscriptions_is_no_list() {
    const HOUR: u64 = 3_600 * 1_000_000;
    let server = Server::get();
    let (store, keys) = (server.store().await, own_keys());
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    for (tenant, subscriptions, is_table) in [("few", 20, false), ("many", 100, true)] {
        let uid: TenantUid = tenant.parse().unwrap();
        let charge = |nth: u64| {
            let (minute, subscription) = (Bucket::token(RateLimit::per_minute(100, 1.0)), format!("s-{nth}").parse().unwrap());
            Charge::new().hold(Scope::Subscription, keys.subscription(&uid, &subscription), minute, 1)
        };
        let all: Vec<_> = (0..subscriptions).map(charge).collect();
        // The second time its expiry is renewed.
        for hours in [0, 3] {
            let outcomes = store.decide_each(Some(Micros(START + hours * HOUR)), &all).await.unwrap();
            assert!(outcomes.iter().all(|outcome| outcome.denial().is_none()));
        }
        let key = keys.account(&uid);
        let encoding: String = redis::cmd("OBJECT").arg("ENCODING").arg(key.as_str()).query_async(&mut connection).await.unwrap();
        assert_eq!(encoding == "hashtable", is_table, "{tenant}: {encoding}");
        let outcomes = store.decide_each(Some(Micros(START + 3 * HOUR)), &all).await.unwrap();
        assert_eq!(outcomes[0].standings()[0].remaining, 98, "nothing is lost by it");
    }
}
