//! Tokens that somebody signed for another purpose, and headers of a token that ask for what nobody here does.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bulkhead_proto::contract::header;
use bulkhead_tests::{client::Request, issuer::token::jws, world::World};
use serde_json::json;

use crate::stage::{INVOICES, PRODUCTS, Stage, denied, served, unhurried};

/// An upstream has a context token of each request. It is no access token: not of its own tenant, not of another, and under no name of an issuer.
#[tokio::test(flavor = "multi_thread")]
async fn a_context_token_is_no_way_back_in() {
    let world = World::builder().valkey().config(unhurried);
    let world =
        world.config(|config| config.edit("platform.yaml", |platform| platform["spec"]["contextToken"] = json!({ "enabled": true })));
    let world = world.start().await;
    let acme = world.acme.issuer.token();
    let seen = served(&world, &Request::get(INVOICES).bearer(&acme.sign())).await;
    let [context] = seen.header(header::CONTEXT)[..] else { panic!("one context token") };
    for path in [INVOICES, PRODUCTS] {
        denied(&world, &Request::get(path).bearer(context), 401, "invalid_token").await;
        denied(&world, &Request::get(path).header(header::CONTEXT, context), 401, "no_credentials").await;
    }
    // Its claims under the issuer's name, with its signature; and its type over claims that the issuer did sign.
    let [head, _, signature] = context.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let claims = URL_SAFE_NO_PAD.encode(acme.claims().to_string());
    denied(&world, &Request::get(INVOICES).bearer(&format!("{head}.{claims}.{signature}")), 401, "invalid_token").await;
    denied(&world, &Request::get(INVOICES).bearer(&acme.clone().header("typ", "bulkhead-context+jwt").sign()), 401, "invalid_token").await;
    // A client that sends one along is not believed, and the upstream sees the gateway's own.
    let again = served(&world, &Request::get(INVOICES).bearer(&acme.sign()).header(header::CONTEXT, context)).await;
    assert!(again.header(header::CONTEXT).len() == 1 && again.header(header::CONTEXT) != [context]);
}

/// A signature over a payload that is not encoded (RFC 7797), a derivation that would take hours, a token in a token: also under the issuer's own key.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_header_asks_for_more_than_a_signature_is_refused() {
    let stage = Stage::contract().await;
    let genuine = stage.globex.issuer.token();
    let key = stage.globex.issuer.key();
    // A payload that is not encoded (RFC 7797), with a signature over it as it stands; a derivation that would take hours (RFC 8725 section 3.14).
    let header = json!({ "alg": "RS256", "b64": false, "crit": ["b64"], "kid": key.kid() }).to_string();
    let head = URL_SAFE_NO_PAD.encode(&header);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(format!("{head}.{}", genuine.claims()).as_bytes()));
    denied(&stage, &Request::get(PRODUCTS).bearer(&format!("{head}..{signature}")), 401, "invalid_token").await;
    let slow = json!({ "alg": "PBES2-HS256+A128KW", "enc": "A128CBC-HS256", "p2c": u64::MAX, "p2s": "AAAA" }).to_string();
    let slow = jws(&slow, &genuine.claims().to_string(), |_| vec![0; 32]);
    denied(&stage, &Request::get(PRODUCTS).bearer(&slow), 401, "invalid_token").await;
    denied(&stage, &Request::get(PRODUCTS).bearer(&format!("{slow}.AAAA.AAAA")), 401, "invalid_token").await;
    // A whole token as the payload of another (`cty: JWT`, RFC 7519 section 5.2).
    let nested = jws(&json!({ "alg": "RS256", "cty": "JWT", "kid": key.kid() }).to_string(), &genuine.sign(), |message| key.sign(message));
    denied(&stage, &Request::get(PRODUCTS).bearer(&nested), 401, "invalid_token").await;
}

/// Claims that parsers of JSON read differently, or not at all (RFC 8259 section 8), under the issuer's own signature.
#[tokio::test(flavor = "multi_thread")]
async fn claims_that_only_some_parsers_read_are_read_by_nobody() {
    let stage = Stage::contract().await;
    let genuine = stage.globex.issuer.token();
    let claims = genuine.claims().to_string();
    let open = claims.strip_suffix('}').expect("an object");
    served(&stage, &Request::get(PRODUCTS).bearer(&genuine.sign_text(&format!(" \n{claims}\t ")))).await;
    for text in [
        format!("\u{feff}{claims}"),
        format!("{claims}{claims}"),
        format!("{claims}\u{0}"),
        format!("{open},}}"),
        format!("/**/{claims}"),
        format!("{open} // }}\n}}"),
        format!("{open}, 'sub': 'admin' }}"),
        format!("{open}, more: 1 }}"),
        format!(r#"{open}, "more": 01 }}"#),
        format!(r#"{open}, "more": +1 }}"#),
        format!(r#"{open}, "more": .5 }}"#),
        format!(r#"{open}, "more": NaN }}"#),
        format!(r#"{open}, "more": "\ud800" }}"#),
        format!(r#"{open}, "more": "\x41" }}"#),
        format!("{open}, \"more\": \"a\nb\" }}"),
        format!(r#"{open}, "more": {}1{} }}"#, "[".repeat(1_000), "]".repeat(1_000)),
        format!("[{claims}]"),
        format!("{:?}", claims),
        claims.replace("\"iss\"", "\"Iss\""),
        claims.replace("\"exp\"", "\"exp\\u0000\""),
    ] {
        denied(&stage, &Request::get(PRODUCTS).bearer(&genuine.sign_text(&text)), 401, "invalid_token").await;
    }
}
