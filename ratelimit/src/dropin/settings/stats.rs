//! Where statistics go.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{doors::Listen, variables::Variables};

/// Statistics: to statsd, or to be scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// USE_STATSD, STATSD_HOST and STATSD_PORT; none where DISABLE_STATS, USE_PROMETHEUS or USE_DOG_STATSD takes its place.
    pub statsd: Option<Listen>,
    /// USE_DOG_STATSD: STATSD_HOST and STATSD_PORT, with tags in place of values in names.
    pub dog_statsd: Option<Listen>,
    /// USE_DOG_STATSD_MOGRIFIERS: names of the rewriting rules for tags.
    pub mogrifiers: Vec<String>,
    /// USE_PROMETHEUS and where.
    pub prometheus: Option<Prometheus>,
    /// EXTRA_TAGS: on every statistic.
    pub extra_tags: BTreeMap<String, String>,
    /// STATS_FLUSH_INTERVAL.
    pub flush_interval: Duration,
}

/// PROMETHEUS_*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prometheus {
    /// PROMETHEUS_ADDR; an empty host is every address.
    pub listen: Listen,
    /// PROMETHEUS_PATH.
    pub path: String,
    /// PROMETHEUS_MAPPER_YAML: a file with other names for the statistics.
    pub mapper: Option<PathBuf>,
}

impl Statistics {
    pub(super) fn read(from: &mut Variables) -> Self {
        let disabled = from.boolean("DISABLE_STATS", false);
        let (statsd, dog, scraped) =
            (from.boolean("USE_STATSD", true), from.boolean("USE_DOG_STATSD", false), from.boolean("USE_PROMETHEUS", false));
        let sink = Listen { host: from.text("STATSD_HOST", "localhost"), port: from.port("STATSD_PORT", 8125) };
        let prometheus = Prometheus {
            listen: from.parsed("PROMETHEUS_ADDR", Listen { host: String::new(), port: 9090 }, address),
            path: from.parsed("PROMETHEUS_PATH", "/metrics".to_owned(), |text| {
                if text.starts_with('/') { Ok(text.to_owned()) } else { Err("must begin with /".to_owned()) }
            }),
            mapper: from.file("PROMETHEUS_MAPPER_YAML"),
        };
        if dog && scraped && !disabled {
            from.bad("USE_PROMETHEUS", "cannot be set together with USE_DOG_STATSD");
        }
        let mogrifiers = from.text("USE_DOG_STATSD_MOGRIFIERS", "");
        let flush_interval = from.duration("STATS_FLUSH_INTERVAL", Duration::from_secs(10));
        if flush_interval.is_zero() {
            from.bad("STATS_FLUSH_INTERVAL", "must be above 0");
        }
        Self {
            statsd: (!disabled && !scraped && !dog && statsd).then(|| sink.clone()),
            dog_statsd: (!disabled && !scraped && dog).then_some(sink),
            mogrifiers: mogrifiers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            prometheus: (!disabled && scraped).then_some(prometheus),
            extra_tags: from.pairs("EXTRA_TAGS"),
            flush_interval,
        }
    }
}

/// `host:port` or `:port`.
fn address(text: &str) -> Result<Listen, String> {
    let (host, port) = text.rsplit_once(':').ok_or("must be HOST:PORT or :PORT")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Listen { host, port: port.parse().map_err(|_| "must end in a port, 0 to 65535")? })
}
