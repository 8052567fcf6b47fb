//! What one replica has of the global bucket in advance: no clock and no I/O of its own, so that a simulation can drive it.
//!
//! A token here was charged to the global bucket before it came. It is used at most once, and only until its time is over; what is
//! lost on the way (an answer that never came, a replica that died) was charged and admits nobody. So prepaid tokens never admit more than the global bucket
//! gave; they admit less by at most what replicas hold.

use std::collections::VecDeque;

use crate::ask::HOLD_US;

/// How long a token is good for, in microseconds.
pub const KEPT_US: u64 = 1_000_000;

/// A replica takes in advance what it used in so many microseconds.
const DEMAND_US: u64 = 50_000;

/// The most that is asked for at once.
const MOST: u64 = 8_192;

/// A time of a clock that never goes back, in microseconds.
pub type Moment = u64;

/// Tokens that came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grant {
    /// Not used yet.
    left: u64,
    /// So many the bucket holds for us: it does not refill them until it is told that they are held no longer.
    held: u64,
    /// When they were taken, by the store's clock.
    taken_us: u64,
    /// Until when they are good.
    until: Moment,
}

/// Tokens on their way into a decision: as old as the oldest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How many.
    pub tokens: u64,
    /// When they were taken, by the store's clock.
    pub taken_us: u64,
    /// Until when they are good.
    pub until: Moment,
}

impl Taken {
    /// No tokens.
    pub const NONE: Self = Self { tokens: 0, taken_us: u64::MAX, until: Moment::MAX };

    /// These and others.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let tokens = self.tokens.saturating_add(other.tokens);
        Self { tokens, taken_us: self.taken_us.min(other.taken_us), until: self.until.min(other.until) }
    }
}

/// What the bucket is to be told: tokens that come back, and holds that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Back {
    /// Requests that were not used.
    pub unused: u64,
    /// Requests that are held no longer, the unused ones among them.
    pub held: u64,
    /// When they were taken, by the store's clock.
    pub taken_us: u64,
}

/// The tokens in hand, and what is owed.
#[derive(Debug, Default)]
pub struct Prepaid {
    /// The oldest first.
    grants: VecDeque<Grant>,
    backs: Vec<Back>,
    /// Nothing is to be had before then: the bucket said so, or is away.
    dry_until: Moment,
    /// Requests admitted by guarantees that global has yet to be charged with.
    owed: u64,
    used: u64,
    counted_from: Moment,
    want: u64,
}

impl Prepaid {
    /// Takes tokens for as many copies of a cost as there are tokens for: how many, and the tokens.
    pub fn reserve(&mut self, now: Moment, copies: u32, cost: u64) -> (u32, Taken) {
        self.end(now);
        let cost = cost.max(1);
        let copies = u64::from(copies).min(self.left() / cost);
        let (mut open, mut taken) = (copies * cost, Taken::NONE);
        self.count(open);
        while let Some(grant) = self.grants.front_mut() {
            let tokens = grant.left.min(open);
            if tokens > 0 {
                taken = taken.and(Taken { tokens, taken_us: grant.taken_us, until: grant.until });
            }
            grant.left -= tokens;
            open -= tokens;
            if grant.left > 0 {
                break;
            }
            // Used up: the bucket may refill what was held.
            let used_up = *grant;
            self.grants.pop_front();
            self.let_go(used_up);
        }
        (u32::try_from(copies).unwrap_or(u32::MAX), taken)
    }

    /// Tokens are used that never were in hand.
    pub fn count(&mut self, tokens: u64) {
        self.used = self.used.saturating_add(tokens);
    }

    /// Tokens that were reserved and not used: they are in hand again, and good for no longer than they were.
    pub fn give_back(&mut self, back: Taken) {
        if back.tokens == 0 {
            return;
        }
        self.used = self.used.saturating_sub(back.tokens);
        let same = |grant: &&mut Grant| (grant.taken_us, grant.until) == (back.taken_us, back.until);
        if let Some(grant) = self.grants.iter_mut().find(same) {
            grant.left = grant.left.saturating_add(back.tokens);
            return;
        }
        let younger = self.grants.partition_point(|grant| grant.until < back.until);
        self.grants.insert(younger, Grant { left: back.tokens, held: 0, taken_us: back.taken_us, until: back.until });
    }

