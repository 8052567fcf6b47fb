//! The event loop: who asks, what is under way, what fails, and what the oracle says to it.

pub(crate) mod configuration;
mod faults;
mod hand;
mod replica;
mod store;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

use bulkhead_ratelimit::{
    ask::{Ahead, Answer},
    bucket::Bucket,
    charge::Charge,
    key::Keyspace,
    lease::unreturned::Unreturned,
    store::memory::MemoryStore,
};
use bulkhead_tenancy::clock::ManualClock;

use self::{replica::Replica, store::Gate};
use crate::{
    chance::Chance,
    oracle::{Beyond, Counted, Shadow},
    plan::{Limit, Plan, Tenant},
};

/// How long a decision may take.
const DEADLINE_US: u64 = 20_000;

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Requests decided.
    pub decisions: u64,
    /// Of those, by a replica from what it held in advance.
    pub leased: u64,
    /// Leases that were renewed by nobody's request.
    pub renewed: u64,
    /// By a replica alone, because the store did not answer in time.
    pub alone: u64,
    /// Requests of two descriptors.
    pub pairs: u64,
    /// Faults, by their kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The most that any bucket admitted beyond its limit, and what its faults allowed, in requests.
    pub worst: (u64, u64),
    /// The same where nothing failed that allows any.
    pub worst_unallowed: u64,
    /// The most copies that were in hand at once: what leases may have admitted less.
    pub in_hand: u64,
    /// The most that a tenant's bucket held in truth when the store denied for it: what it was admitted less, and lost by faults, in requests.
    pub short: u64,
    /// Costs that were answered and are on no bill, because a message was lost or a replica was killed.
    pub unmetered: u64,
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
    charge: Charge,
    /// Whose parts it has, and what each costs.
    of: Vec<(usize, u64)>,
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
    Returned(usize, u64, Vec<Unreturned>),
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
    quotas: Vec<Counted>,
    guarantee: Shadow,
    /// The most that any replica takes for its guarantee now.
    stated: Limit,
    /// What replicas admitted alone.
    local: Shadow,
    local_quotas: Vec<Counted>,
    /// Written since nothing reaches the standby.
    lost: u64,
    meter: Meter,
}

impl Watched {
    fn new(of: &Tenant, replicas: usize, now_us: u64) -> Self {
        let quotas = of.quotas.iter().map(|bucket| Counted::new(bucket, bucket.capacity()));
        let shares = of.quotas.iter().map(|bucket| Counted::new(bucket, bucket.capacity() + replicas as u64));
        Self {
            bucket: Shadow::new(of.limit, now_us),
            quotas: quotas.collect(),
            guarantee: Shadow::new(of.guarantee, now_us),
            stated: of.guarantee,
            local: Shadow::new(local(of.limit, replicas), now_us),
            local_quotas: shares.collect(),
            lost: 0,
            meter: Meter::default(),
        }
    }

    /// Quotas are judged by what they held and what they are stated to hold now.
    fn quotas_hold(&mut self, of: &Tenant, replicas: usize, by: fn(u64, u64) -> u64) {
        let stated = of.quotas.iter().map(Bucket::capacity);
        for ((quota, share), stated) in self.quotas.iter_mut().zip(&mut self.local_quotas).zip(stated) {
            quota.change(by(quota.limit(), stated));
            share.change(by(share.limit(), stated + replicas as u64));
        }
    }
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
    gate: Arc<Gate>,
    /// The services' own clocks.
    wall: ManualClock,
    /// What the standby has: everything but what was written since.
    standby: Option<MemoryStore>,
    offset_us: i64,
    down_until_us: u64,
    /// The answers that bring leases do not come to this replica until then.
    deaf: Option<usize>,
    deaf_until_us: u64,
    /// How much is asked for now, and until when: buckets refill in the quiet, while replicas still hold tokens in advance.
    load: Load,
    load_until_us: u64,
    /// Guarantees are not judged before: a clock went back, or limits are changing.
    doubt_until_us: u64,
    version: u64,
    global: Shadow,
    global_lost: u64,
    watched: Vec<Watched>,
    /// Costs that may be on no bill: of whom is not known.
    unmetered: u64,
    report: Report,
    trace: bool,
}

