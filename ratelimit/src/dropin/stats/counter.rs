//! A counter that only grows, and what statsd was told of it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter.
#[derive(Debug, Default)]
pub struct Counter {
    value: AtomicU64,
    told: AtomicU64,
}

impl Counter {
    /// Counts.
    pub fn add(&self, hits: u64) {
        if hits > 0 {
            self.value.fetch_add(hits, Ordering::Relaxed);
        }
    }

    /// What was counted since the start.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    /// What was counted since the last time this was asked. For one flusher.
    pub(super) fn latch(&self) -> u64 {
        let value = self.value();
        value.wrapping_sub(self.told.swap(value, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latch_gives_what_came_since_the_last_one() {
        let counter = Counter::default();
        counter.add(3);
        assert_eq!((counter.latch(), counter.latch()), (3, 0));
        counter.add(2);
        assert_eq!((counter.latch(), counter.value()), (2, 5));
    }
}
