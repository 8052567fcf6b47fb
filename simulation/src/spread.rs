//! The same for charges in several places (`store/split`): tenants' accounts in other slots, or stores, than the platform's, and the global bucket paid from tokens
//! that each replica takes in advance. The real book of tokens, the real split of a charge, and what [`bulkhead_ratelimit::store::split`] does between
//! them, with messages that are late or lost and places that are away.
//!
//! Beside each tenant's bucket stands one in true time, which is never exceeded; what tokens paid for stays within the global limit; whoever is inside its
//! guarantee is admitted though global is empty or away; and in the end everything that was admitted was charged to global, but for the debts that were lost,
//! and everything that was taken in advance is there again.

mod flow;

use std::{cmp::Reverse, collections::BTreeMap, collections::BinaryHeap, sync::Arc};

use bulkhead_ratelimit::{
    charge::{Charge, Level, Role, Shape},
    key::Keyspace,
    store::{
        Micros,
        memory::MemoryStore,
        split::prepaid::{Back, Prepaid, Taken, Wish},
    },
};
use bulkhead_tenancy::clock::SystemClock;

use crate::{
    Report, Violation,
    chance::Chance,
    oracle::Shadow,
    plan::{Limit, Plan},
};

/// How long it is quiet in the end: whatever was taken in advance is back by then, or forgotten to be held.
const QUIET_US: u64 = 6_000_000;

/// A request on its way.
#[derive(Debug, Clone)]
struct Request {
    replica: usize,
    tenant: usize,
    cost: u64,
    until_us: u64,
    taken: Option<Taken>,
}

#[derive(Debug)]
enum Event {
    Burst(usize),
    /// A replica's wish comes to the global bucket, and what it brings comes back.
    Wished(Wished),
    Brought(Wished, u32, u64, u64),
    /// A request has waited long enough for tokens.
    Patience(u64),
    AtTenant(Request),
    /// Its answer: admitted, denied, or the place was away.
    Answered(Request, Option<bool>),
    Debt(usize, u64),
    Backs(Vec<Back>),
    Keep(usize),
    Fault,
}

#[derive(Debug, Clone, Copy)]
struct Wished {
    replica: usize,
    asked_us: u64,
    wish: Wish,
    cost: u64,
    /// Nobody waits for it.
    early: bool,
}

/// A replica's tokens, and who waits for some.
#[derive(Default)]
struct Replica {
    prepaid: Prepaid,
    fetching: bool,
    waiting: BTreeMap<u64, Request>,
}

/// Costs, as they add up in the end.
#[derive(Debug, Default)]
struct Sums {
    admitted: u64,
    charged: u64,
    returned: u64,
    uncharged: u64,
}

struct Spread {
    chance: Chance,
    plan: Plan,
    now_us: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: BTreeMap<u64, Event>,
    sequence: u64,
    quiet: bool,
    /// The global bucket's place, and those of tenants.
    global: MemoryStore,
    tenants: Vec<MemoryStore>,
    down_until_us: Vec<u64>,
    replicas: Vec<Replica>,
    shapes: Vec<Arc<Shape>>,
    toll: Level,
    tokens: Shadow,
    buckets: Vec<Shadow>,
    guarantees: Vec<Shadow>,
    /// What was admitted without a token: a guarantee must have held it.
    lent: Vec<Shadow>,
    sums: Sums,
    report: Report,
    trace: bool,
}

pub(crate) fn run(seed: u64, decisions: u64, trace: bool) -> Result<Report, Violation> {
    let mut world = Spread::new(seed, trace)?;
    while world.report.decisions < decisions && world.step()? {}
    world.end()
}

impl Spread {
    fn new(seed: u64, trace: bool) -> Result<Self, Violation> {
        let mut chance = Chance::of(seed);
        let plan = Plan::of(&mut chance);
        let keys = Keyspace::default();
        let shapes: Vec<Arc<Shape>> = plan.tenants.iter().filter_map(|tenant| plan.shape(&keys, tenant)).collect();
        let global = |shape: &Arc<Shape>| shape.levels().iter().find(|level| level.role() == Role::Shared).cloned();
        let toll = shapes.first().and_then(global);
        let toll = toll.ok_or_else(|| Violation { at_us: 0, what: "a tenant pays no global bucket".to_owned() })?;
        let shadows = |of: fn(&crate::plan::Tenant) -> Limit| plan.tenants.iter().map(|one| Shadow::new(of(one), 0)).collect();
        let store = || MemoryStore::new(Arc::new(SystemClock));
        let mut world = Self {
            chance,
            now_us: 0,
            events: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            sequence: 0,
            quiet: false,
            global: store(),
            tenants: plan.tenants.iter().map(|_| store()).collect(),
            down_until_us: vec![0; plan.tenants.len() + 1],
            replicas: (0..plan.replicas).map(|_| Replica::default()).collect(),
            shapes,
            toll,
            tokens: Shadow::new(plan.global, 0),
            buckets: shadows(|one| one.limit),
            guarantees: shadows(|one| one.guarantee),
            lent: shadows(|one| one.guarantee),
            sums: Sums::default(),
            report: Report::default(),
            trace,
            plan,
        };
        for replica in 0..world.replicas.len() {
            world.after(1, Event::Burst(replica));
            world.after(100_000, Event::Keep(replica));
        }
        world.after(100_000, Event::Fault);
        Ok(world)
    }

