//! What one replica has of the global bucket in advance: no clock and no I/O of its own, so that a simulation can drive it.
//!
//! A token here was charged to the global bucket before it came. It is used at most once, and only until its time is over; what is
//! lost on the way (an answer that never came, a replica that died) was charged and admits nobody. So prepaid tokens never admit more than the global bucket
//! gave; they admit less by at most what replicas hold.

use std::collections::VecDeque;

/// How long a token is good for, in microseconds.
pub(crate) const KEPT_US: u64 = 1_000_000;

/// A replica takes in advance what it used in so many microseconds.
const DEMAND_US: u64 = 50_000;

/// The most that is asked for at once.
const MOST: u64 = 8_192;

/// A time of a clock that never goes back, in microseconds.
pub(crate) type Moment = u64;

/// Tokens that came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Not used yet.
    pub(crate) left: u64,
    /// As they came.
    pub(crate) total: u64,
    /// When they were taken, by the store's clock.
    pub(crate) taken_us: u64,
    /// Until when they are good.
    pub(crate) until: Moment,
}

/// The tokens in hand, and what is owed.
#[derive(Debug, Default)]
pub(crate) struct Prepaid {
    grants: VecDeque<Grant>,
    /// Nothing is to be had before then: the bucket said so, or is away.
    dry_until: Moment,
    /// Requests admitted by guarantees that global has yet to be charged with.
    owed: u64,
    used: u64,
    counted_from: Moment,
    want: u64,
}

impl Prepaid {
    /// Takes tokens for as many copies of a cost as there are tokens for.
    pub(crate) fn reserve(&mut self, now: Moment, copies: u32, cost: u64) -> u32 {
        self.expire(now);
        let cost = cost.max(1);
        let copies = u64::from(copies).min(self.left() / cost);
        let mut open = copies * cost;
        self.used = self.used.saturating_add(open);
        while let Some(grant) = self.grants.front_mut() {
            let take = grant.left.min(open);
            grant.left -= take;
            open -= take;
            if open == 0 {
                break;
            }
            self.grants.pop_front();
        }
        u32::try_from(copies).unwrap_or(u32::MAX)
    }

    /// Tokens that were reserved and not used. They are good for as long as those in hand are; with none in hand they are let go.
    pub(crate) fn give_back(&mut self, tokens: u64) {
        self.used = self.used.saturating_sub(tokens);
        if let Some(grant) = self.grants.front_mut() {
            grant.left = grant.left.saturating_add(tokens).min(grant.total.max(grant.left));
        }
    }

    /// How many tokens to ask for, when a reservation lacks so many; none while there is nothing to be had.
    pub(crate) fn lacks(&mut self, now: Moment, missing: u64) -> Option<Wish> {
        if now < self.dry_until {
            return None;
        }
        self.measure(now);
        Some(Wish { now: u32::try_from(missing.clamp(1, MOST)).unwrap_or(1), ahead: u32::try_from(self.want).unwrap_or(0) })
    }

    /// Whether it is time to ask before anybody lacks anything.
    pub(crate) fn is_low(&self, now: Moment) -> bool {
        now >= self.dry_until && self.want > 1 && self.left() < self.want / 2
    }

    /// Tokens came: asked for at a moment of ours, taken at one of the store's.
    pub(crate) fn granted(&mut self, asked: Moment, tokens: u64, taken_us: u64) {
        if tokens > 0 {
            self.grants.push_back(Grant { left: tokens, total: tokens, taken_us, until: asked + KEPT_US });
        }
    }

    /// Nothing is to be had until then.
    pub(crate) fn dry(&mut self, until: Moment) {
        self.dry_until = until;
    }

    /// A guarantee admitted so many requests that no token stands for.
    pub(crate) fn owe(&mut self, requests: u64) {
        self.owed = self.owed.saturating_add(requests);
    }

    /// What is owed, to be charged now.
    pub(crate) fn settle(&mut self) -> u64 {
        std::mem::take(&mut self.owed)
    }

