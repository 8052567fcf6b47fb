//! What comes back to the store, put together: many leases hold tokens of one bucket (the global one stands in all of them).

use std::collections::{HashMap, hash_map::Entry};

use super::{entry::Lease, spared::Ended};
use crate::{
    ask::HOLD_US,
    bucket::Bucket,
    charge::Charge,
    key::Key,
    store::{Adjustment, Change},
};

/// Leases that ended, level by level.
#[derive(Debug, Default)]
pub(super) struct Returns {
    /// Tokens, by the epoch in which they were taken: the store remembers them by it.
    tokens: HashMap<(Key, Bucket, u64), Back>,
    /// What windows have counted comes back to the very window.
    windows: Vec<Ended>,
}

#[derive(Debug)]
struct Back {
    unused: u64,
    held: u64,
    spare: u64,
    taken_us: u64,
}

impl Returns {
    /// A lease of a charge ended.
    pub(super) fn add(&mut self, charge: &Charge, lease: &Lease) {
        let taken_us = lease.taken_us;
        // Guarantees pay nothing in advance.
        for (level, cost) in charge.levels().filter(|(level, _)| level.role().may_deny()) {
            let (unused, held) = (cost.saturating_mul(u64::from(lease.left)), cost.saturating_mul(u64::from(lease.granted)));
            let spare = cost.saturating_mul(lease.spare);
            if let Bucket::Token(_) = level.bucket() {
                match self.tokens.entry((level.key().clone(), level.bucket().clone(), taken_us / HOLD_US)) {
                    Entry::Occupied(mut known) => {
                        let back = known.get_mut();
                        (back.unused, back.held) = (back.unused.saturating_add(unused), back.held.saturating_add(held));
                        back.spare = back.spare.min(spare);
                    }
                    Entry::Vacant(place) => drop(place.insert(Back { unused, held, spare, taken_us })),
                }
            } else if unused > 0 {
                let change = Change::Return { unused, held, taken_us };
                let adjustment = Adjustment { key: level.key().clone(), bucket: level.bucket().clone(), change };
                self.windows.push(Ended { adjustment, spare: 0 });
            }
        }
    }

    /// All that came together since the last time.
    pub(super) fn take(&mut self) -> Vec<Ended> {
        let mut all = std::mem::take(&mut self.windows);
        all.extend(self.tokens.drain().filter(|(_, back)| back.held > 0).map(|((key, bucket, _), back)| {
            let Back { unused, held, spare, taken_us } = back;
            Ended { adjustment: Adjustment { key, bucket, change: Change::Return { unused, held, taken_us } }, spare }
        }));
        all
    }
}
