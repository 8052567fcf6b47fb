//! What was answered without the store is counted when it can be told.
//!
//! That is what leases answered ([`crate::lease`]), told a moment later; and what a tenant was served in its failure mode (`open`, `local`) while the store
//! was away, which belongs on its bill all the same. It is summed up here by line and hour, and told to the store in the hour that it was answered in. What
//! is here when the process is killed is lost. Nothing is ever counted twice: where the store may have counted it already, or may not, it is left out, and
//! counted as unmetered (`bulkhead_ratelimit_unmetered_total`).

mod sums;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bulkhead_tenancy::clock::Clock;

use self::sums::{Sum, Sums};
use crate::{
    charge::Charge,
    key::Meter,
    store::{Hour, Micros, Store, StoreError, Tally},
};

/// How many lines one call tells the store.
const CALL: usize = 256;

/// How often the store is told. A process that is killed loses what it was not told for so long.
pub const BETWEEN: Duration = Duration::from_millis(100);

/// Sums that wait for the store.
pub struct Later {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    sums: Mutex<Sums>,
}

impl Later {
    /// Sums for a store. The clock says in which hour something was answered.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, sums: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        // Each step leaves it whole, and none panics.
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what was answered in a failure mode. `untold`: the store has surely not counted it.
    pub fn count(&self, charge: &Charge, admitted: bool, untold: bool) {
        for part in charge.parts().iter().filter(|part| part.cost() > 0) {
            let Some(meter) = part.shape().meter() else { continue };
            let sum = if admitted { Sum { admitted: part.cost(), denied: 0 } } else { Sum { admitted: 0, denied: part.cost() } };
            if untold {
                self.add(meter.clone(), self.hour(), sum);
            } else {
                unmetered("unknown", sum.costs());
            }
        }
    }

    /// Tells of what was refused, and may stand on the bill all the same: the store may have charged and counted it.
    pub fn unanswered(charge: &Charge) {
        let parts = charge.parts().iter().filter(|part| part.shape().meter().is_some());
        unmetered("unanswered", parts.fold(0, |sum, part| sum.saturating_add(part.cost())));
    }

    /// Counts what leases answered in an hour.
    pub fn leased(&self, hour: Hour, tallies: Vec<Tally>) {
        for Tally { meter, admitted, denied } in tallies {
            self.add(meter, hour, Sum { admitted, denied });
        }
    }

    /// The hour that it is.
    #[must_use]
    pub fn hour(&self) -> Hour {
        Hour::of(Micros(self.clock.now_us()))
    }

    fn add(&self, meter: Meter, hour: Hour, sum: Sum) {
        if !self.lock().add(meter, hour, sum) {
            unmetered("full", sum.costs());
        }
    }

    /// Costs that wait: admitted and denied.
    #[must_use]
    pub fn waiting(&self) -> (u64, u64) {
        let Sum { admitted, denied } = self.lock().total();
        (admitted, denied)
    }

    /// Tells the store again and again, for as long as it is polled.
    pub async fn follow(&self) {
        let mut tick = tokio::time::interval(BETWEEN);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let due = self.lock().due(self.clock.now_us());
            self.tell(due).await;
        }
    }

    /// Tells the store everything. What it surely did not count stays for the next time.
    pub async fn settle(&self) {
        let all = self.lock().all();
        self.tell(all).await;
    }

    async fn tell(&self, due: Vec<(Hour, Vec<Meter>)>) {
        for (hour, meters) in due {
            let within = Micros(hour.0.saturating_mul(3_600_000_000));
            for meters in meters.chunks(CALL) {
                // Taken out before they are told: whoever stops us meanwhile must not have them told again.
                let lines = self.lock().take(meters, hour);
                let tallies: Vec<Tally> = lines.iter().map(|(meter, sum)| sum.tally(meter)).collect();
                let mut told = self.store.ledger().tally(Some(within), &tallies).await.into_iter();
                for (meter, sum) in lines {
                    match told.next().unwrap_or(Err(StoreError::Garbled)) {
                        Ok(()) => {}
                        Err(error) if error.is_unknown() => unmetered("unknown", sum.costs()),
                        Err(_) if self.lock().again(meter, hour, sum, self.clock.now_us()) => {}
                        Err(_) => unmetered("full", sum.costs()),
                    }
                }
            }
        }
    }
}

/// Costs are on no bill.
pub(crate) fn unmetered(why: &'static str, costs: u64) {
    metrics::counter!("bulkhead_ratelimit_unmetered_total", "why" => why).increment(costs);
}

/// Costs are on a bill, on the line without names.
pub(crate) fn unnamed(costs: u64) {
    metrics::counter!("bulkhead_ratelimit_unnamed_total").increment(costs);
}

#[cfg(test)]
mod tests;
