//! The context token (Platform `contextToken`): what was decided about one request, signed for the upstream that it goes to. An upstream
//! that is reached past the gateway can be told anything in headers; it cannot be told this.
//!
//! A JWT (RFC 7519) of a few hundred bytes, with ES256 and a type of its own (RFC 8725 section 3.11), so that no issuer's verifier, ours
//! included, takes it for an access token. The public keys are on the health door at `/.well-known/jwks.json`.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bulkhead_tenancy::{
    clock::Clock,
    upstream::{Origin, Scheme},
};
use serde::Serialize;

use crate::{reply::claim, verdict::Allowed};

mod door;
mod key;
mod keys;
#[cfg(test)]
mod tests;

pub use door::router;
pub use keys::{KeySource, Keys, KeysError};

/// `typ` of the header.
pub const TYPE: &str = "bulkhead-context+jwt";

/// `iss`: the same of every replica and installation, which are told apart by their keys.
pub const ISSUER: &str = "urn:bulkhead";

/// Signs context tokens.
pub struct ContextTokens {
    keys: Keys,
    clock: Arc<dyn Clock>,
}

/// A signed token, as the header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextToken(String);

impl ContextToken {
    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The claims. Those that an allow does not have are left out, never empty.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'static str,
    /// The origin that the tenant's contract names for the API: whoever receives the token cannot use it at another upstream.
    aud: &'a str,
    iat: i64,
    exp: i64,
    /// The decision's id: one token a decision.
    jti: &'a str,
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<&'a str>,
    api: &'a str,
    decision_id: &'a str,
}

impl ContextTokens {
    /// Tokens signed with these keys.
    #[must_use]
    pub fn new(keys: Keys, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock }
    }

    /// The token of an allow, valid for `ttl_seconds` from now; absent where it could not be signed.
    #[must_use]
    pub fn sign(&self, allowed: &Allowed, decision_id: &str, ttl_seconds: u64) -> Option<ContextToken> {
        let Allowed { caller, api, subscription, .. } = allowed;
        // The text of `x-bulkhead-subject`: bounded, and different for different subjects.
        let subject = caller.subject.as_deref().and_then(claim::visible);
        let now = self.clock.now_s();
        let claims = Claims {
            iss: ISSUER,
            aud: &audience(&api.upstream.origin),
            iat: now,
            exp: now.saturating_add(i64::try_from(ttl_seconds).ok()?),
            jti: decision_id,
            tenant: caller.tenant.name.as_str(),
            sub: subject.as_deref(),
            subscription: subscription.as_ref().map(|subscription| subscription.name.as_str()),
            api: api.name.as_str(),
            decision_id,
        };
        let key = self.keys.signing();
        let mut token = String::with_capacity(1024);
        token.push_str(key.header());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&claims).ok()?, &mut token);
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(ContextToken(token))
    }

    /// The keys that verify every token that is still valid, as a key set (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> String {
        self.keys.jwks()
    }

    /// Makes, publishes and drops keys as they fall due. Called once a minute.
    pub fn turn(&self) {
        self.keys.turn(self.clock.now_s());
    }
}

/// An origin as an upstream would write its own: without the port that its scheme has anyway.
fn audience(Origin { scheme, host, port }: &Origin) -> String {
    let name = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    if *port == scheme.default_port() { format!("{name}://{host}") } else { format!("{name}://{host}:{port}") }
}
