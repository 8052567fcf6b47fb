//! The leases of one claim: what is in hand, how much to take next, and what the store denied.

use std::collections::VecDeque;

use super::{
    Claim, DENIED_US, IDLE_US, LOST_US, MOST, PATIENT_US, Step,
    agenda::Agenda,
    demand::{Demand, SPAN_US},
    returns::Returns,
};
use crate::{
    ask::{Ahead, Answer, HOLD_US, Told},
    bucket::Bucket,
    charge::Charge,
    store::Tally,
};

/// The least lease: below it the store is asked each time.
const LEAST: u64 = 2;

/// A lease that others wait for lasts for so long at the pace of its claim. Microseconds.
const SHORT_US: u64 = 250_000;

/// A lease of at most one in so many times the shape's own share of what was left is none that others wait for.
const SMALL: u32 = 4;

/// Of one bucket and epoch, leases of one in so many of the least lease that nobody waits for are not worth a call when they end.
const SPARED: u64 = 8;

/// Leases are renewed together, a while before they are needed: so long before they end, or are used up. Microseconds.
const EARLY_US: u64 = 200_000;

/// What leases answered is told with the next lease, or handed over to be metered after so long. Microseconds.
pub(super) const TALLIED_US: u64 = HOLD_US;

/// An entry that nobody asks for is forgotten after this: it knows nothing more of how busy its claim is. Microseconds.
const FORGOTTEN_US: u64 = 2 * SPAN_US;

/// Copies paid in advance.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) left: u32,
    pub(super) granted: u32,
    /// When the store took them, by its clock.
    pub(super) taken_us: u64,
    deadline_us: u64,
    /// Its window ends before it would: what is taken until then ends with it, too.
    cut: bool,
    /// How long they may lie here while nobody asks for them.
    idle_us: u64,
    /// How many that end are not worth a call.
    pub(super) spare: u64,
    /// What each is answered with.
    standing: Answer,
}

/// How long a lease lasts that the store holds for so long: a sixteenth less, for clocks that run at different speeds.
const fn life_us(held_us: u64) -> u64 {
    held_us - held_us / 16
}

/// The lease that an answer brings. It lasts as long as the store holds it, counted from when it was asked for.
pub(super) fn lease_of(claim: &Claim, answer: &Answer, sent_us: u64) -> Option<Lease> {
    if answer.ahead == 0 || answer.faulty {
        return None;
    }
    let charge = claim.charge();
    let found = answer.left(&charge).saturating_add(u64::from(answer.ahead));
    let lasts_us = answer.until_us.saturating_sub(answer.now_us).min(HOLD_US);
    let small_share = small(claim.share());
    let small = u64::from(answer.ahead).saturating_mul(u64::from(small_share)) <= found;
    Some(Lease {
        left: answer.ahead,
        granted: answer.ahead,
        taken_us: answer.now_us,
        deadline_us: sent_us.saturating_add(life_us(lasts_us)),
        cut: lasts_us < HOLD_US,
        idle_us: if small { PATIENT_US } else { IDLE_US },
        spare: found / (SPARED * u64::from(small_share)),
        standing: answer.of_lease(&charge),
    })
}

fn small(share: u32) -> u32 {
    share.saturating_mul(SMALL)
}

/// One claim of a book.
#[derive(Debug)]
pub(super) struct Entry {
    charge: Charge,
    share: u32,
    /// A lease lasts no longer: a window may end before.
    longest_us: u64,
    leases: VecDeque<Lease>,
    /// A lease is being asked for.
    asking: bool,
    demand: Demand,
    /// How many copies more would have passed when the store answered last.
    left: u64,
    /// The last request.
    last_us: u64,
    /// When it is looked at again, if it is on the agenda.
    visit: u64,
    /// No lease is asked for before: the store failed.
    quiet_until_us: u64,
    /// How many answers in a row were lost that would have brought a lease.
    lost: u32,
    /// What the store denied with, and until when it is not asked again.
    denied: Option<(u64, Answer)>,
    /// Costs to tally, and since when.
    admitted: u64,
    refused: u64,
    untold_us: Option<u64>,
    /// Costs that the store counted as denied, and that were admitted from what was in hand after all.
    overcounted: u64,
}

impl Entry {
    pub(super) fn new(claim: &Claim) -> Self {
        let charge = claim.charge();
        let ends = charge.levels().filter_map(|(level, _)| ends_within(level.bucket()));
        Self {
            share: claim.share(),
            longest_us: ends.fold(life_us(HOLD_US), u64::min),
            charge,
            leases: VecDeque::new(),
            asking: false,
            demand: Demand::default(),
            left: 0,
            last_us: 0,
            visit: u64::MAX,
            quiet_until_us: 0,
            lost: 0,
            denied: None,
            admitted: 0,
            refused: 0,
            untold_us: None,
            overcounted: 0,
        }
    }

