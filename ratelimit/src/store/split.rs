//! Charges whose buckets are not all in one place: in a cluster a tenant's account is in another slot than the platform's, and a silo tenant's is in another
//! store. No script reaches both, so the global bucket is paid from a lease:
//!
//! 1. The cost is reserved from tokens of the global bucket that this replica has paid for in advance ([`prepaid`]).
//! 2. The tenant's part (guarantee, tenant, subscription, API, quotas) is decided in its own place, in one atomic step as ever. Where
//!    nothing could be reserved, because global is empty or away, the guarantee must hold the cost. What it does not hold is denied where global is
//!    empty; where global is away nobody knows, and the tenant's failure mode answers.
//! 3. A denial gives the reservation back; what a guarantee admitted without one is charged to global afterwards, which may go into debt for it.
//!
//! **Bound.** Global is never exceeded by leases: each token is charged before it is used, and once. Guarantees may put it into debt by
//! the sum of their capacities, as they may in one place, and besides by what they admit until the debt arrives: a moment, or as long as
//! the platform's node is away; a debt whose charge was lost on the way stays uncharged, because it is never sent twice (S24). Admitted less: at most what
//! replicas hold in advance, for at most a second. The tenant's own levels stay exact. What is taken in advance the bucket holds, so that it is not
//! refilled meanwhile; not held are tokens that a denial gave back after their grant was used up, and one of each early fetch: for half a second at most
//! they may be there besides a full bucket.
//!
//! A charge of several parts in several places is decided part by part, and what was charged is given back if any part denies: for that moment
//! those levels admit less. What comes back to a token bucket that has been refilled meanwhile is there besides: never more than such charges cost that are on
//! their way at once. It is counted once all is known; where a part's outcome is not, nothing is counted here, because whoever answers without the store counts.

pub mod by_limit;
pub mod parts;
mod pool;
pub mod prepaid;
mod shapes;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

pub use self::shapes::{Way, apart};
use self::{by_limit::ByLimit, pool::Pool, prepaid::Taken, shapes::Toll};
use super::{Deciding, Ledger, Micros, Store, StoreError, Tally};
use crate::metering::later::unmetered;
use crate::{
    ask::{Answer, Ask, Seen},
    bucket::Bucket,
    charge::{Charge, Role},
    key::{Account, Key},
};

/// What one decision can reach at once: a slot, or a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(pub u64);

/// A store whose accounts are in several places.
pub trait Places: Store {
    /// Where an account is.
    fn place(&self, account: &Account) -> Place;

    /// Whether all accounts are in one place now.
    fn is_one(&self) -> bool {
        false
    }

    /// What is to be done now and then: several times a second.
    fn tend(&self) {}
}

/// A store of several places, as one.
pub struct Split {
    store: Arc<dyn Places>,
    pools: Arc<Pools>,
    deadline: Duration,
    _keeper: AbortOnDropHandle<()>,
}

/// There is one, or two while the global limit changes.
type Pools = Mutex<ByLimit<Arc<Pool>>>;

impl Split {
    /// Splits charges before a store. The deadline is how long that may take to decide: a third of it is waited for the global bucket.
    #[must_use]
    pub fn before(store: Arc<dyn Places>, deadline: Duration) -> Self {
        let pools = Arc::new(Pools::default());
        let keeper = AbortOnDropHandle::new(tokio::spawn(pool::keep(Arc::clone(&pools), Arc::clone(&store))));
        Self { store, pools, deadline, _keeper: keeper }
    }

    fn pool(&self, key: &Key, bucket: &Bucket) -> Arc<Pool> {
        // The map changes in one step, with nothing between that panics.
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = || Arc::new(Pool::new(Arc::clone(&self.store), key.clone(), bucket.clone()));
        Arc::clone(pools.of(key, bucket, pool))
    }

    /// Whether one decision reaches all of a charge.
    fn is_whole(&self, charge: &Charge) -> bool {
        let mut places = charge.levels().map(|(level, _)| self.store.place(level.key().account()));
        let first = places.next();
        places.all(|place| Some(place) == first)
    }

    async fn across(&self, ask: &Ask) -> Result<Answer, StoreError> {
        let toll = Toll::of(&ask.charge);
        let Some(toll) = toll else { return self.in_parts(ask, None, Way::Paid).await };
        let pool = self.pool(&toll.key, &toll.bucket);
        if toll.bucket.capacity() == 0 {
            return Ok(shapes::denied(ask, 0, pool.clock_us()));
        }
        let spread = shapes::places(&self.store, &ask.charge).len() > 1;
        let copies = if ask.charge.parts().len() == 1 && !spread { ask.count } else { 1 };
        let (reserved, taken) = match toll.cost {
            // Its own level denies it, and is asked so that it is counted; nothing is fetched for it.
            _ if shapes::never_passes(&ask.charge) => (copies, Taken::NONE),
            0 => (copies, Taken::NONE),
            cost => pool.reserve(copies, cost, self.deadline / 3).await,
        };
        let away = reserved < copies && pool.is_away();
        let used = Reserved { pool: &pool, toll: &toll, open: reserved, taken, away };
        // Where it may end undecided, it is counted once that is known.
        if spread || (away && copies == 1) {
            let way = if reserved == copies { Way::Paid } else { Way::Lent };
            if way == Way::Lent && !toll.guaranteed {
                return if away { Err(StoreError::Away) } else { Ok(shapes::denied(ask, 0, pool.clock_us())) };
            }
            return self.in_parts(ask, Some(used), way).await;
        }
        self.in_one(ask, used, copies).await
    }

