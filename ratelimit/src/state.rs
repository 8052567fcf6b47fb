//! What a key holds, kind by kind, and how it changes with time and payment.

use std::collections::VecDeque;

use crate::{
    ask::{HOLD_US, Seen},
    bucket::{Bucket, EXACT, SLICES, Sliding, TokenBucket},
    store::Change,
};

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// A token bucket, under the limit that it was last under. Its period says what a unit of the credit is, because a default guarantee's period changes as
    /// tenants come and go.
    Token { credit: i64, at_us: u64, limit: TokenBucket, held: Held },
    /// A window or a calendar quota: what was counted in the window that began at `start_us`. Below zero: an operator granted more.
    Counted { start_us: u64, count: i64 },
    /// A sliding window: counts by slice, the newest (`newest`) first.
    Sliced { newest: u64, counts: VecDeque<i64> },
}

/// Units that replicas hold in advance: meanwhile the bucket refills only up to its capacity less these, so that they are not there twice.
/// They are kept by the epoch (of [`HOLD_US`]) in which they were taken and forgotten when the epoch after it ends: at least a lease's longest
/// life later, and whatever others take meanwhile, so a replica that died withholds nothing for longer than two epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    /// Taken in the epoch before, and in this one.
    pub(crate) older: i64,
    pub(crate) newer: i64,
    pub(crate) epoch: u64,
}

impl Held {
    /// As it is at a moment; like a bucket's moment, the epoch never goes back while something is held.
    fn turn(&mut self, now_us: u64) {
        let epoch = now_us / HOLD_US;
        match epoch.saturating_sub(self.epoch) {
            0 => {}
            1 => (self.older, self.newer) = (self.newer, 0),
            _ => (self.older, self.newer) = (0, 0),
        }
        self.epoch = if self.units() == 0 { epoch } else { self.epoch.max(epoch) };
    }

    fn units(self) -> i64 {
        self.older.saturating_add(self.newer)
    }

    /// What was taken in the epoch of a moment, if it is not forgotten.
    fn of(&mut self, taken_us: u64) -> Option<&mut i64> {
        match self.epoch.checked_sub(taken_us / HOLD_US) {
            Some(0) => Some(&mut self.newer),
            Some(1) => Some(&mut self.older),
            _ => None,
        }
    }

    /// When nothing is held any more.
    fn until_us(self) -> u64 {
        match (self.older, self.newer) {
            (_, 1..) => self.epoch.saturating_add(2).saturating_mul(HOLD_US),
            (1.., _) => self.epoch.saturating_add(1).saturating_mul(HOLD_US),
            _ => 0,
        }
    }
}

impl State {
    /// A bucket that nobody has used.
    pub(crate) fn fresh(bucket: &Bucket, now_us: u64) -> Self {
        match bucket {
            Bucket::Token(token) => Self::Token { credit: bucket.full(), at_us: now_us, limit: *token, held: Held::default() },
            Bucket::Window(_) | Bucket::Calendar(_) => {
                Self::Counted { start_us: bucket.period_at(now_us).map_or(now_us, |period| period.start_us), count: 0 }
            }
            Bucket::Sliding(sliding) => Self::Sliced { newest: sliding.slice_at(now_us), counts: VecDeque::new() },
        }
    }

    /// A bucket that an operator has reset. A window begins then: what leases took before and give back was never counted in it, so it is no grant. None:
    /// nothing need be remembered.
    pub(crate) fn reset(bucket: &Bucket, now_us: u64) -> Option<Self> {
        match bucket {
            Bucket::Token(_) | Bucket::Sliding(_) => None,
            Bucket::Window(_) | Bucket::Calendar(_) => Some(Self::Counted { start_us: now_us, count: 0 }),
        }
    }

    /// Under which limit something is given back. Leases may end long after their limit was raised or lowered: then neither the old capacity nor the old rate
    /// is the bucket's any more, and the store knows the limit of what it holds for replicas. Where it holds nothing, the limit that is named.
    pub(crate) fn returns_under(&self, bucket: &Bucket) -> Bucket {
        match self {
            Self::Token { limit, held, .. } if held.units() > 0 => Bucket::Token(*limit),
            _ => bucket.clone(),
        }
    }

