//! What is counted together: the domain and the entries of a descriptor, as one injective text.
//!
//! The original joins keys and values with underscores, so that `(tenant, a), (user, b)` and `(tenant, a_user_b)` share a counter. Here each
//! part has its length before it, and a pattern that stands for many values (`share_threshold`) is marked, so it can be no value (S12).

use std::fmt::{self, Write};

/// The identity of one counter, apart from its window: `6:domain:3:key:5:value`, with `*` in place of the value's `:` where it is a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counter(String);

impl Counter {
    /// The counter of a domain, before any entry.
    pub(super) fn new(domain: &str) -> Self {
        let mut text = String::with_capacity(domain.len() + 64);
        part(&mut text, ':', domain);
        Self(text)
    }

    /// An entry that counts for itself.
    pub(super) fn entry(&mut self, key: &str, value: &str) {
        self.0.push(':');
        part(&mut self.0, ':', key);
        self.0.push(':');
        part(&mut self.0, ':', value);
    }

    /// An entry that counts together with all others of its pattern (`share_threshold`).
    pub(super) fn shared(&mut self, key: &str, pattern: &str) {
        self.0.push(':');
        part(&mut self.0, ':', key);
        self.0.push(':');
        part(&mut self.0, '*', pattern);
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn part(text: &mut String, mark: char, name: &str) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{}{mark}{name}", name.len());
}
