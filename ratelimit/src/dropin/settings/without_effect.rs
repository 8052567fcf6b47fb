//! Variables of the original that are accepted and do nothing here, each with its reason. A start with one of them set says so.

use super::{
    redis::{Redis, Topology},
    variables::Variables,
};

/// A variable that was set and does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithoutEffect {
    /// The variable.
    pub name: &'static str,
    /// Why.
    pub why: &'static str,
}

const POOL: &str = "decisions share few connections and are sent together; there is no pool to size";
const PIPELINE: &str = "decisions are sent together as they come, with no window to wait for";
const MEMCACHE: &str = "memcache is not a store of this service";
const TRACING: &str = "spans are sent with --otlp-endpoint (BULKHEAD_RATELIMIT_OTLP_ENDPOINT)";

const FILES_OF_TLS: [&str; 4] =
    ["REDIS_TLS_CACERT", "REDIS_TLS_CLIENT_CERT", "REDIS_TLS_CLIENT_KEY", "REDIS_TLS_SKIP_HOSTNAME_VERIFICATION"];

/// All of them. BACKEND_TYPE=memcache is not here: it is refused.
pub const WITHOUT_EFFECT: &[WithoutEffect] = &[
    WithoutEffect {
        name: "EXPIRATION_JITTER_MAX_SECONDS",
        why: "a counter lives about twice what is left of its window when it begins, so counters do not expire together",
    },
    WithoutEffect {
        name: "GRPC_MAX_CONNECTION_AGE_GRACE",
        why: "a connection that reached its age is told to go away, and its calls are finished, not cut off",
    },
    WithoutEffect { name: "QUOTA_MODE", why: "`quota_mode` of each rule says which limits are quotas; no variable makes all of them so" },
    WithoutEffect { name: "REDIS_POOL_SIZE", why: POOL },
    WithoutEffect { name: "REDIS_PERSECOND_POOL_SIZE", why: POOL },
    WithoutEffect { name: "REDIS_POOL_ON_EMPTY_BEHAVIOR", why: POOL },
    WithoutEffect { name: "REDIS_PERSECOND_POOL_ON_EMPTY_BEHAVIOR", why: POOL },
    WithoutEffect { name: "REDIS_POOL_ON_EMPTY_WAIT_DURATION", why: POOL },
    WithoutEffect { name: "REDIS_PERSECOND_POOL_ON_EMPTY_WAIT_DURATION", why: POOL },
    WithoutEffect { name: "REDIS_PIPELINE_WINDOW", why: PIPELINE },
    WithoutEffect { name: "REDIS_PIPELINE_LIMIT", why: PIPELINE },
    WithoutEffect { name: "REDIS_PERSECOND_PIPELINE_WINDOW", why: PIPELINE },
    WithoutEffect { name: "REDIS_PERSECOND_PIPELINE_LIMIT", why: PIPELINE },
    WithoutEffect { name: "REDIS_USE_EXPLICIT_PIPELINE", why: PIPELINE },
    WithoutEffect { name: "REDIS_PERSECOND_USE_EXPLICIT_PIPELINE", why: PIPELINE },
    WithoutEffect { name: "MEMCACHE_HOST_PORT", why: MEMCACHE },
    WithoutEffect { name: "MEMCACHE_MAX_IDLE_CONNS", why: MEMCACHE },
    WithoutEffect { name: "MEMCACHE_SRV", why: MEMCACHE },
    WithoutEffect { name: "MEMCACHE_SRV_REFRESH", why: MEMCACHE },
    WithoutEffect { name: "MEMCACHE_TLS", why: MEMCACHE },
    WithoutEffect { name: "MEMCACHE_TLS_CLIENT_CERT", why: MEMCACHE },
    WithoutEffect { name: "MEMCACHE_TLS_CLIENT_KEY", why: MEMCACHE },
    WithoutEffect { name: "MEMCACHE_TLS_CACERT", why: MEMCACHE },
    WithoutEffect { name: "MEMCACHE_TLS_SKIP_HOSTNAME_VERIFICATION", why: MEMCACHE },
    WithoutEffect { name: "TRACING_ENABLED", why: TRACING },
    WithoutEffect { name: "TRACING_SERVICE_NAME", why: TRACING },
    WithoutEffect { name: "TRACING_SERVICE_NAMESPACE", why: TRACING },
    WithoutEffect { name: "TRACING_SERVICE_INSTANCE_ID", why: TRACING },
    WithoutEffect { name: "TRACING_EXPORTER_PROTOCOL", why: TRACING },
    WithoutEffect { name: "TRACING_SAMPLING_RATE", why: TRACING },
];

/// Those that are set.
pub(super) fn set(from: &Variables) -> Vec<WithoutEffect> {
    WITHOUT_EFFECT.iter().filter(|variable| from.is_set(variable.name)).copied().collect()
}

/// Those that are set and that no store's kind asks for: the original never looks at them.
pub(super) fn of_stores(from: &Variables, main: Option<&Redis>, second: Option<&Redis>) -> Vec<WithoutEffect> {
    let mut ignored = Vec::new();
    if [main, second].into_iter().flatten().all(|store| store.tls.is_none()) {
        ignored.extend(FILES_OF_TLS.map(|name| WithoutEffect { name, why: "no store speaks TLS" }));
    }
    for (name, store) in [("REDIS_SENTINEL_AUTH", main), ("REDIS_PERSECOND_SENTINEL_AUTH", second)] {
        if !store.is_some_and(|store| matches!(store.topology, Topology::Sentinel { .. })) {
            ignored.push(WithoutEffect { name, why: "the store is not asked of sentinels" });
        }
    }
    ignored.retain(|variable| from.is_set(variable.name));
    ignored
}
