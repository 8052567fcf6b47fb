//! Tokens that the issuer did sign, and that prove nobody all the same: their time, audience, tenant or kind is wrong, or they say two things.

use bulkhead_tests::{
    client::Request,
    issuer::token::{Token, jws, now},
};
use serde_json::{Value, json};

use crate::stage::{INVOICES, PRODUCTS, Stage, denied, served};

async fn refused(stage: &Stage, token: &str) {
    denied(stage, &Request::get(PRODUCTS).bearer(token), 401, "invalid_token").await;
}

/// Claims as text, with one more member written at the end.
fn with_member(token: &Token, member: &str) -> String {
    let claims = token.claims().to_string();
    format!("{}, {member}}}", claims.strip_suffix('}').unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_an_early_and_an_endless_token_are_refused() {
    let stage = Stage::contract().await;
    let genuine = stage.globex.issuer.token();
    served(&stage, &Request::get(PRODUCTS).bearer(&genuine.clone().claim("nbf", now() - 5).sign())).await;
    refused(&stage, &genuine.clone().claim("exp", now() - 3600).sign()).await;
    refused(&stage, &genuine.clone().claim("exp", 0).sign()).await;
    refused(&stage, &genuine.clone().claim("nbf", now() + 3600).sign()).await;
    refused(&stage, &genuine.clone().without("exp").sign()).await;
    for never in [json!(null), json!(""), json!("4102444800"), json!([now() + 300]), json!(-1), json!(1e300), json!(true), json!({})] {
        refused(&stage, &genuine.clone().claim("exp", never.clone()).sign()).await;
        refused(&stage, &genuine.clone().claim("nbf", never).sign()).await;
    }
    for number in ["1e400", "Infinity", "NaN", "99999999999999999999999999", "0x7fffffff"] {
        let claims = with_member(&genuine.clone().without("exp"), &format!(r#""exp": {number}"#));
        refused(&stage, &genuine.sign_text(&claims)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_audience_is_refused() {
    let stage = Stage::contract().await;
    let genuine = stage.globex.issuer.token();
    served(&stage, &Request::get(PRODUCTS).bearer(&genuine.clone().claim("aud", json!(["account", "gateway"])).sign())).await;
    for audience in [
        json!("account"),
        json!("gateway2"),
        json!("Gateway"),
        json!("gateway "),
        json!("gate"),
        json!("account gateway"),
        json!(["account"]),
        json!([]),
        json!([["gateway"]]),
        json!({ "gateway": true }),
        json!(null),
        json!(""),
    ] {
        refused(&stage, &genuine.clone().claim("aud", audience).sign()).await;
    }
    refused(&stage, &genuine.without("aud").sign()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_claim_must_be_the_issuers_own_tenant_and_a_text() {
    let stage = Stage::contract().await;
    let genuine = stage.globex.issuer.token();
    let wrong = [
        json!("acme"),
        json!("Globex"),
        json!("globex "),
        json!(""),
        json!(["globex"]),
        json!({ "globex": 1 }),
        json!(null),
        json!(7),
        json!(true),
        json!("globex\u{0}"),
    ];
    for claim in wrong {
        refused(&stage, &genuine.clone().claim("tenant_id", claim.clone()).sign()).await;
        // The attacker's own issuer does not carry it over to the victim either, nor home.
        let of_acme = stage.acme.issuer.token().claim("tenant_id", if claim == "acme" { json!("globex") } else { claim }).sign();
        refused(&stage, &of_acme).await;
        denied(&stage, &Request::get(INVOICES).bearer(&of_acme), 401, "invalid_token").await;
    }
    refused(&stage, &genuine.without("tenant_id").sign()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_says_two_things_is_believed_in_neither() {
    let stage = Stage::contract().await;
    let genuine = stage.globex.issuer.token();
    served(&stage, &Request::get(PRODUCTS).bearer(&genuine.sign_text(&with_member(&genuine, r#""more": 1"#)))).await;
    for member in [
        r#""tenant_id": "globex""#,
        r#""tenant_id": "acme""#,
        r#""tenant\u005fid": "acme""#,
        r#""iss": "https://auth.gostoa.dev/realms/tenant-acme""#,
        r#""\u0069ss": "https://auth.gostoa.dev/realms/tenant-acme""#,
        r#""exp": 9999999999"#,
        r#""aud": "account""#,
        r#""sub": "admin""#,
        r#""roles": ["tenant-admin"]"#,
        r#""realm_access": { "roles": [], "roles": ["tenant-admin"] }"#,
    ] {
        refused(&stage, &genuine.sign_text(&with_member(&genuine, member))).await;
    }
    let key = stage.globex.issuer.key();
    for header in [
        format!(r#"{{"alg":"RS256","kid":"{0}","alg":"none"}}"#, key.kid()),
        format!(r#"{{"alg":"none","kid":"{0}","alg":"RS256"}}"#, key.kid()),
        format!(r#"{{"alg":"RS256","kid":"{0}","kid":"acme-1"}}"#, key.kid()),
        format!(r#"{{"alg":"RS256","kid":"{0}"}} {{}}"#, key.kid()),
    ] {
        refused(&stage, &jws(&header, &genuine.claims().to_string(), |message| key.sign(message))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_kind_is_no_access_token_though_the_same_key_signs_it() {
    let stage = Stage::contract().await;
    let genuine = stage.globex.issuer.token();
    served(&stage, &Request::get(PRODUCTS).bearer(&genuine.clone().header("typ", "at+jwt").sign())).await;
    for kind in [
        json!("ID"),
        json!("Refresh"),
        json!("Logout"),
        json!("id"),
        json!("Serialized-ID"),
        json!("ID "),
        json!(["Bearer"]),
        json!(null),
        json!(1),
    ] {
        refused(&stage, &genuine.clone().claim("typ", kind).sign()).await;
    }
    for kind in [json!("dpop+jwt"), json!("logout+jwt"), json!("JOSE"), json!("JWE"), json!(""), json!(null), json!(["JWT"])] {
        refused(&stage, &genuine.clone().header("typ", kind).sign()).await;
    }
    let members: [(&str, Value); 8] = [
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("enc", json!("A256GCM")),
        ("zip", json!("DEF")),
        ("jwk", stage.globex.issuer.key().jwk()),
    ];
    for (member, value) in members {
        refused(&stage, &genuine.clone().header(member, value).sign()).await;
    }
    refused(&stage, &genuine.clone().claim("cnf", json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" })).sign()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_token_is_refused_however_it_is_broken() {
    let stage = Stage::contract().await;
    let whole = stage.globex.issuer.token().sign();
    let [header, claims, signature] = whole.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let long = "a".repeat(17 * 1024);
    for token in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "null",
        "undefined",
        header,
        &format!("{header}.{claims}"),
        &format!("{header}.{claims}."),
        &format!(".{claims}.{signature}"),
        &format!("{header}..{signature}"),
        &format!("{whole}.{signature}"),
        &format!("{header}.{claims}.{signature}.{signature}.{signature}"),
        &format!("{header}.AAAA.BBBB.{claims}.{signature}"),
        &format!("{whole}="),
        &format!("{header}==.{claims}==.{signature}=="),
        &format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+")) as &str,
        &format!("{header} .{claims}.{signature}"),
        &format!("\"{whole}\""),
        &whole[..whole.len() - 1],
        &whole[1..],
        &format!("{whole}A"),
        &format!("{header}.{long}.{signature}"),
        &format!("{{\"payload\":\"{claims}\",\"signatures\":[]}}"),
    ] {
        // A signature without `-` and `_` stays itself under the replacement above.
        if token != whole {
            refused(&stage, token).await;
        }
    }
    let key = stage.globex.issuer.key();
    let usual = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{}"}}"#, key.kid());
    let deep = format!("{{\"iss\":{}1{}}}", "[".repeat(50_00), "]".repeat(50_00));
    for (header, claims) in
        [(usual.as_str(), "[]"), (&usual, "null"), (&usual, "\"x\""), (&usual, "{}"), (&usual, &deep), ("[]", "{}"), ("", ""), ("{}", "{}")]
    {
        refused(&stage, &jws(header, claims, |message| key.sign(message))).await;
    }
}
