//! A store behind leases ([`crate::lease`]): the shapes that are leased are answered from tokens taken in advance, as far as they go; all others
//! exactly. It stands before the queue.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{Adjustment, Deciding, Hour, Ledger, Micros, Store, StoreError, Tally};
use crate::{
    ask::{Ahead, Answer, Ask, Caller},
    charge::Charge,
    key::{Account, Keyed},
    lease::{Book, Claim, Dues, Step, unreturned},
    look::InHand,
    metering::later::{Later, unmetered},
};

/// Books, each with a lock of its own.
const BOOKS: usize = 16;

/// How many leases are renewed together: as many different questions as a call of the queue holds.
const RENEWALS: usize = 128;

/// How often what is due is looked for: what is idle comes back, and what was answered is handed over to be metered.
pub const FLUSH: Duration = Duration::from_millis(100);

/// A store behind leases.
pub struct Leasing {
    desk: Arc<Desk>,
    _keeper: AbortOnDropHandle<()>,
}

struct Desk {
    store: Arc<dyn Store>,
    books: Vec<Mutex<Book>>,
    began: Instant,
    unreturned: Mutex<unreturned::Waiting>,
    /// What leases answered, for the meters; and the hour in which they answer.
    later: Arc<Later>,
    hour: Mutex<Hour>,
    /// What takes in advance, and must reach its book.
    asking: TaskTracker,
}

impl Leasing {
    /// Puts leases before a store. What they answer is metered later.
    #[must_use]
    pub fn before(store: Arc<dyn Store>, later: Arc<Later>) -> Self {
        let books = (0..BOOKS).map(|_| Mutex::default()).collect();
        let hour = Mutex::new(later.hour());
        let desk =
            Arc::new(Desk { store, books, began: Instant::now(), unreturned: Mutex::default(), later, hour, asking: TaskTracker::new() });
        let kept = Arc::clone(&desk);
        let keeper = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                tokio::time::sleep(FLUSH).await;
                kept.flush(Book::tick).await;
            }
        }));
        Self { desk, _keeper: keeper }
    }

    /// The end: gives back what is in hand and has metered what was not metered yet, for as long as is allowed. From now on every decision is exact.
    pub async fn drain(&self, within: Duration) {
        let end = async {
            lock(&self.desk.unreturned).close();
            self.desk.flush(|book, _| book.drain()).await;
            // What was on its way then is granted to books that are closed, and goes back, too.
            self.desk.asking.close();
            self.desk.asking.wait().await;
            self.desk.flush(|book, _| book.drain()).await;
            self.desk.later.settle().await;
        };
        if tokio::time::timeout(within, end).await.is_err() {
            tracing::warn!(
                "the store did not take back in time what was taken in advance: it forgets it in seconds, and of a quota with its period"
            );
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
        // Not by the bits that a book's own map goes by.
        let index = (claim.spread() >> 40) % BOOKS as u64;
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
            // What was taken in advance must reach the book though whoever asked no longer waits: it is charged, and nobody would have it. What was not
            // sent yet is not: it would be charged for nobody.
            Step::Ask(ahead) => {
                let here = Arc::new(());
                let (desk, ask) = (Arc::clone(self), Ask { ahead, caller: Caller::of(&here), ..ask.clone() });
                let asking = self.asking.spawn(async move { desk.ask(&ask, claim, ahead, sent_us).await });
                asking.await.unwrap_or(Err(StoreError::Garbled))
            }
        }
    }

    async fn ask(&self, ask: &Ask, claim: Claim, ahead: Option<Ahead>, sent_us: u64) -> Result<Answer, StoreError> {
        let Some(book) = self.book(&claim) else { return self.exact(ask).await };
        let mut asked = Asked { desk: self, book, claim: &claim, ahead, hour: self.later.hour(), open: true };
        if ask.caller.is_gone() {
            asked.undone();
            return Err(StoreError::Busy);
        }
        match self.exact(ask).await {
            // It was sent before its caller went. What is in hand answers nobody.
            Ok(answer) if ask.caller.is_gone() => {
                asked.open = false;
                lock(book).renewed(&claim, sent_us, &answer, self.now_us());
                Ok(answer)
            }
            Ok(answer) => {
                asked.open = false;
                Ok(lock(book).answered(&claim, ahead, sent_us, answer, self.now_us()))
            }
            // It may be charged and metered already: what is in hand would be a second time.
            Err(error) if error.is_unknown() => Err(error),
            Err(error) if ask.caller.is_gone() => {
                asked.undone();
                Err(error)
            }
            Err(error) => asked.failed().ok_or(error),
        }
    }

    /// Renews leases of many claims, payer by payer: they come into as few calls as there may be, and none waits for the answers of another's (S12).
    async fn renew(&self, some: Vec<(Claim, Ahead)>) {
        let mut payers: Keyed<Option<Account>, Vec<(Claim, Ahead)>> = Keyed::default();
        for (claim, ahead) in some {
            payers.entry(claim.payer().cloned()).or_default().push((claim, ahead));
        }
        join_all(payers.values().map(|own| self.renew_own(own))).await;
    }

    async fn renew_own(&self, some: &[(Claim, Ahead)]) {
        let sent_us = self.now_us();
        let hour = self.later.hour();
        let asked = some
            .iter()
            .filter_map(|(claim, ahead)| Some(Asked { desk: self, book: self.book(claim)?, claim, ahead: Some(*ahead), hour, open: true }));
        let asked: Vec<Asked<'_>> = asked.collect();
        let asks: Vec<Ask> = some.iter().map(|(claim, ahead)| claim.renewal(*ahead)).collect();
        let answers = self.store.decide_apart(&asks).await;
        for (mut asked, answer) in asked.into_iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    asked.open = false;
                    lock(asked.book).renewed(asked.claim, sent_us, &answer, self.now_us());
                }
                // It may have been taken: it is abandoned.
                Err(error) if error.is_unknown() => {}
                Err(_) => asked.undone(),
            }
        }
    }

    async fn exact(&self, ask: &Ask) -> Result<Answer, StoreError> {
        self.store.decide(None, std::slice::from_ref(ask)).await?.into_iter().next().ok_or(StoreError::Garbled)
    }

    /// Sends what is due. What was sent is never sent again, because it may have been taken (S12, S24); what found the store away is.
    async fn flush(self: &Arc<Self>, due: impl Fn(&mut Book, u64) -> Dues) {
        let (mut returns, mut renewals) = (Vec::new(), Vec::new());
        // What was answered before an hour ended is metered in it.
        let now = self.later.hour();
        let hour = std::mem::replace(&mut *lock(&self.hour), now);
        for book in &self.books {
            let (dues, rest) = {
                let mut book = lock(book);
                (due(&mut book, self.now_us()), if hour == now { Vec::new() } else { book.tallies() })
            };
            returns.extend(dues.returns);
            renewals.extend(dues.renewals);
            self.later.leased(hour, dues.tallies);
            self.later.leased(hour, rest);
        }
        for some in renewals.chunks(RENEWALS) {
            // As what a request takes in advance, it must reach the book. Nobody waits for it.
            let (desk, some) = (Arc::clone(self), some.to_vec());
            self.asking.spawn(async move { desk.renew(some).await });
        }
        let due = lock(&self.unreturned).due(returns, self.now_us());
        if due.is_empty() {
            return;
        }
        let adjustments: Vec<Adjustment> = due.iter().map(|one| one.adjustment.clone()).collect();
        let mut told = self.store.ledger().adjust(None, &adjustments).await.into_iter();
        let mut lost = 0;
        for one in due {
            match told.next().unwrap_or(Err(StoreError::Garbled)) {
                Ok(_) => {}
                Err(StoreError::Away | StoreError::Busy) if lock(&self.unreturned).keep(&one, self.now_us()) => {}
                Err(_) => lost += 1,
            }
        }
        if lost > 0 {
            metrics::counter!("bulkhead_ratelimit_leases_not_returned_total").increment(lost);
        }
    }
}

