//! What becomes of a decision once it is made: counted, and denials told to the operator. Audit streams take this seam.

use std::time::Duration;

use bulkhead_doors::metrics::{Metrics, TenantCounter};
use bulkhead_tenancy::api::Audit;

use crate::{
    process::Side,
    verdict::{Decision, Denial, Facts, Step, Verdict},
};

pub mod log;

/// Whoever is told of decisions. It must not block: it is called on the way of the answer.
pub trait Record: Send + Sync + 'static {
    /// Takes note of a decision, and of how long it took.
    fn record(&self, decision: &Decision, took: Duration);

    /// Takes note of what was done with a body on its way, after the decision that let the request in.
    fn processed(&self, processed: &Processed);
}

/// What ext_proc did with one body.
#[derive(Debug)]
pub struct Processed {
    /// The decision that let the request in; empty where none is known.
    pub id: String,
    /// Whose body it is, and what was found in it: kinds and names, never values.
    pub facts: Facts,
    /// Which body.
    pub side: Side,
    /// What was done.
    pub handled: Handled,
}

/// What was done with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// It was read and goes on as it is.
    Kept,
    /// It was read and goes on written anew.
    Rewritten,
    /// It could not be read, for this reason, and the policy lets that pass.
    Unread(&'static str),
    /// It goes nowhere.
    Denied(Denial),
}

impl Processed {
    /// The name in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match (self.side, &self.handled) {
            (Side::Request, Handled::Kept) => "request_kept",
            (Side::Request, Handled::Rewritten) => "request_redacted",
            (Side::Request, Handled::Unread(_)) => "request_unread",
            (Side::Request, Handled::Denied(_)) => "request_denied",
            (Side::Response, Handled::Kept) => "response_kept",
            (Side::Response, Handled::Rewritten) => "response_redacted",
            (Side::Response, Handled::Unread(_)) => "response_unread",
            (Side::Response, Handled::Denied(_)) => "response_denied",
        }
    }
}

/// Counts every decision, and logs denials as each API's `audit` asks.
pub struct Ledger {
    decisions: TenantCounter,
    shadow: TenantCounter,
    bodies: TenantCounter,
    pii: TenantCounter,
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
            bodies: metrics.tenant_counter(
                "bulkhead_authz_bodies_total",
                "Bodies that ext_proc read, by what was done with them.",
                "outcome",
            ),
            pii: metrics.tenant_counter("bulkhead_authz_pii_total", "Requests and answers that hold personal data, by its kind.", "kind"),
            log,
        }
    }

    /// Tells of merged denials whose window is over. Called from time to time, so that the last ones of a flood are told, too.
    pub fn sweep(&self) {
        self.log.sweep();
    }

    fn found(&self, facts: &Facts) {
        for kind in &facts.findings.pii {
            self.pii.count(facts.tenant.as_deref(), kind.name());
        }
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
        self.found(&verdict.facts);
        let api = verdict.facts.api.as_deref();
        match &verdict.outcome {
            Ok(_) => log::allowed(decision),
            // `audit: none`: not even denials.
            Err(_) if api.is_some_and(|api| api.audit == Audit::None) => {}
            Err(denial) => self.log.denied(decision, denial),
        }
    }

    fn processed(&self, processed: &Processed) {
        let facts = &processed.facts;
        self.bodies.count(facts.tenant.as_deref(), processed.name());
        self.found(facts);
        if let Handled::Denied(denial) = &processed.handled
            && facts.api.as_ref().is_none_or(|api| api.audit != Audit::None)
        {
            let outcome = Err(denial.clone());
            let verdict = Verdict { outcome, step: Step::Guardrails, facts: facts.clone(), shadow: Vec::new() };
            self.log.denied(&Decision { id: processed.id.clone(), generation: None, verdict }, denial);
        }
    }
}
