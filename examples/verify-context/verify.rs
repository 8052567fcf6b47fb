//! What an upstream does with `x-bulkhead-context`: one function, to be copied.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::Deserialize;

/// What the gateway decided about the request at hand. Other members are skipped: more may come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Context {
    /// Whose request it is.
    pub tenant: String,
    /// The caller inside the tenant, written as in `x-bulkhead-subject`; absent for an API key.
    pub sub: Option<String>,
    /// The subscription that pays.
    pub subscription: Option<String>,
    /// The API of the tenant's contract.
    pub api: String,
    /// The decision's id: the same in the gateway's audit, logs and answers. One token a decision, so it also tells a replay.
    pub decision_id: String,
}

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is no context token: another kind of token may verify, and says something else.
    #[error("not a context token")]
    Kind,
    /// Fetch the set again, at most every few seconds, before the token is refused for good.
    #[error("its key is not in the set")]
    UnknownKey,
    /// Signature, time, issuer or audience.
    #[error("it does not verify")]
    Invalid(#[from] jsonwebtoken::errors::Error),
}

/// Verifies a token by the keys of `http://GATEWAY:9192/.well-known/jwks.json`. `audience` is this upstream's own origin as the tenants'
/// contracts write it, `https://billing.acme.internal`, without a path.
///
/// # Errors
/// Answer 401 to every one: the request did not come through the gateway.
pub(crate) fn verify(token: &str, keys: &JwkSet, audience: &str) -> Result<Context, Refused> {
    let header = decode_header(token)?;
    // A type of its own (RFC 8725 section 3.11), so that nothing else that is signed is taken for it.
    if header.typ.as_deref() != Some("bulkhead-context+jwt") {
        return Err(Refused::Kind);
    }
    let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or(Refused::UnknownKey)?;
    // The algorithm is fixed here and never taken from the token (section 3.1).
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_issuer(&["urn:bulkhead"]);
    rules.set_audience(&[audience]);
    rules.set_required_spec_claims(&["exp", "iss", "aud"]);
    rules.leeway = 5;
    Ok(decode(token, &DecodingKey::from_jwk(key)?, &rules)?.claims)
}
