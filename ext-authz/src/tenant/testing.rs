//! Issuers for tests: keys of every kind, tokens with any header and any claims, and a provider that hands out what it is told.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bulkhead_tenancy::issuer::{Algorithm, ClaimPath, Issuer, IssuerId, KeySource, TenantClaim};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::keys::{FetchError, KeyProvider};

/// A moment that tokens are valid at, in seconds since 1970.
pub(crate) const NOW_S: i64 = 1_800_000_000;
pub(crate) const NOW_US: u64 = 1_800_000_000_000_000;

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A private key, and its public half as a JWK.
pub(crate) enum Signer {
    Rs256(RsaKeyPair),
    Ps256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    Es384(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

/// Making RSA keys takes long: the tests share a few.
static RSA: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [(); 2].map(|()| {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der = aws_lc_rs::encoding::AsDer::as_der(&pair).unwrap();
        pkcs8.as_ref().to_vec()
    })
});

impl Signer {
    pub(crate) fn rsa(which: usize) -> Self {
        Self::Rs256(RsaKeyPair::from_pkcs8(&RSA[which]).unwrap())
    }

    pub(crate) fn pss(which: usize) -> Self {
        Self::Ps256(RsaKeyPair::from_pkcs8(&RSA[which]).unwrap())
    }

    pub(crate) fn p256() -> Self {
        Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn p384() -> Self {
        Self::Es384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn ed25519() -> Self {
        Self::EdDsa(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rs256(_) => "RS256",
            Self::Ps256(_) => "PS256",
            Self::Es256(_) => "ES256",
            Self::Es384(_) => "ES384",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rs256(pair) | Self::Ps256(pair) => {
                let public = pair.public_key();
                let n = aws_lc_rs::signature::RsaPublicKeyComponents::<Vec<u8>>::from(public);
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": base64(n.n), "e": base64(n.e)})
            }
            Self::Es256(pair) => ec(kid, "P-256", pair.public_key().as_ref()),
            Self::Es384(pair) => ec(kid, "P-384", pair.public_key().as_ref()),
            Self::EdDsa(pair) => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64(pair.public_key().as_ref())}),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rs256(pair) | Self::Ps256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if matches!(self, Self::Rs256(_)) { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Es256(pair) | Self::Es384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with the signer's own header and these claims.
    pub(crate) fn token(&self, kid: &str, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm(), "typ": "JWT", "kid": kid}), claims)
    }

    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// A token of any two texts.
    pub(crate) fn token_of(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", base64(header), base64(payload));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", base64(signature))
    }
}

fn ec(kid: &str, curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at((point.len() - 1) / 2);
    json!({"kty": "EC", "crv": curve, "kid": kid, "x": base64(x), "y": base64(y)})
}

/// Claims that stand, of an issuer.
pub(crate) fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": "u-1", "exp": NOW_S + 300, "iat": NOW_S - 10, "azp": "app", "scope": "a b", "roles": ["reader"]})
}

/// The claims with some others in their place; `null` takes one away.
pub(crate) fn with(mut claims: Value, others: Value) -> Value {
    let (Some(members), Value::Object(others)) = (claims.as_object_mut(), others) else { unreachable!("objects") };
    for (name, value) in others {
        if value.is_null() {
            members.remove(&name);
        } else {
            members.insert(name, value);
        }
    }
    claims
}

/// An issuer as the defaults have it.
pub(crate) fn issuer(id: &str, keys: KeySource) -> Issuer {
    Issuer {
        id: IssuerId::new(id),
        keys,
        audiences: BTreeSet::new(),
        algorithms: Algorithm::ALL.into(),
        tenant_claim: TenantClaim { name: "tenant_id".to_owned(), required: false },
        roles_claims: ClaimPath::default_roles(),
        leeway_seconds: 30,
    }
}

/// An issuer whose keys a [`Provider`] has.
pub(crate) fn fetched(id: &str) -> Issuer {
    issuer(id, KeySource::JwksUri(format!("{id}/jwks").parse().unwrap()))
}

/// What a provider answers.
#[derive(Clone)]
pub(crate) enum Answer {
    Keys(Vec<Value>),
    Down,
    /// No answer before the gate is opened; then the keys.
    Late(Vec<Value>),
}

/// A provider in memory, which counts what it is asked.
pub(crate) struct Provider {
    answers: Mutex<std::collections::HashMap<String, Answer>>,
    pub(crate) asked: AtomicUsize,
    pub(crate) gate: Semaphore,
}

impl Provider {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { answers: Mutex::default(), asked: AtomicUsize::new(0), gate: Semaphore::new(0) })
    }

    pub(crate) fn set(&self, issuer: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(issuer.to_owned(), answer);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl KeyProvider for Provider {
    async fn fetch(&self, issuer: &Issuer) -> Result<Vec<Value>, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().unwrap().get(issuer.id.as_str()).cloned();
        match answer {
            Some(Answer::Keys(keys)) => Ok(keys),
            Some(Answer::Late(keys)) => {
                self.gate.acquire().await.unwrap().forget();
                Ok(keys)
            }
            Some(Answer::Down) | None => Err(FetchError::Status(503)),
        }
    }
}

/// Waits until something is so; fails after ten seconds.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never so: {what}");
}
