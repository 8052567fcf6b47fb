//! How a process becomes the drop-in: what its variables stand for among the flags, its stores, its source of rules.

use std::{sync::Arc, time::Duration};

use bulkhead_doors::{args::DoorArgs, fatal::Fatal};
use bulkhead_tenancy::clock::Clock;
use secrecy::ExposeSecret;

use super::{
    counting::{Counting, Stores},
    live::{Live, Load},
    serve,
    service::Dropin,
    settings::{Settings, Variables, drop_in},
    stats::{Stats, statsd::Statsd},
    store,
    xds::random,
};
use crate::args::StoreArgs;

/// `--store` where no flag and no variable of Bulkhead's own names one: REDIS_URL and its like do. No address looks like this.
const OF_VARIABLES: &str = "REDIS_URL";

/// However long a connection may live, it is no more than this: about what Go's durations hold.
const LONGEST_AGE: Duration = Duration::from_secs(300 * 365 * 86_400);

/// The settings, if the process is the drop-in.
///
/// # Errors
/// Usage (status 2): every variable that cannot be used, by name.
pub fn settings(config_named: bool) -> Result<Option<Settings>, Fatal> {
    let variables = Variables::of_process();
    if !drop_in(&variables, config_named) {
        return Ok(None);
    }
    let wrong = |errors: Vec<_>| Fatal::usage(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nerror: "));
    Settings::read(variables).map(Some).map_err(wrong)
}

/// What the variables stand for among the flags: below a flag, and below Bulkhead's own variable.
///
/// # Errors
/// A host to listen at that has no address.
pub fn defaults(settings: &Settings) -> Result<Vec<(&'static str, String)>, Fatal> {
    let doors = &settings.doors;
    let grpc = match &doors.grpc_unix {
        Some(path) => format!("unix:{}", path.display()),
        None => serve::address(&doors.grpc)?.to_string(),
    };
    let mut defaults = vec![
        ("grpc", grpc),
        ("store", OF_VARIABLES.to_owned()),
        ("log", if settings.log.json { "json" } else { "text" }.to_owned()),
        ("log-level", settings.log.level.as_str().to_owned()),
    ];
    if let Some(tls) = &doors.tls {
        let file = |path: &std::path::Path| path.display().to_string();
        defaults.extend([("grpc-tls-cert", file(&tls.cert)), ("grpc-tls-key", file(&tls.key))]);
        defaults.extend(tls.client_ca.as_deref().map(|ca| ("grpc-tls-client-ca", file(ca))));
        defaults.extend(tls.client_name.clone().map(|name| ("grpc-tls-client-name", name)));
    }
    Ok(defaults)
}

/// Opens the gRPC door as the original does, and says whether who comes through it may speak for tenants (S2).
pub fn open_door(doors: &mut DoorArgs, settings: &Settings) -> bool {
    doors.grpc_door.open = true;
    doors.grpc_door.connection_age = settings.doors.max_connection_age.map(around);
    doors.tls.lenient = settings.doors.tls.is_some();
    doors.grpc.is_private() || doors.tls.is_mutual() || doors.allow_plaintext
}

/// An age within a tenth of the given one, so that replicas that started together do not send their callers away together.
fn around(age: Duration) -> Duration {
    age.min(LONGEST_AGE).mul_f64(0.9 + 0.2 * random())
}

/// The stores: the flags' where they name one, else the variables'.
///
/// # Errors
/// As [`StoreArgs::open`].
pub async fn stores(args: &StoreArgs, settings: &Settings, clock: Arc<dyn Clock>) -> Result<Stores, Fatal> {
    let of_variables = args.store.as_ref().is_some_and(|store| store.expose_secret() == OF_VARIABLES);
    let main = if of_variables { store::open("REDIS", &settings.redis).await? } else { args.open(clock).await? };
    let per_second = match &settings.per_second {
        Some(redis) => Some(store::open("REDIS_PERSECOND", redis).await?),
        None => None,
    };
    let deadline = settings.redis.timeout;
    let per_second_deadline = settings.per_second.as_ref().map_or(deadline, |redis| redis.timeout);
    Ok(Stores { main, per_second, deadline, per_second_deadline })
}

/// The decisions of the drop-in, before any rule is loaded.
#[must_use]
pub fn dropin(settings: &Settings, stores: Stores, clock: Arc<dyn Clock>) -> (Arc<Dropin>, Arc<Live>) {
    let stats = Arc::new(Stats::new(settings.statistics.extra_tags.clone()));
    let counted = Arc::clone(&stats);
    let live = Live::new(move |load| match load {
        Load::Success => counted.service.config_load_success.add(1),
        Load::Error(_) => counted.service.config_load_error.add(1),
    });
    let counting = Counting::new(stores, clock, &settings.counting);
    let dropin = Dropin::new(Arc::clone(&live), counting, settings.answers.clone(), settings.counting.near_limit_ratio, stats);
    (Arc::new(dropin), live)
}

/// Where statistics are sent to. `protocol` is STATSD_PROTOCOL, a variable of gostats: `tcp` unless it is `udp`.
#[must_use]
pub fn statsd(settings: &Settings, protocol: Option<&str>) -> Option<Statsd> {
    let statistics = &settings.statistics;
    let dog = statistics.dog_statsd.is_some();
    let to = statistics.statsd.as_ref().or(statistics.dog_statsd.as_ref())?;
    let udp = dog || protocol.is_some_and(|protocol| protocol.starts_with("udp"));
    Some(Statsd { host: to.host.clone(), port: to.port, udp, dog, interval: statistics.flush_interval })
}

/// Tells of everything that was set and does nothing.
pub fn tell(settings: &Settings) {
    for variable in &settings.without_effect {
        tracing::warn!(variable = variable.name, why = variable.why, "set, and without effect");
    }
    let nothing = |variable: &str, why: &str| tracing::warn!(variable, why, "set, and without effect");
    if !settings.statistics.mogrifiers.is_empty() {
        nothing("USE_DOG_STATSD_MOGRIFIERS", "names are told as they are");
    }
    if settings.statistics.prometheus.as_ref().is_some_and(|prometheus| prometheus.mapper.is_some()) {
        nothing("PROMETHEUS_MAPPER_YAML", "series have the names of the original's default mapping");
    }
}
