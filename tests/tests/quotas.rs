//! Quotas, end to end: what a plan or a subscription grants for a day is used up, the answer names the moment of renewal, and nothing else is charged.

use bulkhead_tests::{
    client::{Answer, Request},
    deadline::{self, PATIENCE},
    issuer::token::now,
    world::World,
};
use serde_json::{Value, json};

const INVOICES: &str = "/acme/billing-api/invoices";

/// Seconds since 1970 of a moment of RFC 3339 in UTC, to the second.
fn seconds(moment: &Value) -> u64 {
    let moment: jiff::Timestamp = moment.as_str().expect("a text").parse().expect("a moment of RFC 3339");
    moment.as_second().unsigned_abs()
}

fn number(answer: &Answer, header: &str) -> u64 {
    answer.header(header).unwrap_or_else(|| panic!("no {header}: {answer:?}")).parse().expect("a number")
}

/// A day of the month that begins no period while the test runs: the one of 36 hours from now.
fn quiet_day() -> i8 {
    let then = jiff::Timestamp::now() + jiff::Span::new().hours(36);
    then.to_zoned(jiff::tz::TimeZone::UTC).day()
}

fn quota(requests: u64, day: i8) -> Value {
    json!([{ "requests": requests, "per": "month", "anchorDay": day }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plans_quota_of_five_ends_with_429_and_the_moment_of_renewal() {
    let day = quiet_day();
    let world =
        World::builder().valkey().config(|config| config.edit("plans.yaml", |plan| plan["spec"]["quotas"] = quota(5, day))).start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    for left in (0..5).rev() {
        let answer = world.send(&acme).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!((number(&answer, "ratelimit-limit"), number(&answer, "ratelimit-remaining")), (5, left));
    }
    let denied = world.send(&acme).await;
    assert_eq!((denied.status, denied.json()["scope"].as_str()), (429, Some("tenant")));
    let (renews, asked) = (seconds(&denied.json()["renews_at"]), now());
    assert_eq!(renews % (24 * 3600), 0, "midnight in UTC");
    let wait = number(&denied, "retry-after");
    assert!((asked + wait).abs_diff(renews) <= 60, "in {wait} s from about {asked} on, at {renews}");
    assert_eq!(world.acme.requests(), 5);
    // Another tenant has a plan of its own.
    let globex = Request::get("/globex/inventory-api/products").bearer(&world.globex.issuer.token().sign());
    assert_eq!(world.send(&globex).await.status, 200);

    // More for the same month: what was consumed stays consumed.
    world.config.edit("plans.yaml", |plan| plan["spec"]["quotas"] = quota(7, day));
    deadline::until("the larger quota", PATIENCE, || async { (world.send(&acme).await.status == 200).then_some(()) }).await;
    assert_eq!(world.send(&acme).await.status, 200);
    assert_eq!(world.send(&acme).await.status, 429);
    assert_eq!(world.acme.requests(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriptions_quota_denies_its_own_requests_and_costs_its_tenant_nothing() {
    let world = World::builder()
        .config(|config| {
            config.edit("plans.yaml", |plan| plan["spec"]["quotas"] = quota(6, quiet_day()));
            config.edit("namespaces/tenant-acme/subscriptions.yaml", |subscription| {
                subscription["spec"]["quotas"] = json!([{ "requests": 2, "per": "day", "window": "sliding" }]);
            });
        })
        .start()
        .await;
    let app = Request::get(INVOICES).bearer(&world.acme.issuer.token().claim("azp", "acme-billing-app").sign());
    for expected in [200, 200, 429, 429, 429] {
        assert_eq!(world.send(&app).await.status, expected);
    }
    let denied = world.send(&app).await;
    assert_eq!(denied.json()["scope"], "subscription");
    let ahead = seconds(&denied.json()["renews_at"]) - now();
    assert!((23 * 3600..=25 * 3600).contains(&ahead), "{ahead} s: a day, and at most one slice of it");
    let others = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    for expected in [200, 200, 200, 200, 429] {
        assert_eq!(world.send(&others).await.status, expected);
    }
}
