//! `kind: GuardrailPolicy`: what every request of a tenant must pass.

use std::collections::BTreeSet;

use super::{Metadata, topic::Topics};
use crate::{
    guardrail::{Detector, PiiDetection, RegoVersion},
    limit::RateLimit,
    name::ResourceName,
    place::At,
};

/// A policy as written. A tenant may have several; the stricter wins.
#[derive(Debug, Clone)]
pub struct GuardrailManifest {
    /// `metadata`
    pub metadata: Metadata<ResourceName>,
    /// `spec.rateLimit`: never above the plan's, judged later.
    pub rate_limit: Option<At<RateLimit>>,
    /// `spec.contentFilter`
    pub content_filter: Option<At<ContentFilterManifest>>,
    /// `spec.toolAllowlist`: names of APIs and tools; absent: everything; empty: nothing.
    pub tool_allowlist: Option<At<Vec<At<String>>>>,
    /// `spec.shadow`; default false.
    pub shadow: bool,
    /// `spec.regoVersion`; absent: SEMANTICS decides.
    pub rego_version: Option<At<RegoVersion>>,
    /// `spec.rules`: Rego, not parsed yet.
    pub rules: Option<At<String>>,
}

/// `spec.contentFilter`
#[derive(Debug, Clone)]
pub struct ContentFilterManifest {
    /// `piiDetection`; absent: off.
    pub pii_detection: Option<At<PiiDetection>>,
    /// `detectors`; empty: all.
    pub detectors: BTreeSet<Detector>,
    /// `blockedTopics`: labels, each with an entry in `topics` here or in the Platform's, judged later.
    pub blocked_topics: Vec<At<String>>,
    /// `topics`: the tenant's own labels.
    pub topics: Topics,
    /// `apply`; default `[request]`.
    pub apply: Apply,
    /// `unscannable: allow`; default deny.
    pub allow_unscannable: bool,
}

/// `apply`: which bodies are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Apply {
    /// Whether it holds `request`.
    pub request: bool,
    /// Whether it holds `response`.
    pub response: bool,
}

impl Default for Apply {
    fn default() -> Self {
        Self { request: true, response: false }
    }
}