    /// All but the global bucket is in one place: one decision, exact.
    async fn in_one(&self, ask: &Ask, mut used: Reserved<'_>, copies: u32) -> Result<Answer, StoreError> {
        let reserved = used.open;
        let part = |way, count| Ask { charge: shapes::apart(&ask.charge, way), count, ahead: None, caller: ask.caller.clone() };
        let mut asks = Vec::with_capacity(2);
        if reserved > 0 {
            asks.push(part(Way::Paid, reserved));
        }
        if reserved < copies && used.toll.guaranteed {
            asks.push(part(Way::Lent, copies - reserved));
        }
        if asks.is_empty() {
            return Ok(shapes::denied(ask, 0, used.pool.clock_us()));
        }
        let mut answers = self.store.decide_apart(&asks).await.into_iter();
        let paid = if reserved > 0 { answers.next() } else { None };
        let lent = answers.next();
        if let Some(paid) = &paid {
            used.settle(paid);
        }
        let lent_admitted = lent.as_ref().and_then(|lent| lent.as_ref().ok()).map_or(0, |lent| lent.admitted);
        if lent_admitted > 0 {
            used.pool.owe(u64::from(lent_admitted) * used.toll.cost);
        }
        if reserved == 0 && !used.away && matches!(lent, Some(Err(_))) {
            // Global has nothing, and nobody can say whether the tenant is inside its guarantee: its failure mode answers for its own place, not for what all share.
            return Ok(shapes::denied(ask, 0, used.pool.clock_us()));
        }
        let first = match (paid, lent) {
            (Some(Err(error)), _) | (None, Some(Err(error))) => return Err(error),
            (Some(Ok(paid)), _) => paid,
            (None, Some(Ok(lent))) => Answer { admitted: 0, ..lent },
            (None, None) => return Err(StoreError::Garbled),
        };
        if first.faulty {
            return Ok(first);
        }
        let seen = shapes::assemble(&ask.charge, &first.seen, used.toll, reserved, copies);
        Ok(Answer { admitted: first.admitted + lent_admitted, ahead: 0, until_us: 0, seen, ..first })
    }

    /// The parts are in several places: each is decided there, and given back unless all admit.
    async fn in_parts(&self, ask: &Ask, used: Option<Reserved<'_>>, way: Way) -> Result<Answer, StoreError> {
        let groups = parts::groups(|account| self.store.place(account), &ask.charge, way);
        let asks: Vec<Ask> = groups.iter().map(|group| Ask { caller: ask.caller.clone(), ..Ask::one(group.charge.clone()) }).collect();
        let answers = self.store.decide_apart(&asks).await;
        let admitted = answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.admitted == 1));
        let mut error = None;
        let mut now_us = 0;
        let mut faulty = false;
        let mut seen = vec![Seen::default(); ask.charge.levels().count()];
        let mut back = Vec::new();
        for (group, answer) in groups.iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    now_us = answer.now_us;
                    faulty |= answer.faulty;
                    for (place, found) in group.levels.iter().zip(&answer.seen) {
                        if let Some(entry) = seen.get_mut(*place) {
                            *entry = *found;
                        }
                    }
                    if !admitted && answer.admitted == 1 {
                        back.extend(group.back(&answer));
                    }
                }
                Err(why) => error = Some(why),
            }
        }
        if !back.is_empty() {
            // Not known to have come back, it stays charged: those levels admit less, never more.
            let store = Arc::clone(&self.store);
            ended(async move { drop(store.ledger().adjust(None, &back).await) }).await;
        }
        let spent = used.as_ref().filter(|used| way == Way::Lent && !used.away).map(|used| used.pool.clock_us());
        let undecided = !admitted && used.as_ref().is_some_and(|used| used.away) && !shapes::is_denied_by_own(&ask.charge, &seen);
        if let Some(used) = used {
            match way {
                Way::Lent if admitted => used.pool.owe(used.toll.cost),
                Way::Paid if !admitted => used.give_back(1),
                _ => {}
            }
            for (index, (level, cost)) in ask.charge.levels().enumerate() {
                if let Some(entry) = seen.get_mut(index).filter(|_| level.role() == Role::Shared) {
                    entry.credit = if way == Way::Paid { level.bucket().full().max(level.bucket().units(cost)) } else { 0 };
                }
            }
        }
        match error {
            // As where one place decides.
            Some(error) => spent.map(|now_us| shapes::denied(ask, 0, now_us)).ok_or(error),
            None if faulty => Ok(Answer::faulty(now_us)),
            // Nobody knows whether global would have let it pass: whoever is not inside its guarantee is answered by its failure mode.
            None if undecided => Err(StoreError::Away),
            None => {
                self.count(&ask.charge, admitted).await;
                Ok(Answer { admitted: u32::from(admitted), faulty: false, now_us, ahead: 0, until_us: 0, seen })
            }
        }
    }

    /// The meters of a charge whose parts no single decision could count.
    async fn count(&self, charge: &Charge, admitted: bool) {
        self.tell(&parts::tallies(charge, admitted)).await;
    }

    async fn tell(&self, tallies: &[Tally]) {
        if tallies.is_empty() {
            return;
        }
        let (store, tallies) = (Arc::clone(&self.store), tallies.to_vec());
        let told = async move {
            let mut told = store.ledger().tally(None, &tallies).await.into_iter();
            for tally in &tallies {
                if told.next().is_none_or(|told| told.is_err()) {
                    unmetered("apart", tally.admitted.saturating_add(tally.denied));
                }
            }
        };
        ended(told).await;
    }
}

