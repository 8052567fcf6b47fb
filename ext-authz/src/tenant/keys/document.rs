//! The two documents of a provider: OIDC discovery and the key set. A member that stands twice is refused (S19), since nobody could say which
//! one counts: in discovery anywhere, in a set among its own; a key with one is left out as any bad key, and spoils no other.

use std::{collections::BTreeSet, fmt};

use bulkhead_tenancy::issuer::IssuerId;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;
use url::Url;

use super::FetchError;
use crate::json::{self, Alone};

/// A key set (RFC 7517 section 5). Its keys are judged one by one, so here they may be anything.
struct Set(Vec<Value>);

impl<'de> Deserialize<'de> for Set {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Set;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Set, A::Error> {
        let (mut names, mut keys) = (BTreeSet::new(), None);
        while let Some(name) = access.next_key::<String>()? {
            if name == "keys" {
                keys = Some(access.next_value::<Vec<Alone>>()?);
            } else {
                access.next_value::<IgnoredAny>()?;
            }
            if !names.insert(name) {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        let keys = keys.ok_or_else(|| A::Error::missing_field("keys"))?;
        // No key is `null`.
        Ok(Set(keys.into_iter().map(|Alone(key)| key.unwrap_or_default()).collect()))
    }
}

/// Where the discovery document stands: OpenID Connect Discovery 1.0 section 4, the issuer without a trailing slash and the well-known path.
pub(super) fn configuration_url(issuer: &Url) -> Result<Url, FetchError> {
    let text = format!("{}/.well-known/openid-configuration", issuer.as_str().trim_end_matches('/'));
    Url::parse(&text).map_err(|_| FetchError::Refused("the issuer is no URL"))
}

/// The `jwks_uri` of a document that is this issuer's own (section 4.3: its `issuer` must be identical).
///
/// # Errors
/// When it is another issuer's, or no such document.
pub(in crate::tenant) fn jwks_uri(document: &[u8], issuer: &IssuerId) -> Result<Url, FetchError> {
    let document = json::object(document).map_err(|_| FetchError::Unexpected("no discovery document"))?;
    if document.get("issuer").and_then(Value::as_str) != Some(issuer.as_str()) {
        return Err(FetchError::Unexpected("the discovery document is another issuer's"));
    }
    let jwks_uri = document.get("jwks_uri").and_then(Value::as_str).ok_or(FetchError::Unexpected("no `jwks_uri`"))?;
    Url::parse(jwks_uri).map_err(|_| FetchError::Unexpected("`jwks_uri` is no URL"))
}

/// The JWKs of a set, each as it stands there.
///
/// # Errors
/// When it is no key set.
pub(in crate::tenant) fn jwks(document: &[u8]) -> Result<Vec<Value>, FetchError> {
    serde_json::from_slice(document).map(|Set(keys)| keys).map_err(|_| FetchError::Unexpected("no key set"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> IssuerId {
        IssuerId::new("https://auth.example/realms/acme")
    }

    #[test]
    fn s18_a_document_that_says_two_things_is_none() {
        let twice = [
            r#"{"issuer":"https://auth.example/realms/acme","issuer":"https://evil.example","jwks_uri":"https://auth.example/certs"}"#,
            r#"{"issuer":"https://evil.example","issuer":"https://auth.example/realms/acme","jwks_uri":"https://auth.example/certs"}"#,
            r#"{"issuer":"https://auth.example/realms/acme","jwks_uri":"https://auth.example/a","jwks_\u0075ri":"https://evil.example/b"}"#,
            r#"{"issuer":"https://auth.example/realms/acme","jwks_uri":"https://auth.example/a","x":{"y":1,"y":2}}"#,
        ];
        for text in twice {
            assert!(jwks_uri(text.as_bytes(), &id()).is_err(), "{text}");
        }
        assert!(jwks(br#"{"keys":[],"keys":[{}]}"#).is_err());
        assert!(jwks(br#"{"keys":[{}],"ke\u0079s":[]}"#).is_err());
        assert!(jwks(br#"{"more":1,"keys":[{}],"more":2}"#).is_err());
    }

    #[test]
    fn s19_a_key_that_says_two_things_is_none_and_spoils_no_other() {
        let keys = jwks(br#"{"keys":[{"kty":"OKP","x":"a","x":"b"},{"kty":"EC"},{"x5t":{"y":1,"y":1}}]}"#).unwrap();
        assert_eq!(keys, [Value::Null, serde_json::json!({ "kty": "EC" }), Value::Null]);
    }

    #[test]
    fn what_is_not_asked_for_is_skipped() {
        let more = format!(r#"{{"issuer":"{}","x":{{"y":[1,{{}}]}},"jwks_uri":"https://auth.example/certs"}}"#, id());
        assert_eq!(jwks_uri(more.as_bytes(), &id()).unwrap().as_str(), "https://auth.example/certs");
        assert_eq!(jwks(br#"{"more":[[[]]],"keys":[1,null,{}]}"#).unwrap().len(), 3);
        for odd in
            ["", "null", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":"x"}"#, "<html>", &"[".repeat(200_000), &r#"{"keys":["#.repeat(9_000)]
        {
            assert!(jwks(odd.as_bytes()).is_err());
            assert!(jwks_uri(odd.as_bytes(), &id()).is_err());
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = jwks(&bytes);
            let _ = jwks_uri(&bytes, &id());
        }
    }
}
