//! What strangers write, read exactly as in service and answered with no more than whether it could be read: the doors that fuzzing
//! knocks at. Nothing here decides anything.

use std::collections::BTreeSet;

use bulkhead_tenancy::issuer::{Algorithm, ClaimPath, Issuer, IssuerId, KeySource, TenantClaim};

use super::{
    Presented,
    claims::Claims,
    keys::{KeySet, document},
    presented::Credentials,
    token::UnverifiedToken,
};
use crate::shares::{Pool, Shares};

/// Reads the two credential headers of a request.
#[must_use]
pub fn credentials(authorization: &[u8], api_key: &[u8]) -> bool {
    Credentials::read(&Presented { authorization: vec![authorization], api_key: vec![api_key] }).is_ok()
}

/// Takes a token apart and reads its claims, as if its signature had verified.
#[must_use]
pub fn token(text: &str) -> bool {
    UnverifiedToken::read(text).is_ok_and(|token| Claims::read(token.claims(), &any_issuer(token.issuer())).is_ok())
}

/// How many keys of a key set may be used.
#[must_use]
pub fn jwks(bytes: &[u8]) -> usize {
    let Ok(jwks) = document::jwks(bytes) else { return 0 };
    let share = Pool::new(Shares { floor: usize::MAX, ceiling: usize::MAX, pool: 0 }).account();
    KeySet::read(&jwks, &any_issuer(""), |bytes| share.charge(bytes)).map_or(0, |set| set.len())
}

/// Reads a discovery document of the issuer that it is asked of.
#[must_use]
pub fn discovery(bytes: &[u8], issuer: &str) -> bool {
    document::jwks_uri(bytes, &IssuerId::new(issuer)).is_ok()
}

/// An issuer that allows whatever one may.
fn any_issuer(id: &str) -> Issuer {
    Issuer {
        id: IssuerId::new(id),
        keys: KeySource::Inline(Vec::new()),
        audiences: BTreeSet::new(),
        algorithms: Algorithm::ALL.into(),
        tenant_claim: TenantClaim { name: "tenant_id".to_owned(), required: false },
        roles_claims: ClaimPath::default_roles(),
        leeway_seconds: 30,
    }
}
