use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tenant::testing::{NOW_S, Signer, base64, claims, issuer, with};
use bulkhead_tenancy::issuer::KeySource;

const ISSUER: &str = "https://auth.example/realms/tenant-acme";

fn keys(jwks: Vec<Value>) -> KeySet {
    KeySet::read(&jwks, &issuer(ISSUER, KeySource::Inline(Vec::new())), crate::shares::unbounded).unwrap()
}

fn read(text: &str) -> Result<(), &'static str> {
    UnverifiedToken::read(text).map(drop).map_err(Malformed::why)
}

fn header(others: Value) -> Value {
    with(json!({"alg": "EdDSA", "typ": "JWT", "kid": "k"}), others)
}

/// A well-signed token with these header members: what is refused is refused in spite of its signature.
fn with_header(others: Value) -> String {
    Signer::ed25519().token_with(&header(others), &claims(ISSUER))
}

fn with_claims(others: Value) -> String {
    Signer::ed25519().token("k", &with(claims(ISSUER), others))
}

#[test]
fn every_kind_of_key_verifies_its_own_tokens_and_no_others() {
    let signers = [Signer::rsa(0), Signer::pss(1), Signer::p256(), Signer::p384(), Signer::ed25519()];
    for signer in &signers {
        let token = UnverifiedToken::read(&signer.token("k", &claims(ISSUER))).unwrap();
        assert_eq!(token.issuer(), ISSUER);
        for other in &signers {
            let verified = token.verify(&keys(vec![other.jwk("k")])).is_some();
            assert_eq!(verified, std::ptr::eq(signer, other), "{} by {}", signer.algorithm(), other.algorithm());
        }
    }
}

#[test]
fn s19_alg_none_hmac_and_unknown_ones_are_refused() {
    for alg in ["none", "None", "NONE", "HS256", "HS384", "HS512", "ES512", "ES256K", "RS256 ", "rs256", "RSA-OAEP", "dir", ""] {
        assert!(read(&with_header(json!({"alg": alg}))).is_err(), "{alg}");
    }
    for header in [json!({"typ": "JWT"}), json!({"alg": 5}), json!({"alg": ["RS256"]}), json!({"alg": {"RS256": 1}})] {
        assert!(read(&Signer::ed25519().token_with(&header, &claims(ISSUER))).is_err());
    }
    let unsigned = format!("{}.{}.", base64(json!({"alg": "none"}).to_string()), base64(claims(ISSUER).to_string()));
    assert!(read(&unsigned).is_err());
}

#[test]
fn s19_the_public_key_as_an_hmac_secret_verifies_nothing() {
    let rsa = Signer::rsa(0);
    let jwk = rsa.jwk("k");
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let message = format!("{}.{}", base64(json!({"alg": "HS256", "kid": "k"}).to_string()), base64(claims(ISSUER).to_string()));
    let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &modulus), message.as_bytes());
    assert_eq!(read(&format!("{message}.{}", base64(tag))), Err("`alg` is none, symmetric or unknown"));
    // Nor does a set that carries the secret itself.
    let oct = json!({"kty": "oct", "kid": "k", "alg": "HS256", "k": base64("secret")});
    assert!(Key::read(&oct, &Algorithm::ALL.into()).is_err());
}

use crate::tenant::keys::Key;

#[test]
fn s19_the_algorithm_is_the_keys_and_not_the_tokens() {
    let (rsa, ed) = (Signer::rsa(0), Signer::ed25519());
    // The right signature under another algorithm's name.
    for alg in ["RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        let token = rsa.token_with(&json!({"alg": alg, "kid": "k"}), &claims(ISSUER));
        let token = UnverifiedToken::read(&token).unwrap();
        assert!(token.verify(&keys(vec![rsa.jwk("k"), ed.jwk("k")])).is_none(), "{alg}");
    }
    // A key that says PS256 verifies no RS256 token, though its type could.
    let bound = with(rsa.jwk("k"), json!({"alg": "PS256"}));
    assert!(UnverifiedToken::read(&rsa.token("k", &claims(ISSUER))).unwrap().verify(&keys(vec![bound])).is_none());
}

#[test]
fn s19_a_kid_selects_inside_the_set_and_means_nothing_else() {
    let (one, two) = (Signer::ed25519(), Signer::ed25519());
    let set = keys(vec![one.jwk("one"), two.jwk("two")]);
    let signed = |signer: &Signer, header: Value| {
        let token = UnverifiedToken::read(&signer.token_with(&header, &claims(ISSUER))).unwrap();
        (token.has_candidate(&set), token.verify(&set).is_some())
    };
    assert_eq!(signed(&one, header(json!({"kid": "one"}))), (true, true));
    assert_eq!(signed(&one, header(json!({"kid": "two"}))), (true, false));
    assert_eq!(signed(&two, header(json!({"kid": null}))), (true, true));
    for kid in ["", "ONE", "one ", "../one", "/dev/null", "one' or '1'='1", "https://evil.example/jwks"] {
        assert_eq!(signed(&one, header(json!({"kid": kid}))), (false, false), "{kid}");
    }
    assert!(read(&with_header(json!({"kid": 1}))).is_err());
    assert!(read(&with_header(json!({"kid": "k".repeat(MAX_KID + 1)}))).is_err());
}

