//! Credentials in the wrong number, of the wrong scheme, or of two owners.

use bulkhead_tests::client::Request;

use crate::stage::{ACME_KEY, BARE_KEY, GLOBEX_KEY, INVOICES, PRODUCTS, Stage, denied, served};

const ITEMS: &str = "/globex/catalog-api/items";
const PARTNER: &str = "/acme/partner-api/offers";

#[tokio::test(flavor = "multi_thread")]
async fn two_tokens_are_refused_whichever_of_them_is_good() {
    let stage = Stage::contract().await;
    let (acme, globex) = (stage.acme.issuer.token().sign(), stage.globex.issuer.token().sign());
    for (one, two) in [(&acme, &globex), (&globex, &acme), (&acme, &acme)] {
        for path in [INVOICES, PRODUCTS] {
            denied(&stage, &Request::get(path).bearer(one).bearer(two), 401, "invalid_token").await;
            for joined in [
                format!("Bearer {one}, Bearer {two}"),
                format!("Bearer {one},Bearer {two}"),
                format!("Bearer {one} {two}"),
                format!("Bearer {one},{two}"),
                format!("Bearer {one}; {two}"),
                format!("Bearer Bearer {one}"),
            ] {
                denied(&stage, &Request::get(path).header("Authorization", &joined), 401, "invalid_token").await;
            }
        }
    }
    // A second header that holds nothing is a second header.
    denied(&stage, &Request::get(INVOICES).bearer(&acme).header("AUTHORIZATION", "Basic YTpi"), 401, "invalid_token").await;
    denied(&stage, &Request::get(INVOICES).header("authorization", "Basic YTpi").bearer(&acme), 401, "invalid_token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_scheme_is_no_bearer_token() {
    let stage = Stage::contract().await;
    let acme = stage.acme.issuer.token().sign();
    served(&stage, &Request::get(INVOICES).header("authorization", &format!("bEARER {acme}"))).await;
    for value in [
        "Basic YWRtaW46YWRtaW4=".to_owned(),
        format!("Basic {acme}"),
        format!("Token {acme}"),
        format!("DPoP {acme}"),
        format!("Negotiate {acme}"),
        format!("Bearer:{acme}"),
        format!("Bearer\t{acme}"),
        format!("Bearer=\"{acme}\""),
        "Bearer".to_owned(),
        acme.clone(),
    ] {
        denied(&stage, &Request::get(INVOICES).header("authorization", &value), 401, "invalid_token").await;
    }
    // Nor is a token anywhere else than in its header.
    for request in [
        Request::get(&format!("{INVOICES}?access_token={acme}")),
        Request::get(INVOICES).header("cookie", &format!("access_token={acme}; KEYCLOAK_IDENTITY={acme}")),
        Request::get(INVOICES).header("proxy-authorization", &format!("Bearer {acme}")),
        Request::get(INVOICES).header("x-forwarded-access-token", &acme),
        Request::post(INVOICES, format!("access_token={acme}")).header("content-type", "application/x-www-form-urlencoded"),
    ] {
        denied(&stage, &request, 401, "no_credentials").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_api_keys_are_refused_whichever_of_them_is_good() {
    let stage = Stage::contract().await;
    for (one, two) in [(ACME_KEY, GLOBEX_KEY), (GLOBEX_KEY, ACME_KEY), (GLOBEX_KEY, GLOBEX_KEY)] {
        denied(&stage, &Request::get(ITEMS).key(one).key(two), 401, "invalid_token").await;
        for joined in [format!("{one},{two}"), format!("{one}, {two}"), format!("{one} {two}"), format!("{one};{two},")] {
            denied(&stage, &Request::get(ITEMS).header("X-API-Key", &joined), 401, "invalid_token").await;
        }
    }
    denied(&stage, &Request::get(ITEMS).key(GLOBEX_KEY).key(""), 401, "invalid_token").await;
    denied(&stage, &Request::get(ITEMS).key("").key(GLOBEX_KEY), 401, "invalid_token").await;
    served(&stage, &Request::get(ITEMS).key(GLOBEX_KEY)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_opens_its_own_tenant_and_api_and_no_other() {
    let stage = Stage::contract().await;
    let seen = served(&stage, &Request::get(PARTNER).key(ACME_KEY)).await;
    assert_eq!(seen.header("x-bulkhead-subscription"), ["partner-key"]);
    denied(&stage, &Request::get(ITEMS).key(ACME_KEY), 401, "wrong_tenant").await;
    denied(&stage, &Request::get(PRODUCTS).key(ACME_KEY), 401, "wrong_tenant").await;
    denied(&stage, &Request::get(PARTNER).key(GLOBEX_KEY), 401, "wrong_tenant").await;
    // Of the right tenant, for an API that wants a token; and beside one, for an API that the key's subscription does not cover.
    denied(&stage, &Request::get(INVOICES).key(ACME_KEY), 401, "no_credentials").await;
    denied(&stage, &Request::get(PRODUCTS).key(GLOBEX_KEY), 401, "no_credentials").await;
    denied(&stage, &Request::get(INVOICES).bearer(&stage.acme.issuer.token().sign()).key(ACME_KEY), 403, "subscription").await;
    let secret = GLOBEX_KEY.split_once('.').unwrap().1;
    for key in [
        &format!("acme.{secret}"),
        &format!("globex{secret}"),
        &format!("GLOBEX.{secret}"),
        &format!("globex..{secret}"),
        &format!(".{secret}"),
        secret,
        "globex.",
        "globex",
        &GLOBEX_KEY[..GLOBEX_KEY.len() - 1],
        &format!("{GLOBEX_KEY}0"),
        &format!("globex.{}", "k".repeat(600)),
        "sha256:855139c7261e7f29bc27ba87c10703d68c605219b121d38ffbe708d52e0b419e",
        "globex.sha256:855139c7261e7f29bc27ba87c10703d68c605219b121d38ffbe708d52e0b419e",
        "*",
        "globex.*",
    ] {
        denied(&stage, &Request::get(ITEMS).key(key), 401, "invalid_token").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_a_tenant_part_belongs_to_the_addressed_tenant_or_to_nobody() {
    let stage = Stage::contract().await;
    assert_eq!(served(&stage, &Request::get(PARTNER).key(BARE_KEY)).await.upstream, "acme-orders");
    denied(&stage, &Request::get(ITEMS).key(BARE_KEY), 401, "invalid_token").await;
    denied(&stage, &Request::get("/initech/partner-api/offers").key(BARE_KEY), 401, "invalid_token").await;
    // Host and path disagree: the address names nobody whose key it could be.
    denied(&stage, &Request::get(PARTNER).host("inventory.globex.example.com").key(BARE_KEY), 401, "invalid_token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_one_tenant_beside_a_token_of_another_is_refused_by_both() {
    let stage = Stage::contract().await;
    let (acme, globex) = (stage.acme.issuer.token().sign(), stage.globex.issuer.token().sign());
    for path in [INVOICES, PARTNER, PRODUCTS, ITEMS] {
        denied(&stage, &Request::get(path).bearer(&acme).key(GLOBEX_KEY), 401, "invalid_token").await;
        denied(&stage, &Request::get(path).bearer(&globex).key(ACME_KEY), 401, "invalid_token").await;
    }
    // One good credential does not make up for a bad one beside it.
    denied(&stage, &Request::get(ITEMS).bearer("a.b.c").key(GLOBEX_KEY), 401, "invalid_token").await;
    denied(&stage, &Request::get(ITEMS).bearer(&globex).key("globex.another"), 401, "invalid_token").await;
    denied(&stage, &Request::get(INVOICES).bearer(&acme).key(""), 401, "invalid_token").await;
    // Nor do two subscriptions of one tenant add up.
    let partner = stage.acme.issuer.token().claim("azp", "acme-partner-app").sign();
    denied(&stage, &Request::get(PARTNER).bearer(&partner).key(ACME_KEY), 401, "invalid_token").await;
    served(&stage, &Request::get(PARTNER).bearer(&acme).key(ACME_KEY)).await;
}
