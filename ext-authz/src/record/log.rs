//! Denials in the log. A flood of them is merged per tenant, so that one hostile tenant buries nobody else's lines: beyond some lines a
//! window they are only counted, and one line then holds the count and the first and last decision id.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bulkhead_tenancy::{clock::Clock, name::TenantName};

use crate::verdict::{Decision, Denial};

/// Lines of its own that a tenant has in one window.
const LINES: u32 = 50;
/// The length of a window, in microseconds.
const WINDOW_US: u64 = 10_000_000;

/// The log of denials.
pub struct DenialLog {
    clock: Arc<dyn Clock>,
    /// By proven tenant, which bounds the number of entries; none: all that is unresolved, together.
    windows: Mutex<HashMap<Option<TenantName>, Window>>,
}

/// What one tenant did in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    since_us: u64,
    lines: u32,
    merged: Option<Merged>,
}

/// Denials that have no line of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Merged {
    count: u64,
    first: String,
    last: String,
}

impl DenialLog {
    /// An empty log.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, windows: Mutex::default() }
    }

    /// Tells of a denial, or counts it.
    pub(super) fn denied(&self, decision: &Decision, denial: &Denial) {
        let tenant = decision.verdict.facts.tenant.as_ref().map(|tenant| tenant.name.clone());
        let (over, line) = self.admit(tenant.as_ref(), &decision.id);
        if let Some(merged) = over {
            tell_merged(tenant.as_ref(), &merged);
        }
        if !line {
            return;
        }
        let api = decision.verdict.facts.api.as_ref().map(|api| api.name.as_str());
        tracing::info!(
            decision_id = decision.id,
            tenant_id = tenant.as_ref().map(TenantName::as_str),
            api,
            verdict = denial.reason.name(),
            step = decision.verdict.step.name(),
            detail = &*denial.detail,
            "denied"
        );
    }

    /// Takes place for a line in the tenant's window: what the last window merged, if it is over, and whether the line may be written.
    fn admit(&self, tenant: Option<&TenantName>, id: &str) -> (Option<Merged>, bool) {
        let now = self.clock.now_us();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(tenant.cloned()).or_insert_with(|| Window::new(now));
        let over = if window.is_over(now) { std::mem::replace(window, Window::new(now)).merged } else { None };
        if window.lines < LINES {
            window.lines += 1;
            return (over, true);
        }
        let merged = window.merged.get_or_insert_with(|| Merged { count: 0, first: id.to_owned(), last: String::new() });
        merged.count += 1;
        id.clone_into(&mut merged.last);
        (over, false)
    }

    /// Tells of what windows merged that are over, and forgets them.
    pub(super) fn sweep(&self) {
        let now = self.clock.now_us();
        self.forget(|window| window.is_over(now));
    }

    /// Tells of everything that was merged and not told: the service ends.
    pub(super) fn flush(&self) {
        self.forget(|_| true);
    }

    fn forget(&self, over: impl Fn(&Window) -> bool) {
        let over: Vec<_> = {
            let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
            windows.extract_if(|_, window| over(window)).collect()
        };
        for (tenant, window) in over {
            if let Some(merged) = window.merged {
                tell_merged(tenant.as_ref(), &merged);
            }
        }
    }
}

impl Window {
    const fn new(since_us: u64) -> Self {
        Self { since_us, lines: 0, merged: None }
    }

    /// Also where the clock was set back.
    const fn is_over(&self, now: u64) -> bool {
        now < self.since_us || now - self.since_us >= WINDOW_US
    }
}

fn tell_merged(tenant: Option<&TenantName>, merged: &Merged) {
    tracing::info!(
        tenant_id = tenant.map(TenantName::as_str),
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

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::clock::ManualClock;

    use super::*;

    #[test]
    fn a_flood_of_one_tenant_is_merged_and_another_keeps_its_lines() {
        let clock = ManualClock::at_us(1);
        let log = DenialLog::new(Arc::new(clock.clone()));
        let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        for nth in 0..LINES {
            assert_eq!(log.admit(Some(&acme), &nth.to_string()), (None, true));
        }
        for id in ["a", "b", "c"] {
            assert_eq!(log.admit(Some(&acme), id), (None, false));
        }
        assert_eq!(log.admit(Some(&globex), "x"), (None, true));
        assert_eq!(log.admit(None, "y"), (None, true));
        clock.advance_us(WINDOW_US);
        let merged = Merged { count: 3, first: "a".to_owned(), last: "c".to_owned() };
        assert_eq!(log.admit(Some(&acme), "d"), (Some(merged), true));
    }

    #[test]
    fn a_sweep_forgets_what_is_over() {
        let clock = ManualClock::at_us(1);
        let log = DenialLog::new(Arc::new(clock.clone()));
        let acme = "acme".parse().unwrap();
        log.admit(Some(&acme), "a");
        log.sweep();
        assert_eq!(log.windows.lock().unwrap().len(), 1);
        clock.advance_us(WINDOW_US);
        log.sweep();
        assert!(log.windows.lock().unwrap().is_empty());
    }
}
