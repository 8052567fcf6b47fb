//! One ask decided: the rules of SEMANTICS "Limits" in exact integers. the script in `store/redis/decide/` is the same, step by step, and the
//! behaviour suite holds them against each other.

use crate::{
    ask::{Answer, Ask, HOLD_US, Seen},
    bucket::Bucket,
    charge::{Level, Part, Role},
    key::Key,
    state::State,
};

/// An ask decided.
pub(crate) struct Decision<'c> {
    pub(crate) answer: Answer,
    /// What its keys hold now.
    pub(crate) touched: Vec<Touched<'c>>,
}

/// The keys that an ask touches, as they stand while it is decided.
struct Working<'c, R> {
    read: R,
    now_us: u64,
    keys: Vec<Touched<'c>>,
}

/// A key that an ask touches.
pub(crate) struct Touched<'c> {
    pub(crate) key: &'c Key,
    pub(crate) state: State,
    pub(crate) bucket: &'c Bucket,
    /// Whether it is to be written.
    pub(crate) paid: bool,
}

impl<'c, R: Fn(&Key) -> Option<State>> Working<'c, R> {
    /// What a level holds now, under its own limit.
    fn look(&mut self, level: &'c Level, cost: u64) -> Option<Seen> {
        let (bucket, now_us) = (&level.bucket, self.now_us);
        let index = self.keys.iter().position(|one| *one.key == level.key).unwrap_or_else(|| {
            let state = (self.read)(&level.key).unwrap_or_else(|| State::fresh(bucket, now_us));
            self.keys.push(Touched { key: &level.key, state, bucket, paid: false });
            self.keys.len() - 1
        });
        let one = self.keys.get_mut(index)?;
        one.state.refresh(bucket, now_us)?;
        one.bucket = bucket;
        Some(one.state.seen(bucket, cost, now_us))
    }

    fn pay(&mut self, level: &Level, cost: u64, copies: u64) {
        if cost == 0 || copies == 0 {
            return;
        }
        if let Some(one) = self.keys.iter_mut().find(|one| *one.key == level.key) {
            one.state.pay(&level.bucket, cost, copies);
            one.paid = true;
        }
    }

    fn hold(&mut self, level: &Level, units: i64) {
        if let Some(one) = self.keys.iter_mut().find(|one| *one.key == level.key) {
            one.state.hold(units);
        }
    }

    /// Takes as many copies of a part as pass, at most `copies`: how many, and what its levels held before. None: a key holds no bucket.
    fn take(&mut self, part: &'c Part, copies: u64, seen: &mut Vec<Seen>) -> Option<u64> {
        let from = seen.len();
        for level in part.shape.levels() {
            seen.push(self.look(level, part.cost)?);
        }
        let held = || part.shape.levels().iter().zip(seen.iter().skip(from).map(|seen| seen.credit));
        let passing = passing(held(), part.cost, copies);
        for (level, credit) in held() {
            let copies = match level.role {
                Role::Hold | Role::Shared => passing,
                Role::Guarantee | Role::Shadow => level.bucket.covers(credit, part.cost, passing),
                Role::Count => copies,
            };
            self.pay(level, part.cost, copies);
        }
        // When a sliding window frees depends on the slice that was paid in: it is told as of after the payment.
        for (level, seen) in part.shape.levels().iter().zip(seen.iter_mut().skip(from)) {
            if matches!(level.bucket, Bucket::Sliding(_)) {
                *seen = Seen { credit: seen.credit, ..self.look(level, part.cost)? };
            }
        }
        Some(passing)
    }
}

