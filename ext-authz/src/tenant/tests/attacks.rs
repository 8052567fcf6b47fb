//! Tokens that are almost right.

use super::*;

#[tokio::test]
async fn s19_an_issuer_that_only_looks_like_one_is_nobodys_and_nothing_is_fetched() {
    let world = World::new();
    let variants = [
        "https://auth.example/realms/tenant-acm".to_owned(),
        "https://auth.example/realms/tenant-acme2".to_owned(),
        format!("{ACME}/"),
        format!("{ACME}?"),
        format!("{ACME}#x"),
        format!(" {ACME}"),
        ACME.to_uppercase(),
        ACME.replace("https", "HTTPS"),
        ACME.replace("auth.example", "AUTH.example"),
        ACME.replace("auth.example", "auth.example."),
        ACME.replace("https://", "http://"),
        ACME.replace("https://", "https://user@"),
        ACME.replace("auth.example", "auth.example:443"),
        ACME.replace("auth.example", "auth.example@evil.example"),
        ACME.replace("realms/", "realms/x/../"),
        ACME.replace("tenant-", "tenant%2D"),
        ACME.replace("acme", "acme\u{0}"),
        "https://evil.example/realms/tenant-acme".to_owned(),
        String::new(),
    ];
    for variant in variants {
        let token = signer(ACME).token("k", &claims(&variant));
        assert_eq!(world.token(&token, Some("acme")).await, Err(Reason::InvalidToken), "{variant:?}");
    }
    assert_eq!(world.provider.asked(), 0);
}

#[tokio::test]
async fn s19_a_tenants_key_signs_for_no_other_tenants_issuer() {
    let world = World::new();
    let forged = signer(GLOBEX).token("k", &claims(ACME));
    for name in [Some("acme"), Some("globex"), None] {
        assert_eq!(world.token(&forged, name).await, Err(Reason::InvalidToken));
    }
}

