//! Guardrail policies: bounded one by one, then joined so that the stricter wins (SEMANTICS, Precedence).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    bound::{MAX_GUARDRAILS, MAX_LISTED, MAX_MATCHER_BYTES, MAX_MATCHERS, MAX_RULES_BYTES, MAX_TOPICS, at_most},
    draft::DraftApi,
};
use crate::{
    fault::Fault,
    guardrail::{ContentFilter, Guardrails, Rule, ShadowPolicy, TopicMatcher},
    limit::RateLimit,
    name::ApiName,
    policy::Tools,
    resource::guardrail::{ContentFilterManifest, GuardrailManifest},
};

/// Bounds what policies ask for. A name in an allowlist that names nothing is a warning: it permits nothing.
pub(super) fn judge(
    mut policies: Vec<GuardrailManifest>,
    contract: &BTreeMap<ApiName, DraftApi>,
    tools: &Tools,
    faults: &mut Vec<Fault>,
) -> Vec<GuardrailManifest> {
    policies.sort_by(|one, two| one.metadata.name.value.cmp(&two.metadata.name.value));
    if let Some(last) = policies.last() {
        at_most(MAX_GUARDRAILS, policies.len(), "guardrail policies of a tenant", &last.metadata.name.place, faults);
    }
    for policy in &policies {
        if let Some(list) = &policy.tool_allowlist {
            at_most(MAX_LISTED, list.len(), "names in an allowlist", &list.place, faults);
            for name in list.iter().filter(|name| !contract.contains_key(name.as_str()) && !tools.tools.contains_key(name.as_str())) {
                faults.push(name.warning("names neither an API nor a tool of this tenant"));
            }
        }
        if let Some(rules) = &policy.rules {
            at_most(MAX_RULES_BYTES, rules.len(), "bytes of rules", &rules.place, faults);
        }
        if let Some(filter) = &policy.content_filter {
            at_most(MAX_TOPICS, filter.topics.len() + filter.blocked_topics.len(), "topics", &filter.place, faults);
            for topic in filter.topics.values() {
                at_most(MAX_MATCHERS, topic.phrases.len() + topic.patterns.len(), "phrases and patterns", &topic.place, faults);
                if topic.phrases.iter().chain(&topic.patterns).any(|text| text.len() > MAX_MATCHER_BYTES) {
                    faults.push(topic.fault(format!("a phrase or pattern has more than {MAX_MATCHER_BYTES} bytes")));
                }
            }
        }
    }
    policies
}

/// Joins policies: lists intersect, rules AND, PII the strictest, topics the union. What is in shadow restricts nothing.
pub(super) fn join(policies: &[GuardrailManifest], platform: &BTreeMap<String, TopicMatcher>, faults: &mut Vec<Fault>) -> Guardrails {
    let mut joined = Guardrails::default();
    let mut filtered = false;
    for policy in policies {
        let name = policy.metadata.name.as_str().to_owned();
        if let Some(rules) = &policy.rules {
            let version = policy.rego_version.as_ref().map(|version| version.value);
            joined.rules.push(Rule { policy: name.clone(), text: rules.value.clone(), version, shadow: policy.shadow });
        }
        let list = policy.tool_allowlist.as_ref().map(|list| list.iter().map(|name| name.value.clone()).collect::<BTreeSet<_>>());
        let topics = topics(policy, policies, platform, faults);
        if policy.shadow {
            joined.shadow.push(ShadowPolicy { name, allowlist: list });
            continue;
        }
        if let Some(list) = list {
            joined.allowlist = Some(match joined.allowlist.take() {
                Some(other) => other.intersection(&list).cloned().collect(),
                None => list,
            });
        }
        if let Some(filter) = &policy.content_filter {
            joined.content = if filtered { stricter(&joined.content, filter) } else { alone(filter) };
            filtered = true;
        }
        joined.content.blocked.extend(topics);
    }
    joined
}

/// The least of each field of the limits that policies state, if any does.
pub(super) fn least_limit(policies: &[GuardrailManifest]) -> Option<RateLimit> {
    let stated = policies.iter().filter(|policy| !policy.shadow).filter_map(|policy| policy.rate_limit.as_ref());
    stated.map(|limit| limit.value).reduce(RateLimit::least)
}

/// The topics that a policy blocks, with what each means: everything that the platform or any policy of the tenant says it means, for the
/// wider a blocked topic, the stricter.
fn topics(
    policy: &GuardrailManifest,
    policies: &[GuardrailManifest],
    platform: &BTreeMap<String, TopicMatcher>,
    faults: &mut Vec<Fault>,
) -> Vec<(String, TopicMatcher)> {
    let mut topics = Vec::new();
    for label in policy.content_filter.iter().flat_map(|filter| &filter.blocked_topics) {
        let own = policies.iter().filter_map(|policy| policy.content_filter.as_ref()?.topics.get(label.as_str()));
        let meaning = platform.get(label.as_str()).into_iter().chain(own.map(|topic| &topic.value)).cloned().reduce(|mut one, two| {
            one.phrases.extend(two.phrases);
            one.patterns.extend(two.patterns);
            one
        });
        match meaning {
            Some(meaning) => topics.push((label.value.clone(), meaning)),
            None => faults.push(label.fault("no topic has this label, neither in this tenant's policies nor at the platform")),
        }
    }
    topics
}

fn alone(filter: &ContentFilterManifest) -> ContentFilter {
    ContentFilter {
        pii: filter.pii_detection.as_ref().map(|pii| pii.value).unwrap_or_default(),
        detectors: filter.detectors.clone(),
        blocked: BTreeMap::new(),
        responses: filter.apply.response,
        requests: filter.apply.request,
        allow_unscannable: filter.allow_unscannable,
    }
}

fn stricter(joined: &ContentFilter, filter: &ContentFilterManifest) -> ContentFilter {
    let filter = alone(filter);
    // No detector named means all of them.
    let every = joined.detectors.is_empty() || filter.detectors.is_empty();
    ContentFilter {
        pii: joined.pii.max(filter.pii),
        detectors: if every { BTreeSet::new() } else { joined.detectors.union(&filter.detectors).copied().collect() },
        blocked: joined.blocked.clone(),
        responses: joined.responses || filter.responses,
        requests: joined.requests || filter.requests,
        allow_unscannable: joined.allow_unscannable && filter.allow_unscannable,
    }
}
