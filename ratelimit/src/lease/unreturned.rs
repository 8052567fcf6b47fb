//! Returns on their way: those that are worth a call, and those that found their store away. It has taken none of these, so they are told again; for as long as
//! they are worth it.

use super::spared::{Ended, Spared};
use crate::{
    ask::HOLD_US,
    bucket::Bucket,
    key::{Account, Keyed},
    store::Adjustment,
};

/// How many returns of one account wait.
const SHARE: usize = 1_024;

/// How long the store is left alone. Microseconds.
const AGAIN_US: u64 = 1_000_000;

/// How long what a quota counted waits at most: a day. Microseconds.
const LONGEST_US: u64 = 24 * 3_600_000_000;

/// A return, and when it came back first, on the replica's own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreturned {
    /// What is told.
    pub adjustment: Adjustment,
    since_us: u64,
}

/// What waits, account by account: nobody's many leases take another's place (S12).
#[derive(Debug, Default)]
pub struct Waiting {
    accounts: Keyed<Account, Vec<Unreturned>>,
    again_us: u64,
    spared: Spared,
    closing: bool,
}

impl Waiting {
    /// What is to be told now: what just came, and what waited, if the store has been left alone for long enough.
    pub fn due(&mut self, fresh: Vec<Ended>, now_us: u64) -> Vec<Unreturned> {
        let mut due: Vec<Unreturned> = Vec::new();
        if now_us >= self.again_us {
            due.extend(self.accounts.drain().flat_map(|(_, waiting)| waiting).filter(|one| one.is_worth(now_us)));
        }
        let (spared, closing) = (&mut self.spared, self.closing);
        let mut told = if closing { spared.take() } else { Vec::new() };
        told.extend(fresh.into_iter().filter_map(|ended| if closing { Some(ended.adjustment) } else { spared.add(ended, now_us) }));
        due.extend(told.into_iter().map(|adjustment| Unreturned { adjustment, since_us: now_us }));
        due
    }

    /// The end: from now on everything is worth a call.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// The store was away: whether it is kept. What is not kept stays charged: less is admitted, never more.
    pub fn keep(&mut self, one: &Unreturned, now_us: u64) -> bool {
        self.again_us = now_us.saturating_add(AGAIN_US);
        let waiting = self.accounts.entry(one.adjustment.key.account().clone()).or_default();
        let room = waiting.len() < SHARE;
        if room {
            waiting.push(one.clone());
        }
        room
    }
}

impl Unreturned {
    /// Whether the store could still take it: it forgets what is held of a token bucket, and what a window that is over has counted.
    fn is_worth(&self, now_us: u64) -> bool {
        let worth_us = match &self.adjustment.bucket {
            Bucket::Token(_) => 2 * HOLD_US,
            Bucket::Window(window) => window.length_us(),
            Bucket::Sliding(sliding) => sliding.length_us(),
            Bucket::Calendar(_) => LONGEST_US,
        };
        now_us.saturating_sub(self.since_us) < worth_us.min(LONGEST_US)
    }
}