    /// Tokens that came for somebody who no longer waits: nothing holds them, so they are not kept.
    pub fn unneeded(&mut self, taken: Taken) {
        self.back(Back { unused: taken.tokens, held: 0, taken_us: taken.taken_us });
    }

    /// What to ask for, when a reservation lacks so many copies of a cost; none while there is nothing to be had.
    pub fn lacks(&mut self, now: Moment, missing: u32, cost: u64) -> Option<Wish> {
        if now < self.dry_until {
            return None;
        }
        self.measure(now);
        let copies = |tokens| u32::try_from(tokens).unwrap_or(0);
        Some(Wish { now: copies(u64::from(missing).clamp(1, MOST)), ahead: copies(self.want / cost.max(1)) })
    }

    /// Whether it is time to ask before anybody lacks anything.
    #[must_use]
    pub fn is_low(&self, now: Moment) -> bool {
        now >= self.dry_until && self.want > 1 && self.left() < self.want / 2
    }

    /// Tokens came that the bucket holds for us: asked for at a moment of ours, taken at one of the store's.
    pub fn granted(&mut self, asked: Moment, tokens: u64, taken_us: u64) {
        if tokens > 0 {
            self.grants.push_back(Grant { left: tokens, held: tokens, taken_us, until: asked + KEPT_US });
        }
    }

    /// Nothing is to be had until then.
    pub fn dry(&mut self, until: Moment) {
        self.dry_until = until;
    }

    /// A guarantee admitted so many requests that no token stands for.
    pub fn owe(&mut self, requests: u64) {
        self.owed = self.owed.saturating_add(requests);
    }

    /// What is owed, to be charged now.
    pub fn settle(&mut self) -> u64 {
        std::mem::take(&mut self.owed)
    }

    /// Whether anything is owed.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.owed > 0
    }

    /// What the bucket is to be told by now. Tokens that were not used for half their time it may have back.
    pub fn backs(&mut self, now: Moment) -> Vec<Back> {
        self.end(now.saturating_add(KEPT_US / 2 - 1));
        std::mem::take(&mut self.backs)
    }

    fn left(&self) -> u64 {
        self.grants.iter().map(|grant| grant.left).sum()
    }

    /// Ends the grants that are good until a moment and no longer.
    fn end(&mut self, last: Moment) {
        let ended = self.grants.partition_point(|grant| grant.until <= last);
        for grant in self.grants.drain(..ended).collect::<Vec<_>>() {
            self.let_go(grant);
        }
    }

    /// A grant ends. Tokens that nothing holds come back on their own: with a hold, no more comes back than it held.
    fn let_go(&mut self, grant: Grant) {
        let Grant { left, held, taken_us, .. } = grant;
        self.back(Back { unused: left.min(held), held, taken_us });
        self.back(Back { unused: left.saturating_sub(held), held: 0, taken_us });
    }

    /// The store remembers what is held by the epoch in which it was taken.
    fn back(&mut self, back: Back) {
        if back.unused == 0 && back.held == 0 {
            return;
        }
        let same = |known: &&mut Back| known.taken_us / HOLD_US == back.taken_us / HOLD_US && (known.held > 0) == (back.held > 0);
        match self.backs.iter_mut().find(same) {
            Some(known) => {
                known.unused = known.unused.saturating_add(back.unused);
                known.held = known.held.saturating_add(back.held);
                known.taken_us = known.taken_us.min(back.taken_us);
            }
            None => self.backs.push(back),
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
pub struct Wish {
    /// For those who wait.
    pub now: u32,
    /// In advance.
    pub ahead: u32,
}

#[cfg(test)]
mod tests;
