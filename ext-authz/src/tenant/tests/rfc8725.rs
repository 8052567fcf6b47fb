//! RFC 8725 (JSON Web Token Best Current Practices), section by section: the attack that each closes, at the victim's own address and, where
//! that is possible, under its own key. Every one is 401, and the same token without its trick is served. `tests/tests/adversary` plays most
//! of them once more through the real Envoy.

use super::*;

/// A compact JWS of any bytes.
fn jws(header: &[u8], payload: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", testing::base64(header), testing::base64(payload));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", testing::base64(signature))
}

fn header(others: Value) -> Vec<u8> {
    with(json!({"alg": "EdDSA", "typ": "JWT", "kid": "k"}), others).to_string().into_bytes()
}

/// A token under acme's own key whose header and claims are these very texts.
fn genuine(header: &[u8], payload: &[u8]) -> String {
    jws(header, payload, |message| signer(ACME).sign(message))
}

fn claims_of_acme(others: Value) -> Vec<u8> {
    with(claims(ACME), others).to_string().into_bytes()
}

/// Of an RSA key whose exponent is 1, every padded message is its own signature (RFC 8017 section 9.2).
fn signed_by_nobody(message: &[u8]) -> Vec<u8> {
    const SHA256_INFO: [u8; 19] = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message);
    let tail = [&SHA256_INFO[..], digest.as_ref()].concat();
    [&[0, 1][..], &vec![0xff; 256 - 3 - tail.len()], &[0], &tail].concat()
}

