//! The statistics of the drop-in, under the names that dashboards of envoyproxy/ratelimit know.
//!
//! A counter has one place in memory and three faces: a line of `/stats` ([`text`]), what statsd is told ([`statsd`]), a Prometheus series
//! ([`prometheus`]). Names that requests make (`detailed_metric`, `value_to_metric`, a descriptor's own limit, unknown domains) are bounded: past
//! the bound they share `__other__`, so a flood of values costs no more memory than [`KEYS`] of them.

pub mod attribution;
mod counter;
mod name;
pub mod prometheus;
pub mod statsd;
pub mod text;
mod timer;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

pub use self::{counter::Counter, timer::Timer};

/// How many keys requests may make, in all domains together: at most [`KEY_BYTES`] each with six counters, so about 6 MB.
pub const KEYS: usize = 10_000;
/// The longest key that a request may make.
pub const KEY_BYTES: usize = 256;
/// How many unknown domains have a counter of their own.
pub const UNKNOWN_DOMAINS: usize = 1_000;
/// What shares a series past a bound.
pub const OTHER: &str = "__other__";

/// The counters of one limit: `ratelimit.service.rate_limit.<key>.<counter>`.
#[derive(Debug, Default)]
pub struct LimitStats {
    /// Every hit that met the limit.
    pub total_hits: Counter,
    /// Hits beyond it.
    pub over_limit: Counter,
    /// Hits in its upper part (NEAR_LIMIT_RATIO) that were let through.
    pub near_limit: Counter,
    /// Hits that the local cache answered.
    pub over_limit_with_local_cache: Counter,
    /// Hits that were let through.
    pub within_limit: Counter,
    /// Hits beyond it that `shadow_mode` let through.
    pub shadow_mode: Counter,
}

impl LimitStats {
    fn each(&self) -> [(&'static str, &Counter); 6] {
        [
            ("total_hits", &self.total_hits),
            ("over_limit", &self.over_limit),
            ("near_limit", &self.near_limit),
            ("over_limit_with_local_cache", &self.over_limit_with_local_cache),
            ("within_limit", &self.within_limit),
            ("shadow_mode", &self.shadow_mode),
        ]
    }
}

/// The counters of the service itself.
#[derive(Debug, Default)]
pub struct ServiceStats {
    /// `ratelimit.service.config_load_success`.
    pub config_load_success: Counter,
    /// `ratelimit.service.config_load_error`.
    pub config_load_error: Counter,
    /// `ratelimit.service.call.should_rate_limit.redis_error`: the store did not decide.
    pub redis_error: Counter,
    /// `ratelimit.service.call.should_rate_limit.service_error`: the call could not be served.
    pub service_error: Counter,
    /// `ratelimit.service.global_shadow_mode`: calls over a limit that SHADOW_MODE let through.
    pub global_shadow_mode: Counter,
    /// `ratelimit_server.ShouldRateLimit.total_requests`.
    pub total_requests: Counter,
}

/// All statistics of the drop-in.
#[derive(Debug, Default)]
pub struct Stats {
    /// The service's own.
    pub service: ServiceStats,
    /// `ratelimit_server.ShouldRateLimit.response_time`.
    pub response_time: Timer,
    limits: RwLock<Limits>,
    not_found: RwLock<BTreeMap<Arc<str>, Arc<Counter>>>,
    tags: Vec<(String, String)>,
}

#[derive(Debug, Default)]
struct Limits {
    by_key: HashMap<Arc<str>, Arc<OfKey>>,
    made_by_requests: usize,
}

/// A limit's counters with the domain that its key begins with: a domain may hold dots, so the key alone does not tell.
#[derive(Debug, Default)]
struct OfKey {
    domain: Arc<str>,
    stats: Arc<LimitStats>,
}

impl Stats {
    /// Nothing counted yet. `tags` (EXTRA_TAGS) go with every name.
    #[must_use]
    pub fn new(tags: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut tags: Vec<_> = tags.into_iter().filter(|(key, value)| !key.is_empty() && !value.is_empty()).collect();
        tags.sort();
        Self { tags, ..Self::default() }
    }

