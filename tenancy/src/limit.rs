//! Rates, limits and guarantees as the platform grants them. What a bucket does with them is the limiter's own business.

mod quota;

pub use quota::{MAX_QUOTAS, Quota, QuotaWindow};

/// The largest rate or capacity that a resource may state: above it the store's arithmetic (integers in IEEE doubles, exact up to 2^53)
/// would no longer be exact.
pub const MAX_REQUESTS: u64 = 100_000_000;

/// Microseconds in a minute: the period of every rate that a resource states.
pub const MINUTE_US: u64 = 60_000_000;

/// A rate as an exact fraction: so many requests in so many microseconds. An equal share of a remainder (a default guarantee) is
/// rarely a whole number of requests a minute, so a rate is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Requests in one period. Zero never refills.
    pub requests: u64,
    /// The period in microseconds, at least 1.
    pub period_us: u64,
}

impl Rate {
    /// So many requests a minute.
    #[must_use]
    pub const fn per_minute(requests: u64) -> Self {
        Self { requests, period_us: MINUTE_US }
    }
}

/// A token bucket (GCRA): `rate` refills, `capacity` bounds. A capacity of 0 denies everything (a rate of 0 was stated).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// How fast the bucket refills.
    pub rate: Rate,
    /// How many requests a full bucket holds.
    pub capacity: u64,
}

impl RateLimit {
    /// A limit that admits nothing.
    pub const DENY_ALL: Self = Self { rate: Rate::per_minute(0), capacity: 0 };

    /// `requestsPerMinute` and `burstMultiplier` as SEMANTICS has them: capacity = floor(rate x multiplier), at least 1; a rate of 0 denies all.
    ///
    /// The caller has checked `burst` to be finite and at least 1, and both factors to stay under [`MAX_REQUESTS`].
    #[must_use]
    pub fn per_minute(requests: u64, burst: f64) -> Self {
        if requests == 0 {
            return Self::DENY_ALL;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both factors are bounded at load, far inside 2^53"
        )]
        let capacity = ((requests as f64 * burst).floor() as u64).max(1);
        Self { rate: Rate::per_minute(requests), capacity }
    }

    /// The smaller of each field: what holds where two limits meet (a policy above its plan, several policies).
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        let slower = u128::from(self.rate.requests) * u128::from(other.rate.period_us)
            <= u128::from(other.rate.requests) * u128::from(self.rate.period_us);
        Self { rate: if slower { self.rate } else { other.rate }, capacity: self.capacity.min(other.capacity) }
    }
}
