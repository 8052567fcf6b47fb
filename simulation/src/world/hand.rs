//! What replicas hold in advance, and what that may cost others: never more of a tenant than a replica was admitted of it lately, and nothing of a guarantee.

use std::collections::VecDeque;

use bulkhead_ratelimit::{
    ask::{Ahead, Answer, HOLD_US},
    charge::Part,
    lease::Claim,
};

use super::{Job, Violation, World, replica::COSTS};

/// A lease goes by what was admitted within as long before it as two leases last, and lasts for one.
const LATELY_US: u64 = 3 * HOLD_US;

/// The store remembers for so long what is held in advance.
const HELD_US: u64 = 2 * HOLD_US;

/// What the store was taken in advance for a replica that was not told yet.
#[derive(Default)]
pub(super) struct Untold(Vec<Taken>);

struct Taken {
    flight: u64,
    job: usize,
    tenant: usize,
    at_us: u64,
    requests: u64,
}

impl Untold {
    /// The replica was told.
    pub(super) fn told(&mut self, flight: u64, job: usize) {
        self.0.retain(|one| (one.flight, one.job) != (flight, job));
    }
}

/// What a replica admitted of each tenant lately.
#[derive(Default)]
pub(super) struct Lately(Vec<VecDeque<(u64, u64)>>);

impl Lately {
    pub(super) fn admitted(&mut self, tenant: usize, now_us: u64, cost: u64) {
        if self.0.len() <= tenant {
            self.0.resize_with(tenant + 1, VecDeque::new);
        }
        if let Some(all) = self.0.get_mut(tenant).filter(|_| cost > 0) {
            all.push_back((now_us, cost));
        }
    }

    fn sum(&mut self, tenant: usize, now_us: u64) -> u64 {
        let Some(all) = self.0.get_mut(tenant) else { return 0 };
        while all.front().is_some_and(|(at_us, _)| at_us + LATELY_US < now_us) {
            all.pop_front();
        }
        all.iter().map(|(_, cost)| cost).sum()
    }
}

impl World {
    /// A replica renews leases before anybody needs them.
    pub(super) fn renew(&mut self, index: usize, renewals: Vec<(Claim, Ahead)>) -> Result<(), Violation> {
        for (claim, ahead) in renewals {
            let charge = claim.charge();
            let cost = charge.parts().first().map_or(0, Part::cost);
            let tenant = self.plan.tenants.iter().position(|of| charge.payer() == Some(&self.keys.account(&of.uid)));
            let (Some(tenant), Some(replica)) = (tenant, self.replicas.get_mut(index)) else { continue };
            replica.waiting.push(Job { charge, of: vec![(tenant, cost)], count: 0, ahead: Some(ahead), arrived_us: self.now_us });
        }
        self.send(index)
    }

    /// A job of a call was decided, and the replica is yet to be told of what it took in advance.
    pub(super) fn took(&mut self, flight: u64, job: usize, ahead: u32) {
        let Some(of) = self.flights.get(&flight) else { return };
        let (Some(replica), Some(asked)) = (self.replicas.get_mut(of.replica).filter(|one| one.life == of.life), of.jobs.get(job)) else {
            return;
        };
        if let ([(tenant, cost)], 1..) = (asked.of.as_slice(), ahead) {
            replica.untold.0.retain(|one| one.at_us + HELD_US > self.now_us);
            replica.untold.0.push(Taken { flight, job, tenant: *tenant, at_us: self.now_us, requests: cost * u64::from(ahead) });
        }
    }

    /// What was taken and did not come is of each claim at most twice what its first lease was, until an answer comes.
    fn judge_lost(&mut self, index: usize) -> Result<(), Violation> {
        let Some(replica) = self.replicas.get_mut(index) else { return Ok(()) };
        for (tenant, of) in self.plan.tenants.iter().enumerate().filter(|(_, of)| of.leased) {
            let own = replica.untold.0.iter().filter(|one| one.tenant == tenant && one.at_us + HELD_US > self.now_us);
            let lost: u64 = own.map(|one| one.requests).sum();
            let lately = replica.lately.sum(tenant, self.now_us);
            if lost > 2 * (lately + COSTS) {
                let what =
                    format!("of {}, {lost} were taken for replica {index} and did not come, and it admitted {lately} of it lately", of.uid);
                return Err(self.wrong(what));
            }
        }
        Ok(())
    }

    /// A lease is at most about twice what was admitted before, and of two one is nearly used up when the other comes.
    pub(super) fn judge_hand(&mut self, index: usize) -> Result<(), Violation> {
        self.judge_lost(index)?;
        let Some(replica) = self.replicas.get_mut(index) else { return Ok(()) };
        let clock_us = replica.clock_us(self.now_us);
        for (tenant, of) in self.plan.tenants.iter().enumerate().filter(|(_, of)| of.leased) {
            let held = replica.book.held_of(Some(&self.keys.account(&of.uid)), clock_us);
            let lately = replica.lately.sum(tenant, self.now_us);
            if held > lately * 5 / 2 + COSTS {
                let what = format!("replica {index} holds {held} of {} in advance, and admitted {lately} of it lately", of.uid);
                return Err(self.wrong(what));
            }
        }
        Ok(())
    }

    /// What a replica denies by itself it would not have been admitted by its guarantee.
    pub(super) fn judge_denial(&mut self, tenant: usize, cost: u64, answer: &Answer, by_global: bool) -> Result<(), Violation> {
        let judged = answer.admitted == 0 && by_global && self.now_us >= self.doubt_until_us;
        let Some(watched) = self.watched.get_mut(tenant).filter(|_| judged) else { return Ok(()) };
        if watched.guarantee.holds(self.now_us, cost + 1) {
            return Err(self.wrong(format!("tenant {tenant} was inside its guarantee and denied by a replica in the name of global")));
        }
        Ok(())
    }
}