    /// Gives a key of the configuration its counters, whatever requests made before: the configuration bounds these keys.
    pub fn keep(&self, domain: &str, key: &str) {
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        limits.get_or_insert(domain, key);
    }

    /// The counters of a limit by its key (`domain.key_value.key2`). Past the bound: those of `domain.__other__`.
    #[must_use]
    pub fn limit(&self, domain: &str, key: &str) -> Arc<LimitStats> {
        if let Some(known) = self.limits.read().unwrap_or_else(PoisonError::into_inner).by_key.get(key) {
            return Arc::clone(&known.stats);
        }
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        if key.len() > KEY_BYTES || (limits.made_by_requests >= KEYS && !limits.by_key.contains_key(key)) {
            return limits.get_or_insert(domain, &format!("{domain}.{OTHER}"));
        }
        let before = limits.by_key.len();
        let stats = limits.get_or_insert(domain, key);
        limits.made_by_requests += limits.by_key.len() - before;
        stats
    }

    /// `ratelimit.service.rate_limit.<domain>.domain_not_found`, by the descriptors of the call. Past the bound: that of `__other__`.
    pub fn domain_not_found(&self, domain: &str, descriptors: u64) {
        if let Some(known) = self.not_found.read().unwrap_or_else(PoisonError::into_inner).get(domain) {
            return known.add(descriptors);
        }
        let mut all = self.not_found.write().unwrap_or_else(PoisonError::into_inner);
        let bounded = if domain.len() > KEY_BYTES || all.len() >= UNKNOWN_DOMAINS { OTHER } else { domain };
        all.entry(Arc::from(bounded)).or_default().add(descriptors);
    }

    /// Every limit that was ever met or kept: its domain, its key, its counters.
    fn limits(&self) -> Vec<(Arc<str>, Arc<str>, Arc<LimitStats>)> {
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            limits.by_key.iter().map(|(key, of)| (Arc::clone(&of.domain), Arc::clone(key), Arc::clone(&of.stats))).collect();
        drop(limits);
        all.sort_by(|one, other| one.1.cmp(&other.1));
        all
    }

    fn not_found(&self) -> Vec<(Arc<str>, Arc<Counter>)> {
        let all = self.not_found.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(domain, counter)| (Arc::clone(domain), Arc::clone(counter))).collect()
    }
}

impl Limits {
    fn get_or_insert(&mut self, domain: &str, key: &str) -> Arc<LimitStats> {
        if let Some(known) = self.by_key.get(key) {
            return Arc::clone(&known.stats);
        }
        let of = OfKey { domain: Arc::from(domain), stats: Arc::default() };
        let stats = Arc::clone(&of.stats);
        self.by_key.insert(Arc::from(key), Arc::new(of));
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_keys_and_domains_ends_in_other() {
        let stats = Stats::default();
        for number in 0..2 * KEYS {
            stats.limit("d", &format!("d.key_{number}")).total_hits.add(1);
            stats.domain_not_found(&format!("unknown-{number}"), 1);
        }
        assert_eq!(stats.limits().len(), KEYS + 1);
        assert_eq!(stats.limit("d", "d.__other__").total_hits.value(), KEYS as u64);
        assert_eq!(stats.not_found().len(), UNKNOWN_DOMAINS + 1);
        assert_eq!(stats.limit("d", "d.key_7").total_hits.value(), 1, "who was there keeps counting alone");
    }

    #[test]
    fn a_key_of_the_configuration_has_its_own_counters_whatever_requests_made() {
        let stats = Stats::default();
        for number in 0..=KEYS {
            let _ = stats.limit("d", &format!("d.key_{number}"));
        }
        stats.keep("d", "d.late");
        stats.limit("d", "d.late").total_hits.add(3);
        assert_eq!(stats.limit("d", "d.__other__").total_hits.value(), 0);
        assert_eq!(stats.limit("d", "d.late").total_hits.value(), 3);
    }

    #[test]
    fn an_enormous_key_is_other() {
        let stats = Stats::default();
        stats.limit("d", &format!("d.{}", "x".repeat(KEY_BYTES))).total_hits.add(1);
        assert_eq!(stats.limit("d", "d.__other__").total_hits.value(), 1);
    }
}