#[tokio::test]
async fn s19_no_confusion_of_algorithms_passes_the_whole_way() {
    let world = World::new();
    let rsa = Signer::rsa(0);
    world.provider.set(ACME, Answer::Keys(vec![rsa.jwk("k")]));
    let body = claims(ACME);
    assert_eq!(world.token(&rsa.token("k", &body), Some("acme")).await.as_deref(), Ok("acme"));
    let modulus = rsa.jwk("k")["n"].as_str().map(|n| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(n).unwrap()).unwrap();
    let hmac = {
        let message = format!("{}.{}", testing::base64(json!({"alg": "HS256", "kid": "k"}).to_string()), testing::base64(body.to_string()));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &modulus);
        format!("{message}.{}", testing::base64(aws_lc_rs::hmac::sign(&key, message.as_bytes())))
    };
    let none = format!("{}.{}.", testing::base64(r#"{"alg":"none"}"#), testing::base64(body.to_string()));
    let evil = Signer::p256();
    for (attack, token) in [
        ("HS256 with the public key", hmac),
        ("none", none),
        ("none, with a signature", rsa.token_with(&json!({"alg": "none"}), &body)),
        ("ES256 by another key under the RSA key's kid", evil.token("k", &body)),
        ("RS256 by another RSA key", Signer::rsa(1).token("k", &body)),
        ("PS256 said, RS256 signed", rsa.token_with(&json!({"alg": "PS256", "kid": "k"}), &body)),
        ("embedded jwk", evil.token_with(&json!({"alg": "ES256", "jwk": evil.jwk("k")}), &body)),
        ("jku", evil.token_with(&json!({"alg": "ES256", "jku": "https://evil.example/jwks", "kid": "k"}), &body)),
        ("x5u", evil.token_with(&json!({"alg": "ES256", "x5u": "https://evil.example/cert", "kid": "k"}), &body)),
        ("crit", rsa.token_with(&json!({"alg": "RS256", "kid": "k", "crit": ["exp"]}), &body)),
    ] {
        assert_eq!(world.token(&token, Some("acme")).await, Err(Reason::InvalidToken), "{attack}");
    }
}

#[tokio::test]
async fn s19_expired_early_and_endless_tokens_are_refused() {
    let world = World::new();
    for (others, fine) in [
        (json!({"exp": NOW_S - 29}), true),
        (json!({"exp": NOW_S - 30}), false),
        (json!({"exp": null}), false),
        (json!({"exp": "never"}), false),
        (json!({"nbf": NOW_S + 30}), true),
        (json!({"nbf": NOW_S + 31}), false),
        (json!({"iat": "today"}), false),
    ] {
        assert_eq!(world.token(&token_with(ACME, others.clone()), Some("acme")).await.is_ok(), fine, "{others}");
    }
}

#[tokio::test]
async fn s19_a_configured_audience_must_be_named() {
    let written = Written { issuer: "audiences: [gateway]", ..PLAIN };
    let world = World::with(written, Settings::default());
    assert_eq!(world.token(&token_with(ACME, json!({"aud": ["x", "gateway"]})), None).await.as_deref(), Ok("acme"));
    for aud in [json!(null), json!("account"), json!(["account"])] {
        assert_eq!(world.token(&token_with(ACME, json!({"aud": aud})), None).await, Err(Reason::InvalidToken));
    }
}

#[tokio::test]
async fn s19_the_issuers_algorithms_are_the_outer_bound() {
    let written = Written { issuer: "algorithms: [RS256]", ..PLAIN };
    let world = World::with(written, Settings::default());
    // Its only key is of another kind, so it has none that may be used.
    assert_eq!(world.token(&token_of(ACME), Some("acme")).await, Err(Reason::InvalidToken));
    world.provider.set(ACME, Answer::Keys(vec![signer(ACME).jwk("k"), Signer::rsa(0).jwk("r")]));
    world.clock.advance_us(60_000_000);
    assert_eq!(world.token(&token_of(ACME), Some("acme")).await, Err(Reason::InvalidToken));
    assert_eq!(world.token(&Signer::rsa(0).token("r", &claims(ACME)), Some("acme")).await.as_deref(), Ok("acme"));
}

#[tokio::test]
async fn s18_a_storm_of_unknown_kids_is_one_fetch_and_spoils_nothing() {
    let world = World::new();
    assert!(world.token(&token_of(ACME), None).await.is_ok());
    world.clock.advance_us(11_000_000);
    for kid in 0..100 {
        let token = Signer::ed25519().token(&format!("kid-{kid}"), &claims(ACME));
        assert_eq!(world.token(&token, None).await, Err(Reason::InvalidToken));
    }
    assert_eq!(world.provider.asked(), 2);
    // A token that names a key which is there, and does not verify, may be of a new key under the old name: one look, no more.
    world.clock.advance_us(11_000_000);
    for number in 0..20 {
        let forged = Signer::ed25519().token("k", &with(claims(ACME), json!({"jti": number})));
        assert_eq!(world.token(&forged, None).await, Err(Reason::InvalidToken));
    }
    assert_eq!(world.provider.asked(), 3);
    assert!(world.token(&token_with(ACME, json!({"jti": "fresh"})), None).await.is_ok());
}

#[tokio::test]
async fn s19_what_may_be_an_id_token_wants_an_audience_that_the_issuer_lists() {
    let hashed = |others: Value| token_with(ACME, with(json!({"at_hash": "x"}), others));
    let listed = World::with(Written { issuer: "audiences: [gateway]", ..PLAIN }, Settings::default());
    assert_eq!(listed.token(&hashed(json!({"aud": "gateway"})), Some("acme")).await.as_deref(), Ok("acme"));
    assert_eq!(listed.token(&hashed(json!({"aud": "spa"})), Some("acme")).await, Err(Reason::InvalidToken));
    assert_eq!(World::new().token(&hashed(json!({"aud": "gateway"})), Some("acme")).await, Err(Reason::InvalidToken));
}

#[tokio::test]
async fn s19_the_key_that_a_token_names_is_tried_before_those_without_a_name() {
    let world = World::new();
    let nameless = |_| {
        let mut jwk = Signer::p256().jwk("k");
        jwk.as_object_mut().map(|jwk| jwk.remove("kid"));
        jwk
    };
    let (named, last) = (Signer::p256(), Signer::p256());
    let mut last_jwk = last.jwk("k");
    last_jwk.as_object_mut().map(|jwk| jwk.remove("kid"));
    world.provider.set(ACME, Answer::Keys((0..7).map(nameless).chain([last_jwk, named.jwk("a1")]).collect()));
    assert_eq!(world.token(&named.token("a1", &claims(ACME)), Some("acme")).await.as_deref(), Ok("acme"));
    assert_eq!(world.token(&last.token("b1", &claims(ACME)), Some("acme")).await.as_deref(), Ok("acme"), "eight are tried");
}

#[tokio::test]
async fn a_key_that_the_provider_adds_verifies_the_first_token_that_names_it() {
    let world = World::new();
    assert!(world.token(&token_of(ACME), None).await.is_ok());
    let next = Signer::p256();
    world.provider.set(ACME, Answer::Keys(vec![signer(ACME).jwk("k"), next.jwk("next")]));
    world.clock.advance_us(11_000_000);
    assert_eq!(world.token(&next.token("next", &claims(ACME)), None).await.as_deref(), Ok("acme"));
    // A token that names no key is tried with newer ones, too, but no oftener.
    let unnamed = Signer::p384();
    world.provider.set(ACME, Answer::Keys(vec![unnamed.jwk("u")]));
    let token = unnamed.token_with(&json!({"alg": "ES384"}), &claims(ACME));
    assert_eq!(world.token(&token, None).await, Err(Reason::InvalidToken));
    world.clock.advance_us(11_000_000);
    assert_eq!(world.token(&token, None).await.as_deref(), Ok("acme"));
}

#[tokio::test]
async fn a_new_key_under_an_old_name_is_followed() {
    let world = World::new();
    assert!(world.token(&token_of(ACME), None).await.is_ok());
    let next = Signer::ed25519();
    world.provider.set(ACME, Answer::Keys(vec![next.jwk("k")]));
    world.clock.advance_us(11_000_000);
    assert_eq!(world.token(&next.token("k", &claims(ACME)), None).await.as_deref(), Ok("acme"));
    assert_eq!(world.token(&token_of(ACME), None).await, Err(Reason::InvalidToken), "the key that it replaced");
}

/// Strangers ask for keys that do not exist, all the time and from everywhere. Who comes with a token of a new key is served all the same.
#[tokio::test]
async fn s18_strangers_cannot_keep_a_new_key_from_being_found() {
    let world = World::new();
    assert!(world.token(&token_of(ACME), None).await.is_ok());
    let from = async |source: String, token: String| {
        world.who(Ask { token: Some(&token), name: Some("acme"), source: Some(&source), ..Ask::default() }).await
    };
    let strange = |number: usize| Signer::ed25519().token(&format!("kid-{number}"), &claims(ACME));
    // One source: its first token is looked into, the others wait for their turn of ten seconds.
    world.clock.advance_us(11_000_000);
    for number in 0..50 {
        assert_eq!(from("192.0.2.1".to_owned(), strange(number)).await, Err(Reason::InvalidToken));
    }
    assert_eq!(world.provider.asked(), 2);
    world.clock.advance_us(1_000_000);
    assert_eq!(from("192.0.2.1".to_owned(), strange(50)).await, Err(Reason::InvalidToken));
    assert_eq!(world.provider.asked(), 2);
    let next = Signer::p256();
    world.provider.set(ACME, Answer::Keys(vec![signer(ACME).jwk("k"), next.jwk("next")]));
    let rotated = |number: usize| next.token("next", &with(claims(ACME), json!({"jti": number})));
    assert_eq!(from("198.51.100.1".to_owned(), rotated(0)).await.as_deref(), Ok("acme"));
    assert_eq!(world.provider.asked(), 3);

    // Many sources, each for the first time: the provider is asked once a second, and nobody is told that a key does not exist before
    // somebody has looked.
    let last = Signer::p256();
    for number in 100..200 {
        let answer = from(format!("203.0.113.{number}"), strange(number)).await;
        assert!(matches!(answer, Err(Reason::Unavailable)), "{number}: {answer:?}");
    }
    world.provider.set(ACME, Answer::Keys(vec![last.jwk("last")]));
    let token = last.token("last", &claims(ACME));
    assert_eq!(from("198.51.100.2".to_owned(), token.clone()).await, Err(Reason::Unavailable), "and not 401");
    world.clock.advance_us(1_000_000);
    assert_eq!(from("198.51.100.2".to_owned(), token).await.as_deref(), Ok("acme"));
    assert_eq!(world.provider.asked(), 4);
}
