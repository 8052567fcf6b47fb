//! What waits for the store: in turns, bounded, and gathered into batches of distinct questions.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::fast::RandomState;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    ask::{Answer, Ask},
    key::{Account, Keyed},
    store::StoreError,
};

/// The most decisions of one call.
pub(super) const CALL: usize = 1_024;

/// The most different questions of one call: beyond it a call's cost grows with their number.
pub(super) const QUESTIONS: usize = 128;

/// The most that the questions of one call may weigh ([`Charge::weight`](crate::charge::Charge::weight)), the last one not counted: a millisecond or two of the store's time. Its quotas are
/// a tenant's own to state, and a call of nothing but them would take ten times as long, and make everybody late (S12).
pub(super) const WEIGHT: usize = 768;

/// Calls in flight at a time where few ask, or where more wait than one call holds.
pub(super) const CALLS: usize = 2;

/// A call that held so many decisions tells of a crowd: until there is none, one call is in flight at a time, so that each holds twice as many.
/// What a call costs besides its decisions is then paid half as often, by the store and by us.
pub(super) const CROWD: usize = 4;

/// So many payers are remembered that asked more than a call took of them, before those are forgotten whose time is over.
const REMEMBERED: usize = 4_096;

/// How long they are remembered: longer than any decision waits for the store.
const MEMORY: Duration = Duration::from_secs(60);

/// How many decisions may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// In all.
    pub total: usize,
    /// For each payer: a tenant, or all that is unresolved.
    pub share: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { total: 32_768, share: 4_096 }
    }
}

type Reply = oneshot::Sender<Result<Answer, StoreError>>;
/// Where an answer comes. Whoever drops it has stopped waiting.
pub type Replied = oneshot::Receiver<Result<Answer, StoreError>>;

/// The queue before a store. No I/O, so that a simulation drives it.
pub struct Queue {
    waiting: Mutex<Waiting>,
    bounds: Bounds,
}

/// A queue for each payer that has something to wait for, and whose turn it is. Every key of `queues` stands in `turns` once, and none is empty.
/// While anything waits, a call is in flight: whoever ends one takes what waits.
#[derive(Default)]
pub(super) struct Waiting {
    calls: usize,
    /// Whether the last call of what waited was one of a crowd, and had room for all of it.
    crowded: bool,
    /// When the store answered last.
    answered: Option<Instant>,
    /// When a call last took some of what a payer asked, and left more of it waiting.
    behind: Keyed<Option<Account>, Instant>,
    pub(super) jobs: usize,
    queues: Keyed<Option<Account>, VecDeque<Job>>,
    turns: VecDeque<Option<Account>>,
}

struct Job {
    ask: Ask,
    reply: Reply,
}

/// What becomes of who comes.
pub enum Entered {
    /// Its call may begin at once: it is counted, and ends with [`Queue::leave`].
    Begins,
    /// It waits, ask by ask.
    Waits {
        /// Where each answer comes, or why it does not wait.
        replies: Vec<Result<Replied, StoreError>>,
        /// Another call of what waits may begin: it is counted too.
        leads: bool,
    },
}

impl Waiting {
    #[cfg(test)]
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// Whether another call may be in flight.
    fn has_room(&self) -> bool {
        self.calls < if self.crowded { 1 } else { CALLS }
    }

    fn push(&mut self, payer: Option<Account>, job: Job, bounds: Bounds) -> Result<(), StoreError> {
        if self.jobs >= bounds.total {
            return Err(StoreError::Busy);
        }
        match self.queues.entry(payer) {
            Entry::Occupied(queue) if queue.get().len() >= bounds.share => return Err(StoreError::Busy),
            Entry::Occupied(queue) => queue.into_mut().push_back(job),
            Entry::Vacant(place) => {
                self.turns.push_back(place.key().clone());
                place.insert(VecDeque::from([job]));
            }
        }
        self.jobs += 1;
        Ok(())
    }

    /// Remembers whoever has more waiting than a call took of it.
    fn left_behind(&mut self, groups: &[Group]) {
        if self.jobs == 0 {
            return;
        }
        let now = Instant::now();
        if self.behind.len() >= REMEMBERED {
            self.behind.retain(|_, at| now.duration_since(*at) < MEMORY);
        }
        let payers = groups.iter().map(|group| group.ask.charge.payer().cloned());
        self.behind.extend(payers.filter(|payer| self.queues.contains_key(payer)).map(|payer| (payer, now)));
    }

    /// One job of the payer whose turn it is.
    fn pop(&mut self) -> Option<Job> {
        let payer = self.turns.pop_front()?;
        let Entry::Occupied(mut queue) = self.queues.entry(payer) else { return None };
        let job = queue.get_mut().pop_front();
        if queue.get().is_empty() {
            queue.remove();
        } else {
            self.turns.push_back(queue.key().clone());
        }
        self.jobs -= 1;
        job
    }
}

