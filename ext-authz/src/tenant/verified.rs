//! Tokens that were verified, remembered so that the next request costs a hash instead of a signature. What is remembered is who somebody is,
//! never what they may do: status, subscription and policy are read from the snapshot at every hit (S23).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bulkhead_tenancy::{
    issuer::Issuer,
    name::{TenantName, TenantUid},
    snapshot::Snapshot,
    tenant::Tenant,
};
use moka::{Expiry, sync::Cache};
use sha2::{Digest, Sha256};

use super::{
    claims::Claims,
    keys::{Fingerprint, Keyring},
};
use crate::shares::{Account, Charge};

/// The longest that a verified token is remembered, whatever its `exp`.
const LONGEST: Duration = Duration::from_secs(3600);
/// A token that was not seen for so long is forgotten, so that its bytes are there for others.
const IDLE: Duration = Duration::from_secs(600);
/// What the map itself needs for an entry, in bytes, about.
const OVERHEAD: usize = 256;

/// The SHA-256 of a whole token: two tokens that differ in one bit, the signature's included, are two entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// A token that verified: whose it was, by which issuer as configured then, with which key.
pub(super) struct Verified {
    /// The tenant's name, by which it is found, and its uid, by which it is the same one.
    pub(super) name: TenantName,
    pub(super) tenant: TenantUid,
    pub(super) issuer: Arc<Issuer>,
    pub(super) key: Fingerprint,
    pub(super) claims: Claims,
    /// The keys of that issuer, as they come and go.
    pub(super) ring: Arc<Keyring>,
}

impl Verified {
    /// Whether it was verified for this tenant (the same one, not one made anew under its name) and by this issuer as it is configured now.
    pub(super) fn is_of(&self, tenant: &Tenant, issuer: &Arc<Issuer>) -> bool {
        self.tenant == tenant.uid && (Arc::ptr_eq(&self.issuer, issuer) || self.issuer == *issuer)
    }

    /// The same tenant and issuer in a snapshot, if they are there as they were: all that a snapshot knows of them is found in the tenant (S23).
    pub(super) fn found_in<'s>(&self, snapshot: &'s Snapshot) -> Option<(&'s Arc<Tenant>, &'s Arc<Issuer>)> {
        let tenant = snapshot.tenant(self.name.as_str())?;
        let issuer = tenant.issuers.iter().find(|issuer| self.is_of(tenant, issuer))?;
        Some((tenant, issuer))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.claims.heap_bytes() + OVERHEAD
    }
}

/// The verified tokens of all tenants, each within its own share of the memory.
pub(super) struct VerifiedTokens(Cache<TokenHash, Entry>);

#[derive(Clone)]
struct Entry {
    verified: Arc<Verified>,
    lives: Duration,
    /// What it takes of its tenant's share; given back when the cache lets go of it.
    _charge: Arc<Charge>,
}

impl VerifiedTokens {
    pub(super) fn new() -> Self {
        // The tenants' shares bound it: no tenant's entry is ever pushed out by another's, as it would be at a common capacity.
        Self(Cache::builder().time_to_idle(IDLE).expire_after(UntilExp).build())
    }

    pub(super) fn get(&self, token: &TokenHash) -> Option<Arc<Verified>> {
        self.0.get(token).map(|entry| entry.verified)
    }

    /// Remembers a token, not longer than its `exp`, unless its tenant's share is used up: then it is verified anew each time.
    pub(super) fn insert(&self, token: TokenHash, verified: &Arc<Verified>, account: &Arc<Account>, now_s: i64) {
        let lives = Duration::from_secs(verified.claims.seconds_left(now_s)).min(LONGEST);
        if lives.is_zero() {
            return;
        }
        // What an entry of the same token held goes first.
        self.0.invalidate(&token);
        if let Some(charge) = account.charge(verified.bytes()) {
            self.0.insert(token, Entry { verified: Arc::clone(verified), lives, _charge: Arc::new(charge) });
        }
    }

    /// Forgets a token that does not stand any more.
    pub(super) fn forget(&self, token: &TokenHash) {
        self.0.invalidate(token);
    }
}

struct UntilExp;

impl Expiry<TokenHash, Entry> for UntilExp {
    fn expire_after_create(&self, _token: &TokenHash, entry: &Entry, _at: Instant) -> Option<Duration> {
        Some(entry.lives)
    }
}
