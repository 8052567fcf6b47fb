//! Genuine credentials of tenants, and what they must not be good for.

use bulkhead_proto::contract::header;
use bulkhead_tests::{client::Request, issuer::token::Token};
use serde_json::{Value, json};

use crate::stage::{ACME_KEY, INVOICES, PRODUCTS, Stage, answered, denied, served, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_another_tenants_name_opens_nothing() {
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        let roles = ["tenant-globex", "globex", "tenant-admin", "globex:tenant-admin", "admin", "*", "cluster-admin"];
        let acme = stage.acme.issuer.token().roles(&roles);
        let grand = acme
            .clone()
            .claim("realm_access", json!({ "roles": roles }))
            .claim("resource_access", json!({ "globex": { "roles": roles } }))
            .claim("groups", json!(["/tenant-globex"]))
            .claim("scope", "globex tenant-globex inventory-api");
        for token in [acme.sign(), grand.sign()] {
            denied(&stage, &Request::get(PRODUCTS).bearer(&token), 401, "wrong_tenant").await;
            assert_eq!(served(&stage, &Request::get(INVOICES).bearer(&token)).await.header(header::TENANT), ["acme"]);
        }
    }
    let stage = Stage::contract().await;
    let acme = stage.acme.issuer.token().roles(&["tenant-globex"]).sign();
    denied(&stage, &Request::get("/acme/inventory-api/products").bearer(&acme), 404, "unknown_api").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_had_or_not_whatever_shape_the_claim_has() {
    let stage = Stage::contract().await;
    let reports = |token: Token| Request::get("/acme/reports-api/today").bearer(&token.sign());
    served(&stage, &reports(stage.acme.issuer.token().roles(&["reports-reader"]))).await;
    for roles in [
        json!([]),
        json!(["Reports-Reader"]),
        json!(["reports-reader "]),
        json!(["reports"]),
        json!("reports-reader,admin"),
        json!("admin reports-reader"),
        json!([["reports-reader"]]),
        json!({ "reports-reader": true }),
        json!([{ "name": "reports-reader" }]),
        json!(null),
        json!(true),
        json!("*"),
    ] {
        denied(&stage, &reports(stage.acme.issuer.token().claim("roles", roles)), 403, "role").await;
    }
    for (name, value) in [
        ("role", json!(["reports-reader"])),
        ("scope", json!("reports-reader")),
        ("groups", json!(["reports-reader"])),
        ("realm_access.roles", json!(["reports-reader"])),
    ] {
        denied(&stage, &reports(stage.acme.issuer.token().claim(name, value)), 403, "role").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_any_bytes_is_served_as_visible_ascii_and_never_breaks_envoy() {
    let stage = Stage::contract().await;
    let injected = "user\r\nx-bulkhead-tenant: globex\r\n\r\nGET /globex/inventory-api/products HTTP/1.1\r\n\r\n";
    let long = "x".repeat(6_000);
    let wide = "\u{e9}\u{1f600}".repeat(700);
    let odd = [
        "a\nb",
        "a\rb",
        injected,
        "a\u{0}b",
        "\u{7f}\u{1b}[31m",
        "\u{202e}evil",
        "\u{feff}",
        " ",
        "a,b",
        "%0d%0a",
        &long,
        &wide,
        "zo\u{eb}",
    ];
    let mut subjects = Vec::new();
    for text in odd {
        let mut token = stage.acme.issuer.token().claim("sub", text);
        // A token of more than 16 KiB is none.
        if text.len() < 1_000 {
            token = token.claim("azp", text).claim("name", text).claim("scope", text).roles(&[text]);
        }
        let seen = served(&stage, &Request::get(INVOICES).bearer(&token.sign())).await;
        let [subject] = seen.header(header::SUBJECT)[..] else { panic!("{seen:?}") };
        assert!(subject.len() <= 256 && subject.bytes().all(|byte| byte.is_ascii_graphic()), "{subject:?}");
        subjects.push(subject.to_owned());
        assert_eq!(seen.header(header::TENANT), ["acme"]);
        assert_eq!(stage.acme.requests_marked("injected"), 0);
    }
    let all = subjects.len();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), all, "two callers must not look like one");
    let empty =
        served(&stage, &Request::get(INVOICES).header(header::SUBJECT, "boss").bearer(&stage.acme.issuer.token().claim("sub", "").sign()))
            .await;
    assert_eq!(empty.header(header::SUBJECT), [""; 0]);
    for no_text in [json!(1), json!(null), json!(["user"]), json!({ "sub": "user" })] {
        denied(&stage, &Request::get(INVOICES).bearer(&stage.acme.issuer.token().claim("sub", no_text).sign()), 401, "invalid_token").await;
    }
    // Denials say it no worse: the same texts where the caller is refused.
    for text in odd {
        let token = stage.acme.issuer.token().claim("sub", text).sign();
        denied(&stage, &Request::get("/acme/reports-api/today").bearer(&token), 403, "role").await;
        denied(&stage, &Request::get(PRODUCTS).bearer(&token), 401, "wrong_tenant").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_a_policy_reaches_nothing() {
    let stage = Stage::contract().await;
    let hollow = stage.hollow.token().sign();
    for path in ["/hollow/billing-api/invoices", "/hollow", "/hollow/inventory-api/products", "/"] {
        denied(&stage, &Request::get(path).bearer(&hollow), 404, "unknown_api").await;
    }
    for path in [INVOICES, PRODUCTS] {
        denied(&stage, &Request::get(path).bearer(&hollow), 401, "wrong_tenant").await;
    }
    denied(&stage, &Request::get("/hollow/billing-api/invoices").key("hollow.anything"), 401, "invalid_token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_exists_only_elsewhere_is_as_unknown_as_one_of_nobody() {
    let stage = Stage::contract().await;
    let acme = stage.acme.issuer.token().sign();
    let ask = |api: &str| Request::get(&format!("/acme/{api}/products")).bearer(&acme);
    let nowhere = told(&denied(&stage, &ask("nothing-api"), 404, "unknown_api").await);
    for elsewhere in ["inventory-api", "catalog-api"] {
        assert_eq!(told(&denied(&stage, &ask(elsewhere), 404, "unknown_api").await), nowhere, "{elsewhere}");
    }
    for odd in ["", "*", "billing-api,inventory-api", &"a".repeat(300), "__none__", "__unresolved__", "null"] {
        denied(&stage, &Request::get(&format!("/acme/{odd}")).bearer(&acme), 404, "unknown_api").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_reaches_nothing_and_only_it_is_told_so() {
    let stage = Stage::contract().await;
    let frozen = stage.frozen.token().sign();
    for path in ["/frozen/billing-api/invoices", "/frozen/no-such-api", "/frozen"] {
        denied(&stage, &Request::get(path).bearer(&frozen), 403, "suspended").await;
    }
    for path in [INVOICES, PRODUCTS] {
        denied(&stage, &Request::get(path).bearer(&frozen), 401, "wrong_tenant").await;
    }
    let acme = stage.acme.issuer.token().sign();
    let at_frozen = denied(&stage, &Request::get("/frozen/billing-api/invoices").bearer(&acme), 401, "wrong_tenant").await;
    let at_nobody = denied(&stage, &Request::get("/initech/billing-api/invoices").bearer(&acme), 401, "wrong_tenant").await;
    assert_eq!(told(&at_frozen), told(&at_nobody));
    let at_frozen = denied(&stage, &Request::get("/frozen/billing-api/invoices"), 401, "no_credentials").await;
    let at_nobody = denied(&stage, &Request::get("/initech/billing-api/invoices"), 401, "no_credentials").await;
    assert_eq!(told(&at_frozen), told(&at_nobody));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_off_the_allowlist_is_not_reached() {
    let stage = Stage::contract().await;
    let acme = stage.acme.issuer.token().roles(&["tenant-admin"]).sign();
    for path in ["/acme/unlisted-api", "/acme/unlisted-api/x", "/acme/unlisted-api/x?api=billing-api"] {
        denied(&stage, &Request::get(path).header(header::API, "billing-api").bearer(&acme), 403, "tool").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_its_own_tenants_alone() {
    let stage = Stage::contract().await;
    let partner = |client: Value| Request::get("/acme/partner-api/offers").bearer(&stage.acme.issuer.token().claim("azp", client).sign());
    let seen = served(&stage, &partner(json!("acme-partner-app"))).await;
    assert_eq!(seen.header(header::SUBSCRIPTION), ["partner-client"]);
    // globex's client, nobody's, near misses, one that has expired, and one of acme's that is for another API.
    for client in ["globex-app", "nobodys-app", "ACME-PARTNER-APP", "acme-partner-app ", "", "acme-former-app", "acme-billing-app"] {
        denied(&stage, &partner(json!(client)), 403, "subscription").await;
    }
    denied(&stage, &Request::get("/acme/partner-api/offers").bearer(&stage.acme.issuer.token().sign()), 403, "subscription").await;
    let named = Request::get("/acme/partner-api/offers")
        .header(header::SUBSCRIPTION, "partner-client")
        .header("x-subscription-id", "partner-client");
    denied(&stage, &named.bearer(&stage.acme.issuer.token().sign()), 403, "subscription").await;
    // Two clients in one token, or one that is no text, are none.
    let both = stage.acme.issuer.token().claim("azp", "acme-partner-app").claim("client_id", "acme-billing-app").sign();
    denied(&stage, &Request::get("/acme/partner-api/offers").bearer(&both), 401, "invalid_token").await;
    denied(&stage, &partner(json!(["acme-partner-app"])), 401, "invalid_token").await;
    // acme's client in globex's token pays nobody's allocation.
    let globex = stage.globex.issuer.token().claim("azp", "acme-partner-app").sign();
    assert_eq!(served(&stage, &Request::get(PRODUCTS).bearer(&globex)).await.header(header::SUBSCRIPTION), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_denial_names_the_tenant_only_where_it_is_proven() {
    let stage = Stage::contract().await;
    let forged = stage.globex.issuer.token().sign_with(&stage.acme.issuer.key());
    let unproven = denied(&stage, &Request::get(PRODUCTS).bearer(&forged), 401, "invalid_token").await;
    let foreign = Request::get(PRODUCTS).bearer(&stage.acme.issuer.token().sign());
    let proven = denied(&stage, &foreign, 401, "wrong_tenant").await;
    for (answer, tenant) in [(unproven, json!(null)), (proven, json!("acme"))] {
        let decision = answer.json()["decision_id"].clone();
        // Envoy flushes its log every second.
        let line = bulkhead_tests::deadline::until("Envoy's access log", bulkhead_tests::deadline::PATIENCE, || async {
            let lines = stage.envoy.log();
            lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line["decision_id"] == decision)
        })
        .await;
        assert_eq!((&line["tenant_id"], &line["status"]), (&tenant, &json!(401)), "{line}");
    }
    let log = stage.ext_authz.log() + &stage.ratelimit.log() + &stage.envoy.log();
    assert!(!log.contains(&forged) && !log.contains("eyJ"), "a token stands in a log");
    assert_ne!(answered(&stage, &Request::get("/")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_door_opens_to_no_tenant() {
    let stage = Stage::contract().await;
    let grand = stage.acme.issuer.token().roles(&["admin", "tenant-admin", "cluster-admin"]).sign();
    for door in [stage.ext_authz.admin(), stage.ratelimit.admin()] {
        for path in ["/snapshot", "/snapshot?tenant=acme", "/explain", "/", "/metrics"] {
            for request in
                [Request::get(path), Request::get(path).bearer(&grand), Request::get(path).bearer(""), Request::get(path).key(ACME_KEY)]
            {
                let answer = request.send(door).await;
                assert!([401, 403, 404].contains(&answer.status), "{request:?}: {}", answer.status);
                assert!(!answer.text().contains("globex"), "{request:?}");
            }
        }
    }
}