/// What follows a decision comes to its end, also when whoever waits for it has gone.
async fn ended(following: impl Future<Output = ()> + Send + 'static) {
    // It ends with the runtime at the latest.
    let _ = tokio::spawn(following).await;
}

/// Copies whose toll is reserved. Dropped before it is known what became of them (the caller stopped waiting), they are gone: charged, and nobody admitted.
struct Reserved<'p> {
    pool: &'p Arc<Pool>,
    toll: &'p Toll,
    open: u32,
    taken: Taken,
    /// What lacks was not denied: the place of the global bucket does not answer.
    away: bool,
}

impl Reserved<'_> {
    /// What of the reservation was not used comes back. After an unknown outcome none does.
    fn settle(&mut self, paid: &Result<Answer, StoreError>) {
        let unused = match paid {
            Ok(answer) => self.open.saturating_sub(answer.admitted),
            Err(StoreError::Away | StoreError::Busy) => self.open,
            Err(_) => 0,
        };
        self.give_back(unused);
        self.open = 0;
    }

    /// No more than was taken: what can never pass took nothing.
    fn give_back(&self, copies: u32) {
        let tokens = u64::from(copies).saturating_mul(self.toll.cost).min(self.taken.tokens);
        self.pool.give_back(Taken { tokens, ..self.taken });
    }
}

#[async_trait]
impl Store for Split {
    fn decide<'s, 'a, 'd>(&'s self, now: Option<Micros>, asks: &'a [Ask]) -> Deciding<'d, Result<Vec<Answer>, StoreError>>
    where
        's: 'd,
        'a: 'd,
        Self: 'd,
    {
        // Nothing of ours stands between where there is nothing to split: each future is one more place in memory, for each decision that waits.
        if now.is_some() || self.store.is_one() {
            return self.store.decide(now, asks);
        }
        Box::pin(async move { self.decide_apart(asks).await.into_iter().collect() })
    }

    async fn decide_apart(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        if self.store.is_one() || asks.iter().all(|ask| self.is_whole(&ask.charge)) {
            return self.store.decide_apart(asks).await;
        }
        join_all(asks.iter().map(|ask| async move {
            if !self.is_whole(&ask.charge) {
                let answer = self.across(ask).await;
                if answer.is_ok() {
                    self.tell(&Vec::from_iter(ask.tally())).await;
                }
                return answer;
            }
            self.store.decide_apart(std::slice::from_ref(ask)).await.pop().unwrap_or(Err(StoreError::Garbled))
        }))
        .await
    }

    fn stood_behind_own(&self, charge: &Charge, since: Instant) -> bool {
        if self.store.is_one() || self.is_whole(charge) {
            return self.store.stood_behind_own(charge, since);
        }
        // Whoever waits for the global bucket does not wait for long: it is the tenant's own part that may be late.
        self.store.stood_behind_own(&shapes::apart(charge, Way::Paid), since)
    }

    fn passed_without(&self, charge: &Charge) {
        let toll = Toll::of(charge).filter(|toll| toll.cost > 0 && !self.store.is_one() && !self.is_whole(charge));
        if let Some(toll) = toll {
            let pool = self.pool(&toll.key, &toll.bucket);
            // Where nobody knows what global holds, its own outage is what is answered for.
            if !pool.is_away() {
                pool.pay(toll.cost);
            }
        }
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.ledger()
    }
}

#[cfg(test)]
mod tests;