    /// Tokens that were not used for half their time: the bucket may have them back.
    pub(crate) fn idle(&mut self, now: Moment) -> Vec<Grant> {
        self.expire(now);
        let old = self.grants.iter().take_while(|grant| grant.until < now + KEPT_US / 2).count();
        self.grants.drain(..old).filter(|grant| grant.left > 0).collect()
    }

    fn left(&self) -> u64 {
        self.grants.iter().map(|grant| grant.left).sum()
    }

    fn expire(&mut self, now: Moment) {
        while self.grants.front().is_some_and(|grant| grant.until <= now) {
            self.grants.pop_front();
        }
    }

    fn measure(&mut self, now: Moment) {
        let passed = now.saturating_sub(self.counted_from).max(1_000);
        let rate = u128::from(self.used) * u128::from(DEMAND_US) / u128::from(passed);
        // Up at once, down by halves: a pause of one flow is not the end of it.
        self.want = u64::try_from(rate).unwrap_or(MOST).max(self.want / 2).min(MOST);
        (self.used, self.counted_from) = (0, now);
    }
}

/// What to ask the global bucket for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    /// For those who wait.
    pub(crate) now: u32,
    /// In advance.
    pub(crate) ahead: u32,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_are_used_once_and_not_after_their_time() {
        let mut prepaid = Prepaid::default();
        prepaid.granted(0, 10, 7);
        assert_eq!((prepaid.reserve(1, 3, 3), prepaid.reserve(1, 3, 3), prepaid.reserve(1, 5, 1)), (3, 0, 1));
        prepaid.granted(0, 10, 7);
        assert_eq!(prepaid.reserve(KEPT_US, 1, 1), 0);
    }

    #[test]
    fn an_empty_bucket_is_not_asked_again_at_once() {
        let mut prepaid = Prepaid::default();
        assert_eq!(prepaid.lacks(5, 2), Some(Wish { now: 2, ahead: 0 }));
        prepaid.dry(100);
        assert_eq!((prepaid.lacks(99, 2), prepaid.lacks(100, 2).is_some()), (None, true));
    }

    #[test]
    fn what_is_asked_for_follows_the_demand() {
        let mut prepaid = Prepaid::default();
        prepaid.granted(0, 1_000, 0);
        prepaid.reserve(1, 1_000, 1);
        assert_eq!(prepaid.lacks(50_000, 1).map(|wish| wish.ahead), Some(1_000));
        assert_eq!(prepaid.lacks(100_000, 1).map(|wish| wish.ahead), Some(500), "an idle replica wants less and less");
    }

    #[test]
    fn idle_tokens_go_back() {
        let mut prepaid = Prepaid::default();
        prepaid.granted(0, 10, 7);
        prepaid.reserve(1, 4, 1);
        assert_eq!(prepaid.idle(KEPT_US / 2), []);
        assert_eq!(prepaid.idle(KEPT_US / 2 + 1), [Grant { left: 6, total: 10, taken_us: 7, until: KEPT_US }]);
        assert_eq!(prepaid.reserve(KEPT_US / 2 + 1, 1, 1), 0);
    }

    proptest! {
        #[test]
        fn never_more_is_used_than_came(steps in prop::collection::vec((0..4_u8, 0..50_u64, 1..5_u64), 1..100)) {
            let (mut prepaid, mut came, mut used, mut now) = (Prepaid::default(), 0, 0, 0);
            for (step, number, cost) in steps {
                now += number * 10_000;
                match step {
                    0 => { prepaid.granted(now, number, 0); came += number; }
                    1 => used += u64::from(prepaid.reserve(now, u32::try_from(number).unwrap_or(0), cost)) * cost,
                    2 => {
                        let copies = prepaid.reserve(now, 1, cost);
                        prepaid.give_back(u64::from(copies) * cost);
                    }
                    _ => came -= prepaid.idle(now).iter().map(|grant| grant.left).sum::<u64>(),
                }
                prop_assert!(used <= came);
            }
        }
    }
}