    /// The state under the limit as it stands now, at a moment. What was consumed stays consumed: a changed limit bounds the credit and adds
    /// none. A clock that went backwards adds nothing, and the moment never goes back. None: it is not a bucket of this kind.
    pub(crate) fn refresh(&mut self, bucket: &Bucket, now_us: u64) -> Option<()> {
        match (self, bucket) {
            (Self::Token { credit, at_us, limit, held }, Bucket::Token(token)) => {
                let period_us = limit.period_us();
                for units in [&mut held.older, &mut held.newer] {
                    *units = in_units(*units, period_us, token.period_us()).max(0);
                }
                held.turn(now_us);
                // Of a limit that was lowered below what is held nothing is left; what is held was paid, and is no debt.
                let full = bucket.full().saturating_sub(held.units()).max(0);
                *credit =
                    refilled(in_units(*credit, period_us, token.period_us()), full, bucket.floor(), *token, now_us.saturating_sub(*at_us));
                *at_us = now_us.max(*at_us);
                *limit = *token;
            }
            (Self::Counted { start_us, count }, Bucket::Window(_) | Bucket::Calendar(_)) => {
                let start = bucket.period_at(now_us)?.start_us;
                if start > *start_us {
                    (*start_us, *count) = (start, 0);
                }
            }
            (Self::Sliced { newest, counts }, Bucket::Sliding(sliding)) => {
                let slice = sliding.slice_at(now_us);
                let passed = usize::try_from(slice.saturating_sub(*newest)).unwrap_or(usize::MAX);
                if passed > 0 && !counts.is_empty() {
                    if passed >= most_slices() {
                        counts.clear()
                    } else {
                        (0..passed).for_each(|_| counts.push_front(0))
                    }
                    counts.truncate(most_slices());
                }
                *newest = slice.max(*newest);
            }
            _ => return None,
        }
        Some(())
    }

    /// What it holds, once it is fresh.
    pub(crate) fn seen(&self, bucket: &Bucket, cost: u64, now_us: u64) -> Seen {
        match (self, bucket) {
            (Self::Sliced { newest, counts }, Bucket::Sliding(sliding)) => sliced(*newest, counts, *sliding, cost, now_us),
            (Self::Token { credit, .. }, _) => Seen { credit: *credit, ..Seen::default() },
            (Self::Counted { count, .. }, _) => {
                Seen { credit: bucket.full().saturating_sub(*count).max(bucket.floor()), ..Seen::default() }
            }
            (Self::Sliced { .. }, _) => Seen::default(),
        }
    }

    /// Takes copies of a cost.
    pub(crate) fn pay(&mut self, bucket: &Bucket, cost: u64, copies: u64) {
        let more = |count: i64| (i128::from(count) + i128::from(cost) * i128::from(copies)).min(i128::from(EXACT));
        match self {
            Self::Token { credit, .. } => *credit = bucket.spend(*credit, cost, copies),
            Self::Counted { count, .. } => *count = i64::try_from(more(*count)).unwrap_or(EXACT),
            Self::Sliced { counts, .. } => match counts.front_mut() {
                Some(count) => *count = i64::try_from(more(*count)).unwrap_or(EXACT),
                None => counts.push_front(i64::try_from(more(0)).unwrap_or(EXACT)),
            },
        }
    }

    /// Remembers what is taken in advance now, once it is fresh. Windows need not: what they counted stays counted.
    pub(crate) fn hold(&mut self, units: i64) {
        if let Self::Token { held, .. } = self {
            held.newer = held.newer.saturating_add(units).min(EXACT);
        }
    }

