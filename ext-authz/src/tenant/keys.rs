//! The keys of an issuer: where they come from, how long they are believed, and which of them may verify a token.

mod ahead;
pub(super) mod document;
mod http;
mod jwk;
mod keyring;

use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_tenancy::issuer::{Algorithm, Issuer};
use serde_json::Value;

use crate::shares::Charge;

pub use ahead::Ahead;
pub use http::{HttpBounds, HttpKeys};
pub(super) use jwk::{Fingerprint, Key};
pub use keyring::Pace;
pub(super) use keyring::{Keyring, Standing, Supply, Unavailable};

/// The most keys that a set may have: beyond it the set is refused, not shortened, since nobody could say which keys count.
pub(super) const MAX_KEYS: usize = 64;
/// How many keys one token may be tried with.
const MAX_TRIES: usize = 8;

/// The longest text about a failed fetch, in characters.
const MAX_CAUSES: usize = 300;

/// Fetches the keys of one issuer, once: the seam to the outside. How often, how many at a time and for how long is the caller's business
/// ([`Pace`], and the bounds of each tenant); a provider bounds what it reads.
#[async_trait]
pub trait KeyProvider: Send + Sync + 'static {
    /// The JWKs of an issuer's set, each as it stands there.
    ///
    /// # Errors
    /// When they cannot be had now.
    async fn fetch(&self, issuer: &Issuer) -> Result<Vec<Value>, FetchError>;
}

/// Why keys could not be had: for the operator. It holds no answer's text: an issuer is not trusted with our log.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL, or one that the issuer sent us on to, is not one that we fetch (S18).
    #[error("refused to fetch: {0}")]
    Refused(&'static str),
    /// No answer.
    #[error("no answer")]
    Unreachable(#[source] reqwest::Error),
    /// Another status than 200.
    #[error("answered {0}")]
    Status(u16),
    /// More than we read.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// Not in time.
    #[error("not within the time bound")]
    TimedOut,
    /// Something else than was asked for.
    #[error("not what was asked for: {0}")]
    Unexpected(&'static str),
}

impl FetchError {
    /// What lies beneath, for the log: shortened, since a provider's certificate or address may stand in it.
    fn causes(&self) -> String {
        let chain = std::iter::successors(std::error::Error::source(self), |error| error.source());
        let text = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        text.chars().take(MAX_CAUSES).collect()
    }
}

/// The keys of one issuer that may be used at all, in the order of the set.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// What the set takes of its tenant's share; given back when the set is dropped.
    _charge: Charge,
}

impl KeySet {
    /// Reads each JWK alone: a bad one is left out and spoils no other (S19). A set of which none may be used is a set all the same: the issuer
    /// has withdrawn its keys, and they are gone at once. A provider that hiccups like this is asked again by the first token (`Pace::unverified`).
    ///
    /// # Errors
    /// When there are too many, or the tenant's share does not hold them.
    pub(super) fn read(jwks: &[Value], issuer: &Issuer, charge: impl FnOnce(usize) -> Option<Charge>) -> Result<Self, FetchError> {
        if jwks.len() > MAX_KEYS {
            return Err(FetchError::Unexpected("too many keys"));
        }
        let read = |(place, jwk): (usize, &Value)| match Key::read(jwk, &issuer.algorithms) {
            Ok(key) => Some(key),
            Err(why) => {
                tracing::debug!(issuer = %issuer.id, place, %why, "a key is left out");
                None
            }
        };
        let keys: Vec<Key> = jwks.iter().enumerate().filter_map(read).collect();
        if keys.is_empty() {
            tracing::warn!(issuer = %issuer.id, listed = jwks.len(), "an issuer has no key that may be used: its tokens are refused");
        }
        let bytes = keys.iter().map(Key::bytes).sum();
        let charge = charge(bytes).ok_or(FetchError::Unexpected("more keys than the tenant's share of memory holds"))?;
        Ok(Self { keys, _charge: charge })
    }

    /// How many keys it has.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Keys that may verify a token of this algorithm and `kid`. A key without `kid` may be any token's, and a token without one may be any
    /// key's; the algorithm is always the key's own. Bounded: so the keys that the token names come first.
    pub(super) fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> impl Iterator<Item = &Key> {
        let of =
            move |named: bool| self.keys.iter().filter(move |key| key.allows(algorithm) && (kid.is_some() && key.kid() == kid) == named);
        let nameless = move |key: &&Key| kid.is_none() || key.kid().is_none();
        of(true).chain(of(false).filter(nameless)).take(MAX_TRIES)
    }

    /// Whether the key is still one of the set.
    pub(super) fn holds(&self, key: Fingerprint) -> bool {
        self.keys.iter().any(|one| one.fingerprint() == key)
    }

    /// Whether both sets have the same keys.
    fn same_as(&self, other: &Self) -> bool {
        self.keys.iter().map(Key::identity).eq(other.keys.iter().map(Key::identity))
    }
}

/// Keys of an issuer, shared.
pub(super) type SharedKeys = Arc<KeySet>;
