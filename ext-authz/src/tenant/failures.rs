//! Failed authentications, counted before anything is spent on the next one (S5): for each source, for each addressed name, and for all that
//! has no tenant yet.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use bulkhead_tenancy::limit::{MINUTE_US, RateLimit};

/// Counters that are kept: rows of [`WAYS`], 2 MiB for each kind, whatever floods us.
const ROWS: usize = 16_384;
const WAYS: usize = 8;

/// Who is counted as one: an IPv4 address, or the /64 that one IPv6 customer holds at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Source {
    pub(super) fn of(address: IpAddr) -> Self {
        // A dual-stack listener shows IPv4 clients as ::ffff:a.b.c.d: one /64 for all of them if it were taken as it stands.
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// A bucket that failures fill and time empties: GCRA, where `until` is the moment at which it is empty again. A count of 0 a minute is
/// taken as 1: the first failure of a minute closes.
#[derive(Debug, Clone, Copy)]
struct Filling {
    step_us: u64,
    depth_us: u64,
}

impl Filling {
    fn a_minute(count: u64) -> Self {
        let count = count.max(1);
        Self { step_us: (MINUTE_US / count).max(1), depth_us: MINUTE_US }
    }

    fn of(limit: RateLimit) -> Self {
        let step_us = limit.rate.period_us.checked_div(limit.rate.requests).unwrap_or(MINUTE_US).max(1);
        Self { step_us, depth_us: step_us.saturating_mul(limit.capacity.max(1)) }
    }

    fn after_one(self, until: u64, now: u64) -> u64 {
        // `min`: a clock that was set back does not leave a bucket that is full for years.
        until.clamp(now, now.saturating_add(self.depth_us)).saturating_add(self.step_us)
    }

    /// Microseconds until one more failure has room; absent: it has room now.
    fn full(self, until: u64, now: u64) -> Option<u64> {
        let fill = until.saturating_sub(now).min(self.depth_us.saturating_add(self.step_us));
        // A division that left a remainder makes the last step a little short: half a step decides.
        (fill + self.step_us / 2 > self.depth_us).then(|| (fill + self.step_us).saturating_sub(self.depth_us).max(1))
    }
}

/// Counters by key, in bounded memory. A full row gives up its emptiest counter, so a flood of new keys drives out other newcomers, never
/// one that failed much; and the rows are keyed at random, so nobody can aim at another's.
pub(super) struct Counters {
    seed: RandomState,
    rows: Box<[Mutex<[Slot; WAYS]>]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: u64,
    until: u64,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self { seed: RandomState::new(), rows: (0..ROWS).map(|_| Mutex::default()).collect() }
    }

    /// Seconds until this key may try again; absent: it may now.
    pub(super) fn closed(&self, key: impl Hash, a_minute: u64, now: u64) -> Option<u64> {
        let (key, row) = self.row(key);
        let row = row.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = row.iter().find(|slot| slot.key == key)?;
        Filling::a_minute(a_minute).full(slot.until, now).map(seconds)
    }

    /// Whether this key failed within the last minute, as far as it is remembered.
    pub(super) fn failed_lately(&self, key: impl Hash, now: u64) -> bool {
        let (key, row) = self.row(key);
        let row = row.lock().unwrap_or_else(PoisonError::into_inner);
        row.iter().any(|slot| slot.key == key && slot.until.saturating_add(MINUTE_US) > now)
    }

    /// Counts one failure.
    pub(super) fn count(&self, key: impl Hash, a_minute: u64, now: u64) {
        let (key, row) = self.row(key);
        let mut row = row.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match row.iter().position(|slot| slot.key == key) {
            Some(place) => row.get_mut(place),
            None => row.iter_mut().min_by_key(|slot| slot.until),
        };
        if let Some(slot) = slot {
            let until = if slot.key == key { slot.until } else { 0 };
            *slot = Slot { key, until: Filling::a_minute(a_minute).after_one(until, now) };
        }
    }

    fn row(&self, key: impl Hash) -> (u64, &Mutex<[Slot; WAYS]>) {
        // Never 0, which marks an empty slot. The row comes from the upper bits, the key from all of them.
        let hash = self.seed.hash_one(key) | 1;
        let row = (hash >> 32) as usize % ROWS;
        (hash, &self.rows[row])
    }
}

/// The one bucket of what has no tenant yet.
pub(super) struct Unresolved(Mutex<u64>);

impl Unresolved {
    pub(super) fn new() -> Self {
        Self(Mutex::new(0))
    }

    /// Charges one request that proved no tenant; seconds until there is room again where there was none.
    pub(super) fn charge(&self, limit: RateLimit, now: u64) -> Option<u64> {
        let filling = Filling::of(limit);
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if limit.capacity == 0 {
            return Some(60);
        }
        match filling.full(*until, now) {
            Some(wait) => Some(seconds(wait)),
            None => {
                *until = filling.after_one(*until, now);
                None
            }
        }
    }
}

/// Whole seconds, rounded up: `Retry-After` (RFC 9110 section 10.2.3).
fn seconds(micros: u64) -> u64 {
    micros.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000_000;

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    #[test]
    fn s5_a_source_is_closed_after_so_many_failures_and_opens_as_time_goes() {
        for a_minute in [1, 2, 3, 7, 300, 7_000, 1_000_000] {
            let counters = Counters::new();
            for _ in 0..a_minute {
                assert_eq!(counters.closed("x", a_minute, NOW), None, "{a_minute}");
                counters.count("x", a_minute, NOW);
            }
            assert!(counters.closed("x", a_minute, NOW).is_some(), "{a_minute}");
            assert_eq!(counters.closed("y", a_minute, NOW), None);
            assert_eq!(counters.closed("x", a_minute, NOW + MINUTE_US / a_minute + 1), None, "{a_minute}");
        }
    }

    #[test]
    fn s5_a_clock_that_jumps_back_keeps_nobody_out_for_longer_than_a_minute() {
        let counters = Counters::new();
        (0..300).for_each(|_| counters.count("x", 300, NOW));
        let earlier = NOW - 1_000 * MINUTE_US;
        counters.count("x", 300, earlier);
        assert_eq!(counters.closed("x", 300, earlier + MINUTE_US + MINUTE_US / 100), None);
    }

    #[test]
    fn s5_a_source_is_an_ipv4_address_or_an_ipv6_64() {
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("::ffff:192.0.2.1"), source("::ffff:192.0.2.2"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
    }

    #[test]
    fn s5_a_flood_of_distinct_sources_does_not_free_one_that_failed_much() {
        let counters = Counters::new();
        (0..300).for_each(|_| counters.count("offender", 300, NOW));
        // Several times as many as there are counters.
        for other in 0..4 * (ROWS * WAYS) {
            counters.count(other, 300, NOW);
        }
        assert!(counters.closed("offender", 300, NOW).is_some());
        assert_eq!(counters.closed("innocent", 300, NOW), None);
    }

    #[test]
    fn s5_what_has_no_tenant_shares_one_bucket() {
        let unresolved = Unresolved::new();
        let limit = RateLimit::per_minute(600, 1.0);
        for _ in 0..600 {
            assert_eq!(unresolved.charge(limit, NOW), None);
        }
        assert_eq!(unresolved.charge(limit, NOW), Some(1));
        assert_eq!(unresolved.charge(limit, NOW + 100_001), None);
        assert!(Unresolved::new().charge(RateLimit::DENY_ALL, NOW).is_some());
    }
}
