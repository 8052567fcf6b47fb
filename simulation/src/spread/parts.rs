//! A request whose parts are in several places: each is decided there, and given back unless all admit. Whoever asked stops waiting where anything is lost on the
//! way; what was charged by then stays charged.

use bulkhead_ratelimit::{
    ask::{Answer, Ask},
    store::{
        Adjustment, Ledger as _, Tally,
        split::{
            Place, Way,
            parts::{Group, groups, tallies},
        },
    },
};
use futures::FutureExt as _;

use super::{Event, Request, Spread};
use crate::Violation;

/// What became of one part.
#[derive(Debug, Clone)]
pub(super) enum Decided {
    Away,
    Answered(Answer),
}

/// A request in several places, until all have answered.
#[derive(Debug)]
pub(super) struct Pair {
    request: Request,
    way: Way,
    groups: Vec<Group>,
    answers: Vec<Option<Decided>>,
    /// When each was decided.
    at_us: Vec<u64>,
}

/// Something to be given back to a tenant's place.
#[derive(Debug)]
pub(super) struct Undo {
    tenant: usize,
    cost: u64,
    way: Way,
    at: (u64, u64),
    back: Vec<Adjustment>,
}

/// Something to be counted at a tenant's meter.
#[derive(Debug)]
pub(super) struct Told {
    tenant: usize,
    tally: Tally,
}

impl Spread {
    /// Whether its parts are in one place.
    pub(super) fn is_in_one(request: &Request) -> bool {
        request.of.iter().all(|(tenant, _)| request.of.first().is_some_and(|(first, _)| first == tenant))
    }

    pub(super) fn decide_parts(&mut self, request: Request) {
        let way = if request.taken.is_some() { Way::Paid } else { Way::Lent };
        // Each tenant's account is a place.
        let of: Vec<_> = request.of.iter().filter_map(|(tenant, _)| Some((*tenant, self.plan.tenants.get(*tenant)?.uid.clone()))).collect();
        let keys = &self.keys;
        let place = |account: &_| {
            let own = of.iter().find(|(_, uid)| keys.account(uid) == *account);
            Place(own.map_or(u64::MAX, |(tenant, _)| *tenant as u64))
        };
        let mut groups = groups(place, &request.charge, way);
        // As they stand in the request.
        let first = |group: &Group| group.charge.levels().next().map(|(level, _)| place(level.key().account()));
        groups.sort_by_key(|group| request.of.iter().position(|(tenant, _)| first(group) == Some(Place(*tenant as u64))));
        let count = groups.len();
        self.sequence += 1;
        let number = self.sequence;
        let downs: Vec<bool> = request.of.iter().map(|(tenant, _)| self.is_down(tenant + 1)).collect();
        self.pairs.insert(number, Pair { request, way, groups, answers: vec![None; count], at_us: vec![0; count] });
        for (group, is_down) in downs.into_iter().enumerate() {
            if is_down {
                self.after(1, Event::PartAnswered(number, group, Decided::Away));
            } else if !self.is_lost("parts lost") {
                let wait_us = self.delay();
                self.after(wait_us, Event::AtPart(number, group));
            }
        }
    }

    pub(super) fn at_part(&mut self, number: u64, index: usize) -> Result<(), Violation> {
        let (now_us, moment) = (self.now_us, self.moment());
        let Some(pair) = self.pairs.get_mut(&number) else { return Ok(()) };
        let Some((group, &(tenant, cost))) = pair.groups.get(index).zip(pair.request.of.get(index)) else { return Ok(()) };
        let Some(own) = self.own.get_mut(tenant) else { return Ok(()) };
        let answer = own.store.answer(Some(moment), &Ask::one(group.charge.clone()));
        pair.at_us.iter_mut().skip(index).take(1).for_each(|at_us| *at_us = now_us);
        if answer.admitted == 1 {
            own.charged(now_us, moment.0, cost, pair.way).map_err(|what| self.wrong(format!("tenant {tenant} {what}")))?;
        }
        if !self.is_lost("answers lost") {
            let wait_us = self.delay();
            self.after(wait_us, Event::PartAnswered(number, index, Decided::Answered(answer)));
        }
        Ok(())
    }

