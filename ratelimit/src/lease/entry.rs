//! The leases of one claim: what is in hand, how much to take next, and what the store denied.

use std::collections::VecDeque;

use super::{Claim, DENIED_US, FORGOTTEN_US, IDLE_US, MOST, Step, returns::Returns};
use crate::{
    ask::{Ahead, Answer, HOLD_US},
    charge::Charge,
    store::Tally,
};

/// The first size of a lease, and the least: below it the store is asked each time.
const LEAST: u32 = 4;

/// Requests that follow each other within this are worth a lease. Microseconds.
const HOT_US: u64 = 50_000;

/// A lease that is used up sooner is followed by one twice its size. Microseconds.
const SHORT_US: u64 = 250_000;

/// Copies paid in advance.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) left: u32,
    pub(super) granted: u32,
    /// How many of them a guarantee paid for: the first.
    pub(super) guaranteed: u32,
    /// When the store took them, by its clock.
    pub(super) taken_us: u64,
    begun_us: u64,
    deadline_us: u64,
    /// What each is answered with.
    standing: Answer,
}

/// The lease that an answer brings. It lasts as long as the store holds it, counted from when it was asked for, less a sixteenth for
/// clocks that run at different speeds.
pub(super) fn lease_of(claim: &Claim, answer: &Answer, sent_us: u64) -> Option<Lease> {
    if answer.ahead == 0 || answer.faulty {
        return None;
    }
    let charge = claim.charge();
    let life = answer.until_us.saturating_sub(answer.now_us).min(HOLD_US);
    let guaranteed = answer.guaranteed(&charge).unwrap_or(0).saturating_sub(u64::from(answer.admitted));
    Some(Lease {
        left: answer.ahead,
        granted: answer.ahead,
        guaranteed: u32::try_from(guaranteed).unwrap_or(u32::MAX).min(answer.ahead),
        taken_us: answer.now_us,
        begun_us: sent_us,
        deadline_us: sent_us.saturating_add(life - life / 16),
        standing: answer.of_lease(&charge),
    })
}

/// One claim of a book.
#[derive(Debug)]
pub(super) struct Entry {
    charge: Charge,
    share: u32,
    leases: VecDeque<Lease>,
    /// A lease is being asked for.
    asking: bool,
    /// Copies to take next; 0: none.
    size: u32,
    /// The last request.
    last_us: Option<u64>,
    /// No lease is asked for before: the store failed.
    quiet_until_us: u64,
    /// What the store denied with, and until when it is not asked again.
    denied: Option<(u64, Answer)>,
    /// Costs to tally.
    admitted: u64,
    refused: u64,
    /// Costs that the store counted as denied, and that were admitted from what was in hand after all.
    overcounted: u64,
}

impl Entry {
    pub(super) fn new(claim: &Claim) -> Self {
        Self {
            charge: claim.charge(),
            share: claim.shape.lease().unwrap_or(1),
            leases: VecDeque::new(),
            asking: false,
            size: 0,
            last_us: None,
            quiet_until_us: 0,
            denied: None,
            admitted: 0,
            refused: 0,
            overcounted: 0,
        }
    }

    fn cost(&self) -> u64 {
        self.charge.parts().iter().map(|part| part.cost()).sum()
    }

    fn idle_us(&self, now_us: u64) -> u64 {
        self.last_us.map_or(u64::MAX, |last_us| now_us.saturating_sub(last_us))
    }

    pub(super) fn in_hand(&self) -> u64 {
        self.leases.iter().map(|lease| u64::from(lease.left)).sum()
    }

    /// Those of them that may be used at a moment.
    pub(super) fn usable(&self, now_us: u64) -> u64 {
        self.leases.iter().filter(|lease| lease.deadline_us > now_us).map(|lease| u64::from(lease.left)).sum()
    }

    /// What a request would be answered with here.
    pub(super) fn look(&self, now_us: u64) -> Option<Answer> {
        let lease = self.leases.iter().find(|lease| lease.deadline_us > now_us && lease.left > 0);
        let denied = || self.denied.as_ref().filter(|(until_us, _)| *until_us > now_us);
        lease.map(|lease| &lease.standing).or_else(|| denied().map(|(_, answer)| answer)).cloned()
    }

