//! How a request goes: tokens of the global bucket first, then the tenant's own levels, and what comes of it.

use std::sync::Arc;

use bulkhead_ratelimit::{
    ask::{Ahead, Ask},
    charge::{Charge, Scope, Shape},
    store::{
        Adjustment, Change, Ledger as _,
        split::{
            Way, apart,
            prepaid::{Back, KEPT_US, Taken},
        },
    },
};
use futures::FutureExt as _;

use super::{Event, Request, Spread, Wished};
use crate::Violation;

/// A third of the deadline is waited for the global bucket.
const PATIENCE_US: u64 = 6_600;

/// A replica takes at most one in so many of the tokens that are left.
const SHARE: u32 = 8;

/// How long a bucket that is empty, or away, is not asked again.
const DRY_US: u64 = 100_000;

impl Spread {
    pub(super) fn burst(&mut self, replica: usize) -> Result<(), Violation> {
        if self.quiet {
            return Ok(());
        }
        let mut wait_us = self.chance.within(1, 2 * self.plan.pause_us);
        if self.chance.one_in(2_000) {
            wait_us += self.chance.within(100_000, 3_000_000);
        }
        self.after(wait_us, Event::Burst(replica));
        let tenants = self.plan.tenants.len();
        let tenant = self.chance.index(tenants).min(self.chance.index(tenants));
        let costs = self.plan.tenants.get(tenant).map_or(1, |of| of.costs);
        let count = self.chance.within(1, self.plan.burst + 1);
        for _ in 0..count {
            let cost = self.chance.within(1, costs + 1);
            self.report.decisions += 1;
            self.reserve(Request { replica, tenant, cost, until_us: self.now_us + PATIENCE_US, taken: None });
        }
        Ok(())
    }

    /// Takes tokens from hand, or asks for some and waits; without any, the guarantee must hold the cost.
    fn reserve(&mut self, mut request: Request) {
        let now_us = self.now_us;
        if request.cost > self.plan.global.capacity {
            return self.decide(request);
        }
        let Some(replica) = self.replicas.get_mut(request.replica) else { return };
        let (copies, taken) = replica.prepaid.reserve(now_us, 1, request.cost);
        if copies == 1 {
            request.taken = Some(taken);
            self.report.leased += 1;
            let early = replica.prepaid.is_low(now_us) && !replica.fetching;
            self.decide(request.clone());
            if early {
                self.fetch(request.replica, 1, true);
            }
            return;
        }
        if now_us >= request.until_us || (!replica.fetching && !self.fetch(request.replica, request.cost, false)) {
            return self.decide(request);
        }
        self.sequence += 1;
        let (number, wait_us) = (self.sequence, request.until_us - now_us);
        if let Some(replica) = self.replicas.get_mut(request.replica) {
            replica.waiting.insert(number, request);
        }
        self.after(wait_us, Event::Patience(number));
    }

    fn fetch(&mut self, index: usize, cost: u64, early: bool) -> bool {
        let asked_us = self.now_us;
        let Some(replica) = self.replicas.get_mut(index) else { return false };
        let Some(wish) = replica.prepaid.lacks(asked_us, 1, cost) else { return false };
        replica.fetching = true;
        let wait_us = self.delay();
        self.after(wait_us, Event::Wished(Wished { replica: index, asked_us, wish, cost, early }));
        true
    }

    fn delay(&mut self) -> u64 {
        if self.plan.faults.network && self.chance.one_in(100) { self.chance.within(5_000, 60_000) } else { self.chance.within(50, 1_500) }
    }

    fn is_lost(&mut self, what: &'static str) -> bool {
        let lost = self.plan.faults.network && self.chance.one_in(200);
        if lost {
            self.count(what);
        }
        lost
    }

    /// The wish at the global bucket. What the answer would have brought is gone where that is lost: charged, and nobody's.
    pub(super) fn wished(&mut self, wished: Wished) {
        if self.is_down(0) {
            return self.after(1, Event::Brought(wished, 0, 0, 0));
        }
        let charge = Charge::new().hold(Scope::Global, self.toll.key().clone(), self.toll.bucket().clone(), wished.cost);
        let ahead = Ahead { want: wished.wish.ahead, share: SHARE, ttl_us: KEPT_US };
        let ask = Ask { charge, count: wished.wish.now, ahead: (wished.wish.ahead > 0).then_some(ahead) };
        let answer = self.global.answer(Some(self.moment()), &ask);
        self.sums.charged += u64::from(answer.admitted + answer.ahead) * wished.cost;
        let (copies, ahead) = if self.is_lost("wishes lost") { (0, 0) } else { (answer.admitted, u64::from(answer.ahead)) };
        let wait_us = self.delay();
        self.after(wait_us, Event::Brought(wished, copies, ahead * wished.cost, answer.now_us));
    }

    pub(super) fn brought(&mut self, wished: Wished, copies: u32, ahead: u64, taken_us: u64) {
        let now_us = self.now_us;
        let Some(replica) = self.replicas.get_mut(wished.replica) else { return };
        replica.fetching = false;
        replica.prepaid.granted(wished.asked_us, ahead, taken_us);
        if copies < wished.wish.now {
            replica.prepaid.dry(now_us + DRY_US / 2);
        }
        let taken = Taken { tokens: u64::from(copies) * wished.cost, taken_us, until: wished.asked_us + KEPT_US };
        let first = if wished.early { None } else { replica.waiting.pop_first() };
        match first {
            Some((_, request)) if taken.tokens >= request.cost => {
                replica.prepaid.count(taken.tokens);
                let rest = Taken { tokens: taken.tokens - request.cost, ..taken };
                replica.prepaid.give_back(rest);
                self.decide(Request { taken: Some(Taken { tokens: request.cost, ..taken }), ..request });
            }
            Some((_, request)) => {
                replica.prepaid.count(taken.tokens);
                replica.prepaid.give_back(taken);
                self.decide(request);
            }
            None if wished.early => {
                replica.prepaid.count(taken.tokens);
                replica.prepaid.give_back(taken);
            }
            // Whoever asked has stopped waiting.
            None => replica.prepaid.unneeded(taken),
        }
        let others = self.replicas.get_mut(wished.replica).map(|replica| std::mem::take(&mut replica.waiting)).unwrap_or_default();
        others.into_values().for_each(|request| self.reserve(request));
    }

