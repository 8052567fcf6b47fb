//! Who is asking, and what strangers are told: S13, S18, S22, S23, S25.

use bulkhead_proto::contract::header;
use bulkhead_tests::{
    client::{Answer, Request},
    deadline::{self, PATIENCE},
    issuer::{Issuer, Mood, key::Key},
    world::World,
};
use serde_json::{Value, json};

use super::{ACME, ACME_CONTRACT, GLOBEX_CONTRACT, INVOICES, PRODUCTS, until_status, world};

/// `examples/config` prints it for everybody.
const GLOBEX_KEY: &str = "globex.demo-key-b2f4c1d09e7a4c55";

#[tokio::test(flavor = "multi_thread")]
async fn s13_credentials_stop_at_the_gateway_unless_the_api_forwards_them() {
    let world = world()
        .config(|config| {
            config.edit(ACME_CONTRACT, |contract| contract["spec"]["apis"][1]["forwardCredentials"] = true.into());
        })
        .start()
        .await;
    let acme = world.acme.issuer.token().sign();
    let seen = world.send(&Request::get(INVOICES).bearer(&acme)).await.seen();
    assert_eq!((seen.upstream.as_str(), seen.header("authorization")), ("acme-billing", vec![]));
    let seen = world.send(&Request::get("/acme/orders-api/open").bearer(&acme)).await.seen();
    assert!(
        seen.upstream == "acme-orders" && seen.header("authorization") == [format!("Bearer {acme}")],
        "its own upstream asked for them"
    );

    let items = Request::get("/globex/catalog-api/items").key(GLOBEX_KEY);
    assert_eq!(world.send(&items).await.seen().header(header::API_KEY), [""; 0]);
    world.config.edit(GLOBEX_CONTRACT, |contract| contract["spec"]["apis"][1]["forwardCredentials"] = true.into());
    deadline::until("the key at the upstream that asks for it", PATIENCE, || async {
        (world.send(&items).await.seen().header(header::API_KEY) == [GLOBEX_KEY]).then_some(())
    })
    .await;
}

/// acme has two providers: one never answers, the other answers without end. Both are asked all the time.
#[tokio::test(flavor = "multi_thread")]
async fn s18_a_hung_and_a_huge_provider_of_one_tenant_keep_nobody_elses_first_token_waiting() {
    let huge = Issuer::discoverable("acme").await;
    huge.mood(Mood::Huge(32 << 20));
    let world = world()
        .config(|config| {
            config.edit(ACME, |tenant| {
                tenant["spec"]["issuers"].as_array_mut().expect("issuers").push(json!({ "issuer": huge.issuer() }));
            });
        })
        .start()
        .await;
    world.acme.issuer.mood(Mood::Hanging);
    let mut waiting = Vec::new();
    for number in 0..40 {
        for issuer in [&world.acme.issuer, &huge] {
            let request = Request::get(INVOICES).bearer(&issuer.token().claim("jti", number).sign());
            let to = world.envoy.address();
            waiting.push(tokio::spawn(async move { request.send(to).await.status }));
        }
    }
    deadline::until("both providers to be asked", PATIENCE, || async {
        (world.acme.issuer.key_fetches() > 0 && huge.key_fetches() > 0).then_some(())
    })
    .await;
    for number in 0..20 {
        let token = world.globex.issuer.token().claim("jti", number).sign();
        assert_eq!(world.send(&Request::get(PRODUCTS).bearer(&token)).await.status, 200, "first sight {number}");
    }
    for one in waiting {
        let status = one.await.expect("an answer");
        assert!(matches!(status, 429 | 503), "{status}");
    }
    assert_eq!(world.acme.requests(), 0);
}

/// acme's provider is acme's own: its discovery document could say anything.
#[tokio::test(flavor = "multi_thread")]
async fn s18_a_discovery_document_leads_to_no_address_that_the_operator_did_not_write() {
    let (trap, issuer) = (Issuer::start("trap").await, Issuer::discoverable("acme").await);
    issuer.discovery(|document| document["jwks_uri"] = trap.jwks_uri().into());
    let world = world()
        .config(|config| config.edit(ACME, |tenant| tenant["spec"]["issuers"] = json!([{ "issuer": issuer.issuer() }])))
        .start()
        .await;
    for token in [issuer.token().sign(), issuer.token().header("kid", trap.key().kid()).sign_with(&trap.key())] {
        let answer = world.send(&Request::get(INVOICES).bearer(&token)).await;
        assert_eq!((answer.status, answer.reason().as_str()), (503, "unavailable"));
    }
    assert!(issuer.discoveries() > 0, "the document itself was asked for");
    assert_eq!((trap.key_fetches(), world.acme.requests()), (0, 0));
}

