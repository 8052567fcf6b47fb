//! Leases that ended and are not worth a call each. What such a lease held just ends, when the store forgets it; what of it was not used is as if it had been.
//!
//! Of one bucket and epoch that is put together until it is worth a call: until it held more than a small part of what its leases found there, so that the bucket
//! refills nearly as far as it may, or until more of it is unused than the bucket refills in a moment. What windows and quotas count never ends by itself and
//! comes back always.

use std::collections::{HashMap, hash_map::Entry};

use crate::{
    ask::HOLD_US,
    bucket::Bucket,
    key::Key,
    store::{Adjustment, Change},
};

/// So many are put together at most: what comes besides is told at once.
const MOST: usize = 65_536;

/// What a bucket refills in so long is not worth a call. Microseconds.
const REFILLED_US: u64 = 1_000_000;

/// Something that was held in advance and is no longer.
#[derive(Debug, Clone)]
pub struct Ended {
    /// What the store is told.
    pub adjustment: Adjustment,
    /// So many requests that were held are not worth a call.
    pub(super) spare: u64,
}

/// What is not told yet, by bucket and epoch.
#[derive(Debug, Default)]
pub(super) struct Spared {
    sums: HashMap<(Key, Bucket, u64), Sum>,
    swept_us: u64,
}

#[derive(Debug)]
struct Sum {
    unused: u64,
    held: u64,
    spare: u64,
    taken_us: u64,
    since_us: u64,
}

impl Sum {
    fn is_worth(&self, bucket: &Bucket) -> bool {
        let Bucket::Token(token) = bucket else { return true };
        let refilled = token.requests().saturating_mul(REFILLED_US) / token.period_us();
        self.held > self.spare || self.unused > refilled
    }

    fn told(self, key: Key, bucket: Bucket) -> Adjustment {
        let Self { unused, held, taken_us, .. } = self;
        Adjustment { key, bucket, change: Change::Return { unused, held, taken_us } }
    }
}

impl Spared {
    /// What is to be told now that this ended: with it all that ended before it and was not worth a call.
    pub(super) fn add(&mut self, ended: Ended, now_us: u64) -> Option<Adjustment> {
        self.sweep(now_us);
        let Ended { adjustment, spare } = ended;
        let (Bucket::Token(_), Change::Return { unused, held, taken_us }) = (&adjustment.bucket, adjustment.change) else {
            return Some(adjustment);
        };
        let room = self.sums.len() < MOST;
        match self.sums.entry((adjustment.key.clone(), adjustment.bucket.clone(), taken_us / HOLD_US)) {
            Entry::Occupied(mut known) => {
                let sum = known.get_mut();
                (sum.unused, sum.held) = (sum.unused.saturating_add(unused), sum.held.saturating_add(held));
                sum.spare = sum.spare.min(spare);
                let worth = sum.is_worth(&adjustment.bucket);
                worth.then(|| known.remove().told(adjustment.key, adjustment.bucket))
            }
            Entry::Vacant(place) => {
                let sum = Sum { unused, held, spare, taken_us, since_us: now_us };
                if !room || sum.is_worth(&adjustment.bucket) {
                    return Some(adjustment);
                }
                place.insert(sum);
                None
            }
        }
    }

    /// What the store has forgotten need not be told at all.
    fn sweep(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.swept_us) >= HOLD_US {
            self.swept_us = now_us;
            self.sums.retain(|_, sum| now_us.saturating_sub(sum.since_us) < 2 * HOLD_US);
        }
    }

    /// The end: everything is told.
    pub(super) fn take(&mut self) -> Vec<Adjustment> {
        let mut all: Vec<Adjustment> = self.sums.drain().map(|((key, bucket, _), sum)| sum.told(key, bucket)).collect();
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all
    }
}