    /// Gives back, or ends a hold, once it is fresh: whether there is something to write. [`Change::Reset`] is not for a state: the key is
    /// forgotten.
    pub(crate) fn adjust(&mut self, bucket: &Bucket, change: Change) -> bool {
        let (back, released, taken_us) = match change {
            Change::Reset => return false,
            Change::Grant { requests } => (requests, 0, u64::MAX),
            Change::Return { unused, held, taken_us } => (unused, held, taken_us),
        };
        let units = bucket.units(back);
        match (self, bucket) {
            (Self::Token { credit, held, .. }, _) => {
                let mut units = units;
                if taken_us != u64::MAX {
                    // What is held no longer has been refilled, or an operator reset it: coming back now it would be there twice.
                    let Some(known) = held.of(taken_us) else { return false };
                    if released > 0 {
                        if *known == 0 {
                            return false;
                        }
                        units = units.min(*known);
                    }
                    *known = known.saturating_sub(bucket.units(released)).max(0);
                }
                let full = bucket.full().saturating_sub(held.units());
                *credit = credit.saturating_add(units).min(full.max(*credit));
            }
            // What was taken in a window that is over was never counted in this one; and what comes back to one that has forgotten it (an
            // operator reset it) is no grant.
            (Self::Counted { start_us, count }, _) if taken_us >= *start_us => {
                let least = if taken_us == u64::MAX { -EXACT } else { 0.min(*count) };
                *count = count.saturating_sub(units).max(least);
            }
            (Self::Sliced { newest, counts }, Bucket::Sliding(sliding)) => {
                let age = if taken_us == u64::MAX { 0 } else { newest.saturating_sub(sliding.slice_at(taken_us)) };
                let mut left = units;
                for count in counts.iter_mut().skip(usize::try_from(age).unwrap_or(usize::MAX)) {
                    let part = left.min(*count);
                    *count -= part;
                    left -= part;
                    if taken_us != u64::MAX {
                        break;
                    }
                }
            }
            _ => {}
        }
        true
    }

    /// When it is as if nobody had used it: it need not be kept beyond. Microseconds since 1970.
    pub(crate) fn clears_us(&self, bucket: &Bucket, now_us: u64) -> u64 {
        match (self, bucket) {
            (Self::Token { credit, at_us, held, .. }, Bucket::Token(token)) => {
                let full = at_us.saturating_add(token.refill_us(*credit, bucket.full()).unwrap_or(0));
                full.max(held.until_us())
            }
            (Self::Sliced { newest, .. }, Bucket::Sliding(sliding)) => sliding.gone_us(*newest),
            _ => bucket.period_at(now_us).map_or(now_us, |period| period.end_us),
        }
    }
}

/// Slices that may count at a time.
pub(crate) fn most_slices() -> usize {
    usize::try_from(SLICES).unwrap_or(usize::MAX).saturating_add(1)
}

fn refilled(credit: i64, full: i64, floor: i64, token: TokenBucket, elapsed_us: u64) -> i64 {
    let credit = credit.clamp(floor, full);
    let gain = i128::from(elapsed_us) * i128::from(token.requests());
    match i64::try_from(gain) {
        Ok(gain) if gain < full - credit => credit + gain,
        _ => full,
    }
}

fn sliced(newest: u64, counts: &VecDeque<i64>, sliding: Sliding, cost: u64, now_us: u64) -> Seen {
    let bucket = Bucket::Sliding(sliding);
    let used = counts.iter().fold(0_i64, |sum, count| sum.saturating_add(*count)).min(EXACT);
    let credit = bucket.full().saturating_sub(used).max(bucket.floor());
    let clears_us = if used == 0 { now_us } else { sliding.gone_us(newest) };
    // The oldest slices leave one by one, until the cost fits.
    let mut frees_us = 0;
    let mut left = credit;
    for (age, count) in counts.iter().enumerate().rev() {
        if bucket.covers(left, cost, 1) > 0 {
            break;
        }
        left = left.saturating_add(*count);
        frees_us = sliding.gone_us(newest.saturating_sub(age as u64));
    }
    Seen { credit, frees_us, clears_us }
}

/// A credit in units of another period, rounded down. Where the product leaves exact arithmetic it is computed in doubles, as the script
/// must, and two units (more than the error) are taken off.
fn in_units(credit: i64, from: u64, to: u64) -> i64 {
    if from == to {
        return credit;
    }
    let (from, to) = (i128::from(from), i128::from(to));
    let whole = i128::from(credit).div_euclid(from);
    let rest = i128::from(credit).rem_euclid(from);
    let part = if rest * to < i128::from(EXACT) {
        rest * to / from
    } else {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "operands are integers below 2^53")]
        let part = ((rest as f64 / from as f64) * to as f64).floor() as i128;
        (part - 2).max(0)
    };
    let bound = i128::from(EXACT);
    i64::try_from((whole * to + part).clamp(-bound, bound)).unwrap_or(0)
}
