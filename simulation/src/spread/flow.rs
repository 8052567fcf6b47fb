//! How a request goes: tokens of the global bucket first, then the tenant's own levels, and what comes of it.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_ratelimit::{
    ask::{Ahead, Ask},
    charge::{Charge, Level, Role, Scope, Shape},
    store::{
        Adjustment, Change, Ledger as _,
        split::{
            Way, apart,
            prepaid::{Back, KEPT_US, Prepaid, Taken},
        },
    },
};
use futures::FutureExt as _;

use super::{Event, Pool, Replica, Request, Spread, Wished};
use crate::Violation;

/// A third of the deadline is waited for the global bucket.
const PATIENCE_US: u64 = 6_600;

/// A replica takes at most one in so many of the tokens that are left.
const SHARE: u32 = 8;

/// How long a bucket that is empty, or away, is not asked again.
const DRY_US: u64 = 100_000;

impl Spread {
    pub(super) fn burst(&mut self, replica: usize) {
        if self.quiet {
            return;
        }
        let mut wait_us = self.chance.within(1, 2 * self.plan.pause_us);
        if self.chance.one_in(2_000) {
            wait_us += self.chance.within(100_000, 3_000_000);
        }
        self.after(wait_us, Event::Burst(replica));
        let is_pair = self.chance.one_in(self.plan.pairs);
        let count = if is_pair { 1 } else { self.chance.within(1, self.plan.burst + 1) };
        let Some((tenant, shape)) = self.asker(replica) else { return };
        let second = if is_pair { self.asker(replica) } else { None };
        for _ in 0..count {
            let of: Vec<_> = [Some(tenant), second.as_ref().map(|(tenant, _)| *tenant)].into_iter().flatten().collect();
            let of: Vec<(usize, u64)> = of.into_iter().map(|tenant| (tenant, self.cost(tenant))).collect();
            let mut charge = Charge::new();
            for (shape, (_, cost)) in [Some(&shape), second.as_ref().map(|(_, shape)| shape)].into_iter().flatten().zip(&of) {
                charge.append(Charge::of(Arc::clone(shape), *cost));
            }
            self.report.decisions += 1;
            self.report.pairs += u64::from(of.len() > 1);
            let Some(pool) = self.pool(replica, &charge) else { return };
            self.reserve(Request { replica, pool, charge, of, until_us: self.now_us + PATIENCE_US, taken: None });
        }
    }

    /// Whoever asks now: a tenant that the replica knows. The first are asked for most.
    fn asker(&mut self, replica: usize) -> Option<(usize, Arc<Shape>)> {
        let tenants = self.plan.tenants.len();
        let tenant = self.chance.index(tenants).min(self.chance.index(tenants));
        Some((tenant, self.replicas.get(replica)?.shapes.get(tenant).cloned().flatten()?))
    }

    fn cost(&mut self, tenant: usize) -> u64 {
        let most = self.plan.tenants.get(tenant).map_or(1, |of| of.costs);
        self.chance.within(1, most + 1)
    }

    /// The pool of the first global limit of a charge: one for each limit that the replica has known.
    fn pool(&mut self, replica: usize, charge: &Charge) -> Option<usize> {
        let (toll, _) = charge.levels().find(|(level, _)| level.role() == Role::Shared)?;
        let Replica { pools, by_limit, .. } = self.replicas.get_mut(replica)?;
        let next = pools.len();
        let number = *by_limit.of(toll.key(), toll.bucket(), || next);
        if number == next {
            pools.push(Pool { toll: toll.clone(), prepaid: Prepaid::default(), fetching: false, waiting: BTreeMap::new() });
        }
        Some(number)
    }

    /// What was charged under a global limit, and what tokens paid for of its requests.
    fn toll(&mut self, toll: &Level) -> Option<&mut (Level, u64, u64)> {
        let known = self.tolls.iter().position(|(level, ..)| level == toll);
        let index = known.unwrap_or_else(|| {
            self.tolls.push((toll.clone(), 0, 0));
            self.tolls.len() - 1
        });
        self.tolls.get_mut(index)
    }

    /// Tokens paid for a request: they were charged under the limit that it has, and together they are within the limit that stands.
    pub(super) fn paid_by_tokens(&mut self, request: &Request) -> Result<(), Violation> {
        let (now_us, cost) = (self.now_us, request.cost());
        let toll = request.charge.levels().find(|(level, _)| level.role() == Role::Shared).map(|(level, _)| level.clone());
        if let Some((_, charged, used)) = toll.and_then(|toll| self.toll(&toll)) {
            *used += cost;
            if used > charged {
                let what = format!("tokens paid for {used} under a global limit, and {charged} were charged under it");
                return Err(self.wrong(what));
            }
        }
        if self.tokens.admit(now_us, cost) {
            return Ok(());
        }
        Err(self.wrong(format!("tokens admitted beyond the global limit: {:?}", self.tokens.worst)))
    }

    fn pool_of(&mut self, replica: usize, pool: usize) -> Option<&mut Pool> {
        self.replicas.get_mut(replica)?.pools.get_mut(pool)
    }

