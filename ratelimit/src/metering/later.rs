//! What was answered without the store is counted when it is back.
//!
//! A tenant whose failure mode is `open` or `local` is served while the store is away, and what it used belongs on its bill. It is summed up here
//! by line and hour, and told to the store in the hour that it was answered in. What is here when the process is killed is lost. Nothing is
//! ever counted twice: where the store may have counted it already, or may not, it is left out, and counted as unmetered
//! (`bulkhead_ratelimit_unmetered_total`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bulkhead_tenancy::clock::Clock;

use crate::{
    charge::Charge,
    key::Meter,
    store::{Hour, Micros, Store, StoreError, Tally},
};

/// How many lines are kept: some 20 MB. What comes on top is unmetered.
const LINES: usize = 65_536;

/// How many lines of one account one call tells the store.
const CALL: usize = 256;

/// How often the store is tried.
const BETWEEN: Duration = Duration::from_secs(1);

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sums that wait for the store.
pub struct Later {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    most: usize,
    lines: Mutex<HashMap<(Meter, Hour), Sum>>,
}

/// Requests admitted and denied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    admitted: u64,
    denied: u64,
}

impl Sum {
    fn add(&mut self, more: Self) {
        self.admitted = self.admitted.saturating_add(more.admitted);
        self.denied = self.denied.saturating_add(more.denied);
    }
}

impl Later {
    /// Sums for a store. The clock says in which hour something was answered.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, most: LINES, lines: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Meter, Hour), Sum>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what was answered without the store. `untold`: the store has surely not counted it.
    pub(crate) fn count(&self, charge: &Charge, admitted: bool, untold: bool) {
        let hour = Hour::of(Micros(self.clock.now_us()));
        for part in charge.parts().iter().filter(|part| part.cost() > 0) {
            let Some(meter) = part.shape().meter() else { continue };
            let sum = if admitted { Sum { admitted: part.cost(), denied: 0 } } else { Sum { admitted: 0, denied: part.cost() } };
            if untold {
                self.add(meter.clone(), hour, sum);
            } else {
                unmetered("unknown", sum);
            }
        }
    }

    fn add(&self, meter: Meter, hour: Hour, sum: Sum) {
        let mut lines = self.lock();
        let room = lines.len() < self.most;
        match lines.get_mut(&(meter.clone(), hour)) {
            Some(known) => known.add(sum),
            None if room => drop(lines.insert((meter, hour), sum)),
            None => unmetered("full", sum),
        }
    }

    /// Tries the store now and then, for as long as it is polled.
    pub async fn follow(&self) {
        let mut tick = tokio::time::interval(BETWEEN);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.settle().await;
        }
    }

    /// Tells the store everything. What it surely did not count stays for the next time.
    pub async fn settle(&self) {
        let mut calls: HashMap<_, Vec<Meter>> = HashMap::new();
        for (meter, hour) in self.lock().keys() {
            calls.entry((meter.account().clone(), *hour)).or_default().push(meter.clone());
        }
        for ((_, hour), meters) in calls {
            // A call is of one account, so that it is counted whole or not at all, wherever that account is kept.
            for meters in meters.chunks(CALL) {
                let lines = self.take(meters, hour);
                match self.tell(hour, &lines).await {
                    Ok(()) => {}
                    Err(error) if error.is_unknown() => lines.iter().for_each(|(_, sum)| unmetered("unknown", *sum)),
                    Err(_) => {
                        lines.into_iter().for_each(|(meter, sum)| self.add(meter, hour, sum));
                        // What is kept elsewhere may well be told: a silo that is away holds up its own tenant alone.
                        break;
                    }
                }
            }
        }
    }

    /// Takes lines out before they are told: whoever stops us meanwhile must not have them told again.
    fn take(&self, meters: &[Meter], hour: Hour) -> Vec<(Meter, Sum)> {
        let mut lines = self.lock();
        meters.iter().filter_map(|meter| lines.remove(&(meter.clone(), hour)).map(|sum| (meter.clone(), sum))).collect()
    }

    async fn tell(&self, hour: Hour, lines: &[(Meter, Sum)]) -> Result<(), StoreError> {
        let tally = |(meter, sum): &(Meter, Sum)| Tally { meter: meter.clone(), admitted: sum.admitted, denied: sum.denied };
        let tallies: Vec<Tally> = lines.iter().map(tally).collect();
        let within = Micros(hour.0.saturating_mul(3_600_000_000));
        tokio::time::timeout(PATIENCE, self.store.tally(Some(within), &tallies)).await.unwrap_or(Err(StoreError::Late))
    }
}

fn unmetered(why: &'static str, sum: Sum) {
    metrics::counter!("bulkhead_ratelimit_unmetered_total", "why" => why).increment(sum.admitted.saturating_add(sum.denied));
}

#[cfg(test)]
mod tests;
