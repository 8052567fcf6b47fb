//! What is counted of decisions, whichever door they were asked through. Tenants are labelled only where a snapshot knows them, and only so many.

use bulkhead_doors::metrics::{Metrics, TenantCounter};
use bulkhead_tenancy::tenant::Tenant;

use crate::{limiter::Ruling, outcome::Outcome};

/// The counters of decisions.
pub struct Counts {
    decisions: TenantCounter,
    scopes: TenantCounter,
    fallbacks: TenantCounter,
    shadow: TenantCounter,
}

impl Counts {
    /// Counters among these metrics.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            decisions: metrics.tenant_counter("bulkhead_ratelimit_decisions_total", "Decisions, by tenant and verdict.", "verdict"),
            scopes: metrics.tenant_counter("bulkhead_ratelimit_over_limit_total", "Denials, by tenant and the level that denied.", "scope"),
            fallbacks: metrics.tenant_counter(
                "bulkhead_ratelimit_fallbacks_total",
                "Decisions that the store did not make, by tenant and what answered: under `open` they were admitted uncharged.",
                "mode",
            ),
            shadow: metrics.tenant_counter(
                "bulkhead_ratelimit_shadow_total",
                "What limits of policies in shadow would have denied.",
                "reason",
            ),
        }
    }

    /// A decision that is answered.
    pub fn ruled(&self, tenant: Option<&Tenant>, ruling: &Ruling) {
        for _ in ruling.shadowed() {
            self.shadow.count(tenant, "over_limit");
        }
        match ruling {
            Ruling::Exact(outcome) => self.decided(tenant, outcome),
            Ruling::Local(outcome) => {
                self.fallbacks.count(tenant, "local");
                self.decided(tenant, outcome);
            }
            Ruling::Open => {
                self.fallbacks.count(tenant, "open");
                self.decisions.count(tenant, "ok");
            }
            Ruling::Unavailable => {
                self.fallbacks.count(tenant, "closed");
                self.decisions.count(tenant, "unavailable");
            }
        }
    }

    fn decided(&self, tenant: Option<&Tenant>, outcome: &Outcome) {
        match outcome.denial() {
            None => self.decisions.count(tenant, "ok"),
            Some(denial) => {
                self.decisions.count(tenant, "over_limit");
                self.scopes.count(tenant, denial.scope.as_str());
            }
        }
    }

    /// A decision that is not answered, because it must be on record and is not.
    pub fn unrecorded(&self, tenant: Option<&Tenant>) {
        self.decisions.count(tenant, "unavailable");
    }

    /// A request that nothing was decided about.
    pub fn refused(&self) {
        self.decisions.count(None, "refused");
    }
}