    /// Takes tokens from hand, or asks for some and waits; without any, the guarantee must hold the cost.
    fn reserve(&mut self, mut request: Request) {
        let (now_us, cost) = (self.now_us, request.cost());
        let Some(pool) = self.pool_of(request.replica, request.pool) else { return };
        if cost > pool.toll.bucket().capacity() {
            return self.decide(request);
        }
        let (copies, taken) = pool.prepaid.reserve(now_us, 1, cost);
        let fetching = pool.fetching;
        if copies == 1 {
            request.taken = Some(taken);
            let early = pool.prepaid.is_low(now_us) && !fetching;
            let (replica, pool) = (request.replica, request.pool);
            self.report.leased += 1;
            self.decide(request);
            if early {
                self.fetch(replica, pool, 1, true);
            }
            return;
        }
        if now_us >= request.until_us || (!fetching && !self.fetch(request.replica, request.pool, cost, false)) {
            return self.decide(request);
        }
        self.sequence += 1;
        let (number, wait_us) = (self.sequence, request.until_us - now_us);
        if let Some(pool) = self.pool_of(request.replica, request.pool) {
            pool.waiting.insert(number, request);
        }
        self.after(wait_us, Event::Patience(number));
    }

    fn fetch(&mut self, replica: usize, pool: usize, cost: u64, early: bool) -> bool {
        let asked_us = self.now_us;
        let Some(of) = self.pool_of(replica, pool) else { return false };
        let Some(wish) = of.prepaid.lacks(asked_us, 1, cost) else { return false };
        of.fetching = true;
        let wait_us = self.delay();
        self.after(wait_us, Event::Wished(Wished { replica, pool, asked_us, wish, cost, early }));
        true
    }

    pub(super) fn delay(&mut self) -> u64 {
        if self.plan.faults.network && self.chance.one_in(100) { self.chance.within(5_000, 60_000) } else { self.chance.within(50, 1_500) }
    }

    pub(super) fn is_lost(&mut self, what: &'static str) -> bool {
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
        let Some(toll) = self.pool_of(wished.replica, wished.pool).map(|pool| pool.toll.clone()) else { return };
        let charge = Charge::new().hold(Scope::Global, toll.key().clone(), toll.bucket().clone(), wished.cost);
        let ahead = Ahead::of(wished.wish.ahead, SHARE, KEPT_US);
        let ask = Ask::of(charge, wished.wish.now, (wished.wish.ahead > 0).then_some(ahead));
        let answer = self.global.answer(Some(self.moment()), &ask);
        let charged = u64::from(answer.admitted + answer.ahead) * wished.cost;
        self.sums.charged += charged;
        self.toll(&toll).into_iter().for_each(|(_, sum, _)| *sum += charged);
        let (copies, ahead) = if self.is_lost("wishes lost") { (0, 0) } else { (answer.admitted, u64::from(answer.ahead)) };
        let wait_us = self.delay();
        self.after(wait_us, Event::Brought(wished, copies, ahead * wished.cost, answer.now_us));
    }

    pub(super) fn brought(&mut self, wished: Wished, copies: u32, ahead: u64, taken_us: u64) {
        let now_us = self.now_us;
        let Some(pool) = self.pool_of(wished.replica, wished.pool) else { return };
        pool.fetching = false;
        pool.prepaid.granted(wished.asked_us, ahead, taken_us);
        if copies < wished.wish.now {
            pool.prepaid.dry(now_us + DRY_US / 2);
        }
        let taken = Taken { tokens: u64::from(copies) * wished.cost, taken_us, until: wished.asked_us + KEPT_US };
        let first = if wished.early { None } else { pool.waiting.pop_first() };
        match first {
            Some((_, request)) if taken.tokens >= request.cost() => {
                let cost = request.cost();
                pool.prepaid.count(taken.tokens);
                pool.prepaid.give_back(Taken { tokens: taken.tokens - cost, ..taken });
                self.decide(Request { taken: Some(Taken { tokens: cost, ..taken }), ..request });
            }
            Some((_, request)) => {
                pool.prepaid.count(taken.tokens);
                pool.prepaid.give_back(taken);
                self.decide(request);
            }
            None if wished.early => {
                pool.prepaid.count(taken.tokens);
                pool.prepaid.give_back(taken);
            }
            // Whoever asked has stopped waiting.
            None => pool.prepaid.unneeded(taken),
        }
        let others = self.pool_of(wished.replica, wished.pool).map(|pool| std::mem::take(&mut pool.waiting)).unwrap_or_default();
        others.into_values().for_each(|request| self.reserve(request));
    }

    pub(super) fn patience(&mut self, number: u64) {
        let mut pools = self.replicas.iter_mut().flat_map(|replica| &mut replica.pools);
        let waited = pools.find_map(|pool| pool.waiting.remove(&number));
        waited.into_iter().for_each(|request| self.decide(request));
    }

