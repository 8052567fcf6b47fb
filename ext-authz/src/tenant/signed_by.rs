//! What a stream stands on that was let in with a token: the key that verified it. A token is looked at once, when its request comes; but a stream of events may be
//! open for hours. It ends where a new request with that token would be refused (S23).

use std::{fmt, sync::Arc, time::Duration};

use bulkhead_tenancy::{issuer::Issuer, name::TenantUid, snapshot::Snapshot};

use super::{compartment::Compartments, keys::Fingerprint, verified::Verified};

/// The key that a token was verified by, and its issuer as it was configured then.
#[derive(Clone)]
pub struct SignedBy {
    issuer: Arc<Issuer>,
    key: Fingerprint,
}

impl SignedBy {
    pub(super) fn of(verified: &Verified) -> Self {
        Self { issuer: Arc::clone(&verified.issuer), key: verified.key }
    }

    /// Reads what Check told (its `Display`): the issuer is this tenant's.
    #[must_use]
    pub fn read(told: &str, tenant: &TenantUid, snapshot: &Snapshot) -> Option<Self> {
        let (key, issuer) = told.split_once(' ')?;
        let (owner, issuer) = snapshot.by_issuer(issuer)?;
        (owner.uid == *tenant).then_some(())?;
        Some(Self { issuer: Arc::clone(issuer), key: Fingerprint::of_hex(key)? })
    }
}

impl fmt::Display for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key.hex(), self.issuer.id)
    }
}

impl fmt::Debug for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedBy({:?} of {})", self.key, self.issuer.id)
    }
}

/// The keys of all issuers, as they come and go.
#[derive(Clone)]
pub struct KeysInForce(Arc<Compartments>);

impl KeysInForce {
    pub(super) fn of(compartments: &Arc<Compartments>) -> Self {
        Self(Arc::clone(compartments))
    }

    /// Whether a token of a tenant that this key verified would still be accepted, so long ago as it was looked at. Where keys are old, newer ones are
    /// asked for; where they were never fetched here, it is believed for as long as fetched ones would be.
    #[must_use]
    pub fn accept(&self, signed: &SignedBy, tenant: &TenantUid, snapshot: &Arc<Snapshot>, ago: Duration) -> bool {
        self.0.sweep(snapshot);
        let Some((owner, issuer)) = snapshot.by_issuer(signed.issuer.id.as_str()) else { return false };
        let as_it_was = Arc::ptr_eq(issuer, &signed.issuer) || *issuer == signed.issuer;
        if owner.uid != *tenant || !as_it_was {
            return false;
        }
        let ring = self.0.ring(&self.0.of(tenant), issuer);
        ring.holds(signed.key).unwrap_or_else(|| ago < self.0.longest_believed())
    }
}
