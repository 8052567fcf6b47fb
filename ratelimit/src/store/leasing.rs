//! A store behind leases ([`crate::lease`]): the shapes that are leased are answered from tokens taken in advance, as far as they go; all others
//! exactly. It stands before the queue.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{Adjustment, Hour, Metered, Micros, Store, StoreError, Tally};
use crate::{
    ask::{Ahead, Answer, Ask},
    key::{Account, Meter},
    lease::{Book, Claim, Dues, Step},
};

/// Books, each with a lock of its own.
const BOOKS: usize = 16;

/// How often returns and tallies are sent. A replica that dies loses the tallies of so long.
pub const FLUSH: Duration = Duration::from_millis(100);

/// Lines of meters that are remembered while the store is away.
const OWED: usize = 65_536;

/// A store behind leases.
pub struct Leasing {
    desk: Arc<Desk>,
    _keeper: AbortOnDropHandle<()>,
}

struct Desk {
    store: Arc<dyn Store>,
    books: Vec<Mutex<Book>>,
    hasher: RandomState,
    began: Instant,
    /// Tallies that could not be sent: the store was away, so it has counted nothing of them.
    owed: Mutex<HashMap<Meter, (u64, u64)>>,
}

impl Leasing {
    /// Puts leases before a store.
    #[must_use]
    pub fn before(store: Arc<dyn Store>) -> Self {
        let books = (0..BOOKS).map(|_| Mutex::default()).collect();
        let desk = Arc::new(Desk { store, books, hasher: RandomState::new(), began: Instant::now(), owed: Mutex::default() });
        let kept = Arc::clone(&desk);
        let keeper = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                tokio::time::sleep(FLUSH).await;
                kept.flush(Book::tick).await;
            }
        }));
        Self { desk, _keeper: keeper }
    }

    /// The end: gives back what is in hand and counts what was not counted yet, for as long as is allowed. From now on every decision is exact.
    pub async fn drain(&self, within: Duration) {
        if tokio::time::timeout(within, self.desk.flush(|book, _| book.drain())).await.is_err() {
            tracing::warn!("the store did not take back in time what was taken in advance: it forgets it in seconds");
        }
    }

    /// Copies in hand.
    #[must_use]
    pub fn in_hand(&self) -> u64 {
        self.desk.books.iter().map(|book| lock(book).in_hand()).sum()
    }
}

impl Desk {
    /// A clock that never goes back, and that no one sets.
    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn book(&self, claim: &Claim) -> Option<&Mutex<Book>> {
        let index = self.hasher.hash_one(claim) % BOOKS as u64;
        self.books.get(usize::try_from(index).unwrap_or(0))
    }

    async fn one(self: &Arc<Self>, ask: &Ask) -> Result<Answer, StoreError> {
        let claimed = Claim::of(ask).and_then(|claim| Some((self.book(&claim)?, claim)));
        let Some((book, claim)) = claimed else { return self.exact(ask).await };
        let sent_us = self.now_us();
        let step = lock(book).request(&claim, sent_us);
        match step {
            Step::Done(answer) => {
                let decision = if answer.admitted > 0 { "admitted" } else { "denied" };
                metrics::counter!("bulkhead_ratelimit_leased_total", "decision" => decision).increment(1);
                Ok(answer)
            }
            Step::Ask(None) => self.ask(ask, claim, None, sent_us).await,
            // What is taken in advance must reach the book though whoever asked no longer waits: it would be charged, and nobody would have it.
            Step::Ask(ahead) => {
                let (desk, ask) = (Arc::clone(self), Ask { ahead, ..ask.clone() });
                let asking = tokio::spawn(async move { desk.ask(&ask, claim, ahead, sent_us).await });
                asking.await.unwrap_or(Err(StoreError::Garbled))
            }
        }
    }

