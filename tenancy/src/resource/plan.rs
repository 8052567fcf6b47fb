//! `kind: Plan`: what a tenant on it may use.

use super::{Metadata, quota, rate_limit};
use crate::{
    decode::{Fields, Reader},
    limit::{MAX_REQUESTS, Quota, Rate, RateLimit},
    name::PlanName,
    place::At,
    tenant::{Guarantee, Isolation},
};

/// A plan as written.
#[derive(Debug, Clone)]
pub struct PlanManifest {
    /// `metadata`
    pub metadata: Metadata<PlanName>,
    /// `spec.rateLimit`
    pub rate_limit: At<RateLimit>,
    /// `spec.guaranteed`
    pub guaranteed: Option<At<Guarantee>>,
    /// `spec.quotas`
    pub quotas: Vec<At<Quota>>,
    /// `spec.isolation`; default bridge.
    pub isolation: Isolation,
    /// `spec.requireTenantClaim`; default false.
    pub require_tenant_claim: bool,
}

/// The longest burst of a guarantee, in seconds.
const MAX_BURST_SECONDS: u64 = 3600;

impl PlanManifest {
    pub(super) fn read(top: &mut Fields<'_>) -> Option<Self> {
        let metadata = Metadata::read(top);
        top.required("spec", |spec| {
            spec.object(|spec| {
                let rate_limit = spec.required("rateLimit", rate_limit::read);
                let guaranteed = spec.optional("guaranteed", |reader| reader.at(read_guarantee));
                let quotas = spec.optional("quotas", quota::read).unwrap_or_default();
                let isolation = spec.optional("isolation", |reader| {
                    reader.one_of(&[("pool", Isolation::Pool), ("bridge", Isolation::Bridge), ("silo", Isolation::Silo)])
                });
                let require_tenant_claim = spec.optional("requireTenantClaim", |value| value.flag()).unwrap_or(false);
                Some(Self {
                    metadata: metadata?,
                    rate_limit: rate_limit?,
                    guaranteed,
                    quotas,
                    isolation: isolation.unwrap_or(Isolation::Bridge),
                    require_tenant_claim,
                })
            })
        })
    }
}

/// Never zero: every active tenant has a guarantee (S25); a plan that means none leaves the field out and gets the equal share.
fn read_guarantee(reader: &mut Reader<'_>) -> Option<Guarantee> {
    reader.object(|fields| {
        let requests = fields.required("requestsPerMinute", |reader| reader.whole(1, MAX_REQUESTS));
        let seconds = fields.optional("burstSeconds", |reader| reader.whole(1, MAX_BURST_SECONDS)).unwrap_or(1);
        let (rate, burst_seconds) = (Rate::per_minute(requests?), seconds);
        if rate.requests.saturating_mul(burst_seconds) / 60 > MAX_REQUESTS {
            return fields.refuse(format!("must not hold more than {MAX_REQUESTS} requests: requestsPerMinute / 60 x burstSeconds"));
        }
        Some(Guarantee { rate, burst_seconds })
    })
}
