//! Lists and peeks: what is told, and to whom.

use serde_json::{Value, json};

use crate::stage::{Stage, descriptor, told};

fn paths(page: &Value) -> Vec<&str> {
    page["counters"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_level_of_a_tenant_is_listed_and_each_peeked_alone() {
    let stage = Stage::memory().await;
    assert!(stage.ask(descriptor("acme", "s-01", "billing-api", 4)).await.unwrap());
    let page = stage.see("/counters?tenant=acme").await;
    assert_eq!((&page["tenant"], &page["uid"], &page["next"]), (&json!("acme"), &json!("u-acme"), &Value::Null));
    let all = [
        "/counters/acme/api/billing-api",
        "/counters/acme/guarantee",
        "/counters/acme/quota/month.1.Europe.Berlin",
        "/counters/acme/subscription/s",
        "/counters/acme/subscription/s/quota/day.UTC",
        "/counters/acme/subscription/s/quota/sliding.3600",
        "/counters/acme/subscription/s-01",
        "/counters/acme/subscription/s-01/quota/sliding.86400",
        "/counters/acme/subscription/s-02",
        "/counters/acme/tenant",
    ];
    assert_eq!(paths(&page), all);
    for counter in page["counters"].as_array().unwrap() {
        assert_eq!(&stage.see(counter["path"].as_str().unwrap()).await, counter);
    }
    let one = stage.see("/counters/acme/subscription/s-01").await;
    assert_eq!(
        one,
        json!({
            "path": "/counters/acme/subscription/s-01", "level": "subscription", "subscription": "s-01", "kind": "token_bucket",
            "limit": 6, "requests_per_minute": 6, "used": 4, "remaining": 2, "resets_in_seconds": 40
        })
    );
    let quota = stage.see("/counters/acme/quota/month.1.Europe.Berlin").await;
    assert_eq!((&quota["kind"], &quota["window"]), (&json!("calendar"), &json!("month/1/Europe/Berlin")));
    assert_eq!((&quota["remaining"], &quota["renews_at"]), (&json!(996), &json!("2026-11-30T23:00:00Z")));
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let stage = Stage::memory().await;
    let whole = stage.see("/counters?tenant=acme").await;
    for limit in 1..=11 {
        let (mut next, mut seen) = (Some(format!("/counters?tenant=acme&limit={limit}")), Vec::new());
        while let Some(path) = next {
            let page = stage.see(&path).await;
            let few = page["counters"].as_array().unwrap().clone();
            assert!((1..=limit).contains(&few.len()));
            seen.extend(few);
            next = page["next"].as_str().map(str::to_owned);
        }
        assert_eq!(json!(seen), whole["counters"], "{limit} a page");
    }
    for (after, first) in
        [("acme", 0), ("aaa/z", 0), ("acme/b", 1), ("acme/subscription", 3), ("acme/subscription/s-0", 6), ("acme/subscription/s/quota", 4)]
    {
        let page = stage.see(&format!("/counters?tenant=acme&after={after}")).await;
        assert_eq!(page["counters"][0], whole["counters"][first], "behind {after}");
    }
    for after in ["acme/tenant", "acme/z", "z"] {
        assert_eq!(stage.see(&format!("/counters?tenant=acme&after={after}")).await["counters"], json!([]), "behind {after}");
    }
}

#[tokio::test]
async fn the_platforms_counters_tell_of_debt() {
    let stage = Stage::memory().await;
    assert!(stage.ask(descriptor("globex", "__none__", "__none__", 600)).await.unwrap());
    assert!(stage.ask(descriptor("nobody", "__none__", "__none__", 2)).await.unwrap());
    let page = stage.see("/counters").await;
    assert_eq!(paths(&page), ["/counters/platform/global", "/counters/platform/unresolved"]);
    assert_eq!((&page["counters"][0]["used"], &page["counters"][1]["remaining"]), (&json!(602), &json!(1)));
}

#[tokio::test]
async fn looking_charges_nothing() {
    let stage = Stage::memory().await;
    let first = stage.see("/counters?tenant=acme").await;
    for _ in 0..20 {
        assert_eq!(stage.see("/counters?tenant=acme").await, first);
    }
    assert_eq!(stage.see("/metering").await["lines"], json!([]));
}

#[tokio::test]
async fn s22_a_tenants_token_sees_its_own_tenant_and_all_else_is_not_there() {
    let stage = Stage::memory().await;
    let own = told(stage.get("acme", "/counters")).await;
    assert_eq!(own, told(stage.get("operator-token", "/counters?tenant=acme")).await);
    assert_eq!(own, told(stage.get("acme", "/counters?tenant=acme")).await);
    assert_eq!(told(stage.get("acme", "/counters/acme/subscription/s-01")).await.0, 200);

    let nothing = (404, String::new());
    for path in [
        "/counters?tenant=globex",
        "/counters?tenant=nobody",
        "/counters?tenant=platform",
        "/counters/globex/tenant",
        "/counters/nobody/tenant",
        "/counters/platform/global",
        "/counters/platform/unresolved",
        "/counters/acme/subscription/s-99",
        "/counters/acme/subscription/s-01/quota/month.1.UTC",
        "/counters/acme/api/orders-api",
        "/counters/acme/global",
        "/counters/changes",
        "/counters/acme",
        "/snapshot",
        "/nothing",
    ] {
        assert_eq!(told(stage.get("acme", path)).await, nothing, "{path}");
    }
    assert_eq!(told(stage.get("nobody", "/counters")).await.0, 401);
}

#[tokio::test]
async fn s22_an_equal_share_is_not_told_to_a_tenant() {
    let stage = Stage::memory().await;
    assert_eq!(stage.see("/counters/globex/guarantee").await["level"], "guarantee");
    assert_eq!(told(stage.get("globex", "/counters/globex/guarantee")).await, (404, String::new()));
    assert_eq!(told(stage.get("acme", "/counters/acme/guarantee")).await.0, 200, "its plan states it");
    let (_, own) = told(stage.get("globex", "/counters")).await;
    assert_eq!(paths(&serde_json::from_str(&own).unwrap()), ["/counters/globex/tenant"]);
}

#[tokio::test]
async fn s23_a_token_bound_to_a_uid_is_not_that_of_the_next_tenant_of_its_name() {
    let stage = Stage::memory().await;
    for path in ["/counters", "/counters?tenant=acme", "/counters/acme/tenant", "/metering", "/metering?tenant=acme"] {
        assert_eq!(told(stage.get("gone", path)).await, (404, String::new()), "{path}");
    }
}

#[tokio::test]
async fn a_query_that_does_not_do_says_why() {
    let stage = Stage::memory().await;
    for path in ["/counters?limit=0", "/counters?limit=1001", "/counters?tenants=acme", "/counters?limit=x", "/counters/changes?limit=x"] {
        let (status, body) = told(stage.get("operator-token", path)).await;
        assert_eq!((status, body.contains("urn:bulkhead:bad_request")), (400, true), "{path}: {body}");
    }
}
