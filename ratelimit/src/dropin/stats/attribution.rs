//! Which of a call's hits count as within, near or over a limit, exactly as the original divides them (`src/limiter/base_limiter.go`).

use super::LimitStats;

/// A limit and the part of it that is near: floor(limit × NEAR_LIMIT_RATIO).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    limit: u64,
    near: u64,
}

impl Thresholds {
    /// Of a limit and NEAR_LIMIT_RATIO. The original computes in 32-bit floats, so this does too: one hit more or less would show.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as the original")]
    pub fn new(limit: u32, near_ratio: f32) -> Self {
        let near = f64::from(limit as f32 * near_ratio).floor().max(0.0) as u32;
        Self { limit: limit.into(), near: near.into() }
    }

    /// Divides the hits of one descriptor that the window counted on top of `before`.
    #[must_use]
    pub fn divide(self, before: u64, hits: u64) -> Division {
        let after = before.saturating_add(hits);
        if after > self.limit {
            if before >= self.limit {
                return Division { over: hits, ..Division::default() };
            }
            // The hits that fill the limit up are near it, as far as they are; those beyond are over it.
            let near = self.limit.saturating_sub(self.near.max(before));
            return Division { over: after - self.limit, near, within: 0 };
        }
        let near = if after <= self.near {
            0
        } else if before >= self.near {
            hits
        } else {
            after - self.near
        };
        Division { over: 0, near, within: hits }
    }
}

/// Hits, divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Division {
    /// `over_limit`.
    pub over: u64,
    /// `near_limit`.
    pub near: u64,
    /// `within_limit`.
    pub within: u64,
}

impl Division {
    /// Counts the division.
    pub fn count(self, stats: &LimitStats) {
        stats.over_limit.add(self.over);
        stats.near_limit.add(self.near);
        stats.within_limit.add(self.within);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_divided_as_the_original_divides_them() {
        // limit, ratio, before, hits -> over, near, within
        #[rustfmt::skip]
        let cases = [
            (10, 0.8, 0, 1,   0, 0, 1),
            (10, 0.8, 7, 1,   0, 0, 1),
            (10, 0.8, 8, 1,   0, 1, 1),
            (10, 0.8, 9, 1,   0, 1, 1),
            (10, 0.8, 10, 1,  1, 0, 0),
            (10, 0.8, 11, 5,  5, 0, 0),
            // Straddling the near threshold, the limit, and both.
            (10, 0.8, 6, 3,   0, 1, 3),
            (10, 0.8, 9, 3,   2, 1, 0),
            (10, 0.8, 5, 10,  5, 2, 0),
            (10, 0.8, 0, 10,  0, 2, 10),
            // A look counts nothing; a limit of zero counts everything over.
            (10, 0.8, 9, 0,   0, 0, 0),
            (0, 0.8, 0, 1,    1, 0, 0),
            // 32-bit floats: 20 x 0.8 is 16 there, and 15 x 0.8 is 12.
            (20, 0.8, 16, 1,  0, 1, 1),
            (15, 0.8, 11, 2,  0, 1, 2),
            (10, 1.0, 9, 1,   0, 0, 1),
            (u32::MAX, 0.8, u64::from(u32::MAX), u64::MAX, u64::MAX, 0, 0),
        ];
        for (limit, ratio, before, hits, over, near, within) in cases {
            let division = Thresholds::new(limit, ratio).divide(before, hits);
            assert_eq!(division, Division { over, near, within }, "limit {limit} ratio {ratio} before {before} hits {hits}");
        }
    }
}
