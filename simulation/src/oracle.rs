//! What may be admitted, kept beside the limiter by other means: for each token bucket one in true time, which goes below zero by exactly the most that
//! any interval admitted beyond capacity + rate x length; for each quota what every period, or every span of its length, admitted. That must stay
//! within what the faults that happened allow.

use std::collections::VecDeque;

use bulkhead_ratelimit::{
    ask::HOLD_US,
    bucket::Bucket,
    charge::{Charge, Scope},
    key::Key,
    store::{Micros, memory::MemoryStore},
};

use crate::plan::Limit;

/// A guarantee holds as much for whatever time it is stated, now and as it is refilled.
pub(crate) fn judge_restated(store: &MemoryStore, key: &Key, guarantee: Limit, at: Micros) -> Result<(), String> {
    for later_us in [0, 50_000, 400_000, 2_500_000] {
        let moment = Micros(at.0.saturating_add(later_us));
        let look = |bucket: Bucket| store.decide_one(Some(moment), &Charge::new().hold(Scope::Global, key.clone(), bucket, 0));
        let holds = |bucket| look(bucket).standings().first().map_or(0, |standing| standing.remaining);
        let all: Vec<u64> = guarantee.however_stated().map(holds).collect();
        let (least, most) = (all.iter().min().copied().unwrap_or(0), all.iter().max().copied().unwrap_or(0));
        // Units are rounded down.
        if most > least + 1 {
            return Err(format!("a guarantee holds {all:?} by the time that it is stated for, {later_us} us later"));
        }
    }
    Ok(())
}

/// Units of a request: microseconds times requests a second.
const REQUEST: i128 = 1_000_000;

/// How long after a fault it may still be the cause of something: leases that were in hand then are over, and what comes back late is refused.
const FAULT_LASTS_US: u64 = 2 * HOLD_US + 1_000_000;

/// What was seen beyond a limit, and what was allowed then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Beyond {
    pub(crate) requests: u64,
    pub(crate) allowed: u64,
}

/// A bucket in true time.
#[derive(Debug, Clone)]
pub(crate) struct Shadow {
    limit: Limit,
    credit: i128,
    at_us: u64,
    /// What it held, and when, after it was paid from last.
    paid: (i128, u64),
    /// Requests that are allowed besides at any time: of the global bucket what guarantees may put it into debt by.
    pub(crate) always: u64,
    /// Requests that faults allow besides, until the bucket was full again.
    faults: u64,
    fault_us: u64,
    /// The most that was admitted beyond the limit.
    pub(crate) worst: Beyond,
}

impl Shadow {
    pub(crate) fn new(limit: Limit, now_us: u64) -> Self {
        let credit = i128::from(limit.capacity) * REQUEST;
        Self { limit, credit, at_us: now_us, paid: (credit, now_us), always: 0, faults: 0, fault_us: 0, worst: Beyond::default() }
    }

    fn refill(&mut self, now_us: u64) {
        let passed = now_us.saturating_sub(self.at_us);
        let full = i128::from(self.limit.capacity) * REQUEST;
        self.credit = (self.credit + i128::from(passed) * i128::from(self.limit.rate)).min(full);
        self.at_us = self.at_us.max(now_us);
        if self.credit == full && now_us > self.fault_us + FAULT_LASTS_US {
            self.faults = 0;
        }
    }

    /// A fault allows so many requests besides.
    pub(crate) fn allow(&mut self, now_us: u64, requests: u64) {
        self.refill(now_us);
        self.faults += requests;
        self.fault_us = now_us;
    }

    /// The whole requests that it holds.
    pub(crate) fn left(&mut self, now_us: u64) -> u64 {
        self.refill(now_us);
        u64::try_from(self.credit / REQUEST).unwrap_or(0)
    }

    /// Whether it holds a cost.
    pub(crate) fn holds(&mut self, now_us: u64, cost: u64) -> bool {
        self.refill(now_us);
        self.credit >= i128::from(cost) * REQUEST
    }

    /// A cost was admitted, and this bucket paid for it or not: it is at least as full as its credit less that cost. What the faults of the store left it
    /// besides is not counted on.
    pub(crate) fn spend_at_most(&mut self, now_us: u64, cost: u64) {
        self.refill(now_us);
        self.credit = (self.credit - i128::from(cost) * REQUEST).max(self.credit.min(0));
        self.paid = (self.credit, self.at_us);
    }

    /// Something that was admitted was none after all.
    pub(crate) fn take_back(&mut self, now_us: u64, cost: u64) {
        self.refill(now_us);
        self.credit += i128::from(cost) * REQUEST;
        self.refill(now_us);
        self.paid = (self.credit, self.at_us);
    }

