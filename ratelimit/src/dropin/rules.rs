//! The rules of envoyproxy/ratelimit as a domain: domains, trees of rules, and which limit a descriptor meets.
//!
//! Nothing here reads a file or a message: [`draft`] is what any source hands over, [`Configuration::build`] judges it, and
//! [`Configuration::limits`] finds the limits of one request. A [`Configuration`] never changes once built.

mod build;
pub mod counter;
pub mod draft;
mod dump;
mod keys;
pub mod limit;
mod matching;
pub mod metadata;
mod pattern;
pub mod unit;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

pub use build::{MAX_DEPTH, Refused};
pub use counter::Counter;
pub use limit::{Limit, Rate};
pub use matching::{Descriptor, Entry, Limits, Override, UnknownUnit};
pub use unit::Unit;

use self::{metadata::Metadata, pattern::Pattern};

/// All rules of one load.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    domains: BTreeMap<Arc<str>, Rules>,
}

impl Configuration {
    /// Whether there is no domain at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// The domains, in order of their names.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.keys().map(AsRef::as_ref)
    }
}

/// The rules of one level: what may follow the entries matched so far.
#[derive(Debug, Clone, Default, PartialEq)]
struct Rules {
    by_key: HashMap<Arc<str>, OfKey>,
    /// Rules with a `*`, in the order of the file.
    wildcards: Vec<(Pattern, Rule)>,
}

/// The rules of one key: those that name a value, and the one that takes any.
#[derive(Debug, Clone, Default, PartialEq)]
struct OfKey {
    by_value: HashMap<Arc<str>, Rule>,
    any: Option<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    /// `key_value`, or `key` where the rule takes any value.
    composite: Arc<str>,
    limit: Option<RuleLimit>,
    value_to_metric: bool,
    share_threshold: bool,
    next: Rules,
}

/// `rate_limit` of a rule, and what the rule says of it.
#[derive(Debug, Clone, PartialEq)]
struct RuleLimit {
    rate: Rate,
    /// As written, also where the rate is unlimited: `/rlconfig` shows it.
    requests_per_unit: u32,
    name: Arc<str>,
    replaces: Arc<[Arc<str>]>,
    shadow: bool,
    quota: bool,
    detailed: bool,
    metadata: Option<Arc<Metadata>>,
}
