//! Kinds of bucket, and the exact arithmetic of a token bucket.
//!
//! Everything is a whole number of *units*: one request is `period_us` units, and each microsecond adds `requests` units. So a rate of any
//! fraction is exact, with no rounding that could be collected. The store's script computes in IEEE doubles, which hold every
//! integer up to 2^53: every bucket that exists stays inside that, and memory and script agree to the unit.

use bulkhead_tenancy::limit::RateLimit;

/// The largest integer that the arithmetic may reach: above it doubles skip numbers.
pub const EXACT: i64 = 1 << 53;

/// What kind of bucket a key holds. Sliding windows and calendar quotas will stand beside the token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bucket {
    /// Refills continuously up to its capacity (GCRA).
    Token(TokenBucket),
}

impl Bucket {
    /// The token bucket of a limit.
    #[must_use]
    pub fn token(limit: RateLimit) -> Self {
        Self::Token(TokenBucket::from(limit))
    }
}

/// A token bucket whose arithmetic is known to be exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenBucket {
    requests: u64,
    period_us: u64,
    capacity: u64,
}

impl From<RateLimit> for TokenBucket {
    /// Bounds what configuration has already bounded: a capacity that would leave exact arithmetic is lowered (stricter), and a bucket that
    /// could then hold no whole request denies everything.
    fn from(limit: RateLimit) -> Self {
        let period_us = limit.rate.period_us.clamp(1, EXACT.unsigned_abs());
        let capacity = limit.capacity.min(EXACT.unsigned_abs() / period_us);
        let requests = limit.rate.requests.min(EXACT.unsigned_abs());
        if requests == 0 || capacity == 0 {
            return Self { requests: 0, period_us, capacity: 0 };
        }
        Self { requests, period_us, capacity }
    }
}

impl TokenBucket {
    /// Units that one microsecond adds.
    #[must_use]
    pub fn requests(self) -> u64 {
        self.requests
    }

    /// Units that one request costs.
    #[must_use]
    pub fn period_us(self) -> u64 {
        self.period_us
    }

    /// Requests that a full bucket holds. 0: it denies everything.
    #[must_use]
    pub fn capacity(self) -> u64 {
        self.capacity
    }

    /// Requests a minute, rounded down: for people and headers.
    #[must_use]
    pub fn per_minute(self) -> u64 {
        let exact = u128::from(self.requests) * 60_000_000 / u128::from(self.period_us);
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    /// One replica's share of it, for when each must answer alone: the same rate and capacity divided. At least one request, so a limit
    /// smaller than the number of replicas is exceeded by at most one request a replica.
    #[must_use]
    pub fn share(self, replicas: u32) -> Self {
        if self.capacity == 0 {
            return self;
        }
        let replicas = u64::from(replicas.max(1));
        let Some(period_us) = self.period_us.checked_mul(replicas) else { return Self { requests: 0, capacity: 0, ..self } };
        let capacity = (self.capacity / replicas).max(1);
        let rate = bulkhead_tenancy::limit::Rate { requests: self.requests, period_us };
        Self::from(RateLimit { rate, capacity })
    }

    /// The units of a full bucket.
    #[must_use]
    pub(crate) fn full(self) -> i64 {
        i64::try_from(self.capacity * self.period_us).unwrap_or(EXACT)
    }

    /// The least credit that the arithmetic can hold. A debt as deep as that is forgiven rather than rounded; it takes a global limit near
    /// the largest that a Platform may state, and guarantees with bursts of many seconds.
    pub(crate) fn floor(self) -> i64 {
        self.full() - EXACT
    }

    /// The units of a cost. Beyond [`EXACT`] it is [`EXACT`]: more than any bucket holds.
    pub(crate) fn units(self, cost: u64) -> i64 {
        i64::try_from(u128::from(cost) * u128::from(self.period_us)).unwrap_or(EXACT).min(EXACT)
    }

    /// Whether a credit covers a cost. A bucket of capacity 0 covers nothing, not even a look.
    pub(crate) fn holds(self, credit: i64, cost: u64) -> bool {
        self.capacity > 0 && cost <= self.capacity && credit >= self.units(cost)
    }

    /// The credit after a cost was taken.
    pub(crate) fn spend(self, credit: i64, cost: u64) -> i64 {
        (credit - self.units(cost)).max(self.floor())
    }

    /// Microseconds until a credit will cover a cost: none if it never will.
    pub(crate) fn wait_us(self, credit: i64, cost: u64) -> Option<u64> {
        if self.capacity == 0 || cost > self.capacity {
            return None;
        }
        Some(self.refill_us(credit, self.units(cost)))
    }

    /// Microseconds until a credit is a full bucket again.
    pub(crate) fn reset_us(self, credit: i64) -> u64 {
        if self.requests == 0 { 0 } else { self.refill_us(credit, self.full()) }
    }

    fn refill_us(self, credit: i64, target: i64) -> u64 {
        let missing = u64::try_from(target.saturating_sub(credit)).unwrap_or(0);
        missing.div_ceil(self.requests.max(1))
    }

    /// Whole requests in a credit; a debt holds none.
    pub(crate) fn whole(self, credit: i64) -> u64 {
        u64::try_from(credit).unwrap_or(0) / self.period_us
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::limit::{MAX_REQUESTS, Rate};

    use super::*;

    #[test]
    fn the_largest_limit_of_a_resource_stays_exact() {
        let bucket = TokenBucket::from(RateLimit { rate: Rate::per_minute(MAX_REQUESTS), capacity: MAX_REQUESTS });
        assert_eq!(bucket.capacity(), MAX_REQUESTS);
        assert!(bucket.full() < EXACT);
    }

    #[test]
    fn a_limit_beyond_exact_arithmetic_becomes_stricter_never_wrong() {
        let bucket = TokenBucket::from(RateLimit { rate: Rate { requests: u64::MAX, period_us: u64::MAX }, capacity: u64::MAX });
        assert!(bucket.full() <= EXACT);
        assert!(bucket.capacity() <= 1);
    }

    #[test]
    fn a_zero_rate_holds_nothing_not_even_a_look() {
        let bucket = TokenBucket::from(RateLimit::DENY_ALL);
        assert!(!bucket.holds(0, 0));
        assert_eq!(bucket.wait_us(0, 1), None);
    }

    #[test]
    fn a_share_divides_rate_and_capacity_exactly() {
        let bucket = TokenBucket::from(RateLimit { rate: Rate::per_minute(100), capacity: 200 }).share(3);
        assert_eq!((bucket.capacity(), bucket.requests(), bucket.period_us()), (66, 100, 180_000_000));
        assert_eq!(TokenBucket::from(RateLimit { rate: Rate::per_minute(1), capacity: 1 }).share(3).capacity(), 1);
        assert_eq!(TokenBucket::from(RateLimit::DENY_ALL).share(3).capacity(), 0);
    }

    #[test]
    fn a_cost_beyond_capacity_never_fits() {
        let bucket = TokenBucket::from(RateLimit::per_minute(60, 1.0));
        assert_eq!(bucket.wait_us(bucket.full(), 61), None);
        assert_eq!(bucket.wait_us(bucket.full(), u64::MAX), None);
        assert_eq!(bucket.wait_us(0, 60), Some(60_000_000));
    }
}
