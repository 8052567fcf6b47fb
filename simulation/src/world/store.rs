//! What happens at the store.

use bulkhead_ratelimit::{
    ask::Ask,
    charge::{Charge, Scope},
    key::Keyspace,
    lease::Dues,
    store::{Adjustment, Change, Hour, Micros, Store as _, Tally, memory::MemoryStore},
};
use futures::FutureExt as _;

use super::{Event, Plan, START, Violation, World};

/// What a replica tells in the background.
#[derive(Debug)]
pub(super) struct Background {
    returns: Vec<Adjustment>,
    tallies: Vec<Tally>,
}

impl Background {
    /// In an order that a seed determines.
    pub(super) fn of(dues: Dues) -> Self {
        let Dues { mut returns, mut tallies } = dues;
        let taken = |change: Change| if let Change::Return { taken_us, .. } = change { taken_us } else { 0 };
        returns.sort_by(|one, other| (&one.key, taken(one.change)).cmp(&(&other.key, taken(other.change))));
        tallies.sort_by(|one, other| one.meter.cmp(&other.meter));
        Self { returns, tallies }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.returns.is_empty() && self.tallies.is_empty()
    }

    pub(super) fn admitted(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.admitted).sum()
    }
}

impl World {
    pub(super) fn at_store(&mut self, number: u64) -> Result<(), Violation> {
        let Some(flight) = self.flights.get(&number) else { return Ok(()) };
        if self.now_us < self.down_until_us {
            return Ok(());
        }
        let jobs = flight.jobs.clone();
        let moment = self.store_us();
        let mut answers = Vec::with_capacity(jobs.len());
        for job in &jobs {
            let ask = Ask { charge: Charge::of(std::sync::Arc::clone(&job.shape), job.cost), count: job.count, ahead: job.ahead };
            let answer = self.store.answer(Some(Micros(moment)), &ask);
            let copies = u64::from(answer.admitted);
            self.meter.decided += copies * job.cost;
            if self.standby.is_some() {
                let written = (copies + u64::from(answer.ahead)) * job.cost;
                self.global_lost += written;
                self.watched.iter_mut().skip(job.tenant).take(1).for_each(|one| one.lost += written);
            }
            for _ in 0..copies {
                self.admitted(job.tenant, job.cost)?;
            }
            self.judge_guarantee(
                job.tenant,
                job.cost,
                copies,
                answer.admitted < job.count && {
                    let denial = answer.outcome(&ask.charge, answer.admitted).denial();
                    denial.is_some_and(|denial| denial.scope == Scope::Global)
                },
            )?;
            answers.push(answer);
        }
        if self.plan.faults.network && self.chance.one_in(200) {
            *self.report.faults.entry("replies lost").or_default() += 1;
            return Ok(());
        }
        let wait_us = self.delay();
        self.after(wait_us, Event::Reply(number, answers));
        Ok(())
    }

    /// Whoever is inside its guarantee is never denied by global. Of those that lease, replicas may hold the guarantee in advance.
    fn judge_guarantee(&mut self, tenant: usize, cost: u64, copies: u64, denied_by_global: bool) -> Result<(), Violation> {
        let now_us = self.now_us;
        let (Some(of), Some(watched)) = (self.plan.tenants.get(tenant), self.watched.get_mut(tenant)) else { return Ok(()) };
        for _ in 0..copies {
            watched.guarantee.spend_at_most(now_us, cost);
        }
        let kept = of.leased || now_us < self.doubt_until_us || !denied_by_global;
        if kept || !watched.guarantee.holds(now_us, cost + 1) {
            return Ok(());
        }
        let what = format!("{} was inside its guarantee and denied by global", of.uid);
        Err(self.wrong(what))
    }

    pub(super) fn background(&mut self, background: Background) {
        let moment = Some(Micros(self.store_us()));
        if self.now_us < self.down_until_us {
            self.meter.lost += background.admitted();
            return;
        }
        // The memory store answers at once.
        drop(self.store.adjust(moment, &background.returns).now_or_never());
        drop(self.store.tally(moment, &background.tallies).now_or_never());
    }
}

/// What the meters have of all tenants.
pub(super) fn metered(store: &MemoryStore, plan: &Plan, keys: &Keyspace) -> u64 {
    let first = Hour::of(Micros(u64::try_from(START).unwrap_or(0))).0;
    let lines = |uid, hour| store.metered(&keys.account(uid), Hour(hour)).now_or_never().and_then(Result::ok).unwrap_or_default();
    let of = |uid| (first - 1..first + 3).flat_map(|hour| lines(uid, hour)).map(|line| line.admitted).sum::<u64>();
    plan.tenants.iter().map(|tenant| of(&tenant.uid)).sum()
}