/// A tenant's costs, as its meter must have them.
#[derive(Debug, Default)]
struct Meter {
    /// Admitted, and told to whoever asked.
    answered: u64,
    /// Admitted.
    decided: u64,
    denied: u64,
    /// Admitted, and forgotten by the store.
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
        let gate = Arc::new(Gate::new());
        let wall = ManualClock::at_us(plan.start_us);
        let shapes: Vec<_> = plan.tenants.iter().map(|tenant| plan.shape(&keys, tenant)).collect();
        let replica = |_| Replica::new(Arc::<Gate>::clone(&gate), &wall, shapes.clone(), &mut chance);
        let replicas = (0..plan.replicas).map(replica).collect();
        let watched = plan.tenants.iter().map(|one| Watched::new(one, plan.replicas, 0)).collect();
        let mut world = Self {
            chance,
            keys,
            now_us: 0,
            events: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            sequence: 0,
            replicas,
            flights: BTreeMap::new(),
            gate,
            wall,
            standby: None,
            offset_us: 0,
            down_until_us: 0,
            deaf: None,
            deaf_until_us: 0,
            load: Load::Flood,
            load_until_us: 0,
            doubt_until_us: 0,
            version: 0,
            global: Shadow::new(plan.global, 0),
            global_lost: 0,
            watched,
            unmetered: 0,
            report: Report::default(),
            trace,
            plan,
        };
        world.global_changed(None);
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
        self.wall.set_us(self.plan.start_us + at_us);
        match self.waiting.remove(&number) {
            Some(Event::Burst(replica)) => self.burst(replica)?,
            Some(Event::AtStore(flight)) => self.at_store(flight)?,
            Some(Event::Reply(flight, answers)) => self.reply(flight, answers)?,
            Some(Event::Deadline(flight)) => self.late(flight)?,
            Some(Event::Flush(replica)) => self.flush(replica)?,
            Some(Event::Returned(replica, life, returns)) => self.returned(replica, life, &returns),
            Some(Event::Fault) => self.fault()?,
            Some(Event::FailOver) => self.fail_over(),
            Some(Event::Adopt(replica)) => self.adopt(replica),
            Some(Event::Settle(version)) => self.settle(version),
            None => {}
        }
        Ok(Some(()))
    }

    fn tell_of(&self, what: impl Fn() -> String) {
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

    fn count(&mut self, what: &'static str) {
        *self.report.faults.entry(what).or_default() += 1;
        self.tell_of(|| what.to_owned());
    }

    /// Requests were admitted, charged to the store's buckets.
    fn admitted(&mut self, of: &[(usize, u64)]) -> Result<(), Violation> {
        let (now_us, store_us) = (self.now_us, self.store_us());
        let mut wrong = None;
        for (tenant, cost) in of {
            let (Some(watched), Some(of)) = (self.watched.get_mut(*tenant), self.plan.tenants.get(*tenant)) else { continue };
            if !self.global.admit(now_us, *cost) {
                wrong = Some(format!("global admitted beyond its limit: {:?}", self.global.worst));
            }
            if !watched.bucket.admit(now_us, *cost) {
                wrong = Some(format!("{} admitted beyond its limit: {:?}", of.uid, watched.bucket.worst));
            }
            for quota in &mut watched.quotas {
                if !quota.admit(now_us, store_us, *cost) {
                    wrong = Some(format!("a quota of {} admitted beyond its limit: {quota:?}", of.uid));
                }
            }
        }
        wrong.map_or(Ok(()), |what| Err(self.wrong(what)))
    }

    fn store_us(&self) -> u64 {
        self.plan.start_us.saturating_add(self.now_us).saturating_add_signed(self.offset_us)
    }

    fn end(mut self) -> Result<Report, Violation> {
        // Everybody ends in order, and the network has become reliable.
        let unreliable = std::mem::replace(&mut self.plan.faults.network, false);
        self.down_until_us = 0;
        self.abandon_what_flies();
        for index in 0..self.replicas.len() {
            self.drain(index);
        }
        let pending: Vec<Event> = std::mem::take(&mut self.waiting).into_values().collect();
        for event in pending {
            if let Event::Returned(replica, life, returns) = event {
                self.returned(replica, life, &returns);
            }
        }
        self.plan.faults.network = unreliable;
        self.judge_meters()?;
        let shadows = self.watched.iter().map(|one| one.bucket.worst).chain([self.global.worst]);
        let quotas = self.watched.iter().flat_map(|one| one.quotas.iter().map(|quota| quota.worst));
        let all: Vec<Beyond> = shadows.chain(quotas).collect();
        let most = all.iter().max().copied().unwrap_or_default();
        self.report.worst = (most.requests, most.allowed);
        self.report.worst_unallowed = all.iter().filter(|one| one.allowed == 0).map(|one| one.requests).max().unwrap_or(0);
        Ok(self.report)
    }

    /// Nothing is sent any more: what waits, or was not at the store yet, is told at the end; of what may have been there, nobody knows.
    fn abandon_what_flies(&mut self) {
        let coming: Vec<u64> =
            self.waiting.values().filter_map(|event| if let Event::AtStore(number) = event { Some(*number) } else { None }).collect();
        for (number, flight) in std::mem::take(&mut self.flights) {
            let lives = self.replicas.get(flight.replica).is_some_and(|replica| replica.life == flight.life);
            for job in &flight.jobs {
                if coming.contains(&number) && lives { self.tell_later(flight.replica, job) } else { self.untold(job) }
            }
        }
        for index in 0..self.replicas.len() {
            let waiting: Vec<Job> = self.replicas.get_mut(index).map(|replica| replica.waiting.drain(..).collect()).unwrap_or_default();
            waiting.iter().for_each(|job| self.tell_later(index, job));
        }
    }

    /// What is on the bills is what was answered: all of it, but for what faults lost, and nothing twice. A tenant whose every decision was exact, on a store
    /// that lost nothing, misses nothing that was answered.
    fn judge_meters(&self) -> Result<(), Violation> {
        let store = self.gate.store();
        let faults = self.plan.faults;
        for (index, (watched, of)) in self.watched.iter().zip(&self.plan.tenants).enumerate() {
            let (admitted, denied) = self.metered(&store, index);
            let Meter { answered, decided, denied: refused, lost } = watched.meter;
            let unmetered = if of.leased { self.unmetered } else { self.unmetered.min(self.report.alone * 7) };
            if admitted + lost + unmetered < answered || admitted > decided {
                let but = format!("{lost} may be lost, and of all {unmetered} may be unmetered");
                return Err(self.wrong(format!("{}: {admitted} are metered, {answered} were answered of {decided} decided; {but}", of.uid)));
            }
            let whole = !faults.network && !faults.store && !faults.replicas;
            if whole && admitted != decided || whole && !of.leased && denied != refused {
                let counts = format!("{admitted} and {denied} are metered, {decided} were admitted and {refused} denied");
                return Err(self.wrong(format!("{}: nothing failed, and {counts}", of.uid)));
            }
        }
        Ok(())
    }
}

/// What replicas admit together, each alone with its share: at least one request each.
fn local(limit: Limit, replicas: usize) -> Limit {
    Limit { capacity: limit.capacity + replicas as u64, ..limit }
}
