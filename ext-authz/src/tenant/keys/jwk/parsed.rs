//! A key as the crypto library has it. To make one of its parts (a point of a curve is checked, and what a modulus takes to be divided by is worked out) costs a
//! good part of what a signature does, so it is made once, and not for every token.

use std::sync::OnceLock;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use bulkhead_tenancy::issuer::Algorithm;
use jsonwebtoken::{DecodingKey, DecodingKeyKind};

/// What the library needs for any key, in bytes, about.
const OVERHEAD: usize = 640;
/// How often it has a modulus: in the key, in what it divides by, twice, and as text.
const COPIES: usize = 4;

/// What was made of a key's parts, with the one algorithm that it is for. Only a signature that is right leaves it here: an issuer signs by one algorithm, and a
/// stranger who names others neither takes memory nor the place.
#[derive(Debug, Default)]
pub(super) struct Parsed(OnceLock<(Algorithm, ParsedPublicKey)>);

impl Parsed {
    /// About how many bytes that takes, of a key whose parts take so many.
    pub(super) fn bytes(material: usize) -> usize {
        OVERHEAD + COPIES * material
    }

    /// Whether there is any.
    #[cfg(test)]
    pub(super) fn is_made(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether `signature` is over `message` by the key of these parts.
    pub(super) fn verifies(&self, material: &DecodingKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if let Some((of, key)) = self.0.get()
            && *of == algorithm
        {
            return key.verify_sig(message, signature).is_ok();
        }
        let Some(key) = parse(material, algorithm) else { return false };
        let right = key.verify_sig(message, signature).is_ok();
        if right {
            // Another thread may have been first.
            let _ = self.0.set((algorithm, key));
        }
        right
    }
}

/// What a key may be used with at all is judged before ([`super::fitting`]): parts that are not of the algorithm's kind, or no key, verify nothing.
fn parse(material: &DecodingKey, algorithm: Algorithm) -> Option<ParsedPublicKey> {
    let rsa = |parameters: &'static RsaParameters| match material.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok(),
        DecodingKeyKind::SecretOrDer(_) => None,
    };
    let point = |parameters: &'static dyn VerificationAlgorithm| match material.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => ParsedPublicKey::new(parameters, bytes).ok(),
        DecodingKeyKind::RsaModulusExponent { .. } => None,
    };
    match algorithm {
        Algorithm::RS256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => rsa(&RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => rsa(&RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => point(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => point(&ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => point(&ED25519),
    }
}
