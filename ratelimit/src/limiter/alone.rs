//! What a replica answers while the store does not: by the tenant's failure mode, from its own share of each limit. No I/O, so that a simulation drives it.

use std::sync::Arc;

use bulkhead_tenancy::{clock::Clock, tenant::StoreFailure};

use super::{Fallback, Ruling};
use crate::{
    charge::Charge,
    look,
    metering::later::Later,
    outcome::{Outcome, Verdict},
    store::memory::MemoryStore,
};

/// A replica without its store.
pub struct Alone {
    shares: MemoryStore,
    later: Option<Arc<Later>>,
}

impl Alone {
    /// A replica that has answered nothing yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { shares: MemoryStore::new(clock), later: None }
    }

    /// What is answered is counted later: without this it is on no bill.
    #[must_use]
    pub fn billing(self, later: Arc<Later>) -> Self {
        Self { later: Some(later), ..self }
    }

    /// Answers by the failure mode. `untold`: the store has surely not metered this charge.
    #[must_use]
    pub fn rule(&self, charge: &Charge, fallback: Fallback, untold: bool) -> Ruling {
        let ruling = Self::by_mode(charge, fallback, |share| self.shares.decide_one(None, share));
        match (&self.later, &ruling) {
            (None, _) => {}
            (Some(_), Ruling::Unavailable) if untold => {}
            (Some(_), Ruling::Unavailable) => Later::unanswered(charge),
            (Some(later), answered) => later.count(charge, answered.is_admitted(), untold),
        }
        ruling
    }

    /// What it would answer: nothing is charged, and nothing counted.
    #[must_use]
    pub fn look(&self, charge: &Charge, fallback: Fallback) -> Ruling {
        Self::by_mode(charge, fallback, |share| {
            let answers = look::asks(share).iter().map(|ask| self.shares.answer(None, ask)).collect();
            look::answer(share, answers).map_or_else(Outcome::faulty, |answer| answer.outcome(share, 0))
        })
    }

    fn by_mode(charge: &Charge, fallback: Fallback, decide: impl FnOnce(&Charge) -> Outcome) -> Ruling {
        match fallback.mode {
            // What a limit of 0 denies is denied whether or not there is a store: the share of nothing is nothing.
            StoreFailure::Open if !charge.is_hopeless() => Ruling::Open,
            StoreFailure::Closed => Ruling::Unavailable,
            StoreFailure::Open | StoreFailure::Local => match decide(&charge.share(fallback.replicas)) {
                outcome if outcome.verdict() == Verdict::Faulty => Ruling::Unavailable,
                outcome => Ruling::Local(outcome),
            },
        }
    }
}
