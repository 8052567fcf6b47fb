//! S9: nothing is answered OK without a charge, whatever the descriptors say.

use bulkhead_doors::metrics::Metrics;
use bulkhead_proto::pb::envoy::{
    extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::RateLimitOverride},
    service::ratelimit::v3::{RateLimitRequest, rate_limit_response::Code, rate_limit_service_server::RateLimitService},
};
use bulkhead_tenancy::snapshot::Live;
use tonic::{Code as Grpc, Request};

use crate::world::{World, code, costing, descriptor, entries, header, of, request};

#[tokio::test]
async fn a_request_pays_tenant_subscription_and_api() {
    let world = World::memory();
    assert_eq!(world.admitted_of(10, &[descriptor("acme", "s-01", "billing-api")]).await, 6, "the subscription's");
    assert_eq!(world.admitted_of(30, &[descriptor("acme", "__none__", "billing-api")]).await, 14, "what is left of the API's 20");
    assert_eq!(world.admitted_of(90, &[descriptor("acme", "__none__", "orders-api")]).await, 40, "what is left of the tenant's 60");
    assert_eq!(world.admitted_of(90, &[of("globex")]).await, 60, "another tenant's is untouched");
}

#[tokio::test]
async fn s9_whatever_has_no_tenant_pays_the_one_unresolved_bucket() {
    let strangers: [&[RateLimitDescriptor]; 8] = [
        &[],
        &[RateLimitDescriptor::default()],
        &[of("__unresolved__")],
        &[of("nobody")],
        &[of("")],
        &[entries(&[("tenant", "acme")])],
        &[entries(&[("tenant", "acme"), ("tenant", "globex"), ("subscription", "__none__"), ("api", "__none__")])],
        &[entries(&[("subscription", "s-01"), ("api", "billing-api")])],
    ];
    for stranger in strangers {
        let world = World::memory();
        assert_eq!(world.admitted_of(5, stranger).await, 3, "{stranger:?}");
        assert!(!world.admits(&[of("someone-else")]).await, "one bucket for all of them");
        assert!(world.admits(&[of("acme")]).await, "and no tenant pays for it");
        let answer = world.ask(request(stranger)).await.unwrap();
        assert_eq!(code(&answer), Code::OverLimit);
    }
}

#[tokio::test]
async fn s9_unresolved_requests_pay_global_too() {
    let world = World::memory();
    assert!(world.admits(&[costing(of("initech"), 600)]).await, "all of the platform's");
    let answer = world.ask(request(&[of("__unresolved__")])).await.unwrap();
    assert_eq!(code(&answer), Code::OverLimit);
    assert!(String::from_utf8_lossy(&answer.raw_body).contains("\"scope\":\"global\""));
}

