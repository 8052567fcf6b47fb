//! Leases: a replica takes copies of a charge in advance, and admits them without asking the store. For stores that are far, and for loads that they
//! could not carry.
//!
//! A lease is so many copies of one shape at one cost, paid in the store at all levels but the guarantee and usable until a deadline. This
//! is the state machine of one replica, without I/O: what happens is told to a [`Book`] with the moment (microseconds of a local clock that
//! never goes back), and it says what to do. [`crate::store::leasing`] does it; the simulation drives it as well.
//!
//! **How much.** What this replica was admitted of the claim lately says what it will use while a lease lasts (some seconds): so much is taken, as long as it
//! is a small part of what is left ([`entry`]). So a lease costs one call for all that its claim asks in seconds, be that thousands of requests or three; and where
//! little is left, leases are small and short, down to none.
//!
//! **Never more.** What is admitted from a lease was charged before. A token bucket remembers what is held in advance and does not refill it
//! ([`crate::ask::HOLD_US`]); a lease ends at its deadline, counted from when it was asked for, so before the store forgets it, whatever the clocks
//! show; and what comes back too late is not taken back. A window's copies end with the window.
//!
//! **Less, at most:** what is in hand. Of one claim that is at most two leases, each of at most twice what the claim was admitted here in the better of two spans of four
//! seconds and one copy, of at most [`MOST`] copies, and of one in `2 x replicas` of what it found; and one of more than a quarter of that share comes back after [`IDLE_US`], so
//! that for long lies only what was a small part of what there was. The rest comes back [`PATIENT_US`] after the last request, at shutdown, and when the replica
//! died, at the latest two times [`crate::ask::HOLD_US`] after it was taken (of a window or quota: when that ends). After a denial the store is not asked again before the wait that it told is
//! over, or [`DENIED_US`]. What was taken while its answer was lost is of each claim at most two leases more until an answer comes: each time half as much is asked for, and
//! twice as late, up to [`LOST_US`]. What ends and is not worth a call ([`spared`]) is missing until the store forgets it.
//!
//! **Guarantees** pay nothing in advance: whoever is inside its guarantee finds it in the store, whatever replicas hold.
//!
//! **Meters.** What is decided here is told with the next lease, or, where none is taken, in batches ([`crate::metering::later`]); a replica that dies loses the counts of its
//! last seconds.

mod agenda;
mod demand;
mod entry;
mod places;
mod returns;
mod spared;
#[cfg(test)]
mod tests;
pub mod unreturned;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

pub use self::spared::Ended;
use self::{agenda::Agenda, demand::SPAN_US, entry::Entry, places::Places, returns::Returns};
use crate::{
    ask::{Ahead, Answer, Ask, HOLD_US},
    charge::{Charge, Role, Shape},
    key::{self, Account, Keyed},
    store::Tally,
};

/// The most copies of one lease. Two may be in hand: one in use, and the next.
pub const MOST: u32 = 2_048;

/// What nobody has asked for for so long is given back. Microseconds.
pub const IDLE_US: u64 = 200_000;

/// The same of a lease that took so little of what there was that nobody waits for it. Microseconds.
pub const PATIENT_US: u64 = SPAN_US;

/// How long the store is not asked again after a denial, or a failure, at most. Microseconds.
pub const DENIED_US: u64 = 100_000;

/// How long nothing is taken in advance of a claim after several answers that were lost, at most: each time twice as long. Microseconds.
pub const LOST_US: u64 = HOLD_US;

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

    /// Who pays for it.
    pub(crate) fn payer(&self) -> Option<&Account> {
        self.shape.payer()
    }

    /// A lease is at most one in so many of what would still pass.
    pub(self) fn share(&self) -> u32 {
        self.shape.lease().unwrap_or(1).max(1)
    }

    /// What a copy of it charges.
    #[must_use]
    pub fn charge(&self) -> Charge {
        Charge::of(Arc::clone(&self.shape), self.cost)
    }

    /// What the store is asked to renew its lease: nothing but copies in advance.
    #[must_use]
    pub fn renewal(&self, ahead: Ahead) -> Ask {
        Ask::of(self.charge(), 0, Some(ahead))
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
    pub returns: Vec<Ended>,
    /// Costs that were admitted and denied here.
    pub tallies: Vec<Tally>,
    /// What is to be taken in advance, of claims whose leases end or are nearly used up: the book is told what came of each, by [`Book::renewed`] or
    /// [`Book::abandoned`].
    pub renewals: Vec<(Claim, Ahead)>,
}

/// The leases of a replica.
#[derive(Debug, Default)]
pub struct Book {
    entries: Keyed<Claim, Entry>,
    places: Places,
    agenda: Agenda,
    returns: Returns,
    closing: bool,
}

impl Book {
    /// A request came.
    pub fn request(&mut self, claim: &Claim, now_us: u64) -> Step {
        if self.closing {
            return Step::Ask(None);
        }
        if let Some(step) = self.with(claim, |entry, returns| entry.request(now_us, returns)) {
            return step;
        }
        if !self.places.take(claim.payer()) {
            return Step::Ask(None);
        }
        self.entries.insert(claim.clone(), Entry::new(claim));
        self.with(claim, |entry, returns| entry.request(now_us, returns)).unwrap_or(Step::Ask(None))
    }