    pub(super) fn part_answered(&mut self, number: u64, index: usize, answer: Decided) -> Result<(), Violation> {
        let Some(pair) = self.pairs.get_mut(&number) else { return Ok(()) };
        pair.answers.iter_mut().skip(index).take(1).for_each(|place| *place = Some(answer.clone()));
        if pair.answers.iter().any(Option::is_none) {
            return Ok(());
        }
        let Some(Pair { request, way, groups, answers, at_us }) = self.pairs.remove(&number) else { return Ok(()) };
        let is_known = answers.iter().flatten().all(|answer| matches!(answer, Decided::Answered(_)));
        let admitted = answers.iter().flatten().all(|answer| matches!(answer, Decided::Answered(answer) if answer.admitted == 1));
        if admitted {
            self.sums.admitted += request.cost();
            if way == Way::Paid {
                self.paid_by_tokens(&request)?;
            }
            if way == Way::Lent {
                self.owe(&request);
            }
        } else {
            for (index, answer) in answers.iter().flatten().enumerate() {
                let (Decided::Answered(answer), Some(group), Some(&(tenant, cost))) = (answer, groups.get(index), request.of.get(index))
                else {
                    continue;
                };
                if answer.admitted == 1 {
                    let at_us = at_us.get(index).copied().unwrap_or(0);
                    let undo = Undo { tenant, cost, way, at: (at_us, self.plan.start_us + at_us), back: group.back(answer) };
                    self.send_back(undo);
                }
            }
            self.give_back(&request);
        }
        if is_known {
            self.tell_meters(&request, admitted);
        }
        Ok(())
    }

    fn send_back(&mut self, undo: Undo) {
        if !self.is_lost("returns lost") {
            let wait_us = self.delay();
            self.after(wait_us, Event::PartBack(undo));
        }
    }

    pub(super) fn part_back(&mut self, undo: &Undo) {
        let (now_us, moment) = (self.now_us, self.moment());
        if self.is_down(undo.tenant + 1) {
            return;
        }
        let Some(own) = self.own.get_mut(undo.tenant) else { return };
        // The memory store answers at once.
        drop(own.store.adjust(Some(moment), &undo.back).now_or_never());
        own.take_back(now_us, undo.at, undo.cost, undo.way);
    }

    fn tell_meters(&mut self, request: &Request, admitted: bool) {
        for (&(tenant, cost), tally) in request.of.iter().zip(tallies(&request.charge, admitted)) {
            if let Some(own) = self.own.get_mut(tenant) {
                let meter = &mut own.meter;
                (meter.decided, meter.denied) =
                    if admitted { (meter.decided + cost, meter.denied) } else { (meter.decided, meter.denied + cost) };
                meter.answered += if admitted { cost } else { 0 };
            }
            let told = Told { tenant, tally };
            if self.is_lost("tallies lost") {
                self.untold(&told);
            } else {
                let wait_us = self.delay();
                self.after(wait_us, Event::Tallied(told));
            }
        }
    }

    fn untold(&mut self, told: &Told) {
        let Some(own) = self.own.get_mut(told.tenant) else { return };
        own.meter.untold.0 += told.tally.admitted;
        own.meter.untold.1 += told.tally.denied;
    }

    pub(super) fn tallied(&mut self, told: &Told) {
        if self.is_down(told.tenant + 1) {
            return self.untold(told);
        }
        let moment = self.moment();
        let Some(own) = self.own.get(told.tenant) else { return };
        drop(own.store.tally(Some(moment), std::slice::from_ref(&told.tally)).now_or_never());
    }
}
