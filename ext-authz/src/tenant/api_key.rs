//! API keys: `<tenant>.<secret>`, looked up by hash inside that one tenant.

use std::sync::Arc;

use bulkhead_tenancy::{
    name::TenantName,
    snapshot::Snapshot,
    subscription::{KeyHash, Subscription},
    tenant::{Policy, Tenant},
};

use super::Addressed;

/// What an API key proves.
pub(super) enum KeyProof {
    /// This tenant, and the subscription that the key belongs to.
    Of(Arc<Tenant>, Arc<Subscription>),
    /// Nothing: the tenant that it names has no policy to look it up in. Only a token that proves the tenant may be told so (S22).
    Unchecked(Arc<Tenant>),
    /// Nothing.
    Nobody,
}

impl KeyProof {
    /// The tenant that the key is, or says it is, of.
    pub(super) fn tenant(&self) -> Option<&Arc<Tenant>> {
        match self {
            Self::Of(tenant, _) | Self::Unchecked(tenant) => Some(tenant),
            Self::Nobody => None,
        }
    }
}

/// Looks a key up. The same work is done whether or not the tenant exists: one hash, one search.
pub(super) fn prove(key: &str, snapshot: &Snapshot, addressed: Addressed<'_>) -> KeyProof {
    let hash = KeyHash::of(key);
    // What stands before the first dot is a tenant if it could be one's name; a key without it may be used only where the address,
    // agreeing with itself, names one.
    let named = key.split_once('.').map(|(name, _)| name).filter(|name| name.parse::<TenantName>().is_ok());
    let name = named.or(addressed.name.filter(|_| addressed.consistent));
    let Some(tenant) = name.and_then(|name| snapshot.tenant(name)) else { return KeyProof::Nobody };
    match &tenant.policy {
        Policy::Unavailable(_) => KeyProof::Unchecked(Arc::clone(tenant)),
        Policy::Ready(policy) => match policy.subscription_of_key(&hash) {
            Some(subscription) => KeyProof::Of(Arc::clone(tenant), Arc::clone(subscription)),
            None => KeyProof::Nobody,
        },
    }
}