#[test]
fn s19_a_key_in_the_header_is_refused_and_a_pointer_to_one_is_not_followed() {
    let evil = Signer::ed25519();
    let embedded = evil.token_with(&header(json!({"jwk": evil.jwk("k")})), &claims(ISSUER));
    assert_eq!(read(&embedded), Err("a key in the header"));
    let ours = keys(vec![Signer::ed25519().jwk("k")]);
    for pointer in ["jku", "x5u"] {
        let token = evil.token_with(&header(json!({pointer: "https://evil.example/jwks"})), &claims(ISSUER));
        assert!(UnverifiedToken::read(&token).unwrap().verify(&ours).is_none());
    }
    let token = evil.token_with(&header(json!({"x5c": ["MIIB"]})), &claims(ISSUER));
    assert!(UnverifiedToken::read(&token).unwrap().verify(&ours).is_none());
}

#[test]
fn s19_critical_extensions_detached_payloads_and_encryption_are_refused() {
    for extension in [
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"b64": false}),
        json!({"b64": true}),
        json!({"enc": "A256GCM"}),
        json!({"zip": "DEF"}),
    ] {
        assert!(read(&with_header(extension.clone())).is_err(), "{extension}");
    }
    assert!(read("a.b.c.d.e").is_err());
}

#[test]
fn s19_only_access_token_types_are_read() {
    for kind in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/jwt", "application/at+jwt"] {
        assert_eq!(read(&with_header(json!({"typ": kind}))), Ok(()), "{kind}");
    }
    assert_eq!(read(&with_header(json!({"typ": null}))), Ok(()));
    for kind in ["JWE", "dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE", "", "application/", "application/application/jwt", " JWT"] {
        assert!(read(&with_header(json!({"typ": kind}))).is_err(), "{kind}");
    }
    assert!(read(&with_header(json!({"typ": 1}))).is_err());
}

#[test]
fn s19_keycloaks_other_tokens_and_bound_tokens_are_refused() {
    for kind in ["ID", "Refresh", "Offline", "Logout", "id", "REFRESH"] {
        assert!(read(&with_claims(json!({"typ": kind}))).is_err(), "{kind}");
    }
    assert_eq!(read(&with_claims(json!({"typ": "Bearer"}))), Ok(()));
    assert!(read(&with_claims(json!({"typ": ["Bearer"]}))).is_err());
    assert!(read(&with_claims(json!({"cnf": {"jkt": "x"}}))).is_err());
    assert!(read(&with_claims(json!({"cnf": {}}))).is_err());
}

#[test]
fn s19_duplicate_members_are_refused_in_header_and_payload() {
    let signer = Signer::ed25519();
    let fine = claims(ISSUER).to_string();
    for (header, payload) in [
        (r#"{"alg":"EdDSA","alg":"EdDSA"}"#, fine.as_str()),
        (r#"{"alg":"none","\u0061lg":"EdDSA"}"#, &fine),
        (r#"{"alg":"EdDSA"}"#, &format!(r#"{{"iss":"{ISSUER}","iss":"{ISSUER}","exp":{}}}"#, NOW_S + 60)),
        (r#"{"alg":"EdDSA"}"#, &format!(r#"{{"iss":"{ISSUER}","a":{{"b":1,"b":2}},"exp":{}}}"#, NOW_S + 60)),
    ] {
        assert_eq!(read(&signer.token_of(header, payload)), Err("not a JSON object with each member once"), "{header} {payload}");
    }
}

#[test]
fn s19_a_token_has_one_spelling() {
    let token = with_claims(json!({}));
    assert_eq!(read(&token), Ok(()));
    let (message, signature) = token.rsplit_once('.').unwrap();
    // 64 bytes leave four bits over in the last of 86 characters: another last character would decode to the same bytes.
    let last = signature.chars().last().unwrap();
    let other = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".chars().find(|c| !"AQgw".contains(*c) && *c != last).unwrap();
    let crooked = format!("{message}.{}{other}", &signature[..signature.len() - 1]);
    let padded = format!("{token}==");
    let spaced = format!("{message}. {signature}");
    let trailing = format!("{token}.");
    let empty = format!("{message}.");
    for bad in [&crooked, &padded, &spaced, &trailing, &empty, &message.to_owned(), &String::new(), &"..".to_owned()] {
        assert!(read(bad).is_err());
    }
}

#[test]
fn the_issuer_must_be_a_text() {
    for iss in [json!(null), json!(1), json!([ISSUER]), json!({"a": ISSUER}), json!(true)] {
        assert!(read(&with_claims(json!({"iss": iss}))).is_err());
    }
}

proptest! {
    #[test]
    fn s19_reading_never_panics(text in "\\PC{0,200}") {
        let _ = read(&text);
    }

    #[test]
    fn s19_reading_any_three_parts_never_panics(
        header in proptest::collection::vec(any::<u8>(), 0..120), payload in proptest::collection::vec(any::<u8>(), 0..120),
        signature in proptest::collection::vec(any::<u8>(), 0..80)
    ) {
        let _ = read(&format!("{}.{}.{}", base64(header), base64(payload), base64(signature)));
    }

    #[test]
    fn s19_no_change_of_one_byte_verifies(place in any::<prop::sample::Index>(), byte in "[A-Za-z0-9_.-]") {
        static SIGNER: std::sync::LazyLock<(Signer, String)> = std::sync::LazyLock::new(|| {
            let signer = Signer::ed25519();
            let token = signer.token("k", &claims(ISSUER));
            (signer, token)
        });
        let (signer, token) = &*SIGNER;
        let place = place.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(place..=place, &byte);
        let verifies = UnverifiedToken::read(&changed).is_ok_and(|token| token.verify(&keys(vec![signer.jwk("k")])).is_some());
        prop_assert_eq!(verifies, changed == *token);
    }
}
