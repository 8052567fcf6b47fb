//! The sliding window: so many requests in any span of a length.
//!
//! Time is cut into [`SLICES`] slices a length, and what a slice admitted counts until the slice's end has been over for the whole length. So no
//! span of that length ever holds more than the limit, and what is used comes back at most one slice late.

use super::EXACT;

/// Slices of one length. One more than that may count at a time.
pub const SLICES: u64 = 60;

/// A sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sliding {
    limit: u64,
    slice_us: u64,
}

impl Sliding {
    /// `limit` requests in any span of `length_us` microseconds, rounded up to whole slices. A limit of 0 denies everything.
    #[must_use]
    pub fn new(limit: u64, length_us: u64) -> Self {
        let slice_us = length_us.div_ceil(SLICES).clamp(1, EXACT.unsigned_abs() / 1024);
        Self { limit: limit.min(EXACT.unsigned_abs() - 1), slice_us }
    }

    /// Requests in any span.
    #[must_use]
    pub fn limit(self) -> u64 {
        self.limit
    }

    /// The length of a slice in microseconds.
    #[must_use]
    pub fn slice_us(self) -> u64 {
        self.slice_us
    }

    /// The length of the span in microseconds.
    #[must_use]
    pub fn length_us(self) -> u64 {
        self.slice_us * SLICES
    }

    pub(super) fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// The slice that a moment is in.
    pub(crate) fn slice_at(self, now_us: u64) -> u64 {
        now_us / self.slice_us
    }

    /// When a slice counts no more, in microseconds since 1970.
    pub(crate) fn gone_us(self, slice: u64) -> u64 {
        slice.saturating_add(SLICES + 1).saturating_mul(self.slice_us)
    }
}
