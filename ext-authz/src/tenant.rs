//! The second step: whose request is it? The token's issuer leads to the one tenant that owns it, that issuer's keys verify the token, and
//! what the request addresses must be that tenant (S19, S22).
//!
//! Status, roles and subscriptions are judged later: this step only proves who is there.

use std::{net::IpAddr, sync::Arc};

use bulkhead_tenancy::{clock::Clock, snapshot::Snapshot, tenant::Tenant};

use crate::verdict::{Caller, Denial, Reason};

/// Every value of the two credential headers, as Envoy sent them: `Authorization` and `X-API-Key`, raw or not (S19).
#[derive(Debug, Clone, Default)]
pub struct Presented<'a> {
    /// Values of `authorization`.
    pub authorization: Vec<&'a [u8]>,
    /// Values of `x-api-key`.
    pub api_key: Vec<&'a [u8]>,
}

/// What the request addresses, as far as the unproven side goes (S20).
#[derive(Debug, Clone, Copy)]
pub struct Addressed<'a> {
    /// The tenant's name that host, path or context name, whether or not such a tenant exists; absent: the credentials alone name it.
    pub name: Option<&'a str>,
    /// Whether host, path and context agree.
    pub consistent: bool,
}

/// A request that nobody was proven for, or that addresses somebody else.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What is answered and logged.
    pub denial: Denial,
    /// The tenant whose credentials verified all the same (a token at a foreign address): its audit stream takes the record, nobody else's.
    pub proven: Option<Arc<Tenant>>,
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self { denial, proven: None }
    }
}

/// How much identity may wait, fetch, hold and count.
#[derive(Debug, Clone, Default)]
pub struct Settings {}

/// Everything that proving needs beside the snapshot: key sets, verified tokens, failure counts, caps.
pub struct Identity {
    _clock: Arc<dyn Clock>,
}

impl Identity {
    /// An identity step with nothing cached yet.
    #[must_use]
    pub fn new(_settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self { _clock: clock }
    }

    /// Proves who makes a request.
    ///
    /// # Errors
    /// `too_many_failures`, `no_credentials`, `invalid_token`, `wrong_tenant` or `unavailable`.
    pub async fn identify(
        &self,
        _snapshot: &Arc<Snapshot>,
        _presented: &Presented<'_>,
        _addressed: Addressed<'_>,
        _source: Option<IpAddr>,
    ) -> Result<Caller, Refusal> {
        Err(Denial::new(Reason::Unavailable, "credentials cannot be verified yet").into())
    }
}
