//! `/stats` of the debug port: `name: value`, one a line.

use std::fmt::Write;

use super::{Counter, Stats, name};

impl Stats {
    /// Every counter, sorted by name.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        self.each(&name::tags(&self.tags), |name, counter| lines.push((name, counter.value())));
        lines.sort();
        let mut text = String::new();
        for (name, value) in lines {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }

    /// Every counter with its name and the tags behind it.
    pub(super) fn each(&self, tags: &str, mut f: impl FnMut(String, &Counter)) {
        for (_, key, stats) in self.limits() {
            let key = name::sanitised(&key);
            for (counter, value) in stats.each() {
                f(format!("ratelimit.service.rate_limit.{key}.{counter}{tags}"), value);
            }
        }
        for (domain, counter) in self.not_found() {
            f(format!("ratelimit.service.rate_limit.{}.domain_not_found{tags}", name::sanitised(&domain)), &counter);
        }
        let service = &self.service;
        for (name, counter) in [
            ("ratelimit.service.config_load_success", &service.config_load_success),
            ("ratelimit.service.config_load_error", &service.config_load_error),
            ("ratelimit.service.call.should_rate_limit.redis_error", &service.redis_error),
            ("ratelimit.service.call.should_rate_limit.service_error", &service.service_error),
            ("ratelimit.service.global_shadow_mode", &service.global_shadow_mode),
            ("ratelimit_server.ShouldRateLimit.total_requests", &service.total_requests),
        ] {
            f(format!("{name}{tags}"), counter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_the_originals_name() {
        let stats = Stats::new([("zone".to_owned(), "a".to_owned())]);
        stats.limit("basic", "basic.key1_foo").over_limit.add(4);
        stats.domain_not_found("nobody", 1);
        let text = stats.text();
        for line in [
            "ratelimit.service.rate_limit.basic.key1_foo.over_limit.__zone=a: 4",
            "ratelimit.service.rate_limit.basic.key1_foo.over_limit_with_local_cache.__zone=a: 0",
            "ratelimit.service.rate_limit.nobody.domain_not_found.__zone=a: 1",
            "ratelimit.service.call.should_rate_limit.redis_error.__zone=a: 0",
            "ratelimit.service.config_load_success.__zone=a: 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
