//! The keys of all limits: those of their statistics, unless a request's values stand in them.

use std::sync::Arc;

use super::{Configuration, Rules};

impl Configuration {
    /// The key of each limit, beside its domain: `domain.key_value.key2`.
    #[must_use]
    pub fn full_keys(&self) -> Vec<(Arc<str>, String)> {
        let mut keys = Vec::new();
        for (domain, rules) in &self.domains {
            rules.full_keys(domain, &mut |key| keys.push((Arc::clone(domain), key)));
        }
        keys
    }
}

impl Rules {
    fn full_keys(&self, parent: &str, found: &mut dyn FnMut(String)) {
        let exact = self.by_key.values().flat_map(|of_key| of_key.by_value.values().chain(&of_key.any));
        for rule in exact.chain(self.wildcards.iter().map(|(_, rule)| rule)) {
            let key = format!("{parent}.{}", rule.composite);
            rule.next.full_keys(&key, found);
            if rule.limit.is_some() {
                found(key);
            }
        }
    }
}