/// How many copies of a cost pass, one after the other: each that a level denies takes nothing.
pub(crate) fn passing<'l>(held: impl Iterator<Item = (&'l Level, i64)>, cost: u64, copies: u64) -> u64 {
    let mut passing = copies;
    let mut guaranteed = 0;
    for (level, credit) in held {
        let covered = match level.role {
            Role::Guarantee => {
                guaranteed = level.bucket.covers(credit, cost, copies);
                continue;
            }
            Role::Shadow => continue,
            Role::Hold | Role::Count => level.bucket.covers(credit, cost, copies),
            // A limit of zero denies all: no guarantee lends from nothing. The guarantee pays first, and puts the bucket into debt if need be.
            Role::Shared if level.bucket.capacity() == 0 => 0,
            Role::Shared => {
                let first = std::mem::take(&mut guaranteed);
                first + level.bucket.covers(level.bucket.spend(credit, cost, first), cost, copies - first)
            }
        };
        passing = passing.min(covered);
    }
    passing
}

/// Decides one ask at one moment. `read` answers with what a key holds, and none for a key that nobody has used.
pub(crate) fn decide<'c>(ask: &'c Ask, now_us: u64, read: impl Fn(&Key) -> Option<State>) -> Decision<'c> {
    let faulty = || Decision { answer: Answer::faulty(now_us), touched: Vec::new() };
    let levels = ask.charge.levels().count();
    let mut working = Working { read, now_us, keys: Vec::with_capacity(levels) };
    let mut answer = Answer { seen: Vec::with_capacity(levels), ..Answer::nothing(now_us) };
    match ask.charge.parts() {
        [part] => {
            let Some(passing) = working.take(part, u64::from(ask.count), &mut answer.seen) else { return faulty() };
            answer.admitted = u32::try_from(passing).unwrap_or(u32::MAX);
            if answer.admitted == ask.count {
                ahead(&mut working, ask, part, &mut answer);
            }
        }
        parts => {
            let mut admitted = true;
            for part in parts {
                let Some(passing) = working.take(part, 1, &mut answer.seen) else { return faulty() };
                admitted &= passing == 1;
            }
            answer.admitted = u32::from(admitted);
            if !admitted {
                working.keys.clear();
            }
        }
    }
    Decision { answer, touched: working.keys }
}

/// Pays for copies in advance: at most a share of what would still pass, and none beyond the end of a window.
fn ahead<'c, R: Fn(&Key) -> Option<State>>(working: &mut Working<'c, R>, ask: &'c Ask, part: &'c Part, answer: &mut Answer) {
    let Some(ahead) = ask.ahead.filter(|ahead| ahead.want > 0 && part.cost > 0) else { return };
    let most = u64::from(ahead.want) * u64::from(ahead.share.max(1));
    let mut held = Vec::new();
    // What replicas hold must not be missing to who is inside its guarantee.
    for level in part.shape.levels().iter().filter(|level| level.role.may_deny()) {
        let Some(seen) = working.look(level, part.cost) else { return };
        held.push((level, seen.credit));
    }
    let granted = passing(held.iter().copied(), part.cost, most) / u64::from(ahead.share.max(1));
    if granted == 0 {
        return;
    }
    let mut until_us = working.now_us.saturating_add(ahead.ttl_us.min(HOLD_US));
    for (level, _) in held {
        working.pay(level, part.cost, granted);
        let units = level.bucket.full() - level.bucket.spend(level.bucket.full(), part.cost, granted);
        working.hold(level, units);
        if let Some(end_us) = window_end(&level.bucket, working.now_us) {
            until_us = until_us.min(end_us);
        }
    }
    answer.ahead = u32::try_from(granted).unwrap_or(u32::MAX);
    answer.until_us = until_us;
}

/// Until when what a window admitted now counts in it: what is held longer would count in the wrong one.
fn window_end(bucket: &Bucket, now_us: u64) -> Option<u64> {
    match bucket {
        Bucket::Token(_) => None,
        Bucket::Sliding(sliding) => Some((sliding.slice_at(now_us) + 1).saturating_mul(sliding.slice_us())),
        Bucket::Window(_) | Bucket::Calendar(_) => bucket.period_at(now_us).map(|period| period.end_us),
    }
}
