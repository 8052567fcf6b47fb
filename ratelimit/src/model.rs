//! One charge decided: the rules of SEMANTICS "Limits" in exact integers. `store/redis/decide.lua` is the same, line by line, and the
//! behaviour suite holds them against each other.

use crate::{
    bucket::{Bucket, EXACT, TokenBucket},
    charge::{Charge, Role},
    key::Key,
    outcome::{Outcome, Verdict},
};

/// What a key holds. The period says what a unit of the credit is, because a default guarantee's period changes as tenants come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) credit: i64,
    pub(crate) at_us: u64,
    pub(crate) period_us: u64,
}

impl State {
    /// A bucket that nobody has used is full.
    fn fresh(bucket: TokenBucket, now_us: u64) -> Self {
        Self { credit: bucket.full(), at_us: now_us, period_us: bucket.period_us() }
    }

    /// The state under the limit as it stands now, at a moment. What was consumed stays consumed: a changed limit bounds the credit and adds
    /// none. A clock that went backwards adds nothing, and the moment never goes back.
    fn refreshed(self, bucket: TokenBucket, now_us: u64) -> Self {
        let credit = in_units(self.credit, self.period_us, bucket.period_us()).clamp(bucket.floor(), bucket.full());
        let elapsed = now_us.saturating_sub(self.at_us);
        let gain = i128::from(elapsed) * i128::from(bucket.requests());
        let missing = bucket.full() - credit;
        let credit = match i64::try_from(gain) {
            Ok(gain) if gain < missing => credit + gain,
            _ => bucket.full(),
        };
        Self { credit, at_us: self.at_us.max(now_us), period_us: bucket.period_us() }
    }
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

/// A charge decided: the outcome, and what is to be written (nothing, unless it was admitted and costs something).
pub(crate) struct Decision<'c> {
    pub(crate) outcome: Outcome,
    pub(crate) writes: Vec<(&'c Key, State, TokenBucket)>,
}

struct Working<'c> {
    key: &'c Key,
    state: State,
    bucket: TokenBucket,
    charged: bool,
}

/// Decides one charge at one moment.
pub(crate) fn decide<'c>(charge: &'c Charge, now_us: u64, read: impl Fn(&Key) -> Option<State>) -> Decision<'c> {
    let mut working: Vec<Working<'c>> = Vec::with_capacity(charge.entries().len());
    let mut seen = Vec::with_capacity(charge.entries().len());
    let mut admitted = true;
    let mut guaranteed = false;
    for entry in charge.entries() {
        let Bucket::Token(bucket) = entry.bucket;
        let index = working.iter().position(|one| *one.key == entry.key).unwrap_or_else(|| {
            let state = read(&entry.key).unwrap_or_else(|| State::fresh(bucket, now_us));
            working.push(Working { key: &entry.key, state, bucket, charged: false });
            working.len() - 1
        });
        let Some(one) = working.get_mut(index) else { continue };
        one.state = one.state.refreshed(bucket, now_us);
        one.bucket = bucket;
        seen.push(one.state.credit);
        let holds = bucket.holds(one.state.credit, entry.cost);
        let pays = match entry.role {
            Role::Hold => holds,
            Role::Guarantee => {
                guaranteed = holds;
                holds
            }
            // A limit of zero denies all: no guarantee lends from nothing.
            Role::Shared => holds || (guaranteed && bucket.capacity() > 0),
        };
        if entry.role == Role::Shared {
            guaranteed = false;
        }
        admitted &= pays || entry.role == Role::Guarantee;
        if pays && entry.cost > 0 {
            one.state.credit = bucket.spend(one.state.credit, entry.cost);
            one.charged = true;
        }
    }
    let verdict = if admitted { Verdict::Admitted } else { Verdict::Denied };
    let writes = working.into_iter().filter(|one| admitted && one.charged).map(|one| (one.key, one.state, one.bucket)).collect();
    Decision { outcome: Outcome::of(charge, verdict, &seen), writes }
}
