//! The two documents of a provider: OIDC discovery and the key set. What is not asked for in them is skipped, not built, and a member that
//! stands twice is refused: nobody could say which one counts.

use bulkhead_tenancy::issuer::IssuerId;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::FetchError;

/// What counts of a discovery document (OpenID Connect Discovery 1.0 section 3).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// A key set (RFC 7517 section 5). Its keys are judged one by one, so here they may be anything.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
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
    let Discovery { issuer: named, jwks_uri } =
        serde_json::from_slice(document).map_err(|_| FetchError::Unexpected("no discovery document"))?;
    if named != issuer.as_str() {
        return Err(FetchError::Unexpected("the discovery document is another issuer's"));
    }
    Url::parse(&jwks_uri).map_err(|_| FetchError::Unexpected("`jwks_uri` is no URL"))
}

/// The JWKs of a set, each as it stands there.
///
/// # Errors
/// When it is no key set.
pub(in crate::tenant) fn jwks(document: &[u8]) -> Result<Vec<Value>, FetchError> {
    let Set { keys } = serde_json::from_slice(document).map_err(|_| FetchError::Unexpected("no key set"))?;
    Ok(keys)
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
        ];
        for text in twice {
            assert!(jwks_uri(text.as_bytes(), &id()).is_err(), "{text}");
        }
        assert!(jwks(br#"{"keys":[],"keys":[{}]}"#).is_err());
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