/// Something that was asked of the store. Whoever stops waiting for it must not leave the book waiting.
struct Asked<'a> {
    desk: &'a Desk,
    book: &'a Mutex<Book>,
    claim: &'a Claim,
    ahead: Option<Ahead>,
    /// In which what is told with it was answered.
    hour: Hour,
    open: bool,
}

impl Asked<'_> {
    fn told(&self) -> Option<Tally> {
        self.claim.renewal(self.ahead?).tally()
    }

    /// It was not done: what was to be told with it is told later.
    fn tell_later(&mut self) {
        self.open = false;
        self.desk.later.leased(self.hour, self.told().into_iter().collect());
    }

    /// It was not done, and what is in hand may answer.
    fn failed(&mut self) -> Option<Answer> {
        self.tell_later();
        lock(self.book).failed(self.claim, self.ahead, self.desk.now_us())
    }

    /// It was not done, and nobody waits for it.
    fn undone(&mut self) {
        self.tell_later();
        lock(self.book).undone(self.claim, self.ahead, self.desk.now_us());
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.open {
            // It may be counted.
            self.told().iter().for_each(|tally| unmetered("unknown", tally.admitted.saturating_add(tally.denied)));
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
    fn decide<'s, 'a, 'd>(&'s self, now: Option<Micros>, asks: &'a [Ask]) -> Deciding<'d, Result<Vec<Answer>, StoreError>>
    where
        's: 'd,
        'a: 'd,
        Self: 'd,
    {
        // A moment that is given is not ours: leases live on our own clock.
        if now.is_some() || asks.iter().all(|ask| Claim::of(ask).is_none()) {
            return self.desk.store.decide(now, asks);
        }
        Box::pin(async move { self.decide_apart(asks).await.into_iter().collect() })
    }

    async fn decide_apart(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        match asks {
            [ask] => vec![self.desk.one(ask).await],
            asks => join_all(asks.iter().map(|ask| self.desk.one(ask))).await,
        }
    }

    fn stood_behind_own(&self, charge: &Charge, since: Instant) -> bool {
        self.desk.store.stood_behind_own(charge, since)
    }

    fn passed_without(&self, charge: &Charge) {
        self.desk.store.passed_without(charge);
    }

    fn in_hand(&self, charge: &Charge) -> InHand {
        let (desk, now_us) = (&self.desk, self.desk.now_us());
        let requests = desk.books.iter().map(|book| lock(book).held_of(charge.payer(), now_us)).sum();
        let answer = Claim::of(&Ask::one(charge.clone())).and_then(|claim| lock(desk.book(&claim)?).look(&claim, now_us));
        InHand { requests, answer }
    }

    fn ledger(&self) -> &dyn Ledger {
        self.desk.store.ledger()
    }
}
