//! Counters that an operator can hold: list, peek, reset, grant.
//!
//! A counter is one bucket that decisions pay from; which there are comes from the same [`Levels`] that charge ([`inventory`]). To look is a
//! charge of nothing, so what is shown is what the next request would meet. Every change is recorded ([`record`]), whatever became of it.

mod audit;
mod change;
pub mod descriptor;
pub mod inventory;
pub mod reading;
pub mod record;
pub mod routes;

use std::{sync::Arc, time::Duration};

use bulkhead_audit::audit::Audit;
use bulkhead_tenancy::{
    clock::Clock,
    snapshot::{Live, Snapshot},
};

use self::{
    inventory::{Counter, Inventory},
    reading::Reading,
    record::Changes,
};
use crate::{
    admin::{Inside, Refusal},
    ask::Ask,
    charge::{Charge, Shape},
    dropin::service::Dropin,
    levels::Levels,
    store::{Store, StoreError},
};

/// How long the store may take for one request of the admin door.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counters of one call: as many as a batch of decisions.
const LOOKS: usize = 128;

/// The counters of a deployment.
pub struct Counters {
    live: Live,
    levels: Levels,
    store: Arc<dyn Store>,
    dropin: Option<Arc<Dropin>>,
    audit: Option<Arc<Audit>>,
    clock: Arc<dyn Clock>,
    changes: Changes,
}

impl Counters {
    /// The counters that decisions pay from.
    #[must_use]
    pub fn new(inside: Inside) -> Self {
        let Inside { live, store, keys, dropin, audit, clock } = inside;
        Self { live, levels: Levels::new(keys), store, dropin, audit, clock, changes: Changes::default() }
    }

    fn snapshot(&self) -> Result<Arc<Snapshot>, Refusal> {
        self.live.load().ok_or(Refusal::Unavailable("no configuration is loaded yet"))
    }

    fn inventory<'s>(&'s self, snapshot: &'s Snapshot) -> Inventory<'s> {
        Inventory::new(snapshot, &self.levels)
    }

    /// How counters of one store stand, in their order.
    async fn read(&self, store: &dyn Store, counters: &[Counter]) -> Result<Vec<Reading>, StoreError> {
        let look = |one: &Counter| Charge::of(Arc::new(Shape::new().hold(one.scope, one.key.clone(), one.bucket.clone())), 0);
        let mut readings = Vec::with_capacity(counters.len());
        // A long list is many short calls: no decision waits behind one of a thousand looks.
        for some in counters.chunks(LOOKS) {
            let asks: Vec<Ask> = some.iter().map(|one| Ask::one(look(one))).collect();
            let answers = within(store.decide(None, &asks)).await?;
            if answers.len() != asks.len() {
                return Err(StoreError::Garbled);
            }
            readings.extend(asks.iter().zip(&answers).map(|(ask, answer)| Reading::of(&ask.charge, answer)));
        }
        Ok(readings)
    }
}

async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(PATIENCE, call).await.unwrap_or(Err(StoreError::Late))
}

/// What whoever asked is told when the store does not answer.
fn away(error: StoreError) -> Refusal {
    tracing::warn!(error = %error, "the store did not answer the admin door");
    Refusal::Unavailable("the store does not answer")
}
