//! What may be admitted, kept beside the limiter by other means: for each bucket one in true time, which goes below zero by exactly the most that
//! any interval admitted beyond capacity + rate x length. That must stay within what the faults that happened allow.

use std::collections::BTreeMap;

use crate::plan::Limit;

/// Units of a request: microseconds times requests a second.
const REQUEST: i128 = 1_000_000;

/// A bucket in true time.
#[derive(Debug, Clone)]
pub(crate) struct Shadow {
    limit: Limit,
    credit: i128,
    at_us: u64,
    /// Requests that faults allow besides.
    pub(crate) bound: u64,
    /// The most that was admitted beyond the limit.
    pub(crate) worst: u64,
}

impl Shadow {
    pub(crate) fn new(limit: Limit) -> Self {
        Self { limit, credit: i128::from(limit.capacity) * REQUEST, at_us: 0, bound: 0, worst: 0 }
    }

    fn refill(&mut self, now_us: u64) {
        let passed = now_us.saturating_sub(self.at_us);
        let full = i128::from(self.limit.capacity) * REQUEST;
        self.credit = (self.credit + i128::from(passed) * i128::from(self.limit.rate)).min(full);
        self.at_us = self.at_us.max(now_us);
    }

    /// What it holds, in whole requests.
    pub(crate) fn holds(&mut self, now_us: u64, cost: u64) -> bool {
        self.refill(now_us);
        self.credit >= i128::from(cost) * REQUEST
    }

    /// A cost was admitted, and this bucket paid for it or not: it is at least as full as its credit less that cost. What the faults of the store left it
    /// besides is not counted on.
    pub(crate) fn spend_at_most(&mut self, now_us: u64, cost: u64) {
        self.refill(now_us);
        self.credit = (self.credit - i128::from(cost) * REQUEST).max(self.credit.min(0));
    }

    /// Something was admitted: whether that is within the bound.
    pub(crate) fn admit(&mut self, now_us: u64, cost: u64) -> bool {
        self.refill(now_us);
        self.credit -= i128::from(cost) * REQUEST;
        // Less than a request is rounding.
        let beyond = u64::try_from(-self.credit / REQUEST).unwrap_or(0);
        self.worst = self.worst.max(beyond);
        beyond <= self.bound
    }

    /// The limit is another one.
    pub(crate) fn change(&mut self, now_us: u64, limit: Limit) {
        self.refill(now_us);
        self.limit = limit;
        self.credit = self.credit.min(i128::from(limit.capacity) * REQUEST);
    }

    pub(crate) fn limit(&self) -> Limit {
        self.limit
    }
}

/// A window: what each admitted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    windows: BTreeMap<u64, u64>,
    pub(crate) bound: u64,
    pub(crate) worst: u64,
}

impl Counts {
    pub(crate) fn admit(&mut self, window: u64, limit: u64, cost: u64) -> bool {
        let count = self.windows.entry(window).or_default();
        *count += cost;
        let beyond = count.saturating_sub(limit);
        self.worst = self.worst.max(beyond);
        beyond <= self.bound
    }
}
