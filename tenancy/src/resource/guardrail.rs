//! `kind: GuardrailPolicy`: what every request of a tenant must pass.

use std::collections::BTreeSet;

use super::{Metadata, rate_limit, topic, topic::Topics};
use crate::{
    decode::{Fields, Reader},
    guardrail::{Detector, PiiDetection, RegoVersion},
    limit::RateLimit,
    name::{ApiName, ResourceName},
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
    /// `spec.rules`: Rego, as it stands there.
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

impl GuardrailManifest {
    pub(super) fn read(top: &mut Fields<'_>) -> Option<Self> {
        let metadata = Metadata::read(top);
        top.required("spec", |spec| {
            spec.object(|spec| {
                let rate_limit = spec.optional("rateLimit", rate_limit::read);
                let content_filter = spec.optional("contentFilter", |reader| reader.at(ContentFilterManifest::read));
                let tool_allowlist = spec.optional("toolAllowlist", |reader| {
                    // APIs and tools have names of one form.
                    reader.at(|reader| reader.distinct(|name| name.parse::<ApiName>().map(|name| name.as_str().to_owned())))
                });
                let shadow = spec.optional("shadow", |value| value.flag()).unwrap_or(false);
                let rego_version = spec.optional("regoVersion", |reader| {
                    reader.at(|reader| reader.one_of(&[("v0", RegoVersion::V0), ("v1", RegoVersion::V1)]))
                });
                let rules = spec.optional("rules", |reader| reader.at(|reader| reader.source(bulkhead_rules::MAX_BYTES)));
                Some(Self { metadata: metadata?, rate_limit, content_filter, tool_allowlist, shadow, rego_version, rules })
            })
        })
    }
}

impl ContentFilterManifest {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.object(|fields| {
            let pii_detection = fields.optional("piiDetection", |reader| reader.at(read_pii_detection));
            let detectors = fields.optional("detectors", |reader| {
                reader.some(|detector| detector.one_of(&Detector::ALL.map(|detector| (detector.name(), detector))))
            });
            let blocked_topics =
                fields.optional("blockedTopics", |reader| reader.distinct(|label| label.text(topic::MAX_LABEL))).unwrap_or_default();
            let topics = fields.optional("topics", topic::read).unwrap_or_default();
            let apply = fields.optional("apply", |reader| reader.some(|body| body.one_of(&[("request", false), ("response", true)])));
            let unscannable = fields.optional("unscannable", |reader| reader.one_of(&[("deny", false), ("allow", true)]));
            let holds = |response: bool| apply.iter().flatten().any(|body| body.value == response);
            Some(Self {
                pii_detection,
                detectors: detectors.into_iter().flatten().map(|one| one.value).collect(),
                blocked_topics,
                topics,
                apply: if apply.is_some() { Apply { request: holds(false), response: holds(true) } } else { Apply::default() },
                allow_unscannable: unscannable.unwrap_or(false),
            })
        })
    }
}

fn read_pii_detection(reader: &mut Reader<'_>) -> Option<PiiDetection> {
    // Tools that still read YAML 1.1 (kubectl) turn an unquoted `off` into `false` before we see it.
    if reader.is_false() {
        return Some(PiiDetection::Off);
    }
    reader.one_of(&PiiDetection::ALL.map(|pii| (pii.name(), pii)))
}
