//! The same for charges in several places (`store/split`): tenants' accounts in other slots, or stores, than the platform's, and the global bucket paid from tokens
//! that each replica takes in advance. The real book of tokens, the real split of a charge, and what [`bulkhead_ratelimit::store::split`] does between
//! them, with messages that are late or lost, places that are away, and limits and tenants that change.
//!
//! Beside each tenant's bucket stands one in true time, and beside each quota its count, which are never exceeded; what tokens paid for stays within the global
//! limit, and under the one that they were charged under; whoever is inside its guarantee is admitted though global is empty or away; of a request in several
//! places all is charged or nothing, but for what was lost on the way; and in the end everything that was admitted was charged to global, but for the debts that were lost, everything that was taken in advance
//! is there again, and the meters hold what was answered.

mod configuration;
mod flow;
mod own;
mod parts;

use std::{cmp::Reverse, collections::BTreeMap, collections::BinaryHeap, sync::Arc};

use bulkhead_ratelimit::{
    charge::{Charge, Level, Scope, Shape},
    key::Keyspace,
    store::{
        Micros,
        memory::MemoryStore,
        split::{
            by_limit::ByLimit,
            prepaid::{Back, Prepaid, Taken, Wish},
        },
    },
};
use bulkhead_tenancy::clock::SystemClock;

use self::{own::Own, parts::Pair};
use crate::{Report, Violation, chance::Chance, oracle::Shadow, plan::Plan};

/// How long it is quiet in the end: whatever was taken in advance is back by then, or forgotten to be held.
const QUIET_US: u64 = 6_000_000;

/// A request on its way: of one descriptor, or of two.
#[derive(Debug, Clone)]
struct Request {
    replica: usize,
    /// Which of the replica's pools pays.
    pool: usize,
    charge: Charge,
    /// Whose parts it has, and what each costs.
    of: Vec<(usize, u64)>,
    until_us: u64,
    taken: Option<Taken>,
}

impl Request {
    fn cost(&self) -> u64 {
        self.of.iter().map(|(_, cost)| cost).sum()
    }
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
    /// A part of a request in several places comes to its own, its answer comes back, and what is to be undone or counted comes there.
    AtPart(u64, usize),
    PartAnswered(u64, usize, parts::Decided),
    PartBack(parts::Undo),
    Tallied(parts::Told),
    Debt(usize, usize, u64),
    Backs(Level, Vec<Back>),
    Keep(usize),
    Fault,
    Adopt(usize),
    Settle(u64),
}

#[derive(Debug, Clone, Copy)]
struct Wished {
    replica: usize,
    pool: usize,
    asked_us: u64,
    wish: Wish,
    cost: u64,
    /// Nobody waits for it.
    early: bool,
}

/// A replica's tokens of one global limit, and who waits for some.
struct Pool {
    toll: Level,
    prepaid: Prepaid,
    fetching: bool,
    waiting: BTreeMap<u64, Request>,
}

/// A replica: a pool for each global limit that it has known, and what tenants' requests pay by its configuration.
struct Replica {
    pools: Vec<Pool>,
    by_limit: ByLimit<usize>,
    shapes: Vec<Option<Arc<Shape>>>,
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
    keys: Keyspace,
    now_us: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: BTreeMap<u64, Event>,
    sequence: u64,
    quiet: bool,
    /// The global bucket's place; those of tenants are with what is known of them.
    global: MemoryStore,
    own: Vec<Own>,
    down_until_us: Vec<u64>,
    replicas: Vec<Replica>,
    pairs: BTreeMap<u64, Pair>,
    tokens: Shadow,
    /// Of each global limit: what was charged under it, and what tokens paid for of its requests.
    tolls: Vec<(Level, u64, u64)>,
    version: u64,
    /// Guarantees are not judged before: limits are changing.
    doubt_until_us: u64,
    sums: Sums,
    report: Report,
    trace: bool,
}

pub(crate) fn run(seed: u64, decisions: u64, trace: bool) -> Result<Report, Violation> {
    let mut world = Spread::new(seed, trace);
    while world.report.decisions < decisions && world.step()? {}
    world.end()
}

fn store() -> MemoryStore {
    MemoryStore::new(Arc::new(SystemClock))
}

