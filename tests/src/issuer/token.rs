//! A token in the making.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::key::Key;

/// Header and claims, until they are signed.
#[derive(Clone)]
pub struct Token {
    header: Value,
    claims: Value,
    key: Arc<Key>,
}

/// Seconds since 1970.
///
/// # Panics
/// Before 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

impl Token {
    pub(super) fn new(issuer: &str, tenant: &str, key: Arc<Key>) -> Self {
        let now = now();
        let claims = json!({
            "iss": issuer,
            "sub": "user-123",
            "aud": "gateway",
            "typ": "Bearer",
            "tenant_id": tenant,
            "roles": [],
            "iat": now,
            "exp": now + 300,
        });
        Self { header: json!({ "alg": key.algorithm(), "typ": "JWT", "kid": key.kid() }), claims, key }
    }

    /// Sets a claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// Leaves a claim out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().expect("claims are an object").remove(name);
        self
    }

    /// Sets roles.
    #[must_use]
    pub fn roles(self, roles: &[&str]) -> Self {
        self.claim("roles", roles)
    }

    /// Sets a member of the header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// Leaves a member of the header out.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.as_object_mut().expect("a header is an object").remove(name);
        self
    }

    /// Signs with the issuer's key.
    #[must_use]
    pub fn sign(&self) -> String {
        jws(&self.header.to_string(), &self.claims.to_string(), |message| self.key.sign(message))
    }

    /// Signs with another key; the header keeps naming the issuer's own.
    #[must_use]
    pub fn sign_with(&self, key: &Key) -> String {
        jws(&self.header.to_string(), &self.claims.to_string(), |message| key.sign(message))
    }

    /// Signs with HMAC SHA-256 and this secret, and says so in the header.
    #[must_use]
    pub fn sign_hs256(self, secret: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let forged = self.header("alg", "HS256");
        jws(&forged.header.to_string(), &forged.claims.to_string(), |message| hmac::sign(&key, message).as_ref().to_vec())
    }

    /// `alg: none`, and an empty signature.
    #[must_use]
    pub fn unsigned(self) -> String {
        let forged = self.header("alg", "none");
        jws(&forged.header.to_string(), &forged.claims.to_string(), |_| Vec::new())
    }

    /// Signs claims given as text (duplicate members, odd numbers) with the issuer's key.
    #[must_use]
    pub fn sign_text(&self, claims: &str) -> String {
        jws(&self.header.to_string(), claims, |message| self.key.sign(message))
    }

    /// The claims, to make such texts from.
    #[must_use]
    pub fn claims(&self) -> &Value {
        &self.claims
    }
}

/// A compact JWS of these very texts.
#[must_use]
pub fn jws(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
