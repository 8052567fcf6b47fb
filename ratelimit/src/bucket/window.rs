//! The fixed window of envoyproxy/ratelimit: so many requests in each window of one length, aligned to 1970.

use bulkhead_tenancy::calendar::Period;

use super::EXACT;

/// A fixed window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    limit: u64,
    length_us: u64,
}

impl Window {
    /// `limit` requests in each `length_us` microseconds; a length of 0 is taken as one microsecond. A limit of 0 denies everything.
    #[must_use]
    pub fn new(limit: u64, length_us: u64) -> Self {
        Self { limit: limit.min(EXACT.unsigned_abs() - 1), length_us: length_us.clamp(1, EXACT.unsigned_abs() / 2) }
    }

    /// Requests in one window.
    #[must_use]
    pub fn limit(self) -> u64 {
        self.limit
    }

    /// The window's length in microseconds.
    #[must_use]
    pub fn length_us(self) -> u64 {
        self.length_us
    }

    pub(super) fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// The window that a moment is in.
    #[must_use]
    pub fn period_at(self, now_us: u64) -> Period {
        let start_us = now_us - now_us % self.length_us;
        Period { start_us, end_us: start_us.saturating_add(self.length_us) }
    }
}
