//! The local cache: windows known to be used up are answered without the store until they end.
//!
//! The original remembers the key alone, so that a descriptor's own limit of 5 also denies under its next limit of 50 while the window lasts. Here
//! the limit is part of what is remembered.

use std::time::{Duration, Instant};

use moka::{Expiry, policy::EvictionPolicy, sync::Cache};

use crate::key::Key;

/// What one entry takes beside its key: an estimate of moka's own part.
const ENTRY_BYTES: usize = 128;

/// Windows that are used up.
pub(super) struct UsedUp(Cache<(Key, u32), Duration>);

/// Each entry lives as long as its value says.
struct UntilTheEnd;

impl Expiry<(Key, u32), Duration> for UntilTheEnd {
    fn expire_after_create(&self, _: &(Key, u32), left: &Duration, _: Instant) -> Option<Duration> {
        Some(*left)
    }

    fn expire_after_update(&self, _: &(Key, u32), left: &Duration, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(*left)
    }
}

impl UsedUp {
    /// A cache of at most so many bytes (LOCAL_CACHE_SIZE_IN_BYTES).
    pub(super) fn new(bytes: usize) -> Self {
        let weigh = |(key, _): &(Key, u32), _: &Duration| u32::try_from(key.account().as_str().len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        // The least recently used goes first: a flood of windows used up once each must not be kept out by what was used often an hour ago.
        let cache = Cache::builder().max_capacity(bytes).weigher(weigh).eviction_policy(EvictionPolicy::lru()).expire_after(UntilTheEnd);
        Self(cache.build())
    }

    /// Forgets a window: somebody made room in it.
    pub(super) fn forget(&self, key: &Key, limit: u32) {
        self.0.invalidate(&(key.clone(), limit));
    }

    /// Remembers that a window is used up under a limit, for as long as it lasts.
    pub(super) fn remember(&self, key: &Key, limit: u32, left: Duration) {
        self.0.insert((key.clone(), limit), left);
    }

    /// Whether a window is known to be used up under a limit.
    pub(super) fn knows(&self, key: &Key, limit: u32) -> bool {
        self.0.contains_key(&(key.clone(), limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Keyspace;

    #[test]
    fn a_window_is_remembered_under_its_own_limit_alone() {
        let (cache, keys) = (UsedUp::new(1 << 20), Keyspace::default());
        let key = keys.descriptor(["a"]);
        cache.remember(&key, 5, Duration::from_secs(60));
        assert!(cache.knows(&key, 5));
        assert!(!cache.knows(&key, 50));
        assert!(!cache.knows(&keys.descriptor(["b"]), 5));
        cache.remember(&key, 7, Duration::ZERO);
        assert!(!cache.knows(&key, 7), "its window has ended");
    }

    #[test]
    fn a_flood_stays_within_the_bound_and_the_newest_are_known() {
        let (cache, keys) = (UsedUp::new(64 * 1024), Keyspace::default());
        for number in 0..10_000 {
            cache.remember(&keys.descriptor([format!("{number}").as_str()]), 1, Duration::from_secs(60));
        }
        cache.0.run_pending_tasks();
        assert!(cache.0.weighted_size() <= 64 * 1024);
        assert!(cache.knows(&keys.descriptor(["9999"]), 1));
    }
}
