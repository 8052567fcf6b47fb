//! Signatures that are verified where the request is. To hand one over to a thread of its own costs more than to verify it; but a thread that verifies answers
//! nobody else meanwhile. So the time that may be spent so is bounded, for each tenant and for all together, and what is beyond it waits for its turn off
//! the I/O threads (S5).

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How much time may be spent.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Of every second.
    pub a_second: Duration,
    /// The most that is saved up.
    pub saved: Duration,
}

/// What is left of an allowance. It is overdrawn by one piece of work for each thread at the most, and what is overdrawn is paid back first.
#[derive(Debug)]
pub(super) struct Purse {
    allowance: Allowance,
    /// Seconds that are left, and since when.
    left: Mutex<(f64, Instant)>,
}

impl Purse {
    pub(super) fn full(allowance: Allowance) -> Self {
        Self { allowance, left: Mutex::new((allowance.saved.as_secs_f64(), Instant::now())) }
    }

    fn has_some(&self, now: Instant) -> bool {
        let Allowance { a_second, saved } = self.allowance;
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (seconds, since) = *left;
        let earned = now.saturating_duration_since(since).as_secs_f64() * a_second.as_secs_f64();
        *left = ((seconds + earned).min(saved.as_secs_f64()), since.max(now));
        left.0 > 0.0
    }

    pub(super) fn pay(&self, spent: Duration) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).0 -= spent.as_secs_f64();
    }
}

/// Does the work here, if every purse has some time left, and pays for it from all of them; else gives it back.
pub(super) fn spend<T, W: FnOnce() -> T>(purses: [&Purse; 2], work: W) -> Result<T, W> {
    let begun = Instant::now();
    if !purses.iter().all(|purse| purse.has_some(begun)) {
        return Err(work);
    }
    let done = work();
    let spent = begun.elapsed();
    purses.iter().for_each(|purse| purse.pay(spent));
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance { a_second: Duration::from_millis(100), saved: Duration::from_millis(4) };

    #[test]
    fn s5_what_is_spent_is_earned_again_at_its_pace_and_never_more_than_may_be_saved() {
        let (purse, start) = (Purse::full(ALLOWANCE), Instant::now());
        assert!(purse.has_some(start));
        purse.pay(Duration::from_millis(9));
        assert!(!purse.has_some(start), "overdrawn by 5 ms");
        assert!(!purse.has_some(start + Duration::from_millis(49)));
        assert!(purse.has_some(start + Duration::from_millis(52)));
        assert!(purse.has_some(start + Duration::from_secs(3600)));
        purse.pay(Duration::from_millis(5));
        assert!(!purse.has_some(start + Duration::from_secs(3600)), "an hour saved 4 ms");
    }

    #[test]
    fn s5_an_empty_purse_of_either_kind_gives_the_work_back_undone() {
        let (full, empty) = (Purse::full(ALLOWANCE), Purse::full(ALLOWANCE));
        empty.pay(Duration::from_secs(9));
        assert!(spend([&full, &full], || ()).is_ok());
        for purses in [[&full, &empty], [&empty, &full]] {
            assert!(spend(purses, || panic!("done all the same")).is_err());
        }
    }
}
