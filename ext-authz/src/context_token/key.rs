//! One signing key: ECDSA on P-256, with the key id that RFC 7638 gives it.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::TYPE;

/// A key pair. It never prints.
pub(super) struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    kid: String,
    /// The header of its tokens, encoded.
    header: String,
    jwk: Value,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Key {
    /// A new key; absent where the system has no randomness.
    pub(super) fn generate() -> Option<Self> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok().and_then(Self::of)
    }

    /// A key as a file has it: PKCS #8 or SEC 1, in DER; absent where it is none on P-256.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok().and_then(Self::of)
    }

    fn of(pair: EcdsaKeyPair) -> Option<Self> {
        // The uncompressed point (SEC 1 section 2.3.3): 4, x, y.
        let (x, y) = match pair.public_key().as_ref() {
            [4, point @ ..] if point.len() == 64 => point.split_at(32),
            _ => return None,
        };
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        // RFC 7638 section 3: the required members in the order of their names, without spaces.
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        let kid = URL_SAFE_NO_PAD.encode(thumbprint);
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "ES256", "typ": TYPE, "kid": kid }).to_string());
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig" });
        Some(Self { pair, random: SystemRandom::new(), kid, header, jwk })
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// The header of its tokens, encoded.
    pub(super) fn header(&self) -> &str {
        &self.header
    }

    /// The public half.
    pub(super) fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// The signature of a message as JWS has it (RFC 7518 section 3.4).
    pub(super) fn sign(&self, message: &[u8]) -> Option<impl AsRef<[u8]> + use<>> {
        self.pair.sign(&self.random, message).ok()
    }
}
