//! The event loop: who asks, what is under way, what fails, and what the oracle says to it.

mod faults;
mod replica;
mod store;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

use bulkhead_ratelimit::{
    ask::{Ahead, Answer},
    charge::Shape,
    key::Keyspace,
    store::memory::MemoryStore,
};
use bulkhead_tenancy::clock::{ManualClock, SystemClock};

use self::{replica::Replica, store::Background};
use crate::{
    chance::Chance,
    oracle::{Counts, Shadow},
    plan::Plan,
};

/// 2025-01-01, an hour's begin, in microseconds since 1970.
const START: i64 = 1_735_689_600_000_000;
/// How long a decision may take.
const DEADLINE_US: u64 = 20_000;

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Requests decided.
    pub decisions: u64,
    /// Of those, by a replica from what it held in advance.
    pub leased: u64,
    /// By a replica alone, because the store did not answer in time.
    pub alone: u64,
    /// Faults, by their kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The most that any bucket admitted beyond its limit, and what its faults allowed, in requests.
    pub worst: (u64, u64),
    /// The same where nothing failed that allows any.
    pub worst_unallowed: u64,
    /// The most copies that were in hand at once: what leases may have admitted less.
    pub in_hand: u64,
}

/// Something that may not be.
#[derive(Debug, Clone)]
pub struct Violation {
    /// When, in microseconds of the simulation.
    pub at_us: u64,
    /// What.
    pub what: String,
}

/// Some equal requests that wait for the store.
#[derive(Debug, Clone)]
struct Job {
    tenant: usize,
    shape: Arc<Shape>,
    cost: u64,
    count: u32,
    ahead: Option<Ahead>,
    arrived_us: u64,
}

/// One call of the store.
#[derive(Debug)]
struct Flight {
    replica: usize,
    life: u64,
    jobs: Vec<Job>,
    sent_us: u64,
}

#[derive(Debug)]
enum Event {
    Burst(usize),
    AtStore(u64),
    Reply(u64, Vec<Answer>),
    Deadline(u64),
    Flush(usize),
    Background(Background),
    Fault,
    FailOver,
    Adopt(usize),
    Settle(u64),
}

/// How much is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Silence,
    Trickle,
    Flood,
}

/// What the oracle keeps of a tenant.
#[derive(Debug)]
struct Watched {
    bucket: Shadow,
    guarantee: Shadow,
    /// What replicas admitted alone.
    local: Shadow,
    windows: Counts,
    lost: u64,
}

struct World {
    chance: Chance,
    plan: Plan,
    keys: Keyspace,
    now_us: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: BTreeMap<u64, Event>,
    sequence: u64,
    replicas: Vec<Replica>,
    flights: BTreeMap<u64, Flight>,
    store: MemoryStore,
    /// What the standby has: everything but what was written since.
    standby: Option<MemoryStore>,
    offset_us: i64,
    down_until_us: u64,
    /// How much is asked for now, and until when: buckets refill in the quiet, while replicas still hold tokens in advance.
    load: Load,
    load_until_us: u64,
    /// Guarantees are not judged before: a clock went back, or limits are changing.
    doubt_until_us: u64,
    version: u64,
    global: Shadow,
    global_lost: u64,
    watched: Vec<Watched>,
    meter: Meter,
    report: Report,
    trace: bool,
    /// Something that may not be, seen where it could not be told.
    broken: Option<Violation>,
}

/// Costs admitted: as the meters must have them.
#[derive(Debug, Default)]
struct Meter {
    answered: u64,
    decided: u64,
    lost: u64,
}

pub(crate) fn run(seed: u64, decisions: u64, trace: bool) -> Result<Report, Violation> {
    let mut world = World::new(seed, trace);
    let mut next = Some(());
    while next.is_some() && world.report.decisions < decisions {
        next = world.step()?;
    }
    world.end()
}

impl World {
    fn new(seed: u64, trace: bool) -> Self {
        let mut chance = Chance::of(seed);
        let plan = Plan::of(&mut chance);
        let keys = Keyspace::default();
        let guarantees = plan.tenants.iter().map(|one| one.guarantee);
        let (rates, bursts) = guarantees.fold((0, 0), |sum, one| (sum.0 + one.rate, sum.1 + one.capacity));
        let mut global = Shadow::new(crate::plan::Limit { rate: plan.global.rate.max(rates), ..plan.global });
        global.bound = bursts;
        let watched = plan.tenants.iter().map(|one| Watched {
            bucket: Shadow::new(one.limit),
            guarantee: Shadow::new(one.guarantee),
            local: Shadow::new(plan::local(one.limit, plan.replicas)),
            windows: Counts::default(),
            lost: 0,
        });
        let watched = watched.collect();
        let replicas = (0..plan.replicas).map(|_| Replica::new(&plan, &keys, &mut chance)).collect();
        let mut world = Self {
            chance,
            keys,
            now_us: 0,
            events: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            sequence: 0,
            replicas,
            flights: BTreeMap::new(),
            store: MemoryStore::new(Arc::new(SystemClock)),
            standby: None,
            offset_us: 0,
            down_until_us: 0,
            load: Load::Flood,
            load_until_us: 0,
            doubt_until_us: 0,
            version: 0,
            global,
            global_lost: 0,
            watched,
            meter: Meter::default(),
            report: Report::default(),
            trace,
            broken: None,
            plan,
        };
        for replica in 0..world.replicas.len() {
            world.after(1, Event::Burst(replica));
            world.after(100_000, Event::Flush(replica));
        }
        world.after(500_000, Event::Fault);
        world
    }

