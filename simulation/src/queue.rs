//! The queue before a store, flooded: the real one, with calls that take their time or are lost, payers of which some flood, and callers who stop waiting.
//!
//! Whoever waits behind floods waits for one decision of each of them, however much they ask; nobody but a payer with its share waiting is refused while there is
//! room; whoever stopped waiting is not charged (S12, S24); everybody else is answered, once; and while anybody waits a call is in flight.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    sync::Arc,
};

use bulkhead_ratelimit::{
    ask::{Answer, Ask},
    bucket::Bucket,
    charge::{Charge, Scope, Shape},
    key::{Account, Keyspace},
    store::{
        StoreError,
        batching::{Batch, Bounds, Entered, Queue, Replied},
        memory::MemoryStore,
    },
};
use bulkhead_tenancy::{
    clock::SystemClock,
    limit::{Rate, RateLimit},
};

use crate::{Report, Violation, chance::Chance};

const BOUNDS: Bounds = Bounds { total: 600, share: 120 };

/// What each payer may be admitted in all: nothing is refilled.
const CAPACITY: u64 = 1 << 30;

enum Event {
    /// A payer asks.
    Asks(usize),
    /// A call ends: of what waited, or of a caller's own.
    Ends(Option<Call>, bool),
    /// Somebody stops waiting.
    Stops(usize, u64),
}

struct Call {
    batch: Batch,
    decided: Vec<Result<Answer, StoreError>>,
    answered: Vec<(Waiter, usize)>,
}

struct Waiter {
    number: u64,
    replied: Option<Replied>,
    /// What other payers had been decided when it came, and how many of its own stood before it.
    decided: Vec<u64>,
    before: u64,
}

struct Payer {
    account: Account,
    shape: Arc<Shape>,
    pause_us: u64,
    burst: u64,
    /// Whoever waits, or stopped waiting and may still be in the queue.
    waiting: VecDeque<Waiter>,
    decided: u64,
}

struct Flooded {
    chance: Chance,
    queue: Queue,
    store: MemoryStore,
    payers: Vec<Payer>,
    now_us: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    due: BTreeMap<u64, Event>,
    sequence: u64,
    calls: u64,
    charged: u64,
    report: Report,
    trace: bool,
}

pub(crate) fn run(seed: u64, decisions: u64, trace: bool) -> Result<Report, Violation> {
    let mut world = Flooded::new(seed, trace);
    while world.report.decisions < decisions && world.step()? {}
    world.end()
}

impl Flooded {
    fn new(seed: u64, trace: bool) -> Self {
        let mut chance = Chance::of(seed);
        let keys = Keyspace::default();
        let count = chance.within(2, 12);
        let payer = |index| {
            // A name of letters and digits is always one.
            let uid = format!("t{index}").parse().unwrap_or_else(|_| unreachable!("a tenant's name"));
            let limit = RateLimit { rate: Rate { requests: 1, period_us: 1 << 22 }, capacity: CAPACITY };
            let shape = Arc::new(Shape::new().hold(Scope::Tenant, keys.tenant(&uid), Bucket::token(limit)));
            let (account, floods) = (keys.account(&uid), chance.one_in(3));
            let (pause_us, burst) = if floods { (chance.within(20, 400), chance.within(10, 200)) } else { (chance.within(500, 20_000), 2) };
            Payer { account, shape, pause_us, burst, waiting: VecDeque::new(), decided: 0 }
        };
        let payers = (0..count).map(payer).collect();
        let (store, queue) = (MemoryStore::new(Arc::new(SystemClock)), Queue::new(BOUNDS));
        let (events, due) = (BinaryHeap::new(), BTreeMap::new());
        let report = Report::default();
        let mut world = Self { chance, queue, store, payers, now_us: 0, events, due, sequence: 0, calls: 0, charged: 0, report, trace };
        (0..world.payers.len()).for_each(|payer| world.after(1, Event::Asks(payer)));
        world
    }