    /// Does something with an entry, if there is one, and sees to it that it is visited in time.
    fn with<R>(&mut self, claim: &Claim, what: impl FnOnce(&mut Entry, &mut Returns) -> R) -> Option<R> {
        let entry = self.entries.get_mut(claim)?;
        let done = what(entry, &mut self.returns);
        if let Some(visit) = entry.put_forward() {
            self.agenda.put(visit, claim.clone());
        }
        Some(done)
    }

    /// The store answered what was asked at `sent_us`: the answer for the request.
    pub fn answered(&mut self, claim: &Claim, ahead: Option<Ahead>, sent_us: u64, answer: Answer, now_us: u64) -> Answer {
        let lease = entry::lease_of(claim, &answer, sent_us);
        let Some(entry) = self.entries.get_mut(claim).filter(|_| !self.closing) else {
            lease.iter().for_each(|lease| self.returns.add(&claim.charge(), lease));
            return answer;
        };
        let answer = entry.answered(ahead.is_some(), lease, sent_us, answer, now_us, &mut self.returns);
        if let Some(visit) = entry.put_forward() {
            self.agenda.put(visit, claim.clone());
        }
        answer
    }

    /// The store answered to a renewal that it was asked for at `sent_us`.
    pub fn renewed(&mut self, claim: &Claim, sent_us: u64, answer: &Answer, now_us: u64) {
        let lease = entry::lease_of(claim, answer, sent_us);
        if self.closing || !self.entries.contains_key(claim) {
            lease.iter().for_each(|lease| self.returns.add(&claim.charge(), lease));
            return;
        }
        self.with(claim, |entry, returns| entry.renewed(lease, answer, now_us, returns));
    }

    /// What came of it is not known, or nobody waits for it any more: what was to be taken in advance may be gone.
    pub fn abandoned(&mut self, claim: &Claim, ahead: Option<Ahead>, now_us: u64) {
        if let Some(entry) = self.entries.get_mut(claim) {
            entry.abandoned(ahead.is_some(), now_us);
        }
    }

    /// What was asked was not done, and nobody waits for it.
    pub fn undone(&mut self, claim: &Claim, ahead: Option<Ahead>, now_us: u64) {
        if let Some(entry) = self.entries.get_mut(claim) {
            entry.failed(ahead.is_some(), now_us);
        }
    }

    /// What was asked was not done. What is in hand may answer all the same.
    pub fn failed(&mut self, claim: &Claim, ahead: Option<Ahead>, now_us: u64) -> Option<Answer> {
        self.with(claim, |entry, returns| {
            entry.failed(ahead.is_some(), now_us);
            entry.take(now_us, returns)
        })?
    }

    /// Time passed: what is due.
    pub fn tick(&mut self, now_us: u64) -> Dues {
        let (mut tallies, mut renewals) = (Vec::new(), Vec::new());
        while let Some((visit, claims)) = self.agenda.take(now_us) {
            for claim in claims {
                let Some(entry) = self.entries.get_mut(&claim).filter(|entry| entry.is_due(visit)) else { continue };
                entry.rest(now_us, &mut self.returns);
                tallies.extend(entry.tally_due(&claim, now_us));
                renewals.extend(entry.renewal(now_us).map(|ahead| (claim.clone(), ahead)));
                if entry.is_used(now_us) {
                    let next = entry.next_visit(now_us);
                    self.agenda.put(next, claim);
                } else {
                    self.entries.remove(&claim);
                    self.places.leave(claim.payer());
                }
            }
        }
        Dues { returns: self.returns.take(), tallies, renewals }
    }

    /// All that was answered here and waits to be metered, however short a time ago: the hour ends.
    pub fn tallies(&mut self) -> Vec<Tally> {
        self.entries.iter_mut().filter_map(|(claim, entry)| entry.tally(claim)).collect()
    }

    /// The end: everything in hand comes back, and nothing more is taken.
    pub fn drain(&mut self) -> Dues {
        self.closing = true;
        (self.places, self.agenda) = Default::default();
        let mut tallies = Vec::new();
        for (claim, mut entry) in self.entries.drain() {
            entry.give_back(&mut self.returns);
            tallies.extend(entry.tally(&claim));
        }
        Dues { returns: self.returns.take(), tallies, renewals: Vec::new() }
    }

    /// What a request would be answered with from what is in hand, or remembered; none if the store would be asked. Nothing is used.
    #[must_use]
    pub fn look(&self, claim: &Claim, now_us: u64) -> Option<Answer> {
        self.entries.get(claim).and_then(|entry| entry.look(now_us))
    }

    /// What is in hand of one payer and may still be used, in requests.
    #[must_use]
    pub fn held_of(&self, payer: Option<&Account>, now_us: u64) -> u64 {
        let own = self.entries.iter().filter(|(claim, _)| claim.payer() == payer);
        own.map(|(claim, entry)| entry.usable(now_us).saturating_mul(claim.cost)).sum()
    }

    /// Copies in hand, of everything.
    #[must_use]
    pub fn in_hand(&self) -> u64 {
        self.entries.values().map(Entry::in_hand).sum()
    }
}