    /// Something was admitted: whether that is within what is allowed.
    pub(crate) fn admit(&mut self, now_us: u64, cost: u64) -> bool {
        self.refill(now_us);
        self.credit -= i128::from(cost) * REQUEST;
        self.paid = (self.credit, self.at_us);
        // Less than a request is rounding.
        let beyond = Beyond { requests: u64::try_from(-self.credit / REQUEST).unwrap_or(0), allowed: self.always + self.faults };
        self.worst = self.worst.max(beyond);
        beyond.requests <= beyond.allowed
    }

    /// The limit is another one. It holds back to when the bucket was paid from last: until then nothing is written down.
    pub(crate) fn change(&mut self, now_us: u64, limit: Limit) {
        self.refill(now_us);
        self.limit = limit;
        let (paid, at_us) = self.paid;
        let since = paid + i128::from(now_us.saturating_sub(at_us)) * i128::from(limit.rate);
        self.credit = self.credit.max(since).min(i128::from(limit.capacity) * REQUEST);
    }

    pub(crate) fn limit(&self) -> Limit {
        self.limit
    }
}

/// A quota: what was admitted in its period, or in the last span of its length.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    bucket: Bucket,
    limit: u64,
    /// When, and how much: of a sliding window one each, else one each period.
    admitted: VecDeque<(u64, u64)>,
    sum: u64,
    faults: u64,
    until_us: u64,
    pub(crate) worst: Beyond,
}

impl Counted {
    pub(crate) fn new(bucket: &Bucket, limit: u64) -> Self {
        Self { bucket: bucket.clone(), limit, admitted: VecDeque::new(), sum: 0, faults: 0, until_us: 0, worst: Beyond::default() }
    }

    /// A fault allows so many requests besides, in the periods it may reach.
    pub(crate) fn allow(&mut self, now_us: u64, requests: u64) {
        self.faults += requests;
        let length_us = match &self.bucket {
            Bucket::Window(window) => window.length_us(),
            Bucket::Sliding(sliding) => sliding.length_us(),
            Bucket::Token(_) | Bucket::Calendar(_) => u64::MAX / 2,
        };
        self.until_us = now_us + 3 * FAULT_LASTS_US + length_us;
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// It holds another number of requests from now on: what was admitted stays.
    pub(crate) fn change(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Something that was admitted at a moment of the simulation and of the store's clock was none after all.
    pub(crate) fn take_back(&mut self, at_us: u64, store_us: u64, cost: u64) {
        let start_us = self.bucket.period_at(store_us).map_or(at_us, |period| period.start_us);
        if let Some((_, admitted)) = self.admitted.iter_mut().rev().find(|(start, admitted)| *start == start_us && *admitted >= cost) {
            *admitted -= cost;
            self.sum = self.sum.saturating_sub(cost);
        }
    }

    /// What counts now: in the period of a moment of the store's clock, or in the last span.
    pub(crate) fn used(&self, store_us: u64) -> Option<u64> {
        let period = self.bucket.period_at(store_us)?;
        Some(self.admitted.iter().find(|(start, _)| *start == period.start_us).map_or(0, |(_, count)| *count))
    }

    /// Something was admitted, at a moment of the simulation and of the store's clock.
    pub(crate) fn admit(&mut self, now_us: u64, store_us: u64, cost: u64) -> bool {
        if now_us > self.until_us {
            self.faults = 0;
        }
        let count = match self.bucket.period_at(store_us) {
            Some(period) => {
                let place = self.admitted.iter_mut().find(|(start, _)| *start == period.start_us);
                if let Some((_, count)) = place {
                    *count += cost;
                    *count
                } else {
                    self.admitted.push_back((period.start_us, cost));
                    if self.admitted.len() > 16 {
                        self.admitted.pop_front();
                    }
                    cost
                }
            }
            None => {
                let Bucket::Sliding(sliding) = &self.bucket else { return true };
                while self.admitted.front().is_some_and(|(at_us, _)| at_us + sliding.length_us() <= now_us) {
                    self.sum -= self.admitted.pop_front().map_or(0, |(_, cost)| cost);
                }
                self.admitted.push_back((now_us, cost));
                self.sum += cost;
                self.sum
            }
        };
        let beyond = Beyond { requests: count.saturating_sub(self.limit), allowed: self.faults };
        self.worst = self.worst.max(beyond);
        beyond.requests <= beyond.allowed
    }
}
