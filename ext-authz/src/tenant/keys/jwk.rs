//! One key of a set (RFC 7517): what it is decides what it may verify, whatever a token says.

mod parsed;

use std::{collections::BTreeSet, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bulkhead_tenancy::issuer::Algorithm;
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, OctetKeyPairParameters, PublicKeyUse, RSAKeyParameters},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use parsed::Parsed;

/// RSA moduli in bits: below, they can be factored (S19); above, one verification costs more than anybody's token is worth.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a JWK is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::tenant) struct Unusable(&'static str);

/// What tells a key's material and use from another's, across fetches.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::tenant) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// All of it, as text.
    pub(in crate::tenant) fn hex(self) -> String {
        hex::encode(self.0)
    }

    /// The fingerprint of that text.
    pub(in crate::tenant) fn of_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", hex::encode(&self.0[..4]))
    }
}

/// A public key, with the algorithms that it may be used with.
#[derive(Debug)]
pub(in crate::tenant) struct Key {
    kid: Option<String>,
    /// Never empty.
    algorithms: Vec<Algorithm>,
    material: DecodingKey,
    /// The same, as the crypto library has it.
    parsed: Parsed,
    fingerprint: Fingerprint,
}

impl Key {
    /// Reads a JWK. What it may verify follows from its type, curve, `alg`, `use` and `key_ops`, inside the issuer's list.
    ///
    /// # Errors
    /// When it may verify nothing.
    pub(in crate::tenant) fn read(jwk: &Value, allowed: &BTreeSet<Algorithm>) -> Result<Self, Unusable> {
        use serde::Deserialize;
        let jwk = Jwk::deserialize(jwk).map_err(|_| Unusable("not a JWK"))?;
        if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return Err(Unusable("its `use` is not `sig`"));
        }
        if jwk.common.key_operations.as_ref().is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
            return Err(Unusable("its `key_ops` lack `verify`"));
        }
        let fitting = fitting(&jwk.algorithm)?;
        let stated = jwk.common.key_algorithm;
        let algorithms: Vec<Algorithm> = fitting
            .iter()
            .copied()
            .filter(|algorithm| allowed.contains(algorithm) && stated.is_none_or(|alg| alg == stated_as(*algorithm)))
            .collect();
        if algorithms.is_empty() {
            return Err(Unusable("its `alg` does not fit its type, or is not in the issuer's list"));
        }
        let material = DecodingKey::from_jwk(&jwk).map_err(|_| Unusable("its parameters cannot be read"))?;
        let fingerprint = fingerprint(&jwk.algorithm, &algorithms);
        Ok(Self { kid: jwk.common.key_id, algorithms, material, parsed: Parsed::default(), fingerprint })
    }

    pub(in crate::tenant) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(in crate::tenant) fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(in crate::tenant) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What makes a key the same key in another fetch of the set.
    pub(super) fn identity(&self) -> (Option<&str>, Fingerprint) {
        (self.kid(), self.fingerprint)
    }

    /// About how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        use jsonwebtoken::DecodingKeyKind;
        let material = match self.material.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
            DecodingKeyKind::RsaModulusExponent { n, e } => n.len() + e.len(),
        };
        size_of::<Self>() + material + Parsed::bytes(material) + self.kid.as_ref().map_or(0, String::len) + self.algorithms.len()
    }

    /// Whether a signature of it is among the fast ones to verify: Ed25519, P-256, RSA of at most 3072 bits.
    pub(in crate::tenant) fn is_cheap(&self) -> bool {
        use jsonwebtoken::DecodingKeyKind;
        match self.material.kind() {
            // A point of P-256 has 65 bytes, and a key of Ed25519 32.
            DecodingKeyKind::SecretOrDer(bytes) => bytes.len() <= 65,
            DecodingKeyKind::RsaModulusExponent { n, .. } => n.len() <= 3072 / 8,
        }
    }

    /// Whether `signature` is this key's over `message`.
    pub(in crate::tenant) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.allows(algorithm) && self.parsed.verifies(&self.material, algorithm, message, signature)
    }
}

/// The algorithms that a key of this type and curve can be used with.
fn fitting(parameters: &AlgorithmParameters) -> Result<&'static [Algorithm], Unusable> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        AlgorithmParameters::RSA(rsa) => judge_rsa(rsa).map(|()| [RS256, RS384, RS512, PS256, PS384, PS512].as_slice()),
        AlgorithmParameters::EllipticCurve(ec) => {
            let (size, fitting): (usize, &[Algorithm]) = match ec.curve {
                EllipticCurve::P256 => (32, &[ES256]),
                EllipticCurve::P384 => (48, &[ES384]),
                _ => return Err(Unusable("its curve is not served")),
            };
            // Coordinates have the curve's whole length, leading zeros included (RFC 7518 section 6.2.1.2).
            if bytes(&ec.x)?.len() != size || bytes(&ec.y)?.len() != size {
                return Err(Unusable("a coordinate has not its curve's length"));
            }
            Ok(fitting)
        }
        AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters { curve: EllipticCurve::Ed25519, x, .. }) => {
            if bytes(x)?.len() != 32 {
                return Err(Unusable("not an Ed25519 key's length"));
            }
            Ok(&[EdDSA])
        }
        AlgorithmParameters::OctetKeyPair(_) => Err(Unusable("its curve is not served")),
        // A symmetric key in a public set is no key of ours, whatever it says: HS* is never served.
        _ => Err(Unusable("its type is not served")),
    }
}

fn judge_rsa(rsa: &RSAKeyParameters) -> Result<(), Unusable> {
    let modulus = bytes(&rsa.n)?;
    let leading = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
    let bits = modulus[leading..].first().map_or(0, |first| (modulus.len() - leading) * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(Unusable("an RSA modulus under 2048 or over 8192 bits"));
    }
    // An exponent of 1 makes every message its own signature; a long one is only there to cost us time.
    let exponent = bytes(&rsa.e)?;
    let value = exponent.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    if exponent.len() > 8 || value < 3 || value.is_multiple_of(2) {
        return Err(Unusable("an RSA exponent that is even, 1 or too long"));
    }
    Ok(())
}

fn bytes(text: &str) -> Result<Vec<u8>, Unusable> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unusable("a parameter is not base64url"))
}

fn fingerprint(parameters: &AlgorithmParameters, algorithms: &[Algorithm]) -> Fingerprint {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    match parameters {
        AlgorithmParameters::RSA(rsa) => [&rsa.n, &rsa.e].into_iter().for_each(|part| add(part)),
        AlgorithmParameters::EllipticCurve(ec) => [&ec.x, &ec.y].into_iter().for_each(|part| add(part)),
        AlgorithmParameters::OctetKeyPair(pair) => add(&pair.x),
        _ => {}
    }
    algorithms.iter().for_each(|algorithm| add(algorithm.as_str()));
    Fingerprint(hash.finalize().into())
}

/// The algorithm as a JWK's `alg` names it.
const fn stated_as(algorithm: Algorithm) -> KeyAlgorithm {
    match algorithm {
        Algorithm::RS256 => KeyAlgorithm::RS256,
        Algorithm::RS384 => KeyAlgorithm::RS384,
        Algorithm::RS512 => KeyAlgorithm::RS512,
        Algorithm::PS256 => KeyAlgorithm::PS256,
        Algorithm::PS384 => KeyAlgorithm::PS384,
        Algorithm::PS512 => KeyAlgorithm::PS512,
        Algorithm::ES256 => KeyAlgorithm::ES256,
        Algorithm::ES384 => KeyAlgorithm::ES384,
        Algorithm::EdDSA => KeyAlgorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests;