    async fn ask(&self, ask: &Ask, claim: Claim, ahead: Option<Ahead>, sent_us: u64) -> Result<Answer, StoreError> {
        let Some(book) = self.book(&claim) else { return self.exact(ask).await };
        let mut asked = Asked { desk: self, book, claim: &claim, ahead, open: true };
        match self.exact(ask).await {
            Ok(answer) => {
                asked.open = false;
                Ok(lock(book).answered(&claim, ahead, sent_us, answer, self.now_us()))
            }
            Err(error) => asked.failed().ok_or(error),
        }
    }

    async fn exact(&self, ask: &Ask) -> Result<Answer, StoreError> {
        self.store.decide(None, std::slice::from_ref(ask)).await?.into_iter().next().ok_or(StoreError::Garbled)
    }

    /// Sends what is due. What was sent is never sent again: it may have been taken (S12, S24).
    async fn flush(&self, due: impl Fn(&mut Book, u64) -> Dues) {
        let mut returns = Vec::new();
        for book in &self.books {
            let dues = due(&mut lock(book), self.now_us());
            returns.extend(dues.returns);
            self.owe(dues.tallies);
        }
        if !returns.is_empty() && self.store.adjust(None, &returns).await.is_err() {
            metrics::counter!("bulkhead_ratelimit_leases_not_returned_total").increment(1);
        }
        let owed = std::mem::take(&mut *lock(&self.owed));
        let tallies: Vec<Tally> = owed.into_iter().map(|(meter, (admitted, denied))| Tally { meter, admitted, denied }).collect();
        if tallies.is_empty() {
            return;
        }
        let told = self.store.tally_apart(None, &tallies).await;
        let (mut away, mut lost) = (Vec::new(), 0);
        for (tally, told) in tallies.into_iter().zip(told) {
            match told {
                Ok(()) => {}
                Err(StoreError::Away) => away.push(tally),
                Err(_) => lost += 1,
            }
        }
        metrics::counter!("bulkhead_ratelimit_tallies_lost_total").increment(lost);
        self.owe(away);
    }

    fn owe(&self, tallies: Vec<Tally>) {
        if tallies.is_empty() {
            return;
        }
        let mut owed = lock(&self.owed);
        for Tally { meter, admitted, denied } in tallies {
            if owed.len() >= OWED && !owed.contains_key(&meter) {
                metrics::counter!("bulkhead_ratelimit_tallies_lost_total").increment(1);
                continue;
            }
            let line = owed.entry(meter).or_default();
            *line = (line.0.saturating_add(admitted), line.1.saturating_add(denied));
        }
    }
}

/// Something that was asked of the store. Whoever stops waiting for it must not leave the book waiting.
struct Asked<'a> {
    desk: &'a Desk,
    book: &'a Mutex<Book>,
    claim: &'a Claim,
    ahead: Option<Ahead>,
    open: bool,
}

impl Asked<'_> {
    fn failed(&mut self) -> Option<Answer> {
        self.open = false;
        lock(self.book).failed(self.claim, self.ahead, self.desk.now_us())
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.open {
            lock(self.book).abandoned(self.claim, self.ahead, self.desk.now_us());
        }
    }
}

/// A poisoned book is whole all the same: it does nothing that panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for Leasing {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        // A moment that is given is not ours: leases live on our own clock.
        if now.is_some() || asks.iter().all(|ask| Claim::of(ask).is_none()) {
            return self.desk.store.decide(now, asks).await;
        }
        let mut answers = Vec::with_capacity(asks.len());
        for ask in asks {
            answers.push(self.desk.one(ask).await?);
        }
        Ok(answers)
    }

    async fn adjust(&self, now: Option<Micros>, adjustments: &[Adjustment]) -> Result<Vec<bool>, StoreError> {
        self.desk.store.adjust(now, adjustments).await
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Result<(), StoreError> {
        self.desk.store.tally(now, tallies).await
    }

    async fn tally_apart(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        self.desk.store.tally_apart(now, tallies).await
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        self.desk.store.metered(account, hour).await
    }
}
