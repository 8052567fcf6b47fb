//! `/rlconfig`: every limit in a line, as the original writes it.

use std::fmt::{self, Display, Write};

use super::{Configuration, Rate, Rule, Rules};

impl Configuration {
    /// The lines of `/rlconfig`: `domain.key_value: unit=MINUTE requests_per_unit=3, shadow_mode: false, quota_mode: false`. The original has
    /// them in no order; here they are sorted.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut lines = Vec::new();
        for (domain, rules) in &self.domains {
            rules.dump(domain, &mut lines);
        }
        lines.sort();
        lines.concat()
    }
}

impl Rules {
    fn each(&self) -> impl Iterator<Item = &Rule> {
        let exact = self.by_key.values().flat_map(|of_key| of_key.by_value.values().chain(&of_key.any));
        exact.chain(self.wildcards.iter().map(|(_, rule)| rule))
    }

    fn dump(&self, parent: &str, lines: &mut Vec<String>) {
        for rule in self.each() {
            let full_key = format!("{parent}.{}", rule.composite);
            if let Some(limit) = &rule.limit {
                let unit: &dyn Display = match &limit.rate {
                    Rate::Unlimited => &"UNKNOWN",
                    Rate::Each { unit, .. } => unit,
                };
                let mut line = String::new();
                // Writing to a String cannot fail.
                let _: fmt::Result = writeln!(
                    line,
                    "{full_key}: unit={unit} requests_per_unit={}, shadow_mode: {}, quota_mode: {}",
                    limit.requests_per_unit, limit.shadow, limit.quota
                );
                lines.push(line);
            }
            rule.next.dump(&full_key, lines);
        }
    }
}
