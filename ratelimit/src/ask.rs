//! What a store is asked and what it answers: the same charge any number of times, and tokens in advance.

use std::sync::{Arc, Weak};

use crate::{
    charge::{Charge, Role},
    key::Meter,
    outcome::{Outcome, Verdict},
    store::Tally,
};

/// How long tokens may be held in advance at most, in microseconds. The store remembers what is held by epochs of this length, and forgets it one to
/// two of them after it was taken: no earlier than the tokens may still be used, however late another replica's were taken.
pub const HOLD_US: u64 = 8_000_000;

/// One charge, so many times. Equal charges that wait together are one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What is charged each time.
    pub charge: Charge,
    /// How many times. 0 looks: what its levels hold is told, and nothing is paid but what is taken in advance; without that only for a charge of one level. A charge of several parts is asked once at a time: the store decides one, and denies the rest.
    pub count: u32,
    /// Tokens in advance, if all of `count` are admitted. Only for a charge of one part.
    pub ahead: Option<Ahead>,
    /// Who waits for it.
    pub(crate) caller: Caller,
}

/// Whoever waits for an ask. What takes in advance is asked by a task that outlives its request; once nobody waits for the request any more it is answered by
/// its failure mode, and what was not sent must not be charged (S24).
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller(Option<Weak<()>>);

impl Caller {
    /// Somebody, for as long as this is kept.
    pub(crate) fn of(here: &Arc<()>) -> Self {
        Self(Some(Arc::downgrade(here)))
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.as_ref().is_some_and(|here| here.strong_count() == 0)
    }
}

/// Equal questions are equal whoever asks them.
impl PartialEq for Caller {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Caller {}

/// Tokens in advance: more copies of a charge, paid now and admitted later without the store. A guarantee pays none of them: it is there for
/// whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// At most so many copies.
    pub want: u32,
    /// And at most one in so many of those that would still pass: few where a bucket is nearly empty. At least 1.
    pub share: u32,
    /// How long they may be held, in microseconds, and never longer than [`HOLD_US`]: the bucket does not refill what is held, so what is
    /// admitted late was never there twice.
    pub ttl_us: u64,
    /// What was answered from the copies before: it is counted at the charge's meter with this.
    pub told: Told,
}

/// Costs that a replica admitted and denied by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Admitted.
    pub admitted: u64,
    /// Denied.
    pub denied: u64,
}

impl Told {
    /// As it is told at a meter in a call of its own, if there is anything to tell, and a meter.
    pub(crate) fn tally(self, meter: Option<&Meter>) -> Option<Tally> {
        let Self { admitted, denied } = self;
        meter.filter(|_| admitted > 0 || denied > 0).map(|meter| Tally { meter: meter.clone(), admitted, denied })
    }
}

impl Ahead {
    /// So many copies at most, one in so many of what would pass, for so long.
    #[must_use]
    pub fn of(want: u32, share: u32, ttl_us: u64) -> Self {
        Self { want, share, ttl_us, told: Told::default() }
    }
}

impl Ask {
    /// One charge, once.
    #[must_use]
    pub fn one(charge: Charge) -> Self {
        Self::of(charge, 1, None)
    }

    /// What is told with it, and at which meter.
    #[must_use]
    pub fn tally(&self) -> Option<Tally> {
        self.ahead?.told.tally(self.charge.parts().first()?.shape().meter())
    }

    /// A charge so many times, with so much in advance.
    #[must_use]
    pub fn of(charge: Charge, count: u32, ahead: Option<Ahead>) -> Self {
        Self { charge, count, ahead, caller: Caller::default() }
    }
}

/// What a level's bucket held when an ask came to it, before it paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Units.
    pub(crate) credit: i64,
    /// Sliding windows only: when a denied copy would pass, and when nothing counts any more. Microseconds since 1970; 0: now.
    pub(crate) frees_us: u64,
    pub(crate) clears_us: u64,
}

/// An ask, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// So many of `count` were admitted and charged, the first ones.
    pub admitted: u32,
    /// So many copies more were charged in advance.
    pub ahead: u32,
    /// Until when those may be admitted, in microseconds since 1970 by the store's clock. Where there are none: 0.
    pub until_us: u64,
    /// The moment that the store decided at.
    pub now_us: u64,
    /// A key of the charge holds something that is no bucket: nothing was charged (S12).
    pub faulty: bool,
    pub(crate) seen: Vec<Seen>,
}

impl Answer {
    /// An ask that touched a key which is no bucket, or that no store decides.
    #[must_use]
    pub fn faulty(now_us: u64) -> Self {
        Self { faulty: true, ..Self::nothing(now_us) }
    }

    /// Nothing asked, and nothing admitted.
    pub(crate) fn nothing(now_us: u64) -> Self {
        Self { admitted: 0, ahead: 0, until_us: 0, now_us, faulty: false, seen: Vec::new() }
    }

    /// How the copy of a number (from 0) stands.
    #[must_use]
    pub fn outcome(&self, charge: &Charge, copy: u32) -> Outcome {
        if self.faulty {
            return Outcome::faulty();
        }
        let verdict = if copy < self.admitted { Verdict::Admitted } else { Verdict::Denied };
        if copy == 0 {
            return Outcome::of(charge, verdict, &self.seen, self.now_us);
        }
        Outcome::of(charge, verdict, &self.seen_by(charge, copy), self.now_us)
    }

    /// The answer to some of the copies, as if they alone had been asked after those before them.
    pub(crate) fn part(&self, charge: &Charge, from: u32, count: u32) -> Self {
        let admitted = self.admitted.saturating_sub(from).min(count);
        Self { admitted, seen: if self.faulty { Vec::new() } else { self.seen_by(charge, from) }, ..*self }
    }

    /// What the levels held when the copy of a number came to them.
    fn seen_by(&self, charge: &Charge, copy: u32) -> Vec<Seen> {
        let before = u64::from(copy.min(self.admitted));
        let mut all = Vec::with_capacity(self.seen.len());
        for ((level, cost), seen) in charge.levels().zip(&self.seen) {
            let paid = match level.role {
                Role::Hold | Role::Shared => before,
                // It paid for the first copies, as far as it held.
                Role::Guarantee | Role::Shadow => level.bucket.covers(seen.credit, cost, before),
                Role::Count => u64::from(copy),
            };
            all.push(Seen { credit: level.bucket.spend(seen.credit, cost, paid), ..*seen });
        }
        all
    }

    /// How a copy stands that was charged in advance: as if all that were charged with it had been used, so that no answer promises what another
    /// replica may take. Decided at the moment of this answer.
    #[must_use]
    pub(crate) fn of_lease(&self, charge: &Charge) -> Self {
        let taken = self.admitted.saturating_add(self.ahead);
        let all = Self { admitted: taken, ahead: 0, until_us: 0, seen: self.seen.clone(), ..*self };
        all.part(charge, taken.saturating_sub(1), 1)
    }

    /// How many copies more would pass, none of them paid for by a guarantee.
    #[must_use]
    pub(crate) fn left(&self, charge: &Charge) -> u64 {
        let taken = u64::from(self.admitted) + u64::from(self.ahead);
        let levels = charge.levels().zip(&self.seen).filter(|((level, _), _)| level.role.may_deny());
        let left = levels.map(|((level, cost), seen)| level.bucket.covers(level.bucket.spend(seen.credit, cost, taken), cost, u64::MAX));
        left.min().unwrap_or(0)
    }
}
