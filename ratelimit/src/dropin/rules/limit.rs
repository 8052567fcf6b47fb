//! The limit that one descriptor of a request met.

use std::sync::Arc;

use super::{counter::Counter, metadata::Metadata, unit::Unit};

/// How much a limit lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Everything: no store is asked, and the answer's `limit_remaining` is the greatest there is.
    Unlimited,
    /// So many hits in each window of the unit; 0 denies every one.
    Each {
        /// Hits in one window.
        requests_per_unit: u32,
        /// The window.
        unit: Unit,
    },
}

/// The limit of one descriptor, and what the answer and the statistics need to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// How much passes.
    pub rate: Rate,
    /// `rate_limit.name`, empty where there is none: `current_limit.name` of the answer.
    pub name: Arc<str>,
    /// `shadow_mode` of the rule: the descriptor's own status is OK whatever was counted.
    pub shadow: bool,
    /// `quota_mode` of the rule: over only if another limit is over, or every limit of the request with quota mode is.
    pub quota: bool,
    /// The key of its statistics, without the prefix `ratelimit.service.rate_limit.`: `domain.key_value.key`.
    pub stat_key: Arc<str>,
    /// What is counted: two descriptors count in one window iff their counters (and their units) are equal.
    pub counter: Counter,
    /// `metadata` of the rule, for the answer's dynamic metadata.
    pub metadata: Option<Arc<Metadata>>,
    /// Whether the limit came with the request (`descriptor.limit`) and not from a rule.
    pub overridden: bool,
}
