//! The sums, account by account: each has a share of the lines, and is tried again on its own, so that whoever's store is away holds up nobody else (S12).

use std::collections::{BTreeMap, HashMap};

use crate::{
    key::{Account, Keyed, Meter},
    store::{Hour, Tally},
};

/// How many lines are kept in all: some 20 MB. What comes on top is unmetered.
const LINES: usize = 65_536;

/// How many of them one account may have.
const SHARE: usize = 4_096;

/// How many an account may have though there are too many in all: nobody else's many lines take the last of it.
const OWN: usize = 16;

/// How long an account's store is left alone after it was away. Microseconds.
const AGAIN_US: u64 = 1_000_000;

/// Requests admitted and denied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) admitted: u64,
    pub(super) denied: u64,
}

impl Sum {
    fn add(&mut self, more: Self) {
        self.admitted = self.admitted.saturating_add(more.admitted);
        self.denied = self.denied.saturating_add(more.denied);
    }

    pub(super) fn costs(self) -> u64 {
        self.admitted.saturating_add(self.denied)
    }

    pub(super) fn tally(self, meter: &Meter) -> Tally {
        Tally { meter: meter.clone(), admitted: self.admitted, denied: self.denied }
    }
}

/// All sums.
#[derive(Debug)]
pub(super) struct Sums {
    lines: usize,
    accounts: Keyed<Account, Waiting>,
    pub(super) most: usize,
    pub(super) share: usize,
}

/// The sums of one account.
#[derive(Debug, Default)]
struct Waiting {
    lines: HashMap<(Meter, Hour), Sum>,
    /// Its store was away then.
    away_us: Option<u64>,
}

impl Default for Sums {
    fn default() -> Self {
        Self { lines: 0, accounts: Keyed::default(), most: LINES, share: SHARE }
    }
}

impl Sums {
    /// Adds to a line: whether there was room for it.
    pub(super) fn add(&mut self, meter: Meter, hour: Hour, sum: Sum) -> bool {
        let waiting = self.accounts.entry(meter.account().clone()).or_default();
        let held = waiting.lines.len();
        let room = held < self.share && (self.lines < self.most || held < OWN.min(self.share));
        match waiting.lines.get_mut(&(meter.clone(), hour)) {
            Some(known) => known.add(sum),
            None if room => {
                waiting.lines.insert((meter, hour), sum);
                self.lines += 1;
            }
            None => return false,
        }
        true
    }

    /// Adds what could not be told, because the account's store is away: it is left alone for a while.
    pub(super) fn again(&mut self, meter: Meter, hour: Hour, sum: Sum, now_us: u64) -> bool {
        let account = meter.account().clone();
        let kept = self.add(meter, hour, sum);
        self.accounts.entry(account).or_default().away_us = Some(now_us);
        kept
    }

    /// The lines that may be told now, by hour.
    pub(super) fn due(&mut self, now_us: u64) -> Vec<(Hour, Vec<Meter>)> {
        // A clock that was set back must not hold them up.
        for waiting in self.accounts.values_mut() {
            waiting.away_us.take_if(|away_us| now_us.abs_diff(*away_us) >= AGAIN_US);
        }
        self.accounts.retain(|_, waiting| !waiting.lines.is_empty() || waiting.away_us.is_some());
        self.lines(|waiting| waiting.away_us.is_none())
    }

    /// All lines, by hour.
    pub(super) fn all(&self) -> Vec<(Hour, Vec<Meter>)> {
        self.lines(|_| true)
    }

    fn lines(&self, which: impl Fn(&Waiting) -> bool) -> Vec<(Hour, Vec<Meter>)> {
        let mut hours: BTreeMap<Hour, Vec<Meter>> = BTreeMap::new();
        for (meter, hour) in self.accounts.values().filter(|waiting| which(waiting)).flat_map(|waiting| waiting.lines.keys()) {
            hours.entry(*hour).or_default().push(meter.clone());
        }
        hours.into_iter().collect()
    }

    /// Takes lines of an hour out.
    pub(super) fn take(&mut self, meters: &[Meter], hour: Hour) -> Vec<(Meter, Sum)> {
        let mut taken = Vec::with_capacity(meters.len());
        for meter in meters {
            let Some(waiting) = self.accounts.get_mut(meter.account()) else { continue };
            if let Some(sum) = waiting.lines.remove(&(meter.clone(), hour)) {
                self.lines -= 1;
                taken.push((meter.clone(), sum));
            }
        }
        taken
    }

    pub(super) fn total(&self) -> Sum {
        let mut total = Sum::default();
        self.accounts.values().flat_map(|waiting| waiting.lines.values()).for_each(|sum| total.add(*sum));
        total
    }
}