    fn cost(&self) -> u64 {
        self.charge.parts().iter().map(|part| part.cost()).sum()
    }

    fn idle_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.last_us)
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
        self.last_us = now_us;
        self.denied.take_if(|(until_us, _)| *until_us <= now_us);
        // The last quarter of a lease is kept for those who come while the next one is asked for.
        let soon = match self.leases.front() {
            Some(_) => self.is_low() && self.demand.within(EARLY_US, now_us) > self.in_hand(),
            None => true,
        };
        let ahead = if soon && self.may_ask(now_us) { self.ahead(now_us) } else { None };
        let held = if ahead.is_some() { None } else { self.take(now_us, returns) };
        if let Some(answer) = held {
            return Step::Done(answer);
        }
        if let Some((_, answer)) = &self.denied {
            let answer = answer.clone();
            self.refuse(now_us);
            return Step::Done(answer);
        }
        self.asking |= ahead.is_some();
        Step::Ask(ahead)
    }

    fn may_ask(&self, now_us: u64) -> bool {
        self.denied.is_none() && !self.asking && now_us >= self.quiet_until_us
    }

    /// Whether the last lease is nearly used up.
    fn is_low(&self) -> bool {
        let last = self.leases.front().filter(|_| self.leases.len() == 1);
        last.is_some_and(|lease| lease.left <= (lease.granted / 4).max(1))
    }

    /// What to take in advance before anybody needs it: the store is asked by nobody's request, but of many claims at once.
    pub(super) fn renewal(&mut self, now_us: u64) -> Option<Ahead> {
        self.denied.take_if(|(until_us, _)| *until_us <= now_us);
        let ends = self.renewed_us().is_some_and(|at_us| at_us <= now_us);
        let ahead = if (ends || self.is_low()) && self.may_ask(now_us) { self.ahead(now_us) } else { None };
        self.asking |= ahead.is_some();
        ahead
    }

    /// The store answered to a renewal.
    pub(super) fn renewed(&mut self, lease: Option<Lease>, answer: &Answer, now_us: u64, returns: &mut Returns) {
        (self.asking, self.lost) = (false, 0);
        self.left = answer.left(&self.charge);
        self.leases.extend(lease);
        self.expire(now_us, returns);
    }

    /// What to take in advance: what the claim will use while a lease lasts, as a small part of what is left. Where that is much less than it would
    /// use in a moment, as in a crowd before a bucket that is nearly empty, it is what it uses in that moment, as far as its share goes.
    fn ahead(&mut self, now_us: u64) -> Option<Ahead> {
        let mut of = |time_us: u64, share: u32| {
            let want = self.demand.within(time_us.min(self.longest_us), now_us);
            let want = want.min(u64::from(MOST));
            (want.min(self.left / u64::from(share.max(1))), want, share)
        };
        let (long, short) = (of(self.longest_us, small(self.share)), of(SHORT_US, self.share));
        let (granted, want, share) = if long.0 >= short.0 { long } else { short };
        // Each that was lost may be taken: together they are at most twice what the first was.
        let want = (want >> self.lost.min(63)).max(LEAST);
        let want = u32::try_from(want).unwrap_or(MOST);
        (granted >= LEAST).then(|| Ahead { told: self.tell(), ..Ahead::of(want, share, HOLD_US) })
    }

    /// When the last lease in hand is renewed though it is not used up. What ends with its window is taken anew in the next one, when it is needed.
    fn renewed_us(&self) -> Option<u64> {
        let last = self.leases.front().filter(|lease| self.leases.len() == 1 && !lease.cut);
        last.map(|lease| lease.deadline_us.saturating_sub(EARLY_US))
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
        self.lost = if asked { 0 } else { self.lost };
        self.left = answer.left(&self.charge);
        self.demand.count(now_us, answer.admitted);
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
        self.quiet_until_us = self.quiet_until_us.max(now_us.saturating_add(DENIED_US));
    }

    /// What was asked may be taken, and will not come: the next that is asked for comes later, and is less.
    pub(super) fn abandoned(&mut self, asked: bool, now_us: u64) {
        self.failed(asked, now_us);
        if asked {
            let wait_us = (DENIED_US << self.lost.min(16)).min(LOST_US);
            self.quiet_until_us = self.quiet_until_us.max(now_us.saturating_add(wait_us));
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// A copy of what is in hand.
    pub(super) fn take(&mut self, now_us: u64, returns: &mut Returns) -> Option<Answer> {
        self.expire(now_us, returns);
        let lease = self.leases.front_mut()?;
        lease.left = lease.left.checked_sub(1)?;
        let answer = lease.standing.clone();
        if lease.left == 0 {
            self.leases.pop_front().iter().for_each(|lease| returns.add(&self.charge, lease));
        }
        self.demand.count(now_us, 1);
        self.admitted = self.admitted.saturating_add(self.cost());
        self.untold_us.get_or_insert(now_us);
        Some(answer)
    }

    fn refuse(&mut self, now_us: u64) {
        let cost = self.cost();
        let known = self.overcounted.min(cost);
        self.overcounted -= known;
        self.refused = self.refused.saturating_add(cost - known);
        self.untold_us.get_or_insert(now_us);
    }

    /// What may no longer be used goes.
    fn expire(&mut self, now_us: u64, returns: &mut Returns) {
        while self.leases.front().is_some_and(|lease| lease.deadline_us <= now_us) {
            self.leases.pop_front().iter().for_each(|lease| returns.add(&self.charge, lease));
        }
        // Of two, the later may end first: its window is over.
        if self.leases.back().is_some_and(|lease| lease.deadline_us <= now_us) {
            self.leases.pop_back().iter().for_each(|lease| returns.add(&self.charge, lease));
        }
    }

    /// What is idle comes back.
    pub(super) fn rest(&mut self, now_us: u64, returns: &mut Returns) {
        self.expire(now_us, returns);
        let idle_us = self.idle_us(now_us);
        self.leases.retain(|lease| {
            let stays = idle_us < lease.idle_us;
            if !stays {
                returns.add(&self.charge, lease);
            }
            stays
        });
    }

    pub(super) fn give_back(&mut self, returns: &mut Returns) {
        self.leases.drain(..).for_each(|lease| returns.add(&self.charge, &lease));
    }

    /// What has waited long enough to be metered.
    pub(super) fn tally_due(&mut self, claim: &Claim, now_us: u64) -> Option<Tally> {
        self.untold_us.filter(|since_us| now_us.saturating_sub(*since_us) >= TALLIED_US)?;
        self.tally(claim)
    }

    pub(super) fn tally(&mut self, claim: &Claim) -> Option<Tally> {
        self.tell().tally(claim.shape.meter())
    }

    fn tell(&mut self) -> Told {
        self.untold_us = None;
        Told { admitted: std::mem::take(&mut self.admitted), denied: std::mem::take(&mut self.refused) }
    }

    /// Whether it is worth its place.
    pub(super) fn is_used(&self, now_us: u64) -> bool {
        self.asking || !self.leases.is_empty() || self.untold_us.is_some() || self.idle_us(now_us) < FORGOTTEN_US
    }

    /// The next visit, where it must come before the one that is on the agenda.
    pub(super) fn put_forward(&mut self) -> Option<u64> {
        let visit = Agenda::visit(self.due_us());
        let forward = visit < self.visit;
        if forward {
            self.visit = visit;
        }
        forward.then_some(visit)
    }

    /// Whether this is the visit that it waits for, and none that was put forward since.
    pub(super) fn is_due(&self, visit: u64) -> bool {
        self.visit == visit
    }

    /// The visit after one.
    pub(super) fn next_visit(&mut self, now_us: u64) -> u64 {
        self.visit = Agenda::visit(self.due_us().max(now_us + 1));
        self.visit
    }

    fn due_us(&self) -> u64 {
        let ends = self.leases.iter().map(|lease| lease.deadline_us.min(self.last_us.saturating_add(lease.idle_us)));
        let told = self.untold_us.map(|since_us| since_us.saturating_add(TALLIED_US));
        let renewable = !self.asking && self.left / u64::from(small(self.share)) >= LEAST;
        let renewed = if self.is_low() { Some(self.last_us) } else { self.renewed_us() };
        // Not before it may be.
        let renewed = renewed.filter(|_| renewable).map(|at_us| at_us.max(self.quiet_until_us));
        ends.chain(told).chain(renewed).fold(self.last_us.saturating_add(FORGOTTEN_US), u64::min)
    }
}

/// A lease of a window ends with it: after so long, or earlier.
fn ends_within(bucket: &Bucket) -> Option<u64> {
    match bucket {
        // Calendars have no period that is shorter than a lease.
        Bucket::Token(_) | Bucket::Calendar(_) => None,
        Bucket::Window(window) => Some(window.length_us()),
        Bucket::Sliding(sliding) => Some(sliding.slice_us()),
    }
}
