//! Rules as a source hands them over, not judged yet: the common shape of a YAML file and of an xDS resource.

use super::metadata::Metadata;

/// One configuration: the rules of one domain.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// What errors name: the file's key (`config.basic`) or the resource's name.
    pub name: String,
    /// The domain.
    pub domain: String,
    /// Rules of the first level, in order.
    pub descriptors: Vec<RuleDraft>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleDraft {
    /// `key`.
    pub key: String,
    /// `value`; empty where any value will do.
    pub value: String,
    /// `rate_limit`.
    pub rate_limit: Option<RateDraft>,
    /// `descriptors`: the rules of the next level.
    pub descriptors: Vec<RuleDraft>,
    /// `shadow_mode`.
    pub shadow_mode: bool,
    /// `quota_mode`.
    pub quota_mode: bool,
    /// `detailed_metric`.
    pub detailed_metric: bool,
    /// `value_to_metric`.
    pub value_to_metric: bool,
    /// `share_threshold`.
    pub share_threshold: bool,
    /// `metadata`.
    pub metadata: Option<Metadata>,
}

/// The `rate_limit` of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateDraft {
    /// `unit`, in any case.
    pub unit: String,
    /// `requests_per_unit`.
    pub requests_per_unit: u32,
    /// `unlimited`.
    pub unlimited: bool,
    /// `name`.
    pub name: String,
    /// The names in `replaces`.
    pub replaces: Vec<String>,
}
