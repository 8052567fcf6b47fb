//! How much a claim is admitted here: what decides how much of it is taken in advance.

/// The length of a span. Microseconds.
pub(super) const SPAN_US: u64 = 4_000_000;

/// What was admitted of a claim in this span of the replica's clock, and in the one before.
#[derive(Debug, Default)]
pub(super) struct Demand {
    span: u64,
    now: u64,
    before: u64,
}

impl Demand {
    fn turn(&mut self, now_us: u64) {
        let span = now_us / SPAN_US;
        match span.saturating_sub(self.span) {
            0 => return,
            1 => self.before = self.now,
            _ => self.before = 0,
        }
        (self.span, self.now) = (span, 0);
    }

    /// Copies were admitted.
    pub(super) fn count(&mut self, now_us: u64, copies: u32) {
        self.turn(now_us);
        self.now = self.now.saturating_add(u64::from(copies));
    }

    /// What is admitted in a time, at the pace of the better of the two spans. The one that has just begun knows too little, and the one before is
    /// not what a claim does now that has become busier.
    pub(super) fn within(&mut self, time_us: u64, now_us: u64) -> u64 {
        self.turn(now_us);
        self.before.max(self.now).saturating_mul(time_us).div_ceil(SPAN_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_as_busy_as_in_the_better_of_this_span_and_the_one_before() {
        let mut demand = Demand::default();
        demand.count(1, 100);
        assert_eq!((demand.within(SPAN_US, 2), demand.within(SPAN_US / 4, 2)), (100, 25));
        assert_eq!(demand.within(SPAN_US, 2 * SPAN_US - 1), 100);
        demand.count(2 * SPAN_US - 1, 7);
        assert_eq!(demand.within(SPAN_US, 2 * SPAN_US), 7);
        demand.count(2 * SPAN_US, 300);
        assert_eq!(demand.within(SPAN_US, 2 * SPAN_US), 300);
        assert_eq!(demand.within(SPAN_US, 4 * SPAN_US), 0, "nobody has asked for a whole span");
    }
}
