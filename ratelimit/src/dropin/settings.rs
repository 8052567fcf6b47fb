//! The environment variables of envoyproxy/ratelimit, typed: names, defaults and spelling are its own (`settings.go`).

mod answers;
mod doors;
mod go;
mod log;
mod redis;
mod source;
mod stats;
mod variables;
mod without_effect;

#[cfg(test)]
mod tests;

pub use answers::{Answers, Counting, HeaderNames};
pub use doors::{Doors, Listen, ServerTls};
pub(crate) use go::integer;
pub use log::{Level, Log};
pub use redis::{Endpoint, Redis, StoreTls, Topology};
pub use source::{Backoff, ClientTls, Runtime, Source, Xds};
pub use stats::{Prometheus, Statistics};
pub use variables::{BadVariable, Variables};
pub use without_effect::{WITHOUT_EFFECT, WithoutEffect};

/// Everything that the variables say.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub doors: Doors,
    /// How to log.
    pub log: Log,
    /// Where rules come from.
    pub source: Source,
    /// MERGE_DOMAIN_CONFIG: several files may give rules to one domain.
    pub merge_domains: bool,
    /// FORCE_START_WITHOUT_INITIAL_CONFIG: serve before the first load came to an end.
    pub force_start: bool,
    /// HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED: unhealthy until a load succeeded.
    pub healthy_when_loaded: bool,
    /// What goes into answers.
    pub answers: Answers,
    /// How hits are counted.
    pub counting: Counting,
    /// Where statistics go.
    pub statistics: Statistics,
    /// The store.
    pub redis: Redis,
    /// The store for windows of a second, where REDIS_PERSECOND asks for one.
    pub per_second: Option<Redis>,
    /// REDIS_HEALTH_CHECK_ACTIVE_CONNECTION: unhealthy while the store cannot be reached.
    pub healthy_when_connected: bool,
    /// What was set and does nothing: to be said at the start.
    pub without_effect: Vec<WithoutEffect>,
}

impl Settings {
    /// Reads them all.
    ///
    /// # Errors
    /// Every variable that cannot be used, by name; never its value.
    pub fn read(mut from: Variables) -> Result<Self, Vec<BadVariable>> {
        match from.text("BACKEND_TYPE", "redis").as_str() {
            "redis" | "" => (),
            "memcache" => from.bad("BACKEND_TYPE", "memcache is not supported: counters live in Redis or Valkey (BACKEND_TYPE=redis)"),
            _ => from.bad("BACKEND_TYPE", "must be redis"),
        }
        if from.boolean("USE_CALENDAR_MONTH_RATE_LIMIT", false) {
            from.bad("USE_CALENDAR_MONTH_RATE_LIMIT", "is not supported: a month is 30 days, in windows aligned to the epoch");
        }
        let doors = Doors::read(&mut from);
        let log = Log::read(&mut from);
        let source = Source::read(&mut from);
        let merge_domains = from.boolean("MERGE_DOMAIN_CONFIG", false);
        let force_start = from.boolean("FORCE_START_WITHOUT_INITIAL_CONFIG", false);
        let healthy_when_loaded = from.boolean("HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED", false);
        let answers = Answers::read(&mut from);
        let counting = Counting::read(&mut from);
        let statistics = Statistics::read(&mut from);
        let healthy_when_connected = from.boolean("REDIS_HEALTH_CHECK_ACTIVE_CONNECTION", false);
        let (redis, per_second) = Redis::read(&mut from);
        let mut without_effect = without_effect::set(&from);
        without_effect.extend(without_effect::of_stores(&from, redis.as_ref(), per_second.as_ref()));
        match (redis, from.finish()) {
            (Some(redis), errors) if errors.is_empty() => Ok(Self {
                doors,
                log,
                source,
                merge_domains,
                force_start,
                healthy_when_loaded,
                answers,
                counting,
                statistics,
                redis,
                per_second,
                healthy_when_connected,
                without_effect,
            }),
            (_, errors) => Err(errors),
        }
    }
}

/// Whether the process is the drop-in (SEMANTICS, Switches): RUNTIME_ROOT is set, CONFIG_TYPE is GRPC_XDS_SOTW, or no configuration folder of
/// Bulkhead's own was named.
#[must_use]
pub fn drop_in(variables: &Variables, config_named: bool) -> bool {
    variables.is_set("RUNTIME_ROOT") || variables.value("CONFIG_TYPE") == Some("GRPC_XDS_SOTW") || !config_named
}
