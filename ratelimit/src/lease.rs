//! Leases: a replica takes copies of a charge in advance, and admits them without asking the store. For stores that are far.
//!
//! A lease is so many copies of one shape at one cost, paid in the store at all levels (guarantee and global too) and usable until a deadline. This
//! is the state machine of one replica, without I/O: what happens is told to a [`Book`] with the moment (microseconds of a local clock that
//! never goes back), and it says what to do. [`crate::store::leasing`] does it; the simulation drives it as well.
//!
//! **Never more.** What is admitted from a lease was charged before. A token bucket remembers what is held in advance and does not refill it
//! ([`crate::ask::HOLD_US`]); a lease ends at its deadline, counted from when it was asked for, so before the store forgets it, whatever the clocks
//! show; and what comes back too late is not taken back. A window's copies end with the window.
//!
//! **Less, at most:** what is in hand. At each level that is, in requests, `replicas x claims in use x 2 x MOST x cost`, and each lease leaves to all
//! others all but one in `2 x replicas` of what it found. It comes back [`IDLE_US`] after the last request, at shutdown, and when the replica
//! died, at the latest two times [`crate::ask::HOLD_US`] after it was taken (of a window or quota: when that ends). After a denial the store is not asked again before the wait that it told is
//! over, or [`DENIED_US`].
//!
//! **Meters.** What is decided here is counted in batches ([`crate::metering::later`]); a replica that dies loses the counts of its last moments.

mod entry;
mod returns;
#[cfg(test)]
mod tests;
pub mod unreturned;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use self::{entry::Entry, returns::Returns};
use crate::{
    ask::{Ahead, Answer, Ask},
    charge::{Charge, Role, Shape},
    key::{self, Account, Keyed},
    store::{Adjustment, Tally},
};

/// The most copies of one lease. Two may be in hand: one in use, and the next.
pub const MOST: u32 = 2_048;

/// What nobody has asked for for so long is given back. Microseconds.
pub const IDLE_US: u64 = 200_000;

/// How long the store is not asked again after a denial, or a failure, at most. Microseconds.
pub const DENIED_US: u64 = 100_000;

/// An entry that nobody asks for is forgotten after this. Microseconds.
const FORGOTTEN_US: u64 = 5_000_000;

/// The most entries of one book; what does not find a place is decided exactly.
const ENTRIES: usize = 16_384;

/// What is leased: copies of one shape at one cost. It is looked up several times a request, so it knows its own hash.
#[derive(Debug, Clone, Eq)]
pub struct Claim {
    shape: Arc<Shape>,
    cost: u64,
    hash: u64,
}

impl PartialEq for Claim {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.cost == other.cost && (Arc::ptr_eq(&self.shape, &other.shape) || self.shape == other.shape)
    }
}

impl Hash for Claim {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Claim {
    /// The claim of an ask that may be answered from a lease: once one charge of one part above zero, of a shape that is leased. What counts while it
    /// is over (windows of envoyproxy/ratelimit), or is tried out in shadow, is not: which copy was the first beyond it must be known.
    #[must_use]
    pub fn of(ask: &Ask) -> Option<Self> {
        let [part] = ask.charge.parts() else { return None };
        let leased = part.shape().lease().is_some() && part.cost() > 0 && ask.count == 1 && ask.ahead.is_none();
        let counts = || part.shape().levels().iter().any(|level| matches!(level.role(), Role::Count | Role::Shadow));
        (leased && !counts()).then(|| {
            // Of its keys and cost: what differs in its limits alone is told apart when it is compared.
            let hash = key::together(part.shape().levels().iter().map(crate::charge::Level::key), part.cost());
            Self { shape: Arc::clone(part.shape()), cost: part.cost(), hash }
        })
    }

    /// A hash that is spread over all its bits.
    pub(crate) fn spread(&self) -> u64 {
        self.hash
    }

