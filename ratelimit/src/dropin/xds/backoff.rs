//! How long to wait before the next stream.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use crate::dropin::settings::Backoff;

/// However the variables are set, no server is asked more often than this.
const LEAST: Duration = Duration::from_millis(100);

/// The longest time before a bad update is refused: the one that mends it waits behind.
const REFUSAL: Duration = Duration::from_secs(5);

/// Waits that double up to a bound, each multiplied by a random number around 1.
#[derive(Debug)]
pub(super) struct Waits {
    next: Duration,
    max: Duration,
    spread: f64,
}

impl Waits {
    pub(super) fn new(backoff: &Backoff) -> Self {
        let max = backoff.max.max(LEAST);
        let spread = if backoff.jitter { backoff.random_factor } else { 0.0 };
        Self { next: backoff.initial.clamp(LEAST, max), max, spread }
    }

    /// Before refusals, one bad update after the other.
    pub(super) fn before_refusing() -> Self {
        Self { next: LEAST, max: REFUSAL, spread: 0.0 }
    }

    pub(super) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.max);
        wait.mul_f64(1.0 - self.spread + 2.0 * self.spread * random()).max(LEAST)
    }
}

/// A number from 0 to 1, of no use for secrets.
pub(in crate::dropin) fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(initial: u64, max: u64, random_factor: f64, jitter: bool) -> Vec<u128> {
        let (initial, max) = (Duration::from_millis(initial), Duration::from_millis(max));
        let mut waits = Waits::new(&Backoff { initial, max, random_factor, jitter });
        (0..6).map(|_| waits.next().as_millis()).collect()
    }

    #[test]
    fn waits_double_up_to_the_bound() {
        assert_eq!(waits(10_000, 60_000, 0.5, false), [10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
    }

    #[test]
    fn no_setting_makes_a_hot_loop() {
        for waits in [waits(0, 0, 0.0, false), waits(0, 0, 1.0, true), waits(1, 50, 0.5, true)] {
            assert!(waits.iter().all(|wait| *wait >= 100), "{waits:?}");
        }
    }

    #[test]
    fn jitter_stays_inside_its_factor() {
        for wait in (0..100).flat_map(|_| waits(1_000, 1_000, 0.5, true)) {
            assert!((500..=1_500).contains(&wait), "{wait}");
        }
    }
}