    fn after(&mut self, wait_us: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((self.now_us + wait_us, self.sequence)));
        self.waiting.insert(self.sequence, event);
    }

    fn step(&mut self) -> Result<bool, Violation> {
        let Some(Reverse((at_us, number))) = self.events.pop() else { return Ok(false) };
        self.now_us = at_us;
        match self.waiting.remove(&number) {
            Some(Event::Burst(replica)) => self.burst(replica)?,
            Some(Event::Wished(wished)) => self.wished(wished),
            Some(Event::Brought(wished, copies, ahead, taken_us)) => self.brought(wished, copies, ahead, taken_us),
            Some(Event::Patience(request)) => self.patience(request),
            Some(Event::AtTenant(request)) => self.at_tenant(request)?,
            Some(Event::Answered(request, answer)) => self.answered(&request, answer),
            Some(Event::Debt(replica, owed)) => self.debt(replica, owed),
            Some(Event::Backs(backs)) => self.backs(&backs),
            Some(Event::Keep(replica)) => self.keep(replica),
            Some(Event::Fault) => self.fault(),
            None => {}
        }
        Ok(true)
    }

    fn wrong(&self, what: String) -> Violation {
        Violation { at_us: self.now_us, what: format!("in several places: {what}") }
    }

    fn moment(&self) -> Micros {
        Micros(self.plan.start_us + self.now_us)
    }

    fn count(&mut self, what: &'static str) {
        *self.report.faults.entry(what).or_default() += 1;
        if self.trace {
            #[expect(clippy::print_stderr, reason = "a trace is for reading")]
            {
                eprintln!("{:>12} us  {what}", self.now_us);
            }
        }
    }

    /// A place is away for a while: that of the global bucket, or a tenant's.
    fn fault(&mut self) {
        let wait_us = self.chance.within(50_000, 2_000_000);
        self.after(wait_us, Event::Fault);
        if !self.plan.faults.store || self.quiet {
            return;
        }
        self.count("places away for a while");
        let place = if self.chance.one_in(2) { 0 } else { self.chance.index(self.down_until_us.len()) };
        let until_us = self.now_us + self.chance.within(10_000, 2_000_000);
        self.down_until_us.iter_mut().skip(place).take(1).for_each(|until| *until = until_us);
    }

    fn is_down(&self, place: usize) -> bool {
        self.down_until_us.get(place).is_some_and(|until_us| self.now_us < *until_us)
    }

    /// It becomes quiet, and nothing fails any more.
    fn end(mut self) -> Result<Report, Violation> {
        self.quiet = true;
        self.plan.faults.network = false;
        self.down_until_us.fill(0);
        let end_us = self.now_us + QUIET_US + 60_000_000 * u64::from(self.plan.global.rate == 0);
        while self.now_us < end_us && self.step()? {}
        let Sums { admitted, charged, returned, uncharged } = self.sums;
        if admitted > charged + uncharged - returned.min(charged) {
            return Err(self.wrong(format!("{admitted} were admitted, and only this was charged to global: {:?}", self.sums)));
        }
        // What a bucket of this rate and size, charged with nothing for so long, must hold.
        let refilled = (self.plan.global.rate * QUIET_US / 1_000_000).min(self.plan.global.capacity);
        let debts: u64 = self.plan.tenants.iter().map(|one| one.guarantee.capacity + 8 * one.guarantee.rate).sum();
        let look = Charge::new().hold(self.toll.scope(), self.toll.key().clone(), self.toll.bucket().clone(), 0);
        let left = self.global.decide_one(Some(self.moment()), &look).standings().first().map_or(0, |one| one.remaining);
        if left + debts < refilled {
            return Err(
                self.wrong(format!("global holds {left} after {QUIET_US} us of quiet, and not {refilled}: something is never given back"))
            );
        }
        let all = self.buckets.iter().map(|one| one.worst).chain([self.tokens.worst]);
        let most = all.max().unwrap_or_default();
        self.report.worst = (most.requests, most.allowed);
        self.report.worst_unallowed = self.buckets.iter().map(|one| one.worst.requests).max().unwrap_or(0);
        Ok(self.report)
    }
}