    fn decide(&mut self, request: Request) {
        if !Self::is_in_one(&request) {
            return self.decide_parts(request);
        }
        let place = request.of.first().map_or(0, |(tenant, _)| tenant + 1);
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

    /// All of it is in one place but the global bucket: one step, exact.
    pub(super) fn at_tenant(&mut self, request: Request) -> Result<(), Violation> {
        let (now_us, moment, cost) = (self.now_us, self.moment(), request.cost());
        let Some(&(tenant, _)) = request.of.first() else { return Ok(()) };
        let Some((own, of)) = self.own.get_mut(tenant).zip(self.plan.tenants.get(tenant)) else { return Ok(()) };
        let way = if request.taken.is_some() { Way::Paid } else { Way::Lent };
        let denial = own.store.decide_one(Some(moment), &apart(&request.charge, way)).denial();
        if denial.is_none() {
            own.meter.decided += cost;
            let charged = request.of.iter().try_for_each(|(_, cost)| own.charged(now_us, moment.0, *cost, way));
            charged.map_err(|what| self.wrong(format!("tenant {tenant} {what}")))?;
            self.sums.admitted += cost;
            if way == Way::Paid {
                self.paid_by_tokens(&request)?;
            }
            if way == Way::Lent {
                self.owe(&request);
            }
        } else {
            own.meter.denied += cost;
            let judged = request.of.len() == 1 && !of.gone && now_us >= self.doubt_until_us;
            let by_global = denial.is_some_and(|denial| denial.scope == Scope::Global);
            if judged && by_global && own.guarantee.holds(now_us, cost + 1) {
                return Err(self.wrong(format!("tenant {tenant} was inside its guarantee and denied by global")));
            }
        }
        if !self.is_lost("answers lost") {
            let wait_us = self.delay();
            self.after(wait_us, Event::Answered(request, Some(denial.is_none())));
        }
        Ok(())
    }

    /// A denial gives the tokens back, and so does a place that was away.
    pub(super) fn answered(&mut self, request: &Request, answer: Option<bool>) {
        if answer != Some(true) {
            return self.give_back(request);
        }
        for (tenant, cost) in &request.of {
            self.own.iter_mut().skip(*tenant).take(1).for_each(|own| own.meter.answered += cost);
        }
    }

    /// Its tokens are in hand again.
    pub(super) fn give_back(&mut self, request: &Request) {
        let Some(taken) = request.taken else { return };
        // The bucket may hold them no longer: for as long as they are good they may be there besides.
        self.tokens.allow(self.now_us, taken.tokens);
        self.pool_of(request.replica, request.pool).into_iter().for_each(|pool| pool.prepaid.give_back(taken));
    }

    /// A guarantee admitted it, and no token stands for it.
    pub(super) fn owe(&mut self, request: &Request) {
        self.report.alone += 1;
        self.pool_of(request.replica, request.pool).into_iter().for_each(|pool| pool.prepaid.owe(request.cost()));
        self.settle(request.replica, request.pool);
    }

    fn settle(&mut self, replica: usize, pool: usize) {
        let owed = self.pool_of(replica, pool).map_or(0, |pool| pool.prepaid.settle());
        if owed > 0 {
            let wait_us = self.delay();
            self.after(wait_us, Event::Debt(replica, pool, owed));
        }
    }

    /// A debt at the global bucket, which may go below zero for it. Away, it is owed on; lost, it is never sent again (S24).
    pub(super) fn debt(&mut self, replica: usize, pool: usize, owed: u64) {
        let away = self.is_down(0);
        let Some(of) = self.pool_of(replica, pool) else { return };
        if away {
            return of.prepaid.owe(owed);
        }
        let shape = Shape::new().count(Scope::Global, of.toll.key().clone(), of.toll.bucket().clone());
        if self.is_lost("debts lost") {
            self.sums.uncharged += owed;
            return;
        }
        let _ = self.global.decide_one(Some(self.moment()), &Charge::of(Arc::new(shape), owed));
        self.sums.charged += owed;
    }

    pub(super) fn keep(&mut self, index: usize) {
        self.after(100_000, Event::Keep(index));
        let now_us = self.now_us;
        for number in 0..self.replicas.get(index).map_or(0, |replica| replica.pools.len()) {
            let Some(pool) = self.pool_of(index, number) else { continue };
            let (toll, backs) = (pool.toll.clone(), pool.prepaid.backs(now_us));
            if !backs.is_empty() && !self.is_lost("returns lost") {
                let wait_us = self.delay();
                self.after(wait_us, Event::Backs(toll, backs));
            }
            self.settle(index, number);
        }
    }

    pub(super) fn backs(&mut self, toll: &Level, backs: &[Back]) {
        if self.is_down(0) {
            return;
        }
        for Back { unused, held, taken_us } in backs.iter().copied() {
            let change = Change::Return { unused, held, taken_us };
            let back = Adjustment { key: toll.key().clone(), bucket: toll.bucket().clone(), change };
            // The memory store answers at once.
            drop(self.global.adjust(Some(self.moment()), &[back]).now_or_never());
            self.sums.returned += unused;
        }
    }
}