    fn after(&mut self, wait_us: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((self.now_us + wait_us, self.sequence)));
        self.due.insert(self.sequence, event);
    }

    fn wrong(&self, what: impl Into<String>) -> Violation {
        Violation { at_us: self.now_us, what: format!("in the queue: {}", what.into()) }
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

    fn step(&mut self) -> Result<bool, Violation> {
        let Some(Reverse((at_us, number))) = self.events.pop() else { return Ok(false) };
        self.now_us = at_us;
        match self.due.remove(&number) {
            Some(Event::Asks(payer)) => self.asks(payer)?,
            Some(Event::Ends(call, answered)) => self.ends(call, answered)?,
            Some(Event::Stops(payer, number)) => self.stops(payer, number),
            None => {}
        }
        if self.calls == 0 && self.payers.iter().flat_map(|payer| &payer.waiting).any(|waiter| waiter.replied.is_some()) {
            return Err(self.wrong("somebody waits, and no call is in flight"));
        }
        Ok(true)
    }

    fn asks(&mut self, index: usize) -> Result<(), Violation> {
        let Some(payer) = self.payers.get(index) else { return Ok(()) };
        let (shape, pause_us, burst) = (Arc::clone(&payer.shape), payer.pause_us, payer.burst);
        let wait_us = self.chance.within(1, 2 * pause_us);
        self.after(wait_us, Event::Asks(index));
        for _ in 0..self.chance.within(1, burst + 1) {
            self.report.decisions += 1;
            let cost = self.chance.within(1, 3);
            // Shapes of their own are questions of their own, of which a call takes few: then it matters whose turn it is.
            let shape = if self.chance.one_in(4) { Arc::clone(&shape) } else { Arc::new(Shape::clone(&shape)) };
            let ask = Ask::one(Charge::of(shape, cost));
            match self.queue.enter(std::slice::from_ref(&ask)) {
                Entered::Begins => {
                    self.calls += 1;
                    self.decide(&[ask]);
                    let wait_us = self.call_us();
                    self.after(wait_us, Event::Ends(None, true));
                }
                Entered::Waits { replies, leads } => {
                    for replied in replies {
                        self.waits(index, replied)?;
                    }
                    if leads {
                        self.calls += 1;
                        self.begin()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn waits(&mut self, index: usize, replied: Result<Replied, StoreError>) -> Result<(), Violation> {
        let all: usize = self.payers.iter().map(|payer| payer.waiting.len()).sum();
        let decided = self.payers.iter().map(|payer| payer.decided).collect();
        let number = self.sequence + self.report.decisions;
        let Some(payer) = self.payers.get_mut(index) else { return Ok(()) };
        match replied {
            Ok(_) if payer.waiting.iter().filter(|waiter| waiter.replied.is_some()).count() >= BOUNDS.share => {
                Err(self.wrong(format!("payer {index} waits with more than its share")))
            }
            Ok(replied) => {
                let before = payer.waiting.len() as u64;
                payer.waiting.push_back(Waiter { number, replied: Some(replied), decided, before });
                let patience_us = self.chance.within(1_000, 40_000);
                self.after(patience_us, Event::Stops(index, number));
                Ok(())
            }
            Err(error) if error == StoreError::Busy && (payer.waiting.len() >= BOUNDS.share || all >= BOUNDS.total) => {
                self.count("refused by a full queue");
                Ok(())
            }
            Err(error) => Err(self.wrong(format!("payer {index} was refused, and there was room: {error}"))),
        }
    }

    fn stops(&mut self, index: usize, number: u64) {
        let waiter = self.payers.get_mut(index).and_then(|payer| payer.waiting.iter_mut().find(|waiter| waiter.number == number));
        if waiter.and_then(|waiter| waiter.replied.take()).is_some() {
            self.count("callers that stopped waiting");
        }
    }

    fn call_us(&mut self) -> u64 {
        if self.chance.one_in(50) { self.chance.within(5_000, 60_000) } else { self.chance.within(100, 2_000) }
    }

    fn decide(&mut self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        let lost = self.chance.one_in(100);
        if lost {
            self.count("calls lost");
            return asks.iter().map(|_| Err(StoreError::Late)).collect();
        }
        self.charged += asks.iter().map(|ask| u64::from(ask.count) * ask.charge.levels().map(|(_, cost)| cost).sum::<u64>()).sum::<u64>();
        asks.iter().map(|ask| Ok(self.store.answer(None, ask))).collect()
    }

    /// A call of what waits: who is in it, by the order in which each payer's came.
    fn begin(&mut self) -> Result<(), Violation> {
        let batch = self.queue.take();
        let before: Vec<u64> = self.payers.iter().map(|payer| payer.decided).collect();
        let mut answered = Vec::new();
        for (index, payer) in self.payers.iter_mut().enumerate() {
            let own = batch.asks.iter().filter(|ask| ask.charge.payer() == Some(&payer.account));
            let mut count: u64 = own.map(|ask| u64::from(ask.count)).sum();
            payer.decided += count;
            while count > 0 {
                let Some(waiter) = payer.waiting.pop_front() else {
                    return Err(self.wrong(format!("payer {index} is asked for {count} times more than anybody waits for")));
                };
                if waiter.replied.is_some() {
                    count -= 1;
                    answered.push((waiter, index));
                }
            }
        }
        let waiting = self.payers.iter().enumerate().flat_map(|(index, payer)| payer.waiting.iter().map(move |waiter| (waiter, index)));
        for (waiter, index) in waiting.chain(answered.iter().map(|(waiter, index)| (waiter, *index))) {
            let others = before.iter().zip(&waiter.decided).enumerate().filter(|(other, _)| *other != index);
            let most = others.map(|(_, (now, then))| now - then).max().unwrap_or(0);
            if waiter.replied.is_some() && most > waiter.before + 1 {
                return Err(self.wrong(format!("payer {index} waited for {most} decisions of another, with {} of its own", waiter.before)));
            }
        }
        let decided = self.decide(&batch.asks);
        let is_answered = decided.iter().any(Result::is_ok);
        let wait_us = self.call_us();
        self.after(wait_us, Event::Ends(Some(Call { batch, decided, answered }), is_answered));
        Ok(())
    }

    fn ends(&mut self, call: Option<Call>, answered: bool) -> Result<(), Violation> {
        if let Some(Call { batch, decided, answered }) = call {
            batch.answer(decided);
            for (waiter, index) in answered {
                let reply = waiter.replied.and_then(|mut replied| replied.try_recv().ok());
                match reply {
                    Some(Ok(answer)) if answer.admitted == 1 => {}
                    Some(Err(StoreError::Late)) => {}
                    other => return Err(self.wrong(format!("payer {index} waited in the call that ended, and got {other:?}"))),
                }
            }
        }
        self.calls -= 1;
        if self.queue.leave(true, answered) {
            self.calls += 1;
            self.begin()?;
        }
        Ok(())
    }

    /// Nobody asks any more: everybody is answered, and charged is what was asked of the store.
    fn end(mut self) -> Result<Report, Violation> {
        self.due.retain(|_, event| !matches!(event, Event::Asks(_) | Event::Stops(..)));
        while self.step()? {}
        if let Some(index) = self.payers.iter().position(|payer| payer.waiting.iter().any(|waiter| waiter.replied.is_some())) {
            return Err(self.wrong(format!("payer {index} waits for ever")));
        }
        let left = |payer: &Payer| self.store.decide_one(None, &Charge::of(Arc::clone(&payer.shape), 0));
        let used = |payer: &Payer| left(payer).standings().iter().map(|one| CAPACITY - one.remaining).sum::<u64>();
        let used: u64 = self.payers.iter().map(used).sum();
        if used > self.charged {
            return Err(self.wrong(format!("{used} were charged of {} that were asked for", self.charged)));
        }
        Ok(self.report)
    }
}
