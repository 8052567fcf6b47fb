//! A token as it was presented: a compact JWS (RFC 7515 section 3.1), read only to find its issuer. Nothing else in it is believed, or can
//! even be looked at from outside this module, until a key of that issuer has verified it.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bulkhead_tenancy::issuer::{Algorithm, Issuer};
use serde_json::{Map, Value};

use super::{
    claims::{Claims, Unfit},
    keys::{Fingerprint, Key, KeySet},
};
use crate::json;

/// The longest `kid` that is looked for, in bytes.
const MAX_KID: usize = 256;

/// Why a text is not a token that could verify: for the operator; it quotes nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(&'static str);

impl Malformed {
    /// The reason as text.
    pub(super) fn why(self) -> &'static str {
        self.0
    }
}

/// A token that nobody has verified.
pub(super) struct UnverifiedToken {
    /// What is signed: header and payload, encoded, with the dot between them.
    message: String,
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: Option<String>,
    issuer: String,
    claims: Arc<Map<String, Value>>,
}

impl UnverifiedToken {
    /// Takes a token apart.
    ///
    /// # Errors
    /// For whatever S19 refuses whoever signed it.
    pub(super) fn read(text: &str) -> Result<Self, Malformed> {
        let (message, signature) = text.rsplit_once('.').ok_or(Malformed("not three parts"))?;
        let (header, payload) = message.split_once('.').ok_or(Malformed("not three parts"))?;
        if payload.contains('.') {
            return Err(Malformed("more than three parts: encrypted (JWE), or nothing known"));
        }
        let (algorithm, kid) = judge_header(&part(header)?)?;
        // An empty or badly encoded signature is none; more of it is judged by a key alone.
        let signature = decode(signature)?;
        if signature.is_empty() {
            return Err(Malformed("no signature"));
        }
        let claims = part(payload)?;
        judge_kind(&claims)?;
        let Some(Value::String(issuer)) = claims.get("iss") else { return Err(Malformed("no `iss`, or not a text")) };
        let issuer = issuer.clone();
        Ok(Self { message: message.to_owned(), signature, algorithm, kid, issuer, claims: Arc::new(claims) })
    }

    /// Who it says signed it: good for finding the tenant by equality, and for nothing else.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What it claims: good for showing that it can be read, and for nothing else before its signature verified.
    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The key that the token asks for.
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether any key of the set could be the one: of the token's algorithm, and of its `kid` where both have one.
    pub(super) fn has_candidate(&self, keys: &KeySet) -> bool {
        keys.candidates(self.algorithm, self.kid()).next().is_some()
    }

    /// Whether one key alone could be the one, and a signature of it is cheap.
    pub(super) fn is_cheap(&self, keys: &KeySet) -> bool {
        let mut candidates = keys.candidates(self.algorithm, self.kid());
        candidates.next().is_some_and(Key::is_cheap) && candidates.next().is_none()
    }

    /// The signed claims and the key that verified them; absent where none of the set's keys did. Costs tens of microseconds a key.
    pub(super) fn verify(&self, keys: &KeySet) -> Option<Signed> {
        let key = keys
            .candidates(self.algorithm, self.kid())
            .find(|key| key.verifies(self.algorithm, self.message.as_bytes(), &self.signature))?;
        Some(Signed { key: key.fingerprint(), claims: Arc::clone(&self.claims) })
    }
}

/// Claims under a valid signature, not yet judged.
pub(super) struct Signed {
    /// The key that verified them.
    pub(super) key: Fingerprint,
    claims: Arc<Map<String, Value>>,
}

impl Signed {
    /// The claims that we go by.
    ///
    /// # Errors
    /// When one of them has a type that it must not have.
    pub(super) fn claims(&self, issuer: &Issuer) -> Result<Claims, Unfit> {
        Claims::read(&self.claims, issuer)
    }
}

/// Strict base64url: no padding, no bits left over (RFC 7515 section 2), so that a token has one spelling.
fn decode(text: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed("not base64url"))
}

fn part(text: &str) -> Result<Map<String, Value>, Malformed> {
    json::object(&decode(text)?).map_err(|_| Malformed("not a JSON object with each member once"))
}

/// What the header may say (S19). `jku`, `x5u` and `x5c` are never followed or read: honest providers send them. An embedded `jwk` is
/// refused: only a proof of possession carries one, and a proof is no access token.
fn judge_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), Malformed> {
    for (name, why) in [
        ("crit", "`crit` in the header"),
        ("b64", "`b64` in the header"),
        ("enc", "`enc` in the header: encrypted (JWE)"),
        ("zip", "`zip` in the header"),
        ("jwk", "a key in the header"),
    ] {
        if header.contains_key(name) {
            return Err(Malformed(why));
        }
    }
    match header.get("typ") {
        None => {}
        Some(Value::String(kind)) if access_token_type(kind) => {}
        Some(_) => return Err(Malformed("`typ` of the header is neither JWT nor at+jwt")),
    }
    let algorithm = match header.get("alg") {
        Some(Value::String(name)) => Algorithm::named(name),
        _ => None,
    };
    let algorithm = algorithm.ok_or(Malformed("`alg` is none, symmetric or unknown"))?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= MAX_KID => Some(kid.clone()),
        Some(_) => return Err(Malformed("`kid` is no text, or too long")),
    };
    Ok((algorithm, kid))
}

/// `JWT` or `at+jwt` (RFC 9068), with or without `application/`, in any case (RFC 7515 section 4.1.9).
fn access_token_type(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
}

/// What providers call an access token in `typ` of the payload, where they say so; case is ignored. Keycloak says `Bearer`, and signs tokens of a dozen other
/// kinds with the same keys.
const ACCESS_TOKENS: [&str; 6] = ["bearer", "jwt", "at+jwt", "access", "access_token", "access-token"];

/// Claims that access tokens do not have: hashes of an ID token (OpenID Connect Core, section 3.3.2.11), the events of a logout token (Back-Channel Logout,
/// section 2.4), the code of an answer to an authorization request (JARM, section 2.1), which travels in addresses.
const OTHER_KINDS: [&str; 4] = ["c_hash", "s_hash", "events", "code"];

/// Providers sign other kinds of token with the same keys as access tokens (S19; RFC 8725 section 3.12). A `cnf` (RFC 7800) binds a token to a key of the
/// client's that nobody proves here, so it would be a bearer token against its issuer's will.
fn judge_kind(claims: &Map<String, Value>) -> Result<(), Malformed> {
    if claims.contains_key("cnf") {
        return Err(Malformed("`cnf`: bound to a key that is not proven here"));
    }
    if OTHER_KINDS.iter().any(|claim| claims.contains_key(*claim)) {
        return Err(Malformed("a claim that no access token has"));
    }
    // Amazon Cognito's.
    if claims.get("token_use").is_some_and(|kind| kind != "access") {
        return Err(Malformed("`token_use`: not an access token"));
    }
    match claims.get("typ") {
        None => Ok(()),
        Some(Value::String(kind)) if ACCESS_TOKENS.iter().any(|known| kind.eq_ignore_ascii_case(known)) => Ok(()),
        Some(_) => Err(Malformed("`typ` of the payload: not an access token")),
    }
}

#[cfg(test)]
mod tests;
