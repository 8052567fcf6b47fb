//! What becomes of a decision once it is made: counted, and denials told to the operator. Audit streams take this seam.

use std::time::Duration;

use bulkhead_doors::metrics::{Metrics, TenantCounter};
use bulkhead_tenancy::api::Audit;

use crate::verdict::Decision;

pub mod log;

/// Whoever is told of decisions. It must not block: it is called on the way of the answer.
pub trait Record: Send + Sync + 'static {
    /// Takes note of a decision, and of how long it took.
    fn record(&self, decision: &Decision, took: Duration);
}

/// Counts every decision, and logs denials as each API's `audit` asks.
pub struct Ledger {
    decisions: TenantCounter,
    shadow: TenantCounter,
    log: log::DenialLog,
}

impl Ledger {
    /// A ledger that counts in these metrics.
    #[must_use]
    pub fn new(metrics: &Metrics, log: log::DenialLog) -> Self {
        metrics::describe_histogram!("bulkhead_authz_decision_seconds", metrics::Unit::Seconds, "How long decisions took.");
        Self {
            decisions: metrics.tenant_counter("bulkhead_authz_decisions_total", "Decisions, by proven tenant and verdict.", "verdict"),
            shadow: metrics.tenant_counter("bulkhead_authz_shadow_total", "What policies in shadow would have denied.", "reason"),
            log,
        }
    }

    /// Tells of merged denials whose window is over. Called from time to time, so that the last ones of a flood are told, too.
    pub fn sweep(&self) {
        self.log.sweep();
    }

    /// Tells of every merged denial. Called when the service ends.
    pub fn flush(&self) {
        self.log.flush();
    }
}

impl Record for Ledger {
    fn record(&self, decision: &Decision, took: Duration) {
        let verdict = &decision.verdict;
        let tenant = verdict.facts.tenant.as_deref();
        self.decisions.count(tenant, verdict.name());
        metrics::histogram!("bulkhead_authz_decision_seconds").record(took);
        for mark in &verdict.shadow {
            self.shadow.count(tenant, mark.reason.name());
        }
        let api = verdict.facts.api.as_deref();
        match &verdict.outcome {
            Ok(_) => log::allowed(decision),
            // `audit: none`: not even denials.
            Err(_) if api.is_some_and(|api| api.audit == Audit::None) => {}
            Err(denial) => self.log.denied(decision, denial),
        }
    }
}