    pub(super) fn request(&mut self, now_us: u64, returns: &mut Returns) -> Step {
        self.expire(now_us, returns);
        if self.size == 0 && self.idle_us(now_us) < HOT_US {
            self.size = LEAST;
        }
        self.last_us = Some(now_us);
        self.denied.take_if(|(until_us, _)| *until_us <= now_us);
        let may_ask = self.denied.is_none() && !self.asking && self.size > 0 && now_us >= self.quiet_until_us;
        // The last quarter of a lease is kept for those who come while the next one is asked for.
        let low = match self.leases.front() {
            Some(lease) => self.leases.len() == 1 && lease.left <= lease.granted / 4,
            None => true,
        };
        let held = if low && may_ask { None } else { self.take(now_us, returns) };
        if let Some(answer) = held {
            return Step::Done(answer);
        }
        if let Some((_, answer)) = &self.denied {
            let answer = answer.clone();
            self.refuse();
            return Step::Done(answer);
        }
        self.asking |= may_ask;
        Step::Ask(may_ask.then_some(Ahead { want: self.size, share: self.share, ttl_us: HOLD_US }))
    }

    pub(super) fn answered(
        &mut self,
        asked: bool,
        lease: Option<Lease>,
        sent_us: u64,
        answer: Answer,
        now_us: u64,
        returns: &mut Returns,
    ) -> Answer {
        self.asking &= !asked;
        if let Some(lease) = lease {
            self.denied = None;
            self.leases.push_back(lease);
            self.expire(now_us, returns);
        }
        if answer.admitted > 0 || answer.faulty {
            return answer;
        }
        let wait = answer.outcome(&self.charge, 0).denial().and_then(|denial| denial.retry_after_us).unwrap_or(u64::MAX);
        self.denied = Some((sent_us.saturating_add(wait.min(DENIED_US)), answer.clone()));
        match self.take(now_us, returns) {
            Some(held) => {
                self.overcounted = self.overcounted.saturating_add(self.cost());
                held
            }
            None => answer,
        }
    }

    pub(super) fn failed(&mut self, asked: bool, now_us: u64) {
        self.asking &= !asked;
        self.quiet_until_us = now_us.saturating_add(DENIED_US);
    }

    /// A copy of what is in hand.
    pub(super) fn take(&mut self, now_us: u64, returns: &mut Returns) -> Option<Answer> {
        self.expire(now_us, returns);
        let lease = self.leases.front_mut()?;
        lease.left = lease.left.checked_sub(1)?;
        let answer = lease.standing.clone();
        if lease.left == 0 {
            if now_us.saturating_sub(lease.begun_us) < SHORT_US {
                self.size = self.size.saturating_mul(2).clamp(LEAST, MOST);
            }
            self.leases.pop_front().iter().for_each(|lease| returns.add(&self.charge, lease));
        }
        self.admitted = self.admitted.saturating_add(self.cost());
        Some(answer)
    }

    fn refuse(&mut self) {
        let cost = self.cost();
        let known = self.overcounted.min(cost);
        self.overcounted -= known;
        self.refused = self.refused.saturating_add(cost - known);
    }

    /// What may no longer be used goes.
    fn expire(&mut self, now_us: u64, returns: &mut Returns) {
        while self.leases.front().is_some_and(|lease| lease.deadline_us <= now_us) {
            self.leases.pop_front().into_iter().for_each(|lease| self.unused(&lease, returns));
        }
        // Of two, the later may end first: its window is over.
        if self.leases.back().is_some_and(|lease| lease.deadline_us <= now_us) {
            self.leases.pop_back().into_iter().for_each(|lease| self.unused(&lease, returns));
        }
    }

    /// A lease ends before it is used up: the next is smaller, if it was much too large.
    fn unused(&mut self, lease: &Lease, returns: &mut Returns) {
        if lease.left > lease.granted / 2 {
            self.size = if self.size / 2 < LEAST { 0 } else { self.size / 2 };
        }
        returns.add(&self.charge, lease);
    }

    /// What is idle comes back.
    pub(super) fn rest(&mut self, now_us: u64, returns: &mut Returns) {
        self.expire(now_us, returns);
        if self.idle_us(now_us) >= IDLE_US {
            self.give_back(returns);
        }
    }

    pub(super) fn give_back(&mut self, returns: &mut Returns) {
        for lease in std::mem::take(&mut self.leases) {
            self.unused(&lease, returns);
        }
    }

    pub(super) fn tally(&mut self, claim: &Claim) -> Option<Tally> {
        let (admitted, denied) = (std::mem::take(&mut self.admitted), std::mem::take(&mut self.refused));
        let meter = claim.shape.meter().filter(|_| admitted > 0 || denied > 0)?;
        Some(Tally { meter: meter.clone(), admitted, denied })
    }

    /// Whether it is worth its place.
    pub(super) fn is_used(&self, now_us: u64) -> bool {
        self.asking || !self.leases.is_empty() || self.idle_us(now_us) < FORGOTTEN_US
    }
}