#[tokio::test]
async fn rfc8725_every_attack_of_every_section_is_401() {
    let world = World::with(Written { issuer: "audiences: [gateway]", ..PLAIN }, Settings::default());
    let (rsa, evil) = (Signer::rsa(0), Signer::p256());
    let mut weak = rsa.jwk("weak");
    weak["e"] = json!("AQ");
    let mut encrypting = rsa.jwk("encrypting");
    encrypting["use"] = json!("enc");
    world.provider.set(ACME, Answer::Keys(vec![signer(ACME).jwk("k"), weak, encrypting, rsa.jwk("r")]));
    let own = claims_of_acme(json!({"aud": "gateway"}));
    let text = |others: Value| with(with(claims(ACME), json!({"aud": "gateway"})), others).to_string().into_bytes();
    let plain = header(json!({}));
    assert_eq!(world.token(&genuine(&plain, &own), Some("acme")).await.as_deref(), Ok("acme"));

    let message = |header: Value| format!("{}.{}", testing::base64(header.to_string()), testing::base64(&own));
    let hmac = |secret: &[u8]| {
        let message = message(json!({"alg": "HS256", "kid": "k"}));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        format!("{message}.{}", testing::base64(aws_lc_rs::hmac::sign(&key, message.as_bytes())))
    };
    let public = signer(ACME).jwk("k")["x"].as_str().unwrap().to_owned();
    let raw = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&public).unwrap();
    let utf16: Vec<u8> = String::from_utf8(own.clone()).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let invalid = |name: &str| [&own[..own.len() - 1], br#",""#, name.as_bytes(), b"\":\"\xc3\x28\"}"].concat();
    let with_bom = [b"\xef\xbb\xbf", &own[..]].concat();

    let attacks: Vec<(&str, &str, String)> = vec![
        ("2.1, 3.1", "alg none", jws(&header(json!({"alg": "none"})), &own, |_| Vec::new())),
        ("2.1, 3.1", "alg none under a true signature", genuine(&header(json!({"alg": "nOnE"})), &own)),
        ("2.1, 3.1", "the public key as an HMAC secret", hmac(&raw)),
        ("2.1, 3.1", "the public key's text as an HMAC secret", hmac(public.as_bytes())),
        ("2.1, 3.1", "another algorithm than the key's", genuine(&header(json!({"alg": "RS256"})), &own)),
        ("2.1, 3.1", "no algorithm", genuine(&header(json!({"alg": null})), &own)),
        ("2.1, 3.1", "a list of algorithms", genuine(&header(json!({"alg": ["EdDSA"]})), &own)),
        ("2.2, 3.5", "a short HMAC secret", hmac(b"secret")),
        ("2.2, 3.5", "an RSA key whose exponent is 1", jws(&header(json!({"alg": "RS256", "kid": "weak"})), &own, signed_by_nobody)),
        ("2.3, 3.3", "JWE in place of JWS", format!("{}.AAAA.AAAA.AAAA.AAAA", testing::base64(r#"{"alg":"dir","enc":"A256GCM"}"#))),
        ("2.3, 3.3", "`enc` in the header of a JWS", genuine(&header(json!({"enc": "A256GCM"})), &own)),
        ("2.3, 3.3", "a JWT inside a JWT", genuine(&header(json!({"cty": "JWT"})), genuine(&plain, &own).as_bytes())),
        ("2.5, 3.4", "ECDH-ES", genuine(&header(json!({"alg": "ECDH-ES", "epk": evil.jwk("e")})), &own)),
        ("2.6, 3.7", "UTF-16 claims", genuine(&plain, &utf16)),
        ("2.6, 3.7", "a byte order mark", genuine(&plain, &with_bom)),
        ("2.6, 3.7", "claims that are not UTF-8", genuine(&plain, &invalid("note"))),
        ("2.6, 3.7", "a claim's name that is not UTF-8", genuine(&plain, &[&own[..own.len() - 1], b",\"\xff\":1}"].concat())),
        ("2.6, 3.7", "a header that is not UTF-8", genuine(b"{\"alg\":\"EdDSA\",\"kid\":\"k\",\"x\":\"\xff\"}", &own)),
        ("2.7, 3.8", "another tenant's token", signer(GLOBEX).token("k", &claims(GLOBEX))),
        ("2.7, 3.8", "another tenant's key", jws(&plain, &own, |message| signer(GLOBEX).sign(message))),
        ("2.7, 3.8", "no issuer", genuine(&plain, &text(json!({"iss": null})))),
        ("2.7, 3.8", "a list of issuers", genuine(&plain, &text(json!({"iss": [ACME]})))),
        ("2.7, 3.8", "a subject that is no text", genuine(&plain, &text(json!({"sub": {"admin": true}})))),
        ("2.7, 3.9", "no audience", genuine(&plain, &text(json!({"aud": null})))),
        ("2.7, 3.9", "another audience", genuine(&plain, &text(json!({"aud": "account"})))),
        ("2.7, 3.9", "an audience that begins like ours", genuine(&plain, &text(json!({"aud": "gateway.evil.example"})))),
        ("2.7, 3.9", "an audience inside a list inside a list", genuine(&plain, &text(json!({"aud": [["gateway"]]})))),
        ("2.8, 3.11", "an ID token", genuine(&plain, &text(json!({"typ": "ID"})))),
        ("2.8, 3.11", "a refresh token", genuine(&plain, &text(json!({"typ": "Refresh"})))),
        ("2.8, 3.11", "an ID token that does not say so", genuine(&plain, &text(json!({"c_hash": "x"})))),
        ("2.8, 3.11", "an ID token of Amazon's", genuine(&plain, &text(json!({"token_use": "id"})))),
        ("2.8, 3.11", "an answer to an authorization request", genuine(&plain, &text(json!({"code": "x", "state": "y"})))),
        ("2.8, 3.11", "a logout token with the usual header", genuine(&plain, &text(json!({"events": {}})))),
        ("2.8, 3.11", "a registration token", genuine(&plain, &text(json!({"typ": "RegistrationAccessToken"})))),
        ("2.8, 3.11", "a logout token", genuine(&header(json!({"typ": "logout+jwt"})), &own)),
        ("2.8, 3.11", "a proof of possession", genuine(&header(json!({"typ": "dpop+jwt", "jwk": evil.jwk("k")})), &own)),
        ("2.8, 3.11", "our own context token", genuine(&header(json!({"typ": crate::context_token::TYPE})), &own)),
        ("2.8, 3.12", "a token that is bound to a key", genuine(&plain, &text(json!({"cnf": {"jkt": "x"}})))),
        ("2.8, 3.12", "a key that is for encryption", jws(&header(json!({"alg": "RS256", "kid": "encrypting"})), &own, |m| rsa.sign(m))),
        ("2.9, 3.10", "a key in the header", jws(&header(json!({"alg": "ES256", "jwk": evil.jwk("k")})), &own, |m| evil.sign(m))),
        (
            "2.9, 3.10",
            "a key set's place in the header",
            jws(&header(json!({"alg": "ES256", "jku": "http://127.0.0.1/"})), &own, |m| evil.sign(m)),
        ),
        ("2.9, 3.10", "a kid that is a path", jws(&header(json!({"kid": "../../../../dev/null"})), &own, |_| vec![0; 64])),
        ("2.9, 3.10", "a kid that is a query", jws(&header(json!({"kid": "' OR 1=1 --"})), &own, |_| vec![0; 64])),
        ("2.9, 3.10", "a kid without end", genuine(&header(json!({"kid": "k".repeat(10_000)})), &own)),
        ("3.2", "RSA with SHA-1", jws(&header(json!({"alg": "RS1", "kid": "r"})), &own, |m| rsa.sign(m))),
        ("3.3", "the victim's signature over other claims", {
            let whole = genuine(&plain, &own);
            let signature = whole.rsplit_once('.').unwrap().1;
            format!("{}.{}.{signature}", testing::base64(&plain), testing::base64(text(json!({"sub": "root"}))))
        }),
        ("3.3", "an unencoded payload", genuine(&header(json!({"b64": false, "crit": ["b64"]})), &own)),
        ("3.3", "an extension that must be understood", genuine(&header(json!({"crit": ["x"], "x": 1})), &own)),
        ("3.4", "ECDSA with r and s 0", jws(&header(json!({"alg": "ES256"})), &own, |_| vec![0; 64])),
        ("3.4", "EdDSA with the identity point", jws(&plain, &own, |_| [&[1][..], &[0; 63]].concat())),
        ("3.4", "no signature", jws(&plain, &own, |_| Vec::new())),
        ("3.6", "compressed claims", genuine(&header(json!({"zip": "DEF"})), &own)),
        ("RFC 7519 4.1.4", "no end", genuine(&plain, &text(json!({"exp": null})))),
        ("RFC 7519 4.1.4", "an end that has passed", genuine(&plain, &text(json!({"exp": NOW_S - 31})))),
        ("RFC 7519 4.1.5", "a beginning that has not come", genuine(&plain, &text(json!({"nbf": NOW_S + 31})))),
    ];
    for (section, attack, token) in &attacks {
        for name in [Some("acme"), None] {
            let answer = world.token(token, name).await;
            let foreign = *attack == "another tenant's token";
            let expected = if foreign && name.is_none() { Ok("globex".to_owned()) } else { Err(Reason::InvalidToken) };
            let expected = if foreign && name.is_some() { Err(Reason::WrongTenant) } else { expected };
            assert_eq!(answer, expected, "section {section}: {attack}");
        }
    }
    // Every section of practices has its attack; 3.10 also says that nothing is fetched because of a token.
    for section in 1..=12 {
        let name = format!("3.{section}");
        assert!(attacks.iter().any(|(sections, ..)| sections.split(", ").any(|one| one == name)), "no attack for section {name}");
    }
    assert_eq!(world.token(&genuine(&plain, &own), Some("acme")).await.as_deref(), Ok("acme"));
}

/// What may stand in header and payload as JSON, and what may not, though the right key signs it.
#[tokio::test]
async fn s19_json_that_two_parsers_could_read_differently_is_401() {
    let world = World::new();
    let usual = String::from_utf8(header(json!({}))).unwrap();
    let body = String::from_utf8(claims_of_acme(json!({}))).unwrap();
    let more = |text: &str, member: &str| format!("{},{member}}}", text.strip_suffix('}').unwrap());
    let without_exp = String::from_utf8(claims_of_acme(json!({"exp": null}))).unwrap();
    let deep = |depth: usize| format!("{}1{}", r#"{"a":["#.repeat(depth), "]}".repeat(depth));
    let refused: Vec<String> = [
        r#""sub":"root""#,
        r#""s\u0075b":"root""#,
        r#""a":{"b":1,"\u0062":2}"#,
        r#""a":"\ud800""#,
        r#""a":"\udc00\ud800""#,
        r#""\ud834":1"#,
        r#""a":"\x41""#,
        "\"a\":\"\u{1}\"",
        r#""a":NaN"#,
        r#""a":Infinity"#,
        r#""a":1e999"#,
        r#""a":01"#,
        r#""a":+1"#,
        r#""a":.5"#,
        r#""a":1."#,
        r#""a":0x10"#,
        r#""a":'x'"#,
        r#"a:1"#,
        r#""a":1,"#,
        r#"/* */"a":1"#,
        r#""a":undefined"#,
        r#""a":True"#,
    ]
    .into_iter()
    .map(|member| more(&body, member))
    .chain([
        more(&body, &format!(r#""a":{}"#, deep(200))),
        format!("{body}{body}"),
        format!("{body}\0"),
        format!("[{body}]"),
        format!("\"{body}\""),
    ])
    .chain(
        [
            "1e400",
            "-1",
            "-0.1",
            "1e18",
            "253402300800",
            "99999999999999999999999999",
            "\"1800000300\"",
            "true",
            "[1800000300]",
            "{}",
            "null",
        ]
        .map(|exp| more(&without_exp, &format!(r#""exp":{exp}"#))),
    )
    .collect();
    for payload in &refused {
        assert_eq!(world.token(&genuine(usual.as_bytes(), payload.as_bytes()), Some("acme")).await, Err(Reason::InvalidToken), "{payload}");
    }
    let headers = [
        more(&usual, r#""alg":"EdDSA""#),
        more(&usual, r#""\u0061lg":"none""#),
        more(&usual, r#""kid":"other""#),
        more(&usual, r#""a":"\ud800""#),
        more(&usual, &format!(r#""a":{}"#, deep(200))),
        more(&usual, r#""a":1e999"#),
        format!("{usual}{usual}"),
        format!("[{usual}]"),
        "\"EdDSA\"".to_owned(),
        "null".to_owned(),
    ];
    for header in &headers {
        assert_eq!(world.token(&genuine(header.as_bytes(), body.as_bytes()), Some("acme")).await, Err(Reason::InvalidToken), "{header}");
    }
    // What every parser reads alike is read: odd spaces, escapes, a date with an exponent or a fraction, numbers that nobody goes by.
    for payload in [
        format!(" {}\n", more(&body, r#" "note" : "\ud83d\ude00\u00fc" "#)),
        more(&without_exp, r#""exp":1.8000003E9"#),
        more(&without_exp, r#""exp":1800000300.9"#),
        more(&body, r#""a":123456789012345678901234567890"#),
        more(&body, &format!(r#""a":{}"#, deep(50))),
    ] {
        assert_eq!(world.token(&genuine(usual.as_bytes(), payload.as_bytes()), Some("acme")).await.as_deref(), Ok("acme"), "{payload}");
    }
}
