//! Limits, where Check charges them itself (`--store`): its last step, one hop less a request. The limiter is the library that the rate limit
//! service is made of, so that both charge the same counters by the same rules.
//!
//! A request is charged through one of them only: what was charged here carries no `cost` in its metadata, and Envoy then makes no descriptor of it, so that a
//! rate limit filter which still stands in the chain asks nobody (fact 5 of Envoy).

use std::{sync::Arc, time::Duration};

use bulkhead_doors::metrics::Metrics;
use bulkhead_ratelimit::{
    answer,
    charge::{Charge, Scope},
    counts::Counts,
    levels::Levels,
    limiter::{Fallback, Limiter, Ruling},
    limits::Limits,
    look::Look,
    outcome::{self, Standing},
};
use bulkhead_tenancy::snapshot::Snapshot;
use tokio::time::Instant;

use crate::verdict::{Allowed, Denial, Reason, ShadowMark, Step, Verdict, Would};

#[cfg(test)]
mod tests;

/// Whoever charges the limits of what is authorized.
pub struct Charging {
    levels: Levels,
    limiter: Arc<Limiter>,
    counts: Counts,
}

/// What the limiter came to about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// What it costs.
    pub cost: u64,
    /// The limiter's ruling.
    pub ruling: Ruling,
    /// It was only looked at.
    looked: Option<Looked>,
}

/// What a look found besides the ruling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looked {
    /// Requests of the tenant's that this process holds in advance; none where they are not leased.
    held: Option<u64>,
}

impl Charging {
    /// Charges by a process's limiter, and counts in these metrics what the rate limit service counts.
    #[must_use]
    pub fn by(limits: &Limits, metrics: &Metrics) -> Self {
        Self::new(limits.levels().clone(), Arc::clone(limits.limiter()), metrics)
    }

    fn new(levels: Levels, limiter: Arc<Limiter>, metrics: &Metrics) -> Self {
        Self { levels, limiter, counts: Counts::new(metrics) }
    }

    /// How long the store may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.limiter.deadline()
    }

    /// Charges what is allowed, until a moment before which so much time was kept for it: an allow stands, or becomes a denial.
    pub async fn charge(&self, snapshot: &Snapshot, verdict: &mut Verdict, until: Instant, kept: Duration) {
        let Ok(allowed) = &verdict.outcome else { return };
        let cost = allowed.cost;
        let left = until.saturating_duration_since(Instant::now());
        // With less than half of it, it would not be the store that was late.
        let ruling = if left < kept / 2 {
            Ruling::Unavailable
        } else {
            let (charge, fallback) = self.asked(snapshot, allowed);
            self.limiter.decide(&charge, fallback, Some(left)).await
        };
        Self::put(verdict, Charged { cost, ruling, looked: None });
    }

    /// Says what the limits would answer now, and charges nothing.
    pub async fn look(&self, snapshot: &Snapshot, verdict: &mut Verdict) {
        let Ok(allowed) = &verdict.outcome else { return };
        let cost = allowed.cost;
        let (charge, fallback) = self.asked(snapshot, allowed);
        let Look { ruling, held } = self.limiter.look(&charge, fallback).await;
        Self::put(verdict, Charged { cost, ruling, looked: Some(Looked { held }) });
    }

    fn put(verdict: &mut Verdict, charged: Charged) {
        if let Some(denial) = charged.denial() {
            verdict.outcome = Err(denial);
        }
        let mark = |policy: &Arc<str>| ShadowMark::new(policy, Would::Deny(Reason::OverLimit));
        verdict.shadow.extend(charged.ruling.shadowed().iter().map(mark));
        verdict.step = Step::Limits;
        verdict.charged = Some(charged);
    }

    fn asked(&self, snapshot: &Snapshot, allowed: &Allowed) -> (Charge, Fallback) {
        let Allowed { caller, api, subscription, cost, .. } = allowed;
        let charge = self.levels.charge(snapshot, &caller.tenant, subscription.as_ref(), Some(api), *cost);
        (charge, Fallback { mode: caller.tenant.on_store_failure, replicas: snapshot.platform().limiter.replicas })
    }

    /// Counts what is answered.
    pub fn count(&self, verdict: &Verdict, recorded: bool) {
        let Some(charged) = &verdict.charged else { return };
        let tenant = verdict.facts.tenant.as_deref();
        if recorded { self.counts.ruled(tenant, &charged.ruling) } else { self.counts.unrecorded(tenant) }
    }
}

impl Charged {
    fn standings(&self) -> &[Standing] {
        match &self.ruling {
            Ruling::Exact(outcome) | Ruling::Local(outcome) => outcome.standings(),
            Ruling::Open | Ruling::Unavailable => &[],
        }
    }

    /// Who denied, if a level did.
    fn over(&self) -> Option<outcome::Denial> {
        match &self.ruling {
            Ruling::Exact(outcome) | Ruling::Local(outcome) => outcome.denial(),
            Ruling::Open | Ruling::Unavailable => None,
        }
    }

    /// The level that denied.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        self.over().map(|denial| denial.scope)
    }

    fn denial(&self) -> Option<Denial> {
        if let Some(scope) = self.scope() {
            return Some(Denial::new(Reason::OverLimit, format!("over the limit of the level `{}`", scope.as_str())));
        }
        // Not a 429: the tenant is over no limit that we know of.
        (self.ruling == Ruling::Unavailable).then(|| Denial::new(Reason::Unavailable, "limits cannot be decided now"))
    }

    /// What the caller of an allowed request is told.
    #[must_use]
    pub fn told(&self) -> answer::Headers {
        answer::allowed(self.standings())
    }

    /// What the caller of a request is told that is over a limit: headers and body, as the rate limit service has them.
    #[must_use]
    pub fn told_over(&self, decision: &str) -> Option<(answer::Headers, String)> {
        let over = self.over()?;
        Some((answer::denied(self.standings()), answer::problem(over, Some(decision))))
    }

    /// How it was decided, for `explain`: nothing of the global level, whose numbers would tell of others' load (S22).
    #[must_use]
    pub fn explained(&self) -> String {
        let how = match &self.ruling {
            Ruling::Exact(_) => "by the store",
            Ruling::Local(_) => "by this replica's share, the store is away",
            Ruling::Open => "let through uncharged, the store is away",
            Ruling::Unavailable => "not decided",
        };
        let levels = self.standings().iter().filter(|one| one.scope != Scope::Global);
        let levels = levels.map(|one| format!("; {} {} of {} left", one.scope.as_str(), one.remaining, one.bucket.capacity()));
        let not = if self.looked.is_some() { ", not charged for an explanation, as it would stand afterwards" } else { "" };
        let held = self.looked.and_then(|looked| looked.held);
        let held = held
            .map(|held| format!("; {held} more held in advance by this process, and what other replicas hold is not among what is left"));
        format!("cost {} {how}{not}{}{}", self.cost, levels.collect::<String>(), held.unwrap_or_default())
    }
}
