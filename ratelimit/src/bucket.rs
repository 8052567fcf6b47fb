//! Kinds of bucket, and what is the same for all of them.
//!
//! Everything is a whole number of *units*. A token bucket's request is `period_us` units (each microsecond adds `requests` units, so a rate
//! of any fraction is exact); a window's request is one unit. The store's script computes in IEEE doubles, which hold every integer up to
//! 2^53: every bucket that exists stays inside that, and memory and script agree to the unit.

mod calendar;
mod sliding;
mod token;
mod window;

use bulkhead_tenancy::{
    calendar::Period,
    limit::{Quota, QuotaWindow, RateLimit},
};

pub use self::{
    calendar::CalendarQuota,
    sliding::{SLICES, Sliding},
    token::TokenBucket,
    window::Window,
};

/// The largest integer that the arithmetic may reach: above it doubles skip numbers.
pub const EXACT: i64 = 1 << 53;

/// What kind of bucket a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// Refills continuously up to its capacity (GCRA).
    Token(TokenBucket),
    /// So many in each window of a fixed length, aligned to 1970 (a descriptor rule of envoyproxy/ratelimit).
    Window(Window),
    /// So many in any span of a length.
    Sliding(Sliding),
    /// So many in each period of a calendar.
    Calendar(CalendarQuota),
}

impl Bucket {
    /// The token bucket of a limit.
    #[must_use]
    pub fn token(limit: RateLimit) -> Self {
        Self::Token(TokenBucket::from(limit))
    }

    /// The window of a quota.
    #[must_use]
    pub fn quota(quota: &Quota) -> Self {
        match &quota.window {
            QuotaWindow::Calendar(calendar) => Self::Calendar(CalendarQuota::new(quota.requests, calendar.clone())),
            QuotaWindow::Sliding { length_us } => Self::Sliding(Sliding::new(quota.requests, *length_us)),
        }
    }

    /// What the store takes to look at it, in token buckets: a sliding window is as many numbers as it has slices.
    pub(crate) const fn weight(&self) -> usize {
        match self {
            Self::Token(_) => 1,
            Self::Window(_) | Self::Calendar(_) => 2,
            Self::Sliding(_) => 16,
        }
    }

    /// Requests that an unused bucket holds. 0: it denies everything.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        match self {
            Self::Token(bucket) => bucket.capacity(),
            Self::Window(window) => window.limit(),
            Self::Sliding(sliding) => sliding.limit(),
            Self::Calendar(quota) => quota.limit(),
        }
    }

    /// One replica's share of it, for when each must answer alone. At least one request, so a limit smaller than the number of replicas is
    /// exceeded by at most one request a replica.
    #[must_use]
    pub fn share(&self, replicas: u32) -> Self {
        match self {
            Self::Token(bucket) => Self::Token(bucket.share(replicas)),
            Self::Window(window) => Self::Window(window.with_limit(part(window.limit(), replicas))),
            Self::Sliding(sliding) => Self::Sliding(sliding.with_limit(part(sliding.limit(), replicas))),
            Self::Calendar(quota) => Self::Calendar(quota.with_limit(part(quota.limit(), replicas))),
        }
    }

    /// The period that a moment is in, for kinds that renew at one moment. Microseconds since 1970.
    #[must_use]
    pub fn period_at(&self, now_us: u64) -> Option<Period> {
        match self {
            Self::Token(_) | Self::Sliding(_) => None,
            Self::Window(window) => Some(window.period_at(now_us)),
            Self::Calendar(quota) => Some(quota.period_at(now_us)),
        }
    }

    /// Units that one request costs.
    pub(crate) fn unit(&self) -> u64 {
        match self {
            Self::Token(bucket) => bucket.period_us(),
            _ => 1,
        }
    }

    /// The units of an unused bucket.
    pub(crate) fn full(&self) -> i64 {
        i64::try_from(u128::from(self.capacity()) * u128::from(self.unit())).unwrap_or(EXACT).min(EXACT)
    }

    /// The least credit that the arithmetic can hold. A debt as deep as that is forgiven rather than rounded; it takes a global limit near
    /// the largest that a Platform may state, and guarantees with bursts of many seconds.
    pub(crate) fn floor(&self) -> i64 {
        self.full() - EXACT
    }

    /// The units of a cost. Beyond [`EXACT`] it is [`EXACT`]: more than any bucket holds.
    pub(crate) fn units(&self, cost: u64) -> i64 {
        i64::try_from(u128::from(cost) * u128::from(self.unit())).unwrap_or(EXACT).min(EXACT)
    }

    /// How many copies of a cost a credit covers, at most `most`. A bucket of capacity 0 covers nothing, not even a look.
    pub(crate) fn covers(&self, credit: i64, cost: u64, most: u64) -> u64 {
        let need = self.units(cost);
        if self.capacity() == 0 || cost > self.capacity() || credit < need {
            return 0;
        }
        if need == 0 || most <= 1 {
            return most;
        }
        u64::try_from(credit / need).unwrap_or(0).min(most)
    }

    /// The credit after `copies` of a cost were taken.
    pub(crate) fn spend(&self, credit: i64, cost: u64, copies: u64) -> i64 {
        let after = i128::from(credit) - i128::from(self.units(cost)) * i128::from(copies);
        i64::try_from(after).unwrap_or(i64::MIN).max(self.floor())
    }

    /// Whole requests in a credit; a debt holds none.
    pub(crate) fn whole(&self, credit: i64) -> u64 {
        u64::try_from(credit).unwrap_or(0) / self.unit()
    }
}

/// A share of a limit in whole requests: none of nothing, else at least one.
fn part(limit: u64, replicas: u32) -> u64 {
    if limit == 0 { 0 } else { (limit / u64::from(replicas.max(1))).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_rate_holds_nothing_not_even_a_look() {
        let bucket = Bucket::token(RateLimit::DENY_ALL);
        assert_eq!(bucket.covers(0, 0, 1), 0);
    }

    #[test]
    fn a_cost_beyond_capacity_never_fits() {
        let bucket = Bucket::token(RateLimit::per_minute(60, 1.0));
        assert_eq!(bucket.covers(bucket.full(), 61, 1), 0);
        assert_eq!(bucket.covers(bucket.full(), u64::MAX, 1), 0);
        assert_eq!(bucket.covers(bucket.full(), 7, 100), 8);
    }

    #[test]
    fn a_share_of_a_window_is_at_least_one_request() {
        let share = |limit| Bucket::Window(Window::new(limit, 1_000_000)).share(3).capacity();
        assert_eq!((share(100), share(2), share(0)), (33, 1, 0));
    }

    #[test]
    fn spending_stops_at_the_floor_of_exact_arithmetic() {
        let bucket = Bucket::Window(Window::new(10, 1_000_000));
        assert_eq!(bucket.spend(10, u64::MAX, u64::MAX), 10 - EXACT);
    }
}
