//! Time of the threads that others' calls wait for. To hand a small piece of work over to a thread of its own costs more than to do it; but a thread that does it
//! answers nobody else meanwhile. So the time that may be spent so is bounded, for each tenant and for all together, and what is beyond it waits for its turn
//! off those threads (S5).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use bulkhead_rules::processor_time;

const SECOND: u128 = 1_000_000_000;

/// How much time may be spent.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Of every second.
    pub a_second: Duration,
    /// The most that is saved up.
    pub saved: Duration,
}

impl Allowance {
    /// Half of one thread's time, for it may be that Envoy has one connection to us, and so one thread answers all: the other half answers, whoever floods.
    #[must_use]
    pub fn of_all() -> Self {
        Self { a_second: Duration::from_millis(500), saved: Duration::from_millis(4) }
    }

    /// Half of that for the small work of one tenant, and a few dozen usual pieces in one go.
    #[must_use]
    pub fn of_small_work() -> Self {
        Self { a_second: Duration::from_millis(250), saved: Duration::from_millis(1) }
    }

    /// As long as it takes to earn so much time.
    fn earning(self, spent: Duration) -> u64 {
        let nanoseconds = spent.as_nanos().saturating_mul(SECOND) / self.a_second.as_nanos().max(1);
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }
}

/// What is left of an allowance. It is overdrawn by one piece of work for each thread at the most, and what is overdrawn is paid back first. It is
/// one number, so that threads that spend from it wait for nobody.
#[derive(Debug)]
pub struct Purse {
    allowance: Allowance,
    made: Instant,
    /// When all that was spent is earned again, in nanoseconds after it was made.
    full_at: AtomicU64,
}

impl Purse {
    /// A purse with all in it that may be saved up.
    #[must_use]
    pub fn full(allowance: Allowance) -> Self {
        Self { allowance, made: Instant::now(), full_at: AtomicU64::new(0) }
    }

    /// Whether nothing is missing that may be saved up: then it is as good as a new one.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.missing(now) == 0
    }

    /// Whether less is missing than so many times what may be saved up.
    fn has_some(&self, now: Instant, times: u32) -> bool {
        self.missing(now) < self.allowance.earning(self.allowance.saved.saturating_mul(times))
    }

    /// How long it takes until it is full. Were the clock set back, it would take longer.
    fn missing(&self, now: Instant) -> u64 {
        self.full_at.load(Ordering::Relaxed).saturating_sub(self.since(now))
    }

    pub(crate) fn pay(&self, spent: Duration, now: Instant) {
        let (now, earning) = (self.since(now), self.allowance.earning(spent));
        let after = |full_at: u64| Some(full_at.max(now).saturating_add(earning));
        // It always changes.
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
    }

    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.made).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Does a tenant's work here, if its own purse has some time left, and everybody's; and pays for it from both. Else gives it back. Whose own purse is full may draw on
/// everybody's as much again: two that flood must not take from all others what those hardly use.
///
/// # Errors
/// The work, undone.
pub(crate) fn spend<T, W: FnOnce() -> T>(own: &Purse, everybodys: &Purse, work: W) -> Result<T, W> {
    let now = Instant::now();
    let reserve = if own.is_full(now) { 2 } else { 1 };
    if !own.has_some(now, 1) || !everybodys.has_some(now, reserve) {
        return Err(work);
    }
    let begun = processor_time();
    let done = work();
    let (spent, ended) = (processor_time().saturating_sub(begun), Instant::now());
    [own, everybodys].iter().for_each(|purse| purse.pay(spent, ended));
    Ok(done)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALLOWANCE: Allowance = Allowance { a_second: Duration::from_millis(100), saved: Duration::from_millis(4) };

    #[test]
    fn s5_what_is_spent_is_earned_again_at_its_pace_and_never_more_than_may_be_saved() {
        let (purse, start) = (Purse::full(ALLOWANCE), Instant::now());
        assert!(purse.has_some(start, 1) && purse.is_full(start));
        purse.pay(Duration::from_millis(9), start);
        assert!(!purse.has_some(start, 1), "overdrawn by 5 ms");
        assert!(!purse.has_some(start + Duration::from_millis(49), 1));
        assert!(purse.has_some(start + Duration::from_millis(52), 1) && !purse.is_full(start + Duration::from_millis(52)));
        let later = start + Duration::from_secs(3600);
        assert!(purse.has_some(later, 1) && purse.is_full(later));
        purse.pay(Duration::from_millis(5), later);
        assert!(!purse.has_some(later, 1), "an hour saved 4 ms");
        assert!(!purse.has_some(start, 1), "and a clock that goes back earns nothing");
    }

    #[test]
    fn s5_an_empty_purse_of_either_kind_gives_the_work_back_undone() {
        let (full, empty) = (Purse::full(ALLOWANCE), Purse::full(ALLOWANCE));
        empty.pay(Duration::from_secs(9), Instant::now());
        assert!(spend(&full, &full, || ()).is_ok());
        for (own, everybodys) in [(&empty, &full), (&full, &empty)] {
            assert!(spend(own, everybodys, || panic!("done all the same")).is_err());
        }
        let slow = Allowance { a_second: Duration::from_micros(1), ..ALLOWANCE };
        let [some, overdrawn] = [1, 5].map(|spent| {
            let purse = Purse::full(slow);
            purse.pay(Duration::from_millis(spent), Instant::now());
            purse
        });
        assert!(spend(&some, &full, || ()).is_ok());
        assert!(spend(&some, &overdrawn, || panic!("done all the same")).is_err());
        assert!(spend(&Purse::full(ALLOWANCE), &overdrawn, || ()).is_ok(), "whoever spent nothing lately");
        let nothing = Purse::full(Allowance { a_second: Duration::ZERO, saved: Duration::ZERO });
        assert!(spend(&nothing, &full, || panic!("done all the same")).is_err());
        let never = Purse::full(Allowance { a_second: Duration::ZERO, ..ALLOWANCE });
        never.pay(2 * ALLOWANCE.saved, Instant::now());
        assert!(!never.has_some(Instant::now() + Duration::from_secs(3600), 1), "what is not earned is spent once");
    }

    proptest! {
        // Of any interval, whatever is spent before and in it, by pieces of any length at any moments, also at such that go back.
        #[test]
        fn s5_no_interval_sees_more_spent_than_what_is_saved_and_earned_in_it_and_one_piece(
            steps in proptest::collection::vec((-2_000_i64..20_000, 1_u64..3_000), 1..80),
        ) {
            let (purse, start) = (Purse::full(ALLOWANCE), Instant::now() + Duration::from_secs(1));
            let (mut now, mut spent) = (0_i64, Vec::new());
            for (step, piece) in steps {
                now = (now + step).max(0);
                let at = start + Duration::from_micros(now.unsigned_abs());
                if purse.has_some(at, 1) {
                    purse.pay(Duration::from_micros(piece), at);
                    spent.push((now, piece));
                }
            }
            for (nth, _) in spent.iter().enumerate() {
                let (mut sum, mut latest, mut longest) = (0, spent[nth].0, 0);
                for (at, piece) in &spent[nth..] {
                    latest = latest.max(*at);
                    sum += piece;
                    longest = longest.max(*piece);
                    let earliest = spent[..=nth].iter().map(|(at, _)| *at).max().unwrap_or_default();
                    let earned = u64::try_from((latest - earliest).max(0)).unwrap() / 10;
                    prop_assert!(sum <= 4_000 + earned + longest + 1, "{sum} us in {} us", latest - earliest);
                }
            }
        }
    }
}
