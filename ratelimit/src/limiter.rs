//! The limiter that both doors ask: the store within the deadline, else the tenant's failure mode.

mod alone;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bulkhead_tenancy::{clock::Clock, tenant::StoreFailure};
use tokio::time::Instant;

pub use self::alone::Alone;
use crate::{
    ask::Ask,
    charge::Charge,
    look::{self, InHand, Look},
    metering::later::Later,
    outcome::{Outcome, Verdict},
    store::{Store, StoreError},
};

/// The limiter of a process.
pub struct Limiter {
    store: Arc<dyn Store>,
    alone: Alone,
    deadline: Duration,
    /// Found once, when the first decision is made: the metrics' own look-up takes a lock.
    seconds: OnceLock<metrics::Histogram>,
}

/// What answers while the store does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// The tenant's failure mode.
    pub mode: StoreFailure,
    /// How many replicas share the limits under [`StoreFailure::Local`].
    pub replicas: u32,
}

/// What the limiter came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// The store decided.
    Exact(Outcome),
    /// The store is away, and this replica's share of each limit decided.
    Local(Outcome),
    /// The store is away, and this tenant is let through uncharged while it is.
    Open,
    /// The store is away, and this tenant is closed while it is; or too many of its decisions are waiting. Nothing was decided: it is not
    /// over a limit, and must not be told that it is.
    Unavailable,
}

impl Ruling {
    /// Whether the request goes on.
    pub(crate) fn is_admitted(&self) -> bool {
        match self {
            Self::Exact(outcome) | Self::Local(outcome) => outcome.verdict() == Verdict::Admitted,
            Self::Open => true,
            Self::Unavailable => false,
        }
    }

    /// The policies in shadow whose limit would have denied what was let through.
    #[must_use]
    pub fn shadowed(&self) -> &[Arc<str>] {
        match self {
            Self::Exact(outcome) | Self::Local(outcome) => outcome.shadowed(),
            Self::Open | Self::Unavailable => &[],
        }
    }
}

impl Limiter {
    /// A limiter over a store. No answer takes longer than the deadline, whatever the store does.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, deadline: Duration) -> Self {
        Self { store, alone: Alone::new(clock), deadline, seconds: OnceLock::new() }
    }

    /// No answer takes longer.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// What is answered without the store is counted later: without this it is on no bill.
    #[must_use]
    pub fn billing(self, later: Arc<Later>) -> Self {
        Self { alone: self.alone.billing(later), ..self }
    }

    /// Decides one charge within the limiter's deadline and the caller's budget, if that is shorter.
    ///
    /// A charge whose outcome is not known is never sent again (S12, S24): it may have been charged, and the fallback answers.
    pub async fn decide(&self, charge: &Charge, fallback: Fallback, budget: Option<Duration>) -> Ruling {
        let within = budget.map_or(self.deadline, |budget| budget.min(self.deadline));
        let started = Instant::now();
        let ask = [Ask::one(charge.clone())];
        let decided = tokio::time::timeout(within, self.store.decide(None, &ask)).await;
        let seconds = self.seconds.get_or_init(|| metrics::histogram!("bulkhead_ratelimit_store_seconds"));
        seconds.record(started.elapsed().as_secs_f64());
        let decided = match decided {
            // The store's own deadline may end a moment before ours.
            Err(_) | Ok(Err(StoreError::Late)) => Err(self.late(charge, started)),
            Ok(decided) => decided,
        };
        let answer = decided.map(|answers| answers.into_iter().next());
        let outcome = answer.map(|answer| answer.map(|answer| answer.outcome(charge, 0)));
        match outcome {
            Ok(Some(outcome)) if outcome.verdict() != Verdict::Faulty => Ruling::Exact(outcome),
            Ok(Some(_)) => self.without_store(charge, fallback, "faulty", true),
            Ok(None) => self.without_store(charge, fallback, StoreError::Garbled.as_str(), false),
            // Not a failure of the store: what floods the queue is refused, not let through by its own `open`.
            Err(StoreError::Busy) => {
                failed(StoreError::Busy.as_str());
                Ruling::Unavailable
            }
            Err(error) => self.without_store(charge, fallback, error.as_str(), !error.is_unknown()),
        }
    }

    /// How a charge of one part would be ruled now, and what is held in advance: nothing is charged, counted or billed.
    pub async fn look(&self, charge: &Charge, fallback: Fallback) -> Look {
        let leased = charge.parts().iter().any(|part| part.shape().lease().is_some());
        let InHand { requests, answer } = if leased { self.store.in_hand(charge) } else { InHand::default() };
        let answer = match answer {
            Some(answer) => Ok(answer),
            None => tokio::time::timeout(self.deadline, look::at(self.store.as_ref(), None, charge)).await.unwrap_or(Err(StoreError::Late)),
        };
        let ruling = match answer.map(|answer| answer.outcome(charge, 0)) {
            Ok(outcome) if outcome.verdict() != Verdict::Faulty => Ruling::Exact(outcome),
            Err(StoreError::Busy) => Ruling::Unavailable,
            Ok(_) | Err(_) => self.alone.look(charge, fallback),
        };
        Look { ruling, held: leased.then_some(requests) }
    }

    /// Why an answer did not come in time. Behind too many of its payer's own it is refused; behind nobody's, or behind another's flood, the tenant's failure mode
    /// answers: what another tenant asks does not close an open one. All the time counts that it waited, because a call may take most of it.
    fn late(&self, charge: &Charge, since: Instant) -> StoreError {
        if self.store.stood_behind_own(charge, since) { StoreError::Busy } else { StoreError::Late }
    }

    /// Answers by the failure mode. `untold`: the store has surely not metered this charge.
    fn without_store(&self, charge: &Charge, fallback: Fallback, why: &'static str, untold: bool) -> Ruling {
        failed(why);
        let ruling = self.alone.rule(charge, fallback, untold);
        // What may have been charged is not charged again (S24).
        if untold && ruling.is_admitted() {
            self.store.passed_without(charge);
        }
        ruling
    }
}

fn failed(why: &'static str) {
    metrics::counter!("bulkhead_ratelimit_store_errors_total", "error" => why).increment(1);
}

impl Fallback {
    /// What answers for a request of several tenants: the strictest of their modes.
    #[must_use]
    pub fn strictest(self, other: Self) -> Self {
        let rank = |mode| match mode {
            StoreFailure::Open => 0,
            StoreFailure::Local => 1,
            StoreFailure::Closed => 2,
        };
        let mode = if rank(self.mode) >= rank(other.mode) { self.mode } else { other.mode };
        Self { mode, replicas: self.replicas.max(other.replicas) }
    }
}
