//! Tokens, key sets and discovery documents. The oracles read the same bytes another way.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bulkhead_ext_authz::tenant::foreign;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

/// Asymmetric, and nothing else (RFC 8725 section 3.1).
const ALGORITHMS: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// The members of an object, each as often as it stands there.
#[derive(Default)]
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
                let mut members = Members::default();
                while let Some(member) = map.next_entry()? {
                    members.0.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

impl Members {
    fn of(encoded: &str) -> BTreeMap<String, Value> {
        let bytes = URL_SAFE_NO_PAD.decode(encoded).expect("what was accepted is base64url");
        let Self(members) = serde_json::from_slice(&bytes).expect("what was accepted is an object");
        let count = members.len();
        let map: BTreeMap<String, Value> = members.into_iter().collect();
        assert_eq!(map.len(), count, "a member stands twice");
        map
    }
}

/// A token that is taken apart has three parts, an asymmetric algorithm, an issuer, an end, and nothing that S19 refuses.
pub(crate) fn token(data: &[u8]) {
    let half = data.len() / 2;
    let _ = foreign::credentials(data, &[]);
    let _ = foreign::credentials(data.get(..half).unwrap_or_default(), data.get(half..).unwrap_or_default());
    let Some(text) = super::text(data) else { return };
    if !foreign::token(text) {
        return;
    }
    let parts: Vec<&str> = text.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else { panic!("{} parts", parts.len()) };
    assert!(!signature.is_empty(), "unsigned");
    let (header, payload) = (Members::of(header), Members::of(payload));
    let algorithm = header.get("alg").and_then(Value::as_str).expect("an algorithm");
    assert!(ALGORITHMS.contains(&algorithm), "{algorithm}");
    for name in ["crit", "b64", "enc", "zip", "jwk"] {
        assert!(!header.contains_key(name), "{name} in the header");
    }
    assert!(
        payload.get("iss").is_some_and(Value::is_string)
            && payload.get("exp").is_some_and(Value::is_number)
            && !payload.contains_key("cnf")
    );
    let kind = payload.get("typ").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    assert!(!["id", "refresh", "offline", "logout"].contains(&kind.as_str()), "{kind}");
}

/// No more keys are used than stand there for signatures, and none that is symmetric.
pub(crate) fn jwks(data: &[u8]) {
    let used = foreign::jwks(data);
    if used == 0 {
        return;
    }
    let set: Value = serde_json::from_slice(data).expect("a set that gave keys is JSON");
    let keys = set.get("keys").and_then(Value::as_array).expect("and has keys");
    let asymmetric = |key: &&Value| matches!(key.get("kty").and_then(Value::as_str), Some("RSA" | "EC" | "OKP"));
    let signing = |key: &&Value| key.get("use").is_none_or(|purpose| purpose.is_null() || purpose == "sig");
    let least = keys.iter().filter(asymmetric).filter(signing).count();
    assert!(used <= least && keys.len() <= 64, "{used} keys are used of {least}");
}

/// A document that is believed names exactly the issuer that was asked, once.
pub(crate) fn discovery(data: &[u8]) {
    const ISSUER: &str = "https://auth.example/realms/acme";
    if !foreign::discovery(data, ISSUER) {
        return;
    }
    // What is skipped in it is not looked at: neither its escapes nor its encoding.
    let Ok(Members(members)) = serde_json::from_slice(data) else { return };
    let issuers: Vec<&Value> = members.iter().filter(|(name, _)| name == "issuer").map(|(_, value)| value).collect();
    assert_eq!(issuers, [&Value::from(ISSUER)]);
    assert_eq!(members.iter().filter(|(name, _)| name == "jwks_uri").count(), 1);
    assert!(!foreign::discovery(data, "https://auth.example/realms/globex"), "it is nobody else's");
}