impl Spread {
    fn new(seed: u64, trace: bool) -> Self {
        let mut chance = Chance::of(seed);
        let plan = Plan::of(&mut chance);
        let keys = Keyspace::default();
        let shapes: Vec<_> = plan.tenants.iter().map(|tenant| plan.shape(&keys, tenant)).collect();
        let mut world = Self {
            chance,
            keys,
            now_us: 0,
            events: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            sequence: 0,
            quiet: false,
            global: store(),
            own: plan.tenants.iter().map(|of| Own::new(of, 0)).collect(),
            down_until_us: vec![0; plan.tenants.len() + 1],
            replicas: (0..plan.replicas)
                .map(|_| Replica { pools: Vec::new(), by_limit: ByLimit::default(), shapes: shapes.clone() })
                .collect(),
            pairs: BTreeMap::new(),
            tokens: Shadow::new(plan.global, 0),
            tolls: Vec::new(),
            version: 0,
            doubt_until_us: 0,
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
        world
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
            Some(Event::Burst(replica)) => self.burst(replica),
            Some(Event::Wished(wished)) => self.wished(wished),
            Some(Event::Brought(wished, copies, ahead, taken_us)) => self.brought(wished, copies, ahead, taken_us),
            Some(Event::Patience(request)) => self.patience(request),
            Some(Event::AtTenant(request)) => self.at_tenant(request)?,
            Some(Event::Answered(request, answer)) => self.answered(&request, answer),
            Some(Event::AtPart(pair, group)) => self.at_part(pair, group)?,
            Some(Event::PartAnswered(pair, group, answer)) => self.part_answered(pair, group, answer)?,
            Some(Event::PartBack(undo)) => self.part_back(&undo),
            Some(Event::Tallied(told)) => self.tallied(&told),
            Some(Event::Debt(replica, pool, owed)) => self.debt(replica, pool, owed),
            Some(Event::Backs(toll, backs)) => self.backs(&toll, &backs),
            Some(Event::Keep(replica)) => self.keep(replica),
            Some(Event::Fault) => {
                self.fault();
                self.judge_restated()?;
            }
            Some(Event::Adopt(replica)) => self.adopt(replica),
            Some(Event::Settle(version)) => self.settle_limits(version),
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

    /// A place is away for a while: that of the global bucket, or a tenant's. Or the operator changes something.
    fn fault(&mut self) {
        let wait_us = self.chance.within(20_000, 1_200_000);
        self.after(wait_us, Event::Fault);
        if self.quiet {
            return;
        }
        if self.plan.faults.configuration && self.chance.one_in(2) {
            return self.configure();
        }
        if !self.plan.faults.store {
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
        let end_us = self.now_us + QUIET_US;
        while self.now_us < end_us && self.step()? {}
        let Sums { admitted, charged, returned, uncharged } = self.sums;
        if admitted > charged + uncharged - returned.min(charged) {
            return Err(self.wrong(format!("{admitted} were admitted, and only this was charged to global: {:?}", self.sums)));
        }
        // What a bucket of this rate and size, charged with nothing for so long, must hold.
        let refilled = (self.plan.global.rate * QUIET_US / 1_000_000).min(self.plan.global.capacity);
        let debts: u64 = self.own.iter().map(Own::most_debt).sum();
        let look = Charge::new().hold(Scope::Global, self.keys.global(), self.plan.global.bucket(1), 0);
        let left = self.global.decide_one(Some(self.moment()), &look).standings().first().map_or(0, |one| one.remaining);
        if left + debts < refilled {
            return Err(
                self.wrong(format!("global holds {left} after {QUIET_US} us of quiet, and not {refilled}: something is never given back"))
            );
        }
        for (of, own) in self.plan.tenants.iter().zip(&self.own) {
            own.judge(of, &self.keys, self.plan.start_us, self.moment()).map_err(|what| self.wrong(what))?;
        }
        self.report.unmetered = self.own.iter().map(Own::untold).sum();
        let all = || self.own.iter().flat_map(Own::worst);
        let most = all().chain([self.tokens.worst]).max().unwrap_or_default();
        self.report.worst = (most.requests, most.allowed);
        self.report.worst_unallowed = all().filter(|one| one.allowed == 0).map(|one| one.requests).max().unwrap_or(0);
        Ok(self.report)
    }
}
