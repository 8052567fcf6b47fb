//! A cluster as a store: a queue for each node, and a call for each slot.
//!
//! Redis runs a script on keys of one slot only. So a batch of one node's queue goes out as a call for each slot in it, all at once on the node's one
//! connection; what happens to one of them touches no other (S12).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Order, RedisStore, address::HostPort, cluster::slot::slot};
use crate::{
    ask::{Answer, Ask},
    charge::Charge,
    key::Account,
    store::{
        Adjustment, Hour, Ledger, Metered, Micros, Store, StoreError, Tally,
        apart::apart,
        batching::{Batching, Bounds},
        split::{Place, Places},
    },
};

/// A cluster behind a queue a node.
pub struct Sharded {
    slots: Arc<Slots>,
    /// By the node that owns the slot, as far as is known: what stands in line behind a node that hangs is that node's.
    queues: Mutex<HashMap<Option<HostPort>, Arc<Batching>>>,
    bounds: Bounds,
}

impl Sharded {
    /// Puts queues before a cluster.
    #[must_use]
    pub fn before(cluster: RedisStore, bounds: Bounds) -> Self {
        Self { slots: Arc::new(Slots(cluster)), queues: Mutex::default(), bounds }
    }

    /// Waits until every node is connected, for as long as is allowed.
    pub async fn ready(&self, within: Duration) -> bool {
        self.slots.0.ready(within).await
    }

    fn queue(&self, charge: &Charge) -> Arc<Batching> {
        let node = slot_of(charge).and_then(|slot| self.slots.0.owner(slot));
        // The map changes in one step, with nothing between that panics.
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() > 4_096 {
            // Nodes that came and went: whoever waits in a queue holds it.
            queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        }
        let slots = Arc::clone(&self.slots) as Arc<dyn Store>;
        Arc::clone(queues.entry(node).or_insert_with(|| Arc::new(Batching::before(slots, self.bounds))))
    }
}

impl Places for Sharded {
    fn place(&self, account: &Account) -> Place {
        Place(u64::from(slot(account.as_str().as_bytes())))
    }
}

/// The one slot of a charge; none where it has several.
fn slot_of(charge: &Charge) -> Option<u16> {
    let mut slots = charge.levels().map(|(level, _)| slot(level.key().account().as_str().as_bytes()));
    let first = slots.next()?;
    slots.all(|slot| slot == first).then_some(first)
}

#[async_trait]
impl Store for Sharded {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        if now.is_some() {
            return self.slots.decide(now, asks).await;
        }
        self.decide_apart(asks).await.into_iter().collect()
    }

    async fn decide_apart(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        if let [ask] = asks {
            return self.queue(&ask.charge).decide_apart(asks).await;
        }
        // What is of one slot stays together and in order; each queue takes it as one.
        apart(
            asks,
            |ask| slot_of(&ask.charge),
            |group| async move {
                match group.first() {
                    Some(first) => self.queue(&first.charge).decide_apart(&group).await,
                    None => Vec::new(),
                }
            },
        )
        .await
    }

    fn stood_behind_own(&self, charge: &Charge, since: Instant) -> bool {
        self.queue(charge).stood_behind_own(charge, since)
    }

    fn ledger(&self) -> &dyn Ledger {
        self.slots.as_ref()
    }
}

/// The calls of a batch: one a slot.
struct Slots(RedisStore);

impl Slots {
    async fn all(&self, now: Option<Micros>, asks: &[Ask], order: Order) -> Vec<Result<Answer, StoreError>> {
        apart(
            asks,
            |ask| slot_of(&ask.charge),
            |group| async move {
                if group.first().is_some_and(|ask| slot_of(&ask.charge).is_none() && ask.charge.levels().next().is_some()) {
                    return group.iter().map(|_| Err(StoreError::Refused("CROSSSLOT".to_owned()))).collect();
                }
                self.0.decide_at(now, &group, order).await
            },
        )
        .await
    }
}

#[async_trait]
impl Store for Slots {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        self.all(now, asks, Order::Kept).await.into_iter().collect()
    }

    async fn decide_apart(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        self.all(None, asks, Order::Any).await
    }

    fn ledger(&self) -> &dyn Ledger {
        self
    }
}

#[async_trait]
impl Ledger for Slots {
    async fn adjust(&self, now: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>> {
        let slot = |one: &Adjustment| slot(one.key.account().as_str().as_bytes());
        apart(adjustments, slot, |group| async move { self.0.adjust(now, &group).await }).await
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        let slot = |one: &Tally| slot(one.meter.account().as_str().as_bytes());
        apart(tallies, slot, |group| async move { self.0.tally(now, &group).await }).await
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        self.0.metered(account, hour).await
    }
}
