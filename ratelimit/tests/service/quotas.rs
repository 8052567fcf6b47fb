//! Quotas of plans and subscriptions in answers: who denied, when it renews, how much is left. It is 14 November 2023, 22:13:20 UTC.

use std::{sync::Arc, time::Duration};

use bulkhead_proto::pb::envoy::service::ratelimit::v3::{
    RateLimitResponse,
    rate_limit_response::{Code, rate_limit::Unit},
};
use bulkhead_ratelimit::{levels::Levels, store::redis::RedisStore};
use bulkhead_tenancy::clock::ManualClock;
use serde_json::{Value, json};

use crate::{
    support::own_keys,
    world::{World, code, costing, descriptor, entries, header, of, request},
};

const SECOND: u64 = 1_000_000;

fn body(answer: &RateLimitResponse) -> Value {
    serde_json::from_slice(&answer.raw_body).unwrap()
}

/// Limit and unit of the status, and seconds until it is reset.
fn limit(answer: &RateLimitResponse) -> (u32, Unit, i64) {
    let status = &answer.statuses[0];
    let limit = status.current_limit.as_ref().unwrap();
    (limit.requests_per_unit, limit.unit(), status.duration_until_reset.unwrap().seconds)
}

#[tokio::test]
async fn a_quota_denies_until_its_period_ends_and_the_answer_names_the_moment() {
    let world = World::memory();
    let asked = || entries(&[("tenant", "hooli"), ("subscription", "__none__"), ("api", "__none__"), ("decision", "0193-abc")]);
    for left in (0..5).rev() {
        let answer = world.ask(request(&[asked()])).await.unwrap();
        assert_eq!(code(&answer), Code::Ok);
        assert_eq!(
            (header(&answer, "ratelimit-limit"), header(&answer, "ratelimit-remaining")),
            (Some("5"), Some(left.to_string().as_str()))
        );
        assert_eq!(header(&answer, "ratelimit-reset"), Some("6400"), "until midnight");
        assert_eq!(limit(&answer), (5, Unit::Day, 6400));
    }
    let answer = world.ask(request(&[asked()])).await.unwrap();
    assert_eq!(code(&answer), Code::OverLimit);
    assert_eq!(header(&answer, "retry-after"), Some("6400"));
    let expected = json!({
        "type": "urn:bulkhead:over_limit", "title": "Too many requests", "status": 429, "scope": "tenant",
        "renews_at": "2023-11-15T00:00:00Z", "decision_id": "0193-abc",
    });
    assert_eq!(body(&answer), expected);

    world.clock.advance_us(6400 * SECOND - 1);
    assert!(!world.admits(&[of("hooli")]).await, "a microsecond before midnight");
    world.clock.advance_us(1);
    assert_eq!(world.admitted_of(5, &[of("hooli")]).await, 3, "the month's eight are used up");
    let answer = world.ask(request(&[of("hooli")])).await.unwrap();
    assert_eq!(body(&answer)["renews_at"], "2023-11-29T23:00:00Z", "the last day of November in Paris");
    assert_eq!(header(&answer, "ratelimit-limit"), Some("8"));
    let until = (14 * 24 + 23) * 3600;
    assert_eq!((limit(&answer), header(&answer, "retry-after")), ((8, Unit::Month, until), Some(until.to_string().as_str())));
    world.clock.advance_us(until.unsigned_abs() * SECOND);
    assert_eq!(world.admitted_of(9, &[of("hooli")]).await, 5, "a day's worth of the new month");
}

#[tokio::test]
async fn a_subscriptions_sliding_quota_denies_until_enough_of_it_has_passed() {
    let world = World::memory();
    let slow = || descriptor("hooli", "slow", "search-api");
    assert_eq!(world.admitted_of(5, &[slow()]).await, 2);
    let answer = world.ask(request(&[slow()])).await.unwrap();
    // What was used in the minute from 22:13 on counts until that minute is an hour old.
    assert_eq!(
        (body(&answer)["scope"].as_str(), body(&answer)["renews_at"].as_str()),
        (Some("subscription"), Some("2023-11-14T23:14:00Z"))
    );
    assert_eq!((header(&answer, "retry-after"), limit(&answer).1), (Some("3640"), Unit::Hour));
    assert_eq!(world.admitted_of(5, &[of("hooli")]).await, 3, "what the subscription denied cost the tenant's quotas nothing");
    world.clock.advance_us(3640 * SECOND - 1);
    assert_eq!(body(&world.ask(request(&[slow()])).await.unwrap())["scope"], "tenant");
    world.clock.advance_us(3600 * SECOND);
    assert_eq!(world.admitted_of(5, &[slow()]).await, 2, "another day, another hour");
}

#[tokio::test]
async fn what_never_passes_is_told_no_moment() {
    let world = World::memory();
    for asked in [descriptor("hooli", "stopped", "search-api"), costing(of("hooli"), 6)] {
        let answer = world.ask(request(&[asked])).await.unwrap();
        assert_eq!(code(&answer), Code::OverLimit);
        assert_eq!((header(&answer, "retry-after"), body(&answer).get("renews_at")), (None, None));
    }
    assert_eq!(world.admitted_of(9, &[of("hooli")]).await, 5, "and it cost nothing");
}

#[tokio::test]
async fn the_most_descriptors_with_all_their_levels_are_decided() {
    let world = World::memory();
    let all = vec![costing(descriptor("hooli", "slow", "search-api"), 0); 12];
    assert!(world.admits(&all).await);
}

#[tokio::test]
async fn while_the_store_is_away_a_replica_has_its_share_of_every_quota() {
    let store = RedisStore::start("redis+unix:///nonexistent/socket", Duration::from_secs(20)).unwrap();
    let clock = ManualClock::at_us(1_700_000_000 * SECOND);
    let world = World::over(Arc::new(store), Levels::new(own_keys()), clock, Duration::from_secs(20));
    assert_eq!(world.admitted_of(5, &[of("hooli")]).await, 2, "half of five, of two replicas");
    let answer = world.ask(request(&[of("hooli")])).await.unwrap();
    assert_eq!(body(&answer)["renews_at"], "2023-11-15T00:00:00Z");
    world.clock.advance_us(6400 * SECOND);
    assert_eq!(world.admitted_of(5, &[of("hooli")]).await, 2, "of the month's eight, four");
    assert!(!world.admits(&[descriptor("hooli", "stopped", "search-api")]).await);
}
