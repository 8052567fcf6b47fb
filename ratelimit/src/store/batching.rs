//! Concurrent decisions drained into one call of the store: the batch is as large as the concurrency makes it, and nothing waits for it to
//! grow. A call costs the store about the same whatever it holds, so this is where speed comes from, with every decision still exact.
//!
//! Whoever comes while a call may begin calls the store itself, without a queue or another task. All others wait, and whatever waits when a
//! call ends is the next call. Two calls may be in flight while few ask; in a crowd it is one, because two would each hold half as much. Equal charges that wait together are one question, so what is asked often costs little more than what is asked once.
//!
//! The queue is bounded, with a share for each payer, so that one tenant's flood finds its own share full and no other tenant's; and payers take
//! turns, so that whoever waits behind a flood waits for one decision of it, not for all (S12).

mod call;
mod queue;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use self::call::{Finished, Slot};
pub use self::queue::{Batch, Bounds, Entered, Queue, Replied};
use super::{Ledger, Micros, Store, StoreError};
use crate::{
    ask::{Answer, Ask},
    charge::Charge,
};

/// A store behind a queue.
pub struct Batching {
    store: Arc<dyn Store>,
    queue: Arc<Queue>,
}

impl Batching {
    /// Puts a queue before a store.
    #[must_use]
    pub fn before(store: Arc<dyn Store>, bounds: Bounds) -> Self {
        Self { store, queue: Arc::new(Queue::new(bounds)) }
    }
}

#[async_trait]
impl Store for Batching {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        if now.is_some() {
            // Decisions of different moments cannot share a call.
            return self.store.decide(now, asks).await;
        }
        self.queued(asks).await.into_iter().collect()
    }

    async fn decide_apart(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        self.queued(asks).await
    }

    fn stood_behind_own(&self, charge: &Charge, since: Instant) -> bool {
        self.queue.stood_behind_own(charge.payer(), since)
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.ledger()
    }
}

impl Batching {
    /// Through the queue: in this call, or in one with others.
    async fn queued(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        let slot = || Slot::new(Arc::clone(&self.queue), Arc::clone(&self.store));
        let replies = match self.queue.enter(asks) {
            Entered::Begins => {
                let (mut slot, store, asks) = (slot(), Arc::clone(&self.store), asks.to_vec());
                let call = async move {
                    let decided = store.decide_apart(&asks).await;
                    slot.ended(&decided);
                    drop(slot);
                    decided
                };
                return Finished::new(call).await;
            }
            Entered::Waits { replies, leads } => {
                if leads {
                    slot().spawn();
                }
                replies
            }
        };
        let mut answers = Vec::with_capacity(replies.len());
        for answered in replies {
            answers.push(match answered {
                Ok(answered) => answered.await.unwrap_or(Err(StoreError::Garbled)),
                Err(error) => Err(error),
            });
        }
        answers
    }
}

#[cfg(test)]
mod tests;
