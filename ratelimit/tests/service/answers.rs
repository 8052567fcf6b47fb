//! What answers say: headers, body, statuses; and what they never say (S22).

use bulkhead_proto::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, rate_limit::Unit};
use serde_json::{Value, json};

use crate::world::{World, code, costing, descriptor, entries, header, of, request};

#[tokio::test]
async fn an_ok_carries_the_state_of_the_tightest_level() {
    let world = World::memory();
    let answer = world.ask(request(&[descriptor("acme", "s-01", "billing-api")])).await.unwrap();
    assert_eq!(code(&answer), Code::Ok);
    assert_eq!(header(&answer, "ratelimit-limit"), Some("6"));
    assert_eq!(header(&answer, "ratelimit-remaining"), Some("5"));
    assert_eq!(header(&answer, "ratelimit-reset"), Some("10"), "a sixth of a minute until it is full again");
    assert_eq!(header(&answer, "retry-after"), None);
    assert!(answer.raw_body.is_empty());
    let status = &answer.statuses[0];
    let limit = status.current_limit.as_ref().unwrap();
    assert_eq!((status.code(), limit.requests_per_unit, limit.unit()), (Code::Ok, 6, Unit::Minute));
    assert_eq!((status.limit_remaining, status.duration_until_reset.unwrap().seconds), (5, 10));
}

#[tokio::test]
async fn a_429_names_scope_and_decision_and_when_to_come_back() {
    let world = World::memory();
    let asked = entries(&[("tenant", "acme"), ("subscription", "s-01"), ("api", "orders-api"), ("decision", "0193-abc")]);
    assert_eq!(world.admitted_of(6, std::slice::from_ref(&asked)).await, 6);
    let answer = world.ask(request(&[asked])).await.unwrap();
    assert_eq!(code(&answer), Code::OverLimit);
    assert_eq!(header(&answer, "retry-after"), Some("10"));
    assert_eq!(header(&answer, "content-type"), Some("application/problem+json"));
    assert_eq!((header(&answer, "ratelimit-limit"), header(&answer, "ratelimit-remaining")), (Some("6"), Some("0")));
    let body: Value = serde_json::from_slice(&answer.raw_body).unwrap();
    let expected = json!({
        "type": "urn:bulkhead:over_limit", "title": "Too many requests", "status": 429, "scope": "subscription", "decision_id": "0193-abc",
    });
    assert_eq!(body, expected);
    assert_eq!(answer.statuses[0].code(), Code::OverLimit);
    assert_eq!(world.counted(r#"bulkhead_ratelimit_over_limit_total{tenant_id="acme",scope="subscription"}"#), 1);
}

#[tokio::test]
async fn a_limit_in_shadow_is_counted_and_neither_denies_nor_shows() {
    let world = World::memory();
    let shadowed = || world.counted(r#"bulkhead_ratelimit_shadow_total{tenant_id="acme",reason="over_limit"}"#);
    assert_eq!((world.admitted_of(40, &[of("acme")]).await, shadowed()), (40, 0));
    assert_eq!((world.admitted_of(15, &[of("acme")]).await, shadowed()), (15, 15), "60 a minute are its plan's, 40 the trial's");
    let answer = world.ask(request(&[of("acme")])).await.unwrap();
    assert_eq!((header(&answer, "ratelimit-limit"), header(&answer, "ratelimit-remaining")), (Some("60"), Some("4")));
    assert_eq!((world.admitted_of(10, &[of("acme")]).await, shadowed()), (4, 20), "what is denied anyway is no mark");
}

#[tokio::test]
async fn every_scope_is_named_as_itself() {
    let world = World::memory();
    let scope = async |asked| {
        let answer = world.ask(request(&[asked])).await.unwrap();
        let body: Value = serde_json::from_slice(&answer.raw_body).unwrap();
        body["scope"].as_str().unwrap().to_owned()
    };
    world.admitted_of(20, &[descriptor("acme", "__none__", "billing-api")]).await;
    assert_eq!(scope(descriptor("acme", "__none__", "billing-api")).await, "api");
    world.admitted_of(40, &[of("acme")]).await;
    assert_eq!(scope(descriptor("acme", "s-01", "billing-api")).await, "tenant", "the first of those that deny");
    world.admitted_of(600, &[of("initech")]).await;
    assert_eq!(scope(of("initech")).await, "global");
    assert_eq!(scope(costing(of("globex"), 11)).await, "global", "more than its guarantee holds");
}

#[tokio::test]
async fn s22_the_global_level_shows_no_numbers_and_only_a_coarse_retry_after() {
    let world = World::memory();
    world.admitted_of(600, &[of("initech")]).await;
    let answer = world.ask(request(&[costing(of("globex"), 11)])).await.unwrap();
    assert_eq!(code(&answer), Code::OverLimit);
    // What is shown is globex's own, which has not been charged.
    assert_eq!((header(&answer, "ratelimit-limit"), header(&answer, "ratelimit-remaining")), (Some("60"), Some("60")));
    assert_eq!(answer.statuses.iter().map(|status| status.limit_remaining).collect::<Vec<_>>(), [60]);
    assert_eq!(header(&answer, "retry-after"), Some("5"), "really 1.1 s");
    assert!(!String::from_utf8_lossy(&answer.raw_body).contains("600"));
    // One tenant's answers are the same whatever the others have used.
    let (busy, idle) = (World::memory(), World::memory());
    busy.admitted_of(300, &[of("initech")]).await;
    let [busy, idle] = [busy.ask(request(&[of("acme")])).await.unwrap(), idle.ask(request(&[of("acme")])).await.unwrap()];
    assert_eq!(busy, idle);
}

#[tokio::test]
async fn a_decision_id_that_is_none_is_not_repeated() {
    for id in ["", "__none__", "a b", "a\nb", "é", &"x".repeat(129)] {
        let world = World::memory();
        let asked = costing(entries(&[("tenant", "acme"), ("subscription", "s-01"), ("api", "__none__"), ("decision", id)]), 7);
        let answer = world.ask(request(&[asked])).await.unwrap();
        let body: Value = serde_json::from_slice(&answer.raw_body).unwrap();
        assert_eq!(body.get("decision_id"), None, "{id:?}");
    }
}

#[tokio::test]
async fn a_decision_id_is_never_part_of_a_key() {
    let world = World::memory();
    let mut admitted = 0;
    for id in 0..10 {
        let id = id.to_string();
        let asked = entries(&[("tenant", "acme"), ("subscription", "s-01"), ("api", "__none__"), ("decision", &id)]);
        admitted += usize::from(world.admits(&[asked]).await);
    }
    assert_eq!(admitted, 6);
}

#[tokio::test]
async fn two_descriptors_of_one_tenant_come_back_when_both_fit() {
    let world = World::memory();
    assert!(world.admits(&[costing(of("acme"), 30)]).await);
    let answer = world.ask(request(&[costing(of("acme"), 20), costing(of("acme"), 20)])).await.unwrap();
    assert_eq!(code(&answer), Code::OverLimit);
    assert_eq!(header(&answer, "ratelimit-remaining"), Some("30"), "nothing of the denied request was taken");
    assert_eq!(header(&answer, "retry-after"), Some("10"), "40 are there in ten seconds");
    let answer = world.ask(request(&[costing(of("acme"), 40), costing(of("acme"), 40)])).await.unwrap();
    assert_eq!((code(&answer), header(&answer, "retry-after")), (Code::OverLimit, None), "80 never fit");
}
