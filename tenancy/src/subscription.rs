//! A subscription: one client's or one key's share of its tenant.

use std::{collections::BTreeSet, fmt};

use crate::{
    limit::{Quota, RateLimit},
    name::{ApiName, SubscriptionName},
};

/// One subscription of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Its name inside the tenant.
    pub name: SubscriptionName,
    /// The APIs it covers; absent: every API of the contract.
    pub apis: Option<BTreeSet<ApiName>>,
    /// Who it belongs to.
    pub holder: Holder,
    /// Its own limit; absent: only the tenant's.
    pub rate_limit: Option<RateLimit>,
    /// Its own quotas, beside the plan's; each over another window.
    pub quotas: Vec<Quota>,
    /// From this moment on it is refused, in seconds since 1970.
    pub expires_at: Option<i64>,
}

impl Subscription {
    /// Whether it covers an API.
    #[must_use]
    pub fn covers(&self, api: &ApiName) -> bool {
        self.apis.as_ref().is_none_or(|apis| apis.contains(api))
    }

    /// Whether it has expired at a moment, in seconds since 1970.
    #[must_use]
    pub fn expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }

    /// What this one and a newer text of it both permit; absent if the newer belongs to another holder.
    pub(crate) fn narrowed_to(&self, newer: &Self) -> Option<Self> {
        let apis = match (&self.apis, &newer.apis) {
            (Some(one), Some(two)) => Some(one.intersection(two).cloned().collect()),
            (one, two) => one.as_ref().or(two.as_ref()).cloned(),
        };
        (self.holder == newer.holder).then(|| Self {
            name: self.name.clone(),
            apis,
            holder: self.holder.clone(),
            rate_limit: self.rate_limit.into_iter().chain(newer.rate_limit).reduce(RateLimit::least),
            quotas: Quota::least(self.quotas.iter().chain(&newer.quotas).cloned()),
            expires_at: self.expires_at.into_iter().chain(newer.expires_at).min(),
        })
    }
}

/// How a request is known to belong to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// By an API key, of which we know the hash alone.
    Key(KeyHash),
    /// By the token's `azp`, else its `client_id`.
    Client(String),
}

/// The SHA-256 of a whole API key, `<tenant>.<secret>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash of a key as it was sent.
    #[must_use]
    pub fn of(key: &str) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(key).into())
    }
}

impl fmt::Debug for KeyHash {
    /// A hash of a weak key can be searched for: it is not shown either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}
