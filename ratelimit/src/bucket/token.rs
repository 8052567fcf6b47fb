//! The token bucket (GCRA): `requests` refill in each `period_us`, `capacity` bounds.

use bulkhead_tenancy::limit::{Rate, RateLimit};

use super::EXACT;

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

    /// Requests, period and capacity.
    pub(crate) fn numbers(self) -> [u64; 3] {
        [self.requests, self.period_us, self.capacity]
    }

    /// Requests a minute, rounded down: for people and headers.
    #[must_use]
    pub fn per_minute(self) -> u64 {
        let exact = u128::from(self.requests) * 60_000_000 / u128::from(self.period_us);
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    /// One replica's share: the same rate and capacity divided.
    #[must_use]
    pub(super) fn share(self, replicas: u32) -> Self {
        if self.capacity == 0 {
            return self;
        }
        let replicas = u64::from(replicas.max(1));
        let Some(period_us) = self.period_us.checked_mul(replicas) else { return Self { requests: 0, capacity: 0, ..self } };
        let capacity = (self.capacity / replicas).max(1);
        let rate = Rate { requests: self.requests, period_us };
        Self::from(RateLimit { rate, capacity })
    }

    /// Microseconds until a credit has become another one; none where nothing ever refills.
    pub(crate) fn refill_us(self, credit: i64, target: i64) -> Option<u64> {
        let missing = u64::try_from(target.saturating_sub(credit)).unwrap_or(0);
        if self.requests == 0 { None } else { Some(missing.div_ceil(self.requests)) }
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::limit::MAX_REQUESTS;

    use super::*;
    use crate::bucket::Bucket;

    #[test]
    fn the_largest_limit_of_a_resource_stays_exact() {
        let bucket = Bucket::token(RateLimit { rate: Rate::per_minute(MAX_REQUESTS), capacity: MAX_REQUESTS });
        assert_eq!(bucket.capacity(), MAX_REQUESTS);
        assert!(bucket.full() < EXACT);
    }

    #[test]
    fn a_limit_beyond_exact_arithmetic_becomes_stricter_never_wrong() {
        let bucket = Bucket::token(RateLimit { rate: Rate { requests: u64::MAX, period_us: u64::MAX }, capacity: u64::MAX });
        assert!(bucket.full() <= EXACT);
        assert!(bucket.capacity() <= 1);
    }

    #[test]
    fn a_share_divides_rate_and_capacity_exactly() {
        let bucket = TokenBucket::from(RateLimit { rate: Rate::per_minute(100), capacity: 200 }).share(3);
        assert_eq!((bucket.capacity(), bucket.requests(), bucket.period_us()), (66, 100, 180_000_000));
        assert_eq!(TokenBucket::from(RateLimit { rate: Rate::per_minute(1), capacity: 1 }).share(3).capacity(), 1);
        assert_eq!(TokenBucket::from(RateLimit::DENY_ALL).share(3).capacity(), 0);
    }

    #[test]
    fn an_empty_bucket_refills_at_its_rate() {
        let limit = RateLimit::per_minute(60, 1.0);
        let (bucket, units) = (TokenBucket::from(limit), Bucket::token(limit));
        assert_eq!(bucket.refill_us(0, units.full()), Some(60_000_000));
        assert_eq!(TokenBucket::from(RateLimit::DENY_ALL).refill_us(0, 1), None);
    }
}
