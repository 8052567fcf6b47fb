//! What is counted of requests that are not as the contract with Envoy has them.

use bulkhead_doors::metrics::{Metrics, TenantCounter};

use super::request::Asked;

pub(super) struct Oddities(TenantCounter);

impl Oddities {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self(metrics.tenant_counter(
            "bulkhead_ratelimit_oddities_total",
            "Requests that are not as the contract with Envoy has them, by tenant and kind.",
            "kind",
        ))
    }

    pub(super) fn served(&self, asked: &Asked<'_>) {
        for oddity in asked.oddities() {
            self.0.count(asked.tenant(), oddity.as_str());
        }
    }

    /// A request that nothing was decided about.
    pub(super) fn refused(&self, why: &'static str) {
        self.0.count(None, why);
    }
}