impl Queue {
    /// An empty one.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { waiting: Mutex::default(), bounds }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Counts and jobs change together, without a step that panics between them.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever comes while nobody waits and a call may begin, begins it; all others wait.
    pub fn enter(&self, asks: &[Ask]) -> Entered {
        let mut waiting = self.lock();
        let has_room = waiting.has_room();
        if has_room && waiting.jobs == 0 {
            waiting.calls += 1;
            return Entered::Begins;
        }
        let mut push = |ask: &Ask| {
            let (reply, replied) = oneshot::channel();
            waiting.push(ask.charge.payer().cloned(), Job { ask: ask.clone(), reply }, self.bounds)?;
            Ok(replied)
        };
        let replies = asks.iter().map(&mut push).collect();
        waiting.calls += usize::from(has_room);
        Entered::Waits { replies, leads: has_room }
    }

    /// Whether nobody waits and no call is in flight.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let waiting = self.lock();
        waiting.queues.is_empty() && waiting.turns.is_empty() && waiting.jobs == 0 && waiting.calls == 0
    }

    /// Ends a call: whether whoever ends it makes another one of what waits, if it can.
    pub fn leave(&self, able: bool, answered: bool) -> bool {
        let mut waiting = self.lock();
        if answered {
            waiting.answered = Some(Instant::now());
        }
        waiting.calls = waiting.calls.saturating_sub(1);
        let goes_on = able && waiting.jobs > 0 && waiting.has_room();
        waiting.calls += usize::from(goes_on);
        goes_on
    }

    /// Whether since a moment the store has answered somebody, and a call left a payer's decisions waiting for others of that payer.
    pub(super) fn stood_behind_own(&self, payer: Option<&Account>, since: Instant) -> bool {
        let waiting = self.lock();
        let after = |at: &Instant| *at >= since;
        waiting.answered.as_ref().is_some_and(after) && waiting.behind.get(&payer.cloned()).is_some_and(after)
    }

    /// The next batch, without those whose caller has stopped waiting: they are answered by their failure mode, and must not be charged.
    #[must_use]
    pub fn take(&self) -> Batch {
        let mut groups: Vec<Group> = Vec::new();
        let mut known: HashMap<(usize, u64), usize, RandomState> = HashMap::default();
        let mut weight = 0;
        let mut waiting = self.lock();
        for _ in 0..CALL {
            if groups.len() >= QUESTIONS || weight >= WEIGHT {
                break;
            }
            let Some(Job { ask, reply }) = waiting.pop() else { break };
            if reply.is_closed() {
                continue;
            }
            if ask.caller.is_gone() {
                // Whoever waits for the answer in its place is told that nothing was done.
                drop(reply.send(Err(StoreError::Busy)));
                continue;
            }
            // Shapes are shared: equal ones have one address, and a batch holds them all.
            let same = match ask.charge.parts() {
                [part] if ask.ahead.is_none() => Some((Arc::as_ptr(part.shape()).addr(), part.cost())),
                _ => None,
            };
            let member = (ask.count, reply);
            match same.and_then(|same| known.get(&same)).and_then(|index| groups.get_mut(*index)).filter(|group| group.has_room(ask.count))
            {
                Some(group) => {
                    group.ask.count += ask.count;
                    group.members.push(member);
                }
                None => {
                    if let Some(same) = same {
                        known.insert(same, groups.len());
                    }
                    weight += ask.charge.weight();
                    groups.push(Group { ask, members: vec![member] });
                }
            }
        }
        let decisions: usize = groups.iter().map(|group| group.members.len()).sum();
        // Who comes too late for any of it tells nothing.
        if decisions > 0 {
            waiting.crowded = decisions >= CROWD && waiting.jobs == 0;
        }
        waiting.left_behind(&groups);
        drop(waiting);
        // What is asked often goes last: a flood must not take the shared credit before whoever asked once (S12).
        groups.sort_by_key(|group| group.ask.count);
        let (asks, members) = groups.into_iter().map(|group| (group.ask, group.members)).unzip();
        Batch { asks, members }
    }
}

/// Equal questions.
struct Group {
    ask: Ask,
    members: Vec<(u32, Reply)>,
}

impl Group {
    /// So many copies one ask has at the most.
    fn has_room(&self, more: u32) -> bool {
        self.ask.count.saturating_add(more) <= u32::from(u16::MAX)
    }
}

/// One call: distinct questions, and who asked each of them, how many times.
pub struct Batch {
    /// What the store is asked.
    pub asks: Vec<Ask>,
    members: Vec<Vec<(u32, Reply)>>,
}

impl Batch {
    /// Gives everybody their own answer.
    pub fn answer(self, decided: Vec<Result<Answer, StoreError>>) {
        let mut decided = decided.into_iter();
        for (ask, members) in self.asks.iter().zip(self.members) {
            let answer = decided.next().unwrap_or(Err(StoreError::Garbled));
            let mut from = 0;
            let alone = members.len() == 1;
            for (count, reply) in members {
                let own = match &answer {
                    Ok(answer) if alone => Ok(answer.clone()),
                    Ok(answer) => Ok(answer.part(&ask.charge, from, count)),
                    Err(error) => Err(error.clone()),
                };
                from += count;
                // Whoever stopped waiting meanwhile has been charged, and answered by its failure mode.
                drop(reply.send(own));
            }
        }
    }
}
