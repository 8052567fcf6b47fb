//! Denials in the log, where no audit stream takes them. A flood of them is merged per tenant, so that one hostile tenant buries nobody else's
//! lines: beyond some lines a window they are only counted, and one line then holds the count and the first and last decision id.

use std::sync::Arc;

use bulkhead_audit::merge::{Admitted, Merged, Merger};
use bulkhead_tenancy::{clock::Clock, name::TenantName};

use crate::verdict::Decision;

/// Lines of its own that a tenant has in one window.
const LINES: u32 = 50;

/// The log of denials.
pub struct DenialLog(Merger<Option<TenantName>>);

impl DenialLog {
    /// An empty log.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Merger::new(clock, LINES))
    }

    /// Tells of a denial, or counts it. An allow has no line here.
    pub(super) fn told(&self, decision: &Decision) {
        let Err(denial) = &decision.verdict.outcome else { return };
        let facts = &decision.verdict.facts;
        let tenant = facts.tenant.as_ref().map(|tenant| &tenant.name);
        let uid = facts.tenant.as_ref().map(|tenant| &tenant.uid);
        let Admitted { over, line } = self.0.admit(uid, &decision.id, denial.reason.name(), || tenant.cloned());
        over.iter().for_each(tell_merged);
        if !line {
            return;
        }
        tracing::info!(
            decision_id = decision.id,
            tenant_id = tenant.map(TenantName::as_str),
            api = facts.api.as_ref().map(|api| api.name.as_str()),
            verdict = denial.reason.name(),
            step = decision.verdict.step.name(),
            detail = &*denial.detail,
            "denied"
        );
    }

    /// Tells of what windows merged that are over, and forgets them.
    pub(super) fn sweep(&self) {
        self.0.sweep().iter().for_each(tell_merged);
    }

    /// Tells of everything that was merged and not told: the service ends.
    pub(super) fn flush(&self) {
        self.0.flush().iter().for_each(tell_merged);
    }
}

fn tell_merged((tenant, merged): &(Option<TenantName>, Merged)) {
    tracing::info!(
        tenant_id = tenant.as_ref().map(TenantName::as_str),
        count = merged.count,
        first_decision_id = merged.first,
        last_decision_id = merged.last,
        "denied, merged"
    );
}

/// Allows are told to whoever debugs.
pub(super) fn allowed(decision: &Decision) {
    let facts = &decision.verdict.facts;
    tracing::debug!(
        decision_id = decision.id,
        tenant_id = facts.tenant.as_ref().map(|tenant| tenant.name.as_str()),
        api = facts.api.as_ref().map(|api| api.name.as_str()),
        shadow = decision.verdict.shadow.len(),
        "allowed"
    );
}