/// All that an answer tells, but for what is different for every request: its decision's id and its time.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let id = serde_json::from_slice::<Value>(&answer.body).ok().and_then(|body| body["decision_id"].as_str().map(str::to_owned));
    let body = id.map_or_else(|| answer.text(), |id| answer.text().replace(&id, "DECISION"));
    let each_time = |name: &str| ["date", "x-envoy-upstream-service-time"].contains(&name);
    let headers = answer.headers.iter().filter(|(name, _)| !each_time(name)).cloned().collect();
    (answer.status, headers, body)
}

/// initech: a tenant whose partition never was good.
fn never_good(config: &bulkhead_tests::config::Config, issuer: &Issuer) {
    config.put(
        "tenants/initech.yaml",
        &json!({
            "apiVersion": "gostoa.dev/v1alpha1",
            "kind": "Tenant",
            "metadata": { "name": "initech" },
            "spec": {
                "plan": "starter",
                "uid": "01JDINITECHEXAMPLE0000000I",
                "issuers": [{ "issuer": issuer.issuer(), "jwksUri": issuer.jwks_uri(), "audiences": ["gateway"] }],
                "upstreams": ["*.initech.internal"],
            },
        }),
    );
    config.write("namespaces/tenant-initech/contract.yaml", "no: [contract");
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_a_stranger_cannot_tell_a_served_tenant_from_a_suspended_one_a_broken_one_or_nobody() {
    let initech = Issuer::start("initech").await;
    let world = world()
        .config(|config| {
            config.edit("tenants/globex.yaml", |tenant| tenant["spec"]["status"] = "suspended".into());
            never_good(config, &initech);
        })
        .start()
        .await;
    let stranger = Issuer::start("stranger").await;
    let forger = Key::rs256("acme-1");
    let acme = world.acme.issuer.token();
    let foreign = ["/globex/inventory-api/x", "/initech/inventory-api/x", "/nobody/inventory-api/x", "/default/inventory-api/x"];
    let all = ["/acme/billing-api/x", foreign[0], foreign[1], foreign[2]];
    let presented = [
        ("nothing", Request::get(""), &all),
        ("no token", Request::get("").bearer("nonsense"), &all),
        ("a stranger's token", Request::get("").bearer(&stranger.token().sign()), &all),
        ("another scheme", Request::get("").header("authorization", "Basic YWNtZTpzZWNyZXQ="), &all),
        ("acme's token", Request::get("").bearer(&acme.sign()), &foreign),
        ("acme's token, expired", Request::get("").bearer(&acme.clone().claim("exp", 1).sign()), &foreign),
        ("acme's token, forged", Request::get("").bearer(&acme.sign_with(&forger)), &foreign),
        ("a key of acme's", Request::get("").key("acme.secret"), &foreign),
        ("a key of nobody's", Request::get("").key("nobody.secret"), &all),
        ("a key without a name", Request::get("").key("secret"), &all),
    ];
    for (what, request, paths) in presented {
        let mut answers = Vec::new();
        for path in paths {
            answers.push(told(&world.send(&request.clone().at(path)).await));
        }
        assert_eq!(answers[0].0, 401, "{what}: {answers:?}");
        for (path, answer) in paths.iter().zip(&answers) {
            assert_eq!(answer, &answers[0], "{what} at {path}");
        }
    }
    // The state is told to whoever proves to be that tenant.
    let answer = world.send(&Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign())).await;
    assert_eq!((answer.status, answer.reason().as_str()), (403, "suspended"));
    let answer = world.send(&Request::get("/initech/inventory-api/x").bearer(&initech.token().sign())).await;
    assert_eq!((answer.status, answer.reason().as_str()), (503, "unavailable"));
    assert_eq!((world.acme.requests(), world.globex.requests()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_that_keys_are_unavailable_is_told_at_the_tenants_own_address_only() {
    let world = world().start().await;
    world.acme.issuer.mood(Mood::Failing(500));
    let token = world.acme.issuer.token().sign();
    let answer = world.send(&Request::get(INVOICES).bearer(&token)).await;
    assert_eq!((answer.status, answer.reason().as_str()), (503, "unavailable"));
    let foreign = told(&world.send(&Request::get(PRODUCTS).bearer(&token)).await);
    let nobodys = told(&world.send(&Request::get("/nobody/inventory-api/products").bearer(&token)).await);
    assert_eq!((foreign.0, &foreign), (401, &nobodys));
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_the_global_level_shows_no_numbers() {
    let world = world()
        .config(|config| {
            config.edit("platform.yaml", |platform| {
                platform["spec"]["rateLimit"] = json!({ "requestsPerMinute": 37, "burstMultiplier": 1.0 });
            });
            config.edit_all("plans.yaml", |plans| {
                for plan in plans {
                    plan["spec"]["guaranteed"] = json!({ "requestsPerMinute": 1 });
                }
            });
        })
        .start()
        .await;
    let request = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let mut answers = Vec::new();
    for _ in 0..60 {
        answers.push(world.send(&request).await);
    }
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty(), "the platform is exhausted");
    for answer in &refused {
        assert_eq!(answer.json()["scope"], "global");
        let after: u64 = answer.header("retry-after").expect("a coarse Retry-After").parse().expect("seconds");
        assert_eq!(after % 5, 0, "{after}");
    }
    for answer in &answers {
        for (name, value) in answer.headers.iter().filter(|(name, _)| name.contains("ratelimit")) {
            assert_ne!(value, "37", "{name}");
            assert!(name != "ratelimit-limit" || value == "2000", "the tenant's own level: {value}");
        }
        assert!(!answer.headers.iter().any(|(name, _)| name.starts_with("x-ratelimit")), "{:?}", answer.headers);
    }
    for (_, _, body) in refused.iter().map(|answer| told(answer)) {
        assert!(!body.contains("37") && !body.contains("remaining"), "{body}");
    }
}

/// acme's Tenant is deleted and written again with this uid; both services have seen both.
async fn made_anew(world: &World, tenant: &str, uid: &str) {
    world.config.remove(ACME);
    for service in [&world.ext_authz, &world.ratelimit] {
        deadline::until("acme to be gone", PATIENCE, || async { service.tenant_state("acme").await.is_none().then_some(()) }).await;
    }
    world.config.write(ACME, tenant);
    world.config.edit(ACME, |tenant| tenant["spec"]["uid"] = uid.into());
    for service in [&world.ext_authz, &world.ratelimit] {
        service.until_tenant("acme", "ready").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_a_tenant_made_anew_inherits_nothing_of_what_its_predecessor_used_up() {
    let world = world()
        .config(|config| {
            config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| {
                policy["spec"]["rateLimit"] = json!({ "requestsPerMinute": 1, "burstMultiplier": 8.0 });
            });
        })
        .start()
        .await;
    let request = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    until_status(&world, &request, 429).await;
    let tenant = world.config.read(ACME);

    made_anew(&world, &tenant, "01JDACMEEXAMPLE0000000000A").await;
    assert_eq!(world.send(&request).await.status, 429, "the same uid is the same tenant");
    made_anew(&world, &tenant, "01JDACMEEXAMPLE0000000000B").await;
    let answer = world.send(&request).await;
    assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, Some("7")), "another uid is another tenant");
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_a_remembered_token_outlives_neither_status_nor_subscription_nor_issuer() {
    let world = world().start().await;
    let request = Request::get(INVOICES).bearer(&world.acme.issuer.token().claim("azp", "acme-billing-app").sign());
    let status = |status: &'static str| world.config.edit(ACME, |tenant| tenant["spec"]["status"] = status.into());
    assert_eq!(world.send(&request).await.seen().header(header::SUBSCRIPTION), ["acme-sub-001"]);
    for closed in ["suspended", "offboarding"] {
        status(closed);
        assert_eq!(until_status(&world, &request, 403).await.reason(), "suspended");
        status("active");
        until_status(&world, &request, 200).await;
    }
    let subscriptions = "namespaces/tenant-acme/subscriptions.yaml";
    world.config.edit(subscriptions, |subscription| subscription["spec"]["expiresAt"] = "2020-01-01T00:00:00Z".into());
    assert_eq!(until_status(&world, &request, 403).await.reason(), "subscription");
    world.config.edit(subscriptions, |subscription| subscription["spec"]["expiresAt"] = "2999-01-01T00:00:00Z".into());
    until_status(&world, &request, 200).await;
    assert_eq!(world.acme.issuer.key_fetches(), 1, "all this time the token was a remembered one");
    world.config.edit(ACME, |tenant| tenant["spec"]["issuers"][0]["issuer"] = "https://auth.gostoa.dev/realms/another".into());
    assert_eq!(until_status(&world, &request, 401).await.reason(), "invalid_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn s25_no_claim_makes_a_header_that_envoy_or_an_upstream_could_choke_on() {
    let world = world().start().await;
    let mut subjects = Vec::new();
    for sub in [
        "user\r\nx-bulkhead-tenant: globex".to_owned(),
        "\u{0}\u{1}\u{7f}".to_owned(),
        "h\u{e9}llo w\u{f6}rld \u{1f980}".to_owned(),
        "\u{fc}".repeat(1500),
        "a".repeat(3000),
        r#""quoted" \, ;="#.to_owned(),
        "   ".to_owned(),
        "%0d%0a".to_owned(),
        "\u{202e}\u{feff}".to_owned(),
        "globex".to_owned(),
    ] {
        let token = world.acme.issuer.token().claim("sub", sub.as_str()).sign();
        let seen = world.send(&Request::get(INVOICES).bearer(&token)).await.seen();
        let [subject] = seen.header(header::SUBJECT)[..] else { panic!("one subject for {sub:?}: {:?}", seen.headers) };
        assert!(subject.len() <= 256 && subject.bytes().all(|byte| byte.is_ascii_graphic()), "{sub:?}: {subject:?}");
        assert_eq!(seen.header(header::TENANT), ["acme"], "{sub:?}");
        subjects.push(subject.to_owned());
    }
    let distinct = subjects.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(distinct, subjects.len(), "different claims stay different");
    for (claim, value) in [
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!(["a", "b"])),
        ("sub", json!({ "a": 1 })),
        ("sub", Value::Null),
        ("azp", json!("app\r\nx-bulkhead-tenant: globex")),
        ("client_id", json!({ "a": [1, 2] })),
        ("roles", json!([{ "a": 1 }, "\r\n", 7, null])),
        ("realm_access", json!("roles")),
        ("scope", json!(["\u{0}"])),
        ("tenant_id", json!("acme\u{0}")),
        ("tenant_id", json!(["acme"])),
        ("exp", json!(1e300)),
        ("nbf", json!(-1e300)),
    ] {
        let token = world.acme.issuer.token().claim(claim, value.clone()).sign();
        let answer = world.send(&Request::get(INVOICES).bearer(&token)).await;
        assert!(answer.status < 500, "{claim}: {value}: {}", answer.status);
        if answer.status == 200 {
            assert_eq!(answer.seen().header(header::TENANT), ["acme"], "{claim}: {value}");
        }
    }
}

/// The provider takes longer than a request waits, and falls silent afterwards: only what was fetched ahead can serve the first request.
#[tokio::test(flavor = "multi_thread")]
async fn s18_keys_are_there_before_the_first_request_and_readiness_waits_for_no_provider() {
    let slow = Issuer::discoverable("acme").await;
    slow.mood(Mood::Slow(std::time::Duration::from_secs(1)));
    let world = world()
        .config(|config| {
            config.edit(ACME, |tenant| {
                tenant["spec"]["issuers"].as_array_mut().expect("issuers").push(json!({ "issuer": slow.issuer() }));
            });
        })
        .ext_authz(&["--keys-ahead", "on"])
        .start()
        .await;
    // The world is there: ext-authz was ready while its provider had not answered.
    deadline::until("the keys to be asked for", PATIENCE, || async { (slow.key_fetches() == 1).then_some(()) }).await;
    slow.mood(Mood::Hanging);
    let request = Request::get(INVOICES).bearer(&slow.token().sign());
    until_status(&world, &request, 200).await;
    assert_eq!((slow.discoveries(), slow.key_fetches()), (1, 1));
}
