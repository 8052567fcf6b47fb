//! What the service counts. Tenants are labelled only where a snapshot knows them, and only so many.

use bulkhead_doors::metrics::{Metrics, TenantCounter};

use super::request::Asked;
use crate::charge::Scope;

pub(super) struct Counts {
    decisions: TenantCounter,
    scopes: TenantCounter,
    fallbacks: TenantCounter,
    oddities: TenantCounter,
    shadow: TenantCounter,
}

impl Counts {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            decisions: metrics.tenant_counter("bulkhead_ratelimit_decisions_total", "Decisions, by tenant and verdict.", "verdict"),
            scopes: metrics.tenant_counter("bulkhead_ratelimit_over_limit_total", "Denials, by tenant and the level that denied.", "scope"),
            fallbacks: metrics.tenant_counter(
                "bulkhead_ratelimit_fallbacks_total",
                "Decisions that the store did not make, by tenant and what answered: under `open` they were admitted uncharged.",
                "mode",
            ),
            oddities: metrics.tenant_counter(
                "bulkhead_ratelimit_oddities_total",
                "Requests that are not as the contract with Envoy has them, by tenant and kind.",
                "kind",
            ),
            shadow: metrics.tenant_counter(
                "bulkhead_ratelimit_shadow_total",
                "What limits of policies in shadow would have denied.",
                "reason",
            ),
        }
    }

    pub(super) fn ok(&self, asked: &Asked) {
        self.decisions.count(asked.tenant(), "ok");
    }

    pub(super) fn over_limit(&self, asked: &Asked, scope: Scope) {
        self.decisions.count(asked.tenant(), "over_limit");
        self.scopes.count(asked.tenant(), scope.as_str());
    }

    pub(super) fn without_store(&self, asked: &Asked, mode: &'static str) {
        self.fallbacks.count(asked.tenant(), mode);
        if mode == "closed" {
            self.decisions.count(asked.tenant(), "unavailable");
        }
    }

    /// What so many policies in shadow would have denied.
    pub(super) fn shadowed(&self, asked: &Asked, policies: usize) {
        for _ in 0..policies {
            self.shadow.count(asked.tenant(), "over_limit");
        }
    }

    /// A decision that is not answered, because it must be on record and is not.
    pub(super) fn unrecorded(&self, asked: &Asked) {
        self.decisions.count(asked.tenant(), "unavailable");
    }

    /// A request that nothing was decided about.
    pub(super) fn refused(&self, why: &'static str) {
        self.oddities.count(None, why);
        self.decisions.count(None, "refused");
    }

    pub(super) fn oddities(&self, asked: &Asked) {
        for oddity in asked.oddities() {
            self.oddities.count(asked.tenant(), oddity.as_str());
        }
    }
}