#[tokio::test]
async fn s9_an_unknown_subscription_or_api_of_a_known_tenant_pays_what_is_known_and_is_counted() {
    let world = World::memory();
    assert_eq!(world.admitted_of(90, &[descriptor("acme", "who", "what")]).await, 60);
    assert_eq!(world.counted(r#"bulkhead_ratelimit_oddities_total{tenant_id="acme",kind="unknown_subscription"}"#), 90);
    assert_eq!(world.counted(r#"bulkhead_ratelimit_oddities_total{tenant_id="acme",kind="unknown_api"}"#), 90);
    let world = World::memory();
    assert_eq!(world.admitted_of(30, &[descriptor("acme", "who", "billing-api")]).await, 20, "the API is known");
    assert_eq!(world.admitted_of(90, &[descriptor("globex", "s-01", "billing-api")]).await, 60, "acme's names mean nothing in globex");
}

#[tokio::test]
async fn a_tenant_without_a_policy_pays_the_levels_that_are_known() {
    let world = World::memory();
    assert_eq!(world.admitted_of(90, &[of("broken")]).await, 60);
}

#[tokio::test]
async fn several_descriptors_are_charged_all_or_none() {
    let world = World::memory();
    let both = [of("globex"), descriptor("acme", "s-01", "__none__")];
    assert_eq!(world.admitted_of(10, &both).await, 6);
    assert_eq!(world.admitted_of(90, &[of("globex")]).await, 54, "globex paid six times, not ten");
    let answer = world.ask(request(&both)).await.unwrap();
    assert_eq!(answer.statuses.len(), 2);
}

#[tokio::test]
async fn a_descriptor_that_stands_twice_is_charged_twice() {
    let world = World::memory();
    assert_eq!(world.admitted_of(90, &[of("acme"), of("acme")]).await, 30);
}

#[tokio::test]
async fn hits_are_one_unless_stated_and_a_descriptors_own_win() {
    let world = World::memory();
    let hits = |hits_addend, descriptor| RateLimitRequest { hits_addend, ..request(&[descriptor]) };
    for (asked, left) in [
        (hits(0, of("acme")), "59"),
        (hits(9, of("acme")), "50"),
        (hits(9, costing(of("acme"), 1)), "49"),
        (hits(9, costing(of("acme"), 0)), "49"),
        (hits(0, costing(of("acme"), 49)), "0"),
        (hits(0, costing(of("acme"), 0)), "0"),
    ] {
        let answer = world.ask(asked).await.unwrap();
        assert_eq!((code(&answer), header(&answer, "ratelimit-remaining")), (Code::Ok, Some(left)));
    }
    assert!(!world.admits(&[of("acme")]).await);
}

#[tokio::test]
async fn absurd_hits_are_denied_and_charge_nothing() {
    let world = World::memory();
    for hits in [61, u64::from(u32::MAX), 1 << 53, u64::MAX] {
        let answer = world.ask(request(&[costing(of("acme"), hits)])).await.unwrap();
        assert_eq!(code(&answer), Code::OverLimit);
        assert_eq!(header(&answer, "retry-after"), None, "it never fits");
    }
    let two = [costing(of("acme"), u64::MAX), costing(of("acme"), u64::MAX)];
    assert!(!world.admits(&two).await);
    assert_eq!(world.admitted_of(90, &[of("acme")]).await, 60);
}

#[tokio::test]
async fn s9_hits_are_never_given_back() {
    let world = World::memory();
    assert_eq!(world.admitted_of(90, &[of("acme")]).await, 60);
    let refund = RateLimitDescriptor { is_negative_hits: true, ..costing(of("acme"), 50) };
    assert_eq!(world.ask(request(std::slice::from_ref(&refund))).await.unwrap_err().code(), Grpc::InvalidArgument);
    assert_eq!(world.ask(request(&[of("globex"), refund])).await.unwrap_err().code(), Grpc::InvalidArgument);
    assert!(!world.admits(&[of("acme")]).await);
    assert_eq!(world.admitted_of(90, &[of("globex")]).await, 60, "nothing of the refused request was charged");
}

#[tokio::test]
async fn s12_more_descriptors_than_a_chain_of_ours_sends_are_refused() {
    let world = World::memory();
    let most = vec![descriptor("acme", "__none__", "orders-api"); 12];
    assert!(world.admits(&most).await);
    let more = vec![of("acme"); 13];
    assert_eq!(world.ask(request(&more)).await.unwrap_err().code(), Grpc::InvalidArgument);
}

#[tokio::test]
async fn s9_another_domain_is_refused_and_never_ok() {
    let world = World::memory();
    for domain in ["", "tenancy", "Bulkhead", "bulkhead "] {
        let asked = RateLimitRequest { domain: domain.to_owned(), ..request(&[of("acme")]) };
        assert_eq!(world.ask(asked).await.unwrap_err().code(), Grpc::InvalidArgument, "{domain:?}");
    }
}

#[tokio::test]
async fn a_limit_that_the_caller_brings_is_ignored_and_counted() {
    let world = World::memory();
    let generous = RateLimitDescriptor { limit: Some(RateLimitOverride { requests_per_unit: 1_000_000, unit: 2 }), ..of("acme") };
    assert_eq!(world.admitted_of(90, &[generous]).await, 60);
    assert_eq!(world.counted(r#"bulkhead_ratelimit_oddities_total{tenant_id="acme",kind="limit_override_ignored"}"#), 90);
}

#[tokio::test]
async fn foreign_entries_change_nothing_and_are_counted() {
    let world = World::memory();
    let contract = [("tenant", "acme"), ("subscription", "s-01"), ("api", "__none__"), ("remote_address", "192.0.2.1")];
    assert_eq!(world.admitted_of(10, &[entries(&contract)]).await, 6);
    assert_eq!(world.counted(r#"bulkhead_ratelimit_oddities_total{tenant_id="acme",kind="foreign_entry"}"#), 10);
}

#[tokio::test]
async fn s9_without_a_snapshot_nothing_is_decided() {
    let world = World::memory();
    let metrics = Metrics::with_tenant_series(1).unwrap();
    let clock = std::sync::Arc::new(world.clock.clone());
    let store = std::sync::Arc::new(bulkhead_ratelimit::store::memory::MemoryStore::new(clock.clone()));
    let limiter = bulkhead_ratelimit::limiter::Limiter::new(store, clock, std::time::Duration::from_secs(20));
    let rls = bulkhead_ratelimit::rls::Rls::new(
        Live::default(),
        bulkhead_ratelimit::levels::Levels::default(),
        std::sync::Arc::new(limiter),
        &metrics,
    );
    let refused = rls.should_rate_limit(Request::new(request(&[of("acme")]))).await.unwrap_err();
    assert_eq!(refused.code(), Grpc::Unavailable);
}

#[tokio::test]
async fn s25_a_tenant_whose_plan_states_no_guarantee_has_one_all_the_same() {
    let world = World::memory();
    assert!(
        world.admits(&[costing(of("initech"), 600)]).await,
        "which takes all of the platform's, and initech's own guarantee is untouched"
    );
    world.clock.advance_us(1);
    assert_eq!(world.admitted_of(10, &[of("globex")]).await, 10, "ten seconds' worth, stated");
    assert!(!world.admits(&[of("globex")]).await);
    // Initech's own limit refills at once with the platform's, which the debt holds back.
    world.clock.advance_us(500_000);
    assert!(world.admits(&[of("initech")]).await, "its equal share, though the platform is in debt");
}
