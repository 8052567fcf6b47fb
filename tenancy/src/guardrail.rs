//! The guardrails of a tenant: all its GuardrailPolicies joined, the stricter winning (SEMANTICS, Precedence).

use std::{collections::BTreeSet, sync::Arc};

pub use bulkhead_content::{Detector, Filter, TopicMatcher, Topics};
pub use bulkhead_rules::{Rules, Version as RegoVersion};

use crate::limit::RateLimit;

/// What every request of a tenant must pass.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Guardrails {
    /// API and tool names that may be used; absent: every API of the contract; empty: none.
    pub allowlist: Option<BTreeSet<String>>,
    /// What is looked for in bodies.
    pub content: ContentFilter,
    /// Rego rules, joined by AND. Each is judged alone.
    pub rules: Vec<Arc<Rule>>,
    /// The policies that only record what they would deny. Nothing of theirs stands in the fields above but rules that say so.
    pub shadow: Vec<ShadowPolicy>,
}

/// A policy with `shadow: true`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShadowPolicy {
    /// The GuardrailPolicy's name.
    pub name: String,
    /// Its own `toolAllowlist`, with the meaning of [`Guardrails::allowlist`].
    pub allowlist: Option<BTreeSet<String>>,
    /// Its own `rateLimit`.
    pub rate_limit: Option<RateLimit>,
    /// Its own `contentFilter`.
    pub content: Option<ContentFilter>,
}

/// What is looked for in bodies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentFilter {
    /// What is done about personal data.
    pub pii: PiiDetection,
    /// What is looked for, compiled: no detector unless `pii` asks for them, and the topics that deny.
    pub filter: Filter,
    /// Whether responses are read too.
    pub responses: bool,
    /// Whether requests are read.
    pub requests: bool,
    /// Whether a body that cannot be read passes.
    pub allow_unscannable: bool,
}

/// What is done about personal data, from the mildest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum PiiDetection {
    /// Nothing.
    #[default]
    Off,
    /// It is counted.
    Detect,
    /// It is rewritten.
    Redact,
    /// It denies.
    Block,
}

impl PiiDetection {
    /// Every one, from the mildest to the strictest.
    pub const ALL: [Self; 4] = [Self::Off, Self::Detect, Self::Redact, Self::Block];

    /// The name in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Detect => "detect",
            Self::Redact => "redact",
            Self::Block => "block",
        }
    }
}

/// One policy's Rego rules.
#[derive(Debug)]
pub struct Rule {
    /// The policy that states it.
    pub policy: String,
    /// The text as written.
    pub text: String,
    /// The language version that was asked for; absent: SEMANTICS decides.
    pub version: Option<RegoVersion>,
    /// Whether it only records.
    pub shadow: bool,
    /// The text, compiled: this policy's own, which sees no other.
    pub compiled: Rules,
}

/// What was compiled follows from the rest.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        let said = |rule: &Self| (rule.version, rule.shadow);
        self.policy == other.policy && self.text == other.text && said(self) == said(other)
    }
}
