//! Denials beyond a rate are merged: a flood of one tenant has some lines of its own in each window, and is counted beyond them. What was
//! merged is told once, with the count and the first and last decision id (S11).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use bulkhead_tenancy::{clock::Clock, name::TenantUid};
use serde::Serialize;

/// The length of a window, in microseconds.
pub const WINDOW_US: u64 = 10_000_000;

/// Merges per tenant. `T` is what is needed to tell of it.
pub struct Merger<T> {
    clock: Arc<dyn Clock>,
    lines: u32,
    /// By proven tenant, which bounds the number of entries; none: all that is unresolved, together.
    windows: Mutex<HashMap<Option<TenantUid>, Window<T>>>,
}

/// What one tenant did in one window.
struct Window<T> {
    since_us: u64,
    lines: u32,
    merged: Option<(T, Merged)>,
}

/// Denials that have no line of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// How many.
    pub count: u64,
    /// Of which verdicts.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// The decision id of the first.
    pub first: String,
    /// The decision id of the last.
    pub last: String,
}

/// What becomes of one denial.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted<T> {
    /// What the last window merged, if it is over: to be told now.
    pub over: Option<(T, Merged)>,
    /// Whether this one has a line of its own; else it is counted.
    pub line: bool,
}

impl<T> Merger<T> {
    /// So many lines a tenant and window.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, lines: u32) -> Self {
        Self { clock, lines, windows: Mutex::default() }
    }

    /// Takes place for a line in the tenant's window, or counts it.
    pub fn admit(&self, tenant: Option<&TenantUid>, id: &str, verdict: &'static str, about: impl FnOnce() -> T) -> Admitted<T> {
        let now = self.clock.now_us();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(tenant.cloned()).or_insert_with(|| Window::new(now));
        let over = if window.is_over(now) { std::mem::replace(window, Window::new(now)).merged } else { None };
        if window.lines < self.lines {
            window.lines += 1;
            return Admitted { over, line: true };
        }
        let (_, merged) = window.merged.get_or_insert_with(|| (about(), Merged::beginning(id)));
        merged.add(id, verdict);
        Admitted { over, line: false }
    }

    /// What windows merged that are over. They are forgotten.
    pub fn sweep(&self) -> Vec<(T, Merged)> {
        let now = self.clock.now_us();
        self.take(|window| window.is_over(now))
    }

    /// Everything that was merged and not told: the service ends.
    pub fn flush(&self) -> Vec<(T, Merged)> {
        self.take(|_| true)
    }

    fn take(&self, over: impl Fn(&Window<T>) -> bool) -> Vec<(T, Merged)> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.extract_if(|_, window| over(window)).filter_map(|(_, window)| window.merged).collect()
    }
}

impl<T> Window<T> {
    const fn new(since_us: u64) -> Self {
        Self { since_us, lines: 0, merged: None }
    }

    /// Also where the clock was set back.
    const fn is_over(&self, now: u64) -> bool {
        now < self.since_us || now - self.since_us >= WINDOW_US
    }
}

impl Merged {
    fn beginning(id: &str) -> Self {
        Self { count: 0, verdicts: BTreeMap::new(), first: id.to_owned(), last: String::new() }
    }

    fn add(&mut self, id: &str, verdict: &'static str) {
        self.count += 1;
        *self.verdicts.entry(verdict).or_default() += 1;
        id.clone_into(&mut self.last);
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::clock::ManualClock;
    use proptest::prelude::*;

    use super::*;

    const LINES: u32 = 3;

    #[test]
    fn s11_a_flood_of_one_tenant_is_merged_and_another_keeps_its_lines() {
        let clock = ManualClock::at_us(1);
        let merger = Merger::new(Arc::new(clock.clone()), LINES);
        let (acme, globex): (TenantUid, TenantUid) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let line = |line| Admitted { over: None, line };
        for nth in 0..LINES {
            assert_eq!(merger.admit(Some(&acme), &nth.to_string(), "role", || "acme"), line(true));
        }
        for (id, verdict) in [("a", "role"), ("b", "tool"), ("c", "role")] {
            assert_eq!(merger.admit(Some(&acme), id, verdict, || "acme"), line(false));
        }
        assert_eq!(merger.admit(Some(&globex), "x", "role", || "globex"), line(true));
        assert_eq!(merger.admit(None, "y", "role", || "nobody"), line(true));
        clock.advance_us(WINDOW_US);
        let verdicts = BTreeMap::from([("role", 2), ("tool", 1)]);
        let merged = Merged { count: 3, verdicts, first: "a".to_owned(), last: "c".to_owned() };
        assert_eq!(merger.admit(Some(&acme), "d", "role", || "acme"), Admitted { over: Some(("acme", merged)), line: true });
    }

    proptest! {
        /// Whatever comes when: each denial has a line, or is in exactly one merged record of its own tenant.
        #[test]
        fn merging_conserves_counts(denials in proptest::collection::vec((0_usize..3, 0_u64..WINDOW_US), 0..200), sweeps in any::<bool>()) {
            let clock = ManualClock::at_us(1);
            let merger = Merger::new(Arc::new(clock.clone()), LINES);
            let uids: Vec<Option<TenantUid>> = vec![None, Some("a".parse().unwrap()), Some("b".parse().unwrap())];
            let (mut told, mut all) = ([0_u64; 3], [0_u64; 3]);
            let add = |told: &mut [u64; 3], (of, merged): (usize, Merged)| {
                told[of] += merged.count;
                assert_eq!(merged.count, merged.verdicts.values().sum::<u64>());
            };
            for (of, later) in denials {
                clock.advance_us(later / 8);
                all[of] += 1;
                let Admitted { over, line } = merger.admit(uids[of].as_ref(), "id", "role", || of);
                told[of] += u64::from(line);
                over.into_iter().for_each(|one| add(&mut told, one));
                if sweeps {
                    merger.sweep().into_iter().for_each(|one| add(&mut told, one));
                }
            }
            merger.flush().into_iter().for_each(|one| add(&mut told, one));
            prop_assert_eq!(told, all);
        }
    }
}
