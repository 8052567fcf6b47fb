use std::{collections::BTreeSet, time::Duration};

use bulkhead_tenancy::{
    guardrail::{ContentFilter, Detector, Filter, Topics},
    snapshot::Snapshot,
    tenant::Policy,
};

use super::*;
use crate::{
    attributes::Body,
    fixture::{self, get},
    verdict::{Reason, Would},
};

fn policy(snapshot: &Snapshot) -> &Arc<TenantPolicy> {
    match &snapshot.tenant("acme").unwrap().policy {
        Policy::Ready(policy) => policy,
        Policy::Unavailable(why) => panic!("{why}"),
    }
}

/// What the guardrails say of a caller at an API of acme's: `allow` or the reason, and what is in shadow.
async fn asked(api: &str, words: &str) -> (&'static str, Vec<ShadowMark>) {
    let snapshot = fixture::own();
    let policy = policy(&snapshot);
    let api = policy.api(api).unwrap();
    let caller = fixture::caller(&snapshot, words).unwrap();
    let request = Attributes::of(get("/acme/any").request()).unwrap();
    let mut found = Found::default();
    let outcome = async {
        let subscription = access::subscription(policy, &caller)?;
        access::credentials(api, &caller)?;
        let asked = Asked {
            policy,
            api,
            caller: &caller,
            subscription: subscription.as_ref(),
            request: &request,
            path: "",
            declared: Declared::default(),
            now: 1_800_000_000,
            until: Instant::now() + Duration::from_secs(30),
        };
        Guardrails::default().judge(&asked, &mut found).await
    };
    let outcome = outcome.await.map_or_else(|denial| denial.reason.name(), |_| "allow");
    (outcome, found.shadow)
}

async fn judged(api: &str, words: &str) -> &'static str {
    asked(api, words).await.0
}

#[tokio::test]
async fn an_api_key_alone_is_not_enough_where_a_token_is_asked_for() {
    assert_eq!(judged("billing-api", "acme").await, "allow");
    assert_eq!(judged("billing-api", "acme key").await, "allow");
    assert_eq!(judged("billing-api", "acme key-only").await, "no_credentials");
}

#[tokio::test]
async fn an_api_that_asks_for_a_key_takes_no_token_in_its_place() {
    assert_eq!(judged("key-api", "acme").await, "no_credentials");
    assert_eq!(judged("key-api", "acme key").await, "allow");
    assert_eq!(judged("key-api", "acme key-only").await, "allow");
    for words in ["acme", "acme key", "acme key-only"] {
        assert_eq!(judged("any-api", words).await, "allow");
    }
}

#[tokio::test]
async fn s19_key_and_token_of_different_subscriptions_are_refused() {
    assert_eq!(judged("billing-api", "acme key client:app").await, "invalid_token");
    // A client without a subscription names none that could differ.
    assert_eq!(judged("billing-api", "acme key client:stranger").await, "allow");
}

#[tokio::test]
async fn a_required_subscription_is_required_and_any_other_one_must_be_good() {
    assert_eq!(judged("paid-api", "acme").await, "subscription");
    assert_eq!(judged("paid-api", "acme client:stranger").await, "subscription");
    assert_eq!(judged("paid-api", "acme client:app").await, "allow");
    assert_eq!(judged("paid-api", "acme client:narrow-app").await, "allow");
    // Expired, or for another API: also where none is required.
    assert_eq!(judged("paid-api", "acme client:old-app").await, "subscription");
    assert_eq!(judged("billing-api", "acme client:old-app").await, "subscription");
    assert_eq!(judged("billing-api", "acme client:narrow-app").await, "subscription");
}

#[tokio::test]
async fn roles_are_any_of_and_scopes_all_of() {
    assert_eq!(judged("roles-api", "acme").await, "role");
    assert_eq!(judged("roles-api", "acme role:tenant-globex role:READER").await, "role");
    assert_eq!(judged("roles-api", "acme role:other role:admin").await, "allow");
    assert_eq!(judged("hosted-api", "acme scope:read").await, "role");
    assert_eq!(judged("hosted-api", "acme scope:write scope:read").await, "allow");
    // A key has no roles.
    assert_eq!(judged("roles-api", "acme key-only").await, "no_credentials");
}

#[tokio::test]
async fn an_api_outside_the_allowlist_is_denied() {
    assert_eq!(judged("unlisted-api", "acme").await, "tool");
}

#[tokio::test]
async fn a_policy_in_shadow_is_recorded_and_denies_nothing() {
    let mark = ShadowMark::new("trial", Would::Deny(Reason::Tool));
    assert_eq!(asked("shadowed-api", "acme").await, ("allow", vec![mark]));
    assert_eq!(asked("billing-api", "acme").await, ("allow", vec![]));
}

#[test]
fn an_absent_allowlist_holds_all_and_an_empty_one_nothing() {
    let snapshot = fixture::own();
    let policy = policy(&snapshot);
    let api = policy.api("billing-api").unwrap();
    assert!(tools::listed(policy, api, None));
    assert!(!tools::listed(policy, api, Some(&BTreeSet::new())));
}

#[test]
fn s14_a_policy_that_reads_bodies_denies_what_it_cannot_read() {
    let request = |body: Body<'static>| Attributes { body, ..Attributes::of(get("/acme/billing-api").request()).unwrap() };
    let judged = |request: &Attributes<'_>, declared| body::readable(request, declared).map_err(|denial| denial.reason);
    for state in [Body::Absent, Body::Whole(b"{}")] {
        assert_eq!(judged(&request(state), true), Ok(()));
        assert_eq!(judged(&request(state), false), Err(Reason::Unavailable));
    }
    assert_eq!(judged(&request(Body::Truncated), true), Err(Reason::TooLarge));
    assert_eq!(judged(&request(Body::Unseen), true), Err(Reason::Unavailable));
    for (name, value) in [("content-range", "bytes 0-3/7"), ("upload-offset", "4")] {
        let asked = get("/acme/billing-api").with(name, value);
        let part = |body: Body<'static>| judged(&Attributes { body, ..Attributes::of(asked.request()).unwrap() }, true);
        assert_eq!((part(Body::Whole(b"{}")), part(Body::Absent)), (Err(Reason::Unreadable), Ok(())), "{name}");
    }
    for stream in [
        get("/acme/billing-api").with("upgrade", "websocket"),
        get("/acme/billing-api").with(":protocol", "websocket"),
        get("/acme/billing-api").with("content-type", "application/grpc+proto"),
        get("/acme/billing-api").method("CONNECT"),
    ] {
        assert_eq!(judged(&Attributes::of(stream.request()).unwrap(), true), Err(Reason::Unavailable));
    }
}

#[test]
fn s14_a_policy_that_reads_nothing_asks_for_no_body() {
    let snapshot = fixture::own();
    let api = policy(&snapshot).api("billing-api").unwrap();
    assert!(!body::is_read(&ContentFilter { requests: true, ..ContentFilter::default() }, api));
    let filter = Filter::new([Detector::Card].into(), Topics::default());
    let pii = ContentFilter { requests: true, filter, ..ContentFilter::default() };
    assert!(body::is_read(&pii, api));
}