    pub(super) fn patience(&mut self, number: u64) {
        let waited = self.replicas.iter_mut().find_map(|replica| replica.waiting.remove(&number));
        waited.into_iter().for_each(|request| self.decide(request));
    }

    fn decide(&mut self, request: Request) {
        let place = request.tenant + 1;
        if self.is_down(place) {
            return self.after(1, Event::Answered(request, None));
        }
        if self.is_lost("charges lost") {
            // Not known what became of it: its tokens are gone.
            return;
        }
        let wait_us = self.delay();
        self.after(wait_us, Event::AtTenant(request));
    }

    /// The tenant's own levels, exact, in one step.
    pub(super) fn at_tenant(&mut self, request: Request) -> Result<(), Violation> {
        let (now_us, moment, tenant, cost) = (self.now_us, self.moment(), request.tenant, request.cost);
        let Some((shape, store)) = self.shapes.get(tenant).zip(self.tenants.get(tenant)) else { return Ok(()) };
        let way = if request.taken.is_some() { Way::Paid } else { Way::Lent };
        let outcome = store.decide_one(Some(moment), &apart(&Charge::of(Arc::clone(shape), cost), way));
        let denial = outcome.denial();
        let (Some(bucket), Some(guarantee)) = (self.buckets.get_mut(tenant), self.guarantees.get_mut(tenant)) else { return Ok(()) };
        if denial.is_none() {
            self.sums.admitted += cost;
            guarantee.spend_at_most(now_us, cost);
            if !bucket.admit(now_us, cost) {
                let what = format!("tenant {tenant} admitted beyond its limit: {:?}", bucket.worst);
                return Err(self.wrong(what));
            }
            if way == Way::Paid && !self.tokens.admit(now_us, cost) {
                let what = format!("tokens admitted beyond the global limit: {:?}", self.tokens.worst);
                return Err(self.wrong(what));
            }
            let lent = self.lent.get_mut(tenant).filter(|_| way == Way::Lent);
            if lent.is_some_and(|lent| !lent.admit(now_us, cost)) {
                return Err(self.wrong(format!("tenant {tenant} was lent more than its guarantee holds")));
            }
            if way == Way::Lent {
                self.report.alone += 1;
                self.replicas.iter_mut().skip(request.replica).take(1).for_each(|one| one.prepaid.owe(cost));
                self.settle(request.replica);
            }
        } else if denial.is_some_and(|denial| denial.scope == Scope::Global) && guarantee.holds(now_us, cost + 1) {
            return Err(self.wrong(format!("tenant {tenant} was inside its guarantee and denied by global")));
        }
        if !self.is_lost("answers lost") {
            let wait_us = self.delay();
            self.after(wait_us, Event::Answered(request, Some(denial.is_none())));
        }
        Ok(())
    }

    /// A denial gives the tokens back, and so does a place that was away.
    pub(super) fn answered(&mut self, request: &Request, answer: Option<bool>) {
        if let (Some(taken), Some(false) | None) = (request.taken, answer) {
            // The bucket may hold them no longer: for as long as they are good they may be there besides.
            self.tokens.allow(self.now_us, taken.tokens);
            self.replicas.iter_mut().skip(request.replica).take(1).for_each(|one| one.prepaid.give_back(taken));
        }
    }

    fn settle(&mut self, index: usize) {
        let owed = self.replicas.get_mut(index).map_or(0, |replica| replica.prepaid.settle());
        if owed > 0 {
            let wait_us = self.delay();
            self.after(wait_us, Event::Debt(index, owed));
        }
    }

    /// A debt at the global bucket, which may go below zero for it. Away, it is owed on; lost, it is never sent again (S24).
    pub(super) fn debt(&mut self, index: usize, owed: u64) {
        if self.is_down(0) {
            return self.replicas.iter_mut().skip(index).take(1).for_each(|one| one.prepaid.owe(owed));
        }
        if self.is_lost("debts lost") {
            self.sums.uncharged += owed;
            return;
        }
        let shape = Shape::new().count(Scope::Global, self.toll.key().clone(), self.toll.bucket().clone());
        let _ = self.global.decide_one(Some(self.moment()), &Charge::of(Arc::new(shape), owed));
        self.sums.charged += owed;
    }

    pub(super) fn keep(&mut self, index: usize) {
        self.after(100_000, Event::Keep(index));
        let now_us = self.now_us;
        let backs = self.replicas.get_mut(index).map(|replica| replica.prepaid.backs(now_us)).unwrap_or_default();
        if !backs.is_empty() && !self.is_lost("returns lost") {
            let wait_us = self.delay();
            self.after(wait_us, Event::Backs(backs));
        }
        self.settle(index);
    }

    pub(super) fn backs(&mut self, backs: &[Back]) {
        if self.is_down(0) {
            return;
        }
        for Back { unused, held, taken_us } in backs.iter().copied() {
            let change = Change::Return { unused, held, taken_us };
            let back = Adjustment { key: self.toll.key().clone(), bucket: self.toll.bucket().clone(), change };
            // The memory store answers at once.
            drop(self.global.adjust(Some(self.moment()), &[back]).now_or_never());
            self.sums.returned += unused;
        }
    }
}
