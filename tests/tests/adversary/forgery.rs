//! Tokens that the victim's issuer never signed. Each is at the victim's own address, so nothing but the signature stands in its way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bulkhead_tests::{
    client::Request,
    issuer::{
        key::Key,
        token::{Token, jws},
    },
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stage::{INVOICES, PRODUCTS, Stage, answered, denied, served};

async fn forged(stage: &Stage, token: &str) {
    denied(stage, &Request::get(PRODUCTS).bearer(token), 401, "invalid_token").await;
}

/// The same text, signed with HMAC SHA-256 under another name of the algorithm, if need be.
fn with_secret(token: &Token, secret: &[u8]) -> String {
    token.clone().sign_hs256(secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_asks_for_no_algorithm_is_refused_in_every_spelling() {
    let stage = Stage::contract().await;
    let genuine = stage.globex.issuer.token();
    served(&stage, &Request::get(PRODUCTS).bearer(&genuine.sign())).await;
    for algorithm in
        [json!("none"), json!("None"), json!("NONE"), json!("nOnE"), json!("none "), json!(""), json!(null), json!(["none"]), json!(0)]
    {
        let header = json!({ "alg": algorithm, "typ": "JWT", "kid": stage.globex.issuer.key().kid() }).to_string();
        let claims = genuine.claims().to_string();
        let right = jws(&header, &claims, |message| stage.globex.issuer.key().sign(message));
        let unsigned = jws(&header, &claims, |_| Vec::new());
        for token in [&right, &unsigned, unsigned.trim_end_matches('.'), &jws(&header, &claims, |_| vec![0; 256])] {
            forged(&stage, token).await;
        }
    }
    forged(&stage, &genuine.clone().without_header("alg").sign()).await;
    // The victim's own signature cut off, or of another length.
    let whole = genuine.sign();
    let (message, signature) = whole.rsplit_once('.').unwrap();
    for signature in ["", "AA", &signature[..signature.len() / 2], &format!("{signature}AAAA")] {
        forged(&stage, &format!("{message}.{signature}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_key_is_no_secret_in_any_of_its_forms() {
    let stage = Stage::contract().await;
    let key = stage.globex.issuer.key();
    let genuine = stage.globex.issuer.token();
    let pem = key.public_pem();
    let inner: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let jwk = key.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let text = jwk.to_string();
    let secrets: [&[u8]; 8] = [
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        inner.as_bytes(),
        &STANDARD.decode(&inner).unwrap(),
        &modulus,
        jwk["n"].as_str().unwrap().as_bytes(),
        text.as_bytes(),
        b"",
    ];
    for secret in secrets {
        forged(&stage, &with_secret(&genuine, secret)).await;
        forged(&stage, &with_secret(&genuine.clone().without_header("kid"), secret)).await;
        // The same signature under the name of the key's own algorithm.
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": key.kid() }).to_string();
        let hmac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let claims = genuine.claims().to_string();
        forged(&stage, &jws(&header, &claims, |message| aws_lc_rs::hmac::sign(&hmac, message).as_ref().to_vec())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_id_is_looked_up_and_never_followed() {
    let stage = Stage::contract().await;
    let own = Key::rs256("globex-1");
    let genuine = stage.globex.issuer.token();
    let (fetched, started) = (stage.globex.issuer.key_fetches(), std::time::Instant::now());
    let tricks = [
        json!("../../../../../../dev/null"),
        json!("/dev/null"),
        json!("file:///etc/hostname"),
        json!("' UNION SELECT 'secret' --"),
        json!("$(touch /tmp/x)|true"),
        json!("${jndi:ldap://127.0.0.1/x}"),
        json!("globex-1\u{0}"),
        json!("globex-1 "),
        json!("GLOBEX-1"),
        json!(""),
        json!("k".repeat(257)),
        json!("k".repeat(10_000)),
        json!(1),
        json!(null),
        json!(["globex-1"]),
        json!({ "globex-1": true }),
        json!(stage.acme.issuer.key().kid()),
        json!(stage.acme.issuer.jwks_uri()),
    ];
    for kid in tricks {
        let token = genuine.clone().header("kid", kid);
        forged(&stage, &token.sign_with(&own)).await;
        // What lies at /dev/null, and a text that a query could be made to answer.
        forged(&stage, &with_secret(&token, b"")).await;
        forged(&stage, &with_secret(&token, b"secret")).await;
    }
    forged(&stage, &genuine.clone().without_header("kid").sign_with(&own)).await;
    forged(&stage, &genuine.sign_with(&own)).await;
    // An unknown key id may ask for newer keys, at the most every ten seconds (S18). The other tests of this stage may have been the first to ask.
    let most = 2 + started.elapsed().as_secs() / 10;
    assert!(stage.globex.issuer.key_fetches() - fetched <= most, "more than {most} fetches");
}

/// A listener that counts who comes.
async fn trap() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let visitors = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&visitors);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (origin, visitors)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_token_brings_or_points_to_is_never_used_nor_fetched() {
    let stage = Stage::contract().await;
    let (origin, visitors) = trap().await;
    let own = Key::rs256("of-the-attacker");
    let genuine = stage.globex.issuer.token();
    let certificate = rcgen::generate_simple_self_signed(["globex".to_owned()]).unwrap();
    let chain = json!([STANDARD.encode(certificate.cert.der())]);
    let brought: [(&str, Value); 6] = [
        ("jku", json!(format!("{origin}/jwks.json"))),
        ("jku", json!(format!("https://auth.gostoa.dev/realms/tenant-globex/../../{origin}"))),
        ("x5u", json!(format!("{origin}/chain.pem"))),
        ("x5c", chain),
        ("jwk", own.jwk()),
        ("jwks", json!({ "keys": [own.jwk()] })),
    ];
    for (member, value) in brought {
        for kid in [json!(own.kid()), json!("globex-1"), json!(format!("{origin}/key"))] {
            forged(&stage, &genuine.clone().header(member, value.clone()).header("kid", kid).sign_with(&own)).await;
        }
        forged(&stage, &genuine.clone().header(member, value).without_header("kid").sign_with(&own)).await;
    }
    forged(&stage, &genuine.clone().header("kid", own.kid()).claim("iss", origin.as_str()).sign_with(&own)).await;
    forged(&stage, &genuine.clone().claim("jwks_uri", format!("{origin}/jwks")).claim("jku", origin.as_str()).sign_with(&own)).await;
    // An honest provider may send one: it verifies by its own published key, and is followed no more.
    served(&stage, &Request::get(PRODUCTS).bearer(&genuine.clone().header("jku", format!("{origin}/jwks.json")).sign())).await;
    assert_eq!(visitors.load(Ordering::SeqCst), 0, "somebody followed the token");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_key_signs_for_nobody_else() {
    let stage = Stage::contract().await;
    let acme = stage.acme.issuer.key();
    let of_globex = stage.globex.issuer.token();
    forged(&stage, &of_globex.sign_with(&acme)).await;
    forged(&stage, &of_globex.clone().header("kid", acme.kid()).sign_with(&acme)).await;
    forged(&stage, &of_globex.clone().without_header("kid").sign_with(&acme)).await;
    // acme's own issuer, truly signed, that claims to speak of globex; also in names that nobody reads.
    let of_acme = stage.acme.issuer.token();
    forged(&stage, &of_acme.clone().claim("tenant_id", "globex").sign()).await;
    let posing = of_acme.clone().claim("tenant", "globex").claim("namespace", "tenant-globex").claim("azp", "globex-app").sign();
    denied(&stage, &Request::get(PRODUCTS).bearer(&posing), 401, "wrong_tenant").await;
    served(&stage, &Request::get(INVOICES).bearer(&of_acme.sign())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_verifies_only_as_what_its_key_is_for() {
    let stage = Stage::contract().await;
    let (key, curve) = (stage.globex.issuer.key(), &stage.curve);
    let genuine = stage.globex.issuer.token();
    let on_curve = genuine.clone().header("alg", "ES256").header("kid", curve.kid());
    served(&stage, &Request::get(PRODUCTS).bearer(&on_curve.sign_with(curve))).await;

    for algorithm in ["ES256", "ES384", "PS256", "RS384", "RS512", "EdDSA", "HS256", "RS1", "rs256", "RSA", "ES256K"] {
        forged(&stage, &genuine.clone().header("alg", algorithm).sign()).await;
        forged(&stage, &genuine.clone().header("alg", algorithm).without_header("kid").sign()).await;
    }
    for algorithm in ["RS256", "PS256", "ES384", "ES512", "EdDSA", "es256"] {
        forged(&stage, &on_curve.clone().header("alg", algorithm).sign_with(curve)).await;
        forged(&stage, &genuine.clone().header("alg", algorithm).sign_with(curve)).await;
    }
    forged(&stage, &on_curve.sign_with(&key)).await;
    forged(&stage, &genuine.sign_with(curve)).await;
    // Zeros, which verify everything where nobody checks their range; ones; and numbers as large as the field.
    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": curve.kid() }).to_string();
    for signature in
        [vec![0; 64], [vec![0; 31], vec![1], vec![0; 31], vec![1]].concat(), vec![0xff; 64], vec![0; 63], vec![0x30, 6, 2, 1, 0, 2, 1, 0]]
    {
        forged(&stage, &jws(&header, &genuine.claims().to_string(), |_| signature)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_of_one_token_alone() {
    let stage = Stage::contract().await;
    let genuine = stage.globex.issuer.token().sign();
    let acme = stage.acme.issuer.token().sign();
    let part = |token: &str, nth: usize| token.split('.').nth(nth).unwrap().to_owned();
    let admin =
        URL_SAFE_NO_PAD.encode(stage.globex.issuer.token().roles(&["tenant-admin"]).claim("sub", "somebody-else").claims().to_string());
    served(&stage, &Request::get(PRODUCTS).bearer(&genuine)).await;
    for token in [
        format!("{}.{admin}.{}", part(&genuine, 0), part(&genuine, 2)),
        format!("{}.{}.{}", part(&genuine, 0), part(&genuine, 1), part(&acme, 2)),
        format!("{}.{}.{}", part(&acme, 0), part(&genuine, 1), part(&acme, 2)),
        format!("{}.{}.{}", part(&acme, 0), part(&genuine, 1), part(&genuine, 2)),
    ] {
        // Twice: a refusal is not remembered as anything else.
        for _ in 0..2 {
            assert_eq!(answered(&stage, &Request::get(PRODUCTS).bearer(&token)).await.reason(), "invalid_token");
        }
    }
}
