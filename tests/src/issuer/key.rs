//! Signing keys, with the JWK of their public half.

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{self, KeySize},
    signature::{self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// A key pair, the algorithm that it signs with, and its key id.
pub struct Key {
    kid: String,
    algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(rsa::KeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    /// RSA of 2048 bits, PKCS #1 v1.5, SHA-256.
    ///
    /// # Panics
    /// Never, but for a broken source of randomness; the same goes for the others.
    #[must_use]
    pub fn rs256(kid: &str) -> Self {
        Self::rsa(kid, "RS256", KeySize::Rsa2048, &signature::RSA_PKCS1_SHA256)
    }

    /// RSA of 2048 bits, PSS, SHA-256.
    #[must_use]
    pub fn ps256(kid: &str) -> Self {
        Self::rsa(kid, "PS256", KeySize::Rsa2048, &signature::RSA_PSS_SHA256)
    }

    /// ECDSA on P-256.
    ///
    /// # Panics
    /// See [`Key::rs256`].
    #[must_use]
    pub fn es256(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair");
        Self { kid: kid.to_owned(), algorithm: "ES256", pair: Pair::Ec(pair) }
    }

    /// Ed25519.
    ///
    /// # Panics
    /// See [`Key::rs256`].
    #[must_use]
    pub fn eddsa(kid: &str) -> Self {
        Self { kid: kid.to_owned(), algorithm: "EdDSA", pair: Pair::Ed(Ed25519KeyPair::generate().expect("a key pair")) }
    }

    fn rsa(kid: &str, algorithm: &'static str, size: KeySize, encoding: &'static dyn RsaEncoding) -> Self {
        let pair = rsa::KeyPair::generate(size).expect("a key pair");
        Self { kid: kid.to_owned(), algorithm, pair: Pair::Rsa(pair, encoding) }
    }

    /// The key id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The `alg` of its tokens.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// Signs a message as JWS wants it.
    ///
    /// # Panics
    /// See [`Key::rs256`].
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).expect("a signature");
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message).expect("a signature").as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The JWK of the public half, with `kid`, `alg` and `use: sig`.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair, _) => {
                let (modulus, exponent) = rsa_numbers(pair.public_key().as_ref());
                json!({ "kty": "RSA", "n": text(modulus), "e": text(exponent) })
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..65]) })
            }
            Pair::Ed(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) }),
        };
        jwk["kid"] = self.kid.clone().into();
        jwk["alg"] = self.algorithm.into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The public half as PEM: what an attacker signs HS256 with.
    ///
    /// # Panics
    /// Where the key is not RSA.
    #[must_use]
    pub fn public_pem(&self) -> String {
        let Pair::Rsa(pair, _) = &self.pair else { panic!("{} is no RSA key", self.kid) };
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a public key has an encoding");
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}

/// Modulus and exponent of a PKCS #1 RSAPublicKey: a SEQUENCE of two INTEGERs.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = der_value(der);
    let (modulus, rest) = der_value(sequence);
    let (exponent, _) = der_value(rest);
    let number = |bytes: &'_ [u8]| bytes.iter().take_while(|byte| **byte == 0).count();
    (&modulus[number(modulus)..], &exponent[number(exponent)..])
}

/// The content of the first DER value, and what follows it.
fn der_value(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..=127 => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            (der[2..2 + count].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + count)
        }
    };
    (&der[start..start + length], &der[start + length..])
}
