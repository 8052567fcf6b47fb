//! The Prometheus text, under the names and labels of the original's default mapping (`src/stats/prom/default_mapper.yaml`).
//!
//! What that mapping leaves out has labels here too, where the original makes a name of its own for each limit:
//! `over_limit_with_local_cache` and `domain_not_found`. Keys of three levels and more are counted under their first two, as there: statsd has them whole.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use super::{LimitStats, Stats, name, timer::BOUNDS};

/// Series by their labels.
type Family = BTreeMap<[String; 3], u64>;

impl Stats {
    /// The exposition (text format 0.0.4).
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_limits(&mut text).and_then(|()| self.write_service(&mut text));
        text
    }

    fn write_limits(&self, out: &mut String) -> fmt::Result {
        let mut families: [(&str, Family); 6] = LimitStats::default().each().map(|(name, _)| (name, Family::new()));
        for (domain, key, stats) in self.limits() {
            let path = key.strip_prefix(&*domain).and_then(|rest| rest.strip_prefix('.')).unwrap_or(&key);
            let path = name::sanitised(path);
            let mut levels = path.split('.');
            let labels = [&*domain, levels.next().unwrap_or_default(), levels.next().unwrap_or_default()].map(str::to_owned);
            for ((_, family), (_, counter)) in families.iter_mut().zip(stats.each()) {
                // Several keys may have the same labels: they are one series, as Prometheus refuses the same labels twice.
                *family.entry(labels.clone()).or_default() += counter.value();
            }
        }
        for (counter, family) in families {
            writeln!(out, "# TYPE ratelimit_service_rate_limit_{counter} counter")?;
            for ([domain, key1, key2], value) in family {
                let labels = [("domain", domain.as_str()), ("key1", &key1), ("key2", &key2)];
                let named = if key2.is_empty() { labels.get(..2) } else { labels.get(..) };
                self.series(out, &format!("ratelimit_service_rate_limit_{counter}"), named.unwrap_or_default(), value)?;
            }
        }
        let not_found = self.not_found();
        if !not_found.is_empty() {
            writeln!(out, "# TYPE ratelimit_service_rate_limit_domain_not_found counter")?;
        }
        for (domain, counter) in not_found {
            self.series(out, "ratelimit_service_rate_limit_domain_not_found", &[("domain", &*domain)], counter.value())?;
        }
        Ok(())
    }

    fn write_service(&self, out: &mut String) -> fmt::Result {
        let service = &self.service;
        for (name, counter) in [
            ("ratelimit_service_config_load_success", &service.config_load_success),
            ("ratelimit_service_config_load_error", &service.config_load_error),
            ("ratelimit_service_global_shadow_mode", &service.global_shadow_mode),
        ] {
            writeln!(out, "# TYPE {name} counter")?;
            self.series(out, name, &[], counter.value())?;
        }
        writeln!(out, "# TYPE ratelimit_service_should_rate_limit_error counter")?;
        for (kind, counter) in [("redis_error", &service.redis_error), ("service_error", &service.service_error)] {
            self.series(out, "ratelimit_service_should_rate_limit_error", &[("err_type", kind)], counter.value())?;
        }
        let method = ("grpc_method", "ShouldRateLimit");
        writeln!(out, "# TYPE ratelimit_service_total_requests counter")?;
        self.series(out, "ratelimit_service_total_requests", &[method], service.total_requests.value())?;
        let time = "ratelimit_service_response_time_seconds";
        let (within, count, seconds) = self.response_time.histogram();
        writeln!(out, "# TYPE {time} histogram")?;
        for (bound, within) in BOUNDS.iter().zip(within) {
            self.series(out, &format!("{time}_bucket"), &[method, ("le", &bound.to_string())], within)?;
        }
        self.series(out, &format!("{time}_bucket"), &[method, ("le", "+Inf")], count)?;
        self.series(out, &format!("{time}_sum"), &[method], seconds)?;
        self.series(out, &format!("{time}_count"), &[method], count)
    }

    fn series(&self, out: &mut String, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) -> fmt::Result {
        out.push_str(name);
        let own = labels.iter().copied();
        let tags = self.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (place, (key, value)) in own.chain(tags).enumerate() {
            out.push(if place == 0 { '{' } else { ',' });
            write!(out, "{}=\"{}\"", key.replace(|c: char| !c.is_ascii_alphanumeric(), "_"), escaped(value))?;
        }
        if !labels.is_empty() || !self.tags.is_empty() {
            out.push('}');
        }
        writeln!(out, " {value}")
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_and_labels_are_those_of_the_default_mapping() {
        let stats = Stats::default();
        stats.limit("domain1", "domain1.key1_val1").over_limit.add(1);
        stats.limit("domain1", "domain1.key3_val3.key4_val4.key5_val5").over_limit.add(1);
        stats.limit("domain1", "domain1.key3_val3.key4_val4.key6").over_limit.add(3);
        stats.limit("domain1", "domain1.key3_val3.key4_val4").over_limit.add(1);
        stats.limit("a.b", "a.b.key_\"quoted\"").total_hits.add(3);
        stats.service.redis_error.add(1);
        stats.service.total_requests.add(1);
        stats.response_time.record(Duration::from_millis(20));
        let text = stats.prometheus();
        for line in [
            "# TYPE ratelimit_service_rate_limit_over_limit counter",
            "ratelimit_service_rate_limit_over_limit{domain=\"domain1\",key1=\"key1_val1\"} 1",
            "ratelimit_service_rate_limit_over_limit{domain=\"domain1\",key1=\"key3_val3\",key2=\"key4_val4\"} 5",
            "ratelimit_service_rate_limit_total_hits{domain=\"a.b\",key1=\"key_\\\"quoted\\\"\"} 3",
            "ratelimit_service_should_rate_limit_error{err_type=\"redis_error\"} 1",
            "ratelimit_service_total_requests{grpc_method=\"ShouldRateLimit\"} 1",
            "ratelimit_service_response_time_seconds_bucket{grpc_method=\"ShouldRateLimit\",le=\"0.025\"} 1",
            "ratelimit_service_response_time_seconds_bucket{grpc_method=\"ShouldRateLimit\",le=\"0.01\"} 0",
            "ratelimit_service_response_time_seconds_sum{grpc_method=\"ShouldRateLimit\"} 0.02",
            "ratelimit_service_config_load_success 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