    fn after(&mut self, wait_us: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((self.now_us + wait_us, self.sequence)));
        self.waiting.insert(self.sequence, event);
    }

    fn step(&mut self) -> Result<Option<()>, Violation> {
        let Some(Reverse((at_us, number))) = self.events.pop() else { return Ok(None) };
        self.now_us = at_us;
        match self.waiting.remove(&number) {
            Some(Event::Burst(replica)) => self.burst(replica)?,
            Some(Event::AtStore(flight)) => self.at_store(flight)?,
            Some(Event::Reply(flight, answers)) => self.reply(flight, answers)?,
            Some(Event::Deadline(flight)) => self.late(flight)?,
            Some(Event::Flush(replica)) => self.flush(replica),
            Some(Event::Background(background)) => self.background(background),
            Some(Event::Fault) => self.fault(),
            Some(Event::FailOver) => self.fail_over(),
            Some(Event::Adopt(replica)) => self.adopt(replica),
            Some(Event::Settle(version)) => self.settle(version),
            None => {}
        }
        self.broken.take().map_or(Ok(Some(())), Err)
    }

    fn tell(&self, what: impl Fn() -> String) {
        if self.trace {
            #[expect(clippy::print_stderr, reason = "a trace is for reading")]
            {
                eprintln!("{:>12} us  {}", self.now_us, what());
            }
        }
    }

    fn wrong(&self, what: String) -> Violation {
        Violation { at_us: self.now_us, what }
    }

    /// A tenant's requests were admitted, charged to the store's buckets.
    fn admitted(&mut self, tenant: usize, cost: u64) -> Result<(), Violation> {
        let (now_us, store_us) = (self.now_us, self.store_us());
        let clock = self.plan.faults.clock;
        let (Some(watched), Some(of)) = (self.watched.get_mut(tenant), self.plan.tenants.get(tenant)) else { return Ok(()) };
        let mut wrong = None;
        if !self.global.admit(now_us, cost) {
            wrong = Some(format!("global admitted {} beyond its limit, allowed are {}", self.global.worst, self.global.bound));
        }
        if !watched.bucket.admit(now_us, cost) {
            wrong = Some(format!("{} admitted {} beyond its limit, allowed are {}", of.uid, watched.bucket.worst, watched.bucket.bound));
        }
        let window = of.window.filter(|_| !clock);
        if window.is_some_and(|(limit, length_us)| !watched.windows.admit(store_us / length_us, limit, cost)) {
            let (worst, bound) = (watched.windows.worst, watched.windows.bound);
            wrong = Some(format!("{}'s window admitted {worst} beyond its limit, allowed are {bound}", of.uid));
        }
        wrong.map_or(Ok(()), |what| Err(self.wrong(what)))
    }

    fn store_us(&self) -> u64 {
        u64::try_from(START + i64::try_from(self.now_us).unwrap_or(0) + self.offset_us).unwrap_or(0)
    }

    fn end(mut self) -> Result<Report, Violation> {
        // Everybody ends in order, and the network has become reliable.
        for replica in 0..self.replicas.len() {
            let dues = self.replicas.get_mut(replica).map(|one| one.book.drain()).unwrap_or_default();
            self.background(Background::of(dues));
        }
        let pending: Vec<Event> = std::mem::take(&mut self.waiting).into_values().collect();
        for event in pending {
            if let Event::Background(background) = event {
                self.background(background);
            }
        }
        let metered = store::metered(&self.store, &self.plan, &self.keys);
        let Meter { answered, decided, lost } = self.meter;
        if metered + lost < answered || metered > decided {
            return Err(self.wrong(format!("{metered} are metered, {answered} were answered of {decided} decided, and {lost} may be lost")));
        }
        let shadows = self.watched.iter().map(|one| &one.bucket).chain([&self.global]);
        let most = shadows.map(|one| (one.worst, one.bound)).max_by_key(|(worst, _)| *worst);
        self.report.worst = most.unwrap_or_default();
        let free = self.watched.iter().filter(|one| one.bucket.bound == 0).map(|one| one.bucket.worst).max();
        self.report.worst_unallowed = free.unwrap_or(0);
        Ok(self.report)
    }
}

mod plan {
    use crate::plan::Limit;

    /// What replicas admit together, each alone with its share: at least one request each.
    pub(super) fn local(limit: Limit, replicas: usize) -> Limit {
        Limit { capacity: limit.capacity + replicas as u64, ..limit }
    }
}

fn standing_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at_us(0))
}