    pub(self) fn charge(&self) -> Charge {
        Charge::of(Arc::clone(&self.shape), self.cost)
    }
}

/// What is to be done with a request.
#[derive(Debug)]
pub enum Step {
    /// It is decided.
    Done(Answer),
    /// The store is asked, once, with so much in advance; the book is told what came of it: [`Book::answered`] or [`Book::failed`].
    Ask(Option<Ahead>),
}

/// What the store is to be told in the background.
#[derive(Debug, Default)]
pub struct Dues {
    /// Copies that come back.
    pub returns: Vec<Adjustment>,
    /// Costs that were admitted and denied here.
    pub tallies: Vec<Tally>,
}

/// The leases of a replica.
#[derive(Debug, Default)]
pub struct Book {
    entries: Keyed<Claim, Entry>,
    returns: Returns,
    closing: bool,
}

impl Book {
    /// A request came.
    pub fn request(&mut self, claim: &Claim, now_us: u64) -> Step {
        let full = self.entries.len() >= ENTRIES;
        if self.closing || (full && !self.entries.contains_key(claim)) {
            return Step::Ask(None);
        }
        let entry = self.entries.entry(claim.clone()).or_insert_with(|| Entry::new(claim));
        entry.request(now_us, &mut self.returns)
    }

    /// The store answered what was asked at `sent_us`: the answer for the request.
    pub fn answered(&mut self, claim: &Claim, ahead: Option<Ahead>, sent_us: u64, answer: Answer, now_us: u64) -> Answer {
        let lease = entry::lease_of(claim, &answer, sent_us);
        match self.entries.get_mut(claim).filter(|_| !self.closing) {
            Some(entry) => entry.answered(ahead.is_some(), lease, sent_us, answer, now_us, &mut self.returns),
            None => {
                lease.into_iter().for_each(|lease| self.returns.add(&claim.charge(), &lease));
                answer
            }
        }
    }

    /// Nobody waits any more for what was asked.
    pub fn abandoned(&mut self, claim: &Claim, ahead: Option<Ahead>, now_us: u64) {
        if let Some(entry) = self.entries.get_mut(claim) {
            entry.failed(ahead.is_some(), now_us);
        }
    }

    /// Nothing is known of what was asked. What is in hand may answer all the same.
    pub fn failed(&mut self, claim: &Claim, ahead: Option<Ahead>, now_us: u64) -> Option<Answer> {
        let entry = self.entries.get_mut(claim)?;
        entry.failed(ahead.is_some(), now_us);
        entry.take(now_us, &mut self.returns)
    }

    /// Time passed: what is due.
    pub fn tick(&mut self, now_us: u64) -> Dues {
        let mut tallies = Vec::new();
        self.entries.retain(|claim, entry| {
            entry.rest(now_us, &mut self.returns);
            tallies.extend(entry.tally(claim));
            entry.is_used(now_us)
        });
        Dues { returns: self.returns.take(), tallies }
    }

    /// The end: everything in hand comes back, and nothing more is taken.
    pub fn drain(&mut self) -> Dues {
        self.closing = true;
        let mut tallies = Vec::new();
        for (claim, mut entry) in self.entries.drain() {
            entry.give_back(&mut self.returns);
            tallies.extend(entry.tally(&claim));
        }
        Dues { returns: self.returns.take(), tallies }
    }

    /// What a request would be answered with from what is in hand, or remembered; none if the store would be asked. Nothing is used.
    #[must_use]
    pub fn look(&self, claim: &Claim, now_us: u64) -> Option<Answer> {
        self.entries.get(claim).and_then(|entry| entry.look(now_us))
    }

    /// What is in hand of one payer and may still be used, in requests.
    #[must_use]
    pub fn held_of(&self, payer: Option<&Account>, now_us: u64) -> u64 {
        let own = self.entries.iter().filter(|(claim, _)| claim.shape.payer() == payer);
        own.map(|(claim, entry)| entry.usable(now_us).saturating_mul(claim.cost)).sum()
    }

    /// Copies in hand, of everything.
    #[must_use]
    pub fn in_hand(&self) -> u64 {
        self.entries.values().map(Entry::in_hand).sum()
    }
}
