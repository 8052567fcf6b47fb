//! Issuers that only look like a tenant's. Even the right key does not help them, and nobody is asked for theirs.

use bulkhead_tests::{client::Request, issuer::Issuer, shared::Shared, world::World};
use serde_json::{Value, json};

use crate::stage::{PRODUCTS, denied, unhurried};

/// Nobody authenticates in this world, so nobody's keys are ever fetched in it.
async fn strangers() -> std::sync::Arc<World> {
    static WORLD: Shared<World> = Shared::new();
    WORLD.get(|| World::builder().config(unhurried).start()).await
}

/// Refused whoever signs: the look-alike's owner, another tenant, and the victim's issuer itself.
async fn refused(world: &World, issuers: &[Value]) {
    for issuer in issuers {
        let token = world.globex.issuer.token().claim("iss", issuer.clone());
        for token in [token.sign(), token.sign_with(&world.acme.issuer.key())] {
            denied(world, &Request::get(PRODUCTS).bearer(&token), 401, "invalid_token").await;
        }
    }
    for issuer in [&world.acme.issuer, &world.globex.issuer] {
        assert_eq!((issuer.key_fetches(), issuer.discoveries()), (0, 0), "a stranger's token made somebody fetch");
    }
}

fn texts(issuers: &[&str]) -> Vec<Value> {
    issuers.iter().map(|issuer| json!(issuer)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_or_a_suffix_of_an_issuer_is_another_issuer() {
    let world = strangers().await;
    refused(
        &world,
        &texts(&[
            "https://auth.gostoa.dev/realms/tenant-globe",
            "https://auth.gostoa.dev/realms/tenant-",
            "https://auth.gostoa.dev/realms/",
            "https://auth.gostoa.dev",
            "h",
            "",
            "https://auth.gostoa.dev/realms/tenant-globex2",
            "https://auth.gostoa.dev/realms/tenant-globex-evil",
            "https://auth.gostoa.dev/realms/tenant-globex.evil.example",
            "https://auth.gostoa.dev/realms/tenant-globex/protocol/openid-connect",
            "https://auth.gostoa.dev/realms/tenant-globex?realm=tenant-acme",
            "https://auth.gostoa.dev/realms/tenant-globex#",
            "https://auth.gostoa.dev/realms/tenant-{tenant}",
            "xhttps://auth.gostoa.dev/realms/tenant-globex",
            "auth.gostoa.dev/realms/tenant-globex",
            "tenant-globex",
        ]),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_compared_as_it_is_written_and_never_normalised() {
    let world = strangers().await;
    refused(
        &world,
        &texts(&[
            "https://auth.gostoa.dev/realms/tenant-globex/",
            "https://auth.gostoa.dev/realms/tenant-globex//",
            "https://auth.gostoa.dev//realms/tenant-globex",
            "https://auth.gostoa.dev/./realms/tenant-globex",
            "https://auth.gostoa.dev/realms/tenant-acme/../tenant-globex",
            "HTTPS://auth.gostoa.dev/realms/tenant-globex",
            "https://AUTH.gostoa.dev/realms/tenant-globex",
            "https://auth.gostoa.dev/realms/Tenant-Globex",
            "https://auth.gostoa.dev./realms/tenant-globex",
            "https://auth.gostoa.dev:443/realms/tenant-globex",
            "https://auth.gostoa.dev:/realms/tenant-globex",
            "http://auth.gostoa.dev/realms/tenant-globex",
            "https://auth.gostoa.dev/realms/tenant%2Dglobex",
            "https://auth.gostoa.dev/realms/tenant-%67lobex",
            "https://auth.gostoa.dev/realms/tenant-globex%00",
            "https://auth.gostoa.dev/realms/tenant-globex\u{0}",
            " https://auth.gostoa.dev/realms/tenant-globex",
            "https://auth.gostoa.dev/realms/tenant-globex ",
            "https://auth.gostoa.dev/realms/tenant-globex\n",
            "https:\\\\auth.gostoa.dev\\realms\\tenant-globex",
        ]),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_with_somebody_elses_host_or_letters_is_nobodys() {
    let world = strangers().await;
    refused(
        &world,
        &texts(&[
            "https://auth.gostoa.dev@evil.example/realms/tenant-globex",
            "https://evil@auth.gostoa.dev/realms/tenant-globex",
            "https://evil.example/realms/tenant-globex",
            "https://evil.example/https://auth.gostoa.dev/realms/tenant-globex",
            "https://auth.gostoa.dev.evil.example/realms/tenant-globex",
            "https://auth.gostoa.dev%2eevil.example/realms/tenant-globex",
            // Cyrillic o, Greek omicron, full width, a zero-width space, a soft hyphen, and a combining mark.
            "https://auth.g\u{43e}stoa.dev/realms/tenant-globex",
            "https://auth.gostoa.dev/realms/tenant-gl\u{3bf}bex",
            "https://auth.gostoa.dev/realms/tenant-\u{ff47}lobex",
            "https://auth.gostoa.dev/realms/tenant-glo\u{200b}bex",
            "https://auth.gostoa.dev/realms/tenant\u{ad}-globex",
            "https://auth.gostoa.dev/realms/tenant-globe\u{301}x",
            "https://xn--auth-gstoa-tk0b.dev/realms/tenant-globex",
        ]),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_no_text_is_none() {
    let world = strangers().await;
    let globex = world.globex.issuer.issuer();
    refused(
        &world,
        &[json!([globex]), json!([globex, "https://evil.example"]), json!({ "iss": globex }), json!(null), json!(true), json!(1)],
    )
    .await;
    let without = world.globex.issuer.token().without("iss");
    denied(&world, &Request::get(PRODUCTS).bearer(&without.sign()), 401, "invalid_token").await;
    refused(&world, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_issuer_that_waits_to_be_asked_is_never_asked() {
    let world = strangers().await;
    let evil = Issuer::discoverable("globex").await;
    for token in [evil.token(), evil.token().header("kid", "another"), evil.token().header("jku", evil.jwks_uri())] {
        denied(&world, &Request::get(PRODUCTS).bearer(&token.sign()), 401, "invalid_token").await;
    }
    assert_eq!((evil.key_fetches(), evil.discoveries()), (0, 0));
    refused(&world, &[]).await;
}
