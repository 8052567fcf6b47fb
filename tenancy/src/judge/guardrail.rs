//! Guardrail policies: bounded one by one, then joined so that the stricter wins (SEMANTICS, Precedence).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    bound::{
        ENOUGH_FAULTS, MAX_GUARDRAILS, MAX_LISTED, MAX_MATCHER_BYTES, MAX_MATCHERS, MAX_RULE_PATTERNS, MAX_SHADOW_FILTERS,
        MAX_SHADOW_LIMITS, MAX_TOPICS, at_most,
    },
    draft::DraftApi,
    unread::Unread,
};
use crate::{
    fault::Fault,
    guardrail::{ContentFilter, Detector, Filter, Guardrails, PiiDetection, Rule, Rules, ShadowPolicy, TopicMatcher, Topics},
    limit::RateLimit,
    name::ApiName,
    place::At,
    policy::Tools,
    resource::guardrail::{ContentFilterManifest, GuardrailManifest},
};

/// Bounds what policies ask for. A name in an allowlist that names nothing is a warning: it permits nothing.
pub(super) fn judge(
    mut policies: Vec<GuardrailManifest>,
    contract: &BTreeMap<ApiName, DraftApi>,
    tools: &Tools,
    unread: &Unread,
    faults: &mut Vec<Fault>,
) -> Vec<GuardrailManifest> {
    policies.sort_by(|one, two| one.metadata.name.value.cmp(&two.metadata.name.value));
    if let Some(last) = policies.last() {
        at_most(MAX_GUARDRAILS, policies.len(), "guardrail policies of a tenant", &last.metadata.name.place, faults);
    }
    let filtered = policies.iter().filter(|policy| policy.shadow).filter_map(|policy| policy.content_filter.as_ref());
    if let Some(last) = filtered.clone().next_back() {
        at_most(MAX_SHADOW_FILTERS, filtered.count(), "content filters in shadow", &last.place, faults);
    }
    let limited = policies.iter().filter(|policy| policy.shadow).filter_map(|policy| policy.rate_limit.as_ref());
    if let Some(last) = limited.clone().next_back() {
        at_most(MAX_SHADOW_LIMITS, limited.count(), "limits in shadow", &last.place, faults);
    }
    // Of warnings so many say enough, and never become an error.
    let mut left = ENOUGH_FAULTS + 1;
    // Errors stand for what is over these bounds: it is not looked at.
    for policy in policies.iter().take(MAX_GUARDRAILS) {
        if let Some(list) = &policy.tool_allowlist {
            at_most(MAX_LISTED, list.len(), "names in an allowlist", &list.place, faults);
            let known = |name: &str| contract.contains_key(name) || tools.tools.contains_key(name);
            for name in list.iter().take(MAX_LISTED).filter(|name| !known(name.as_str())).take(left) {
                left -= 1;
                faults.push(unread.missing(name, name.warning("names neither an API nor a tool of this tenant")));
            }
        }
        if let Some(filter) = &policy.content_filter {
            at_most(MAX_TOPICS, filter.topics.len() + filter.blocked_topics.len(), "topics", &filter.place, faults);
            for topic in filter.topics.values().take(MAX_TOPICS) {
                at_most(MAX_MATCHERS, topic.phrases.len() + topic.patterns.len(), "phrases and patterns", &topic.place, faults);
                if topic.phrases.iter().chain(&topic.patterns).any(|text| text.len() > MAX_MATCHER_BYTES) {
                    faults.push(topic.fault(format!("a phrase or pattern has more than {MAX_MATCHER_BYTES} bytes")));
                }
            }
        }
    }
    policies
}

/// Compiles the rules of each policy, once for all that is made of them. A fault is told at its line in the file.
pub(super) fn compile(policies: &[GuardrailManifest], faults: &mut Vec<Fault>) -> Vec<Arc<Rule>> {
    let (mut compiled, mut patterns) = (Vec::new(), 0);
    for policy in policies.iter().take(MAX_GUARDRAILS) {
        let Some(rules) = &policy.rules else { continue };
        if patterns > MAX_RULE_PATTERNS {
            faults.push(rules.fault(format!("comes after more than {MAX_RULE_PATTERNS} patterns in the rules of this tenant")));
            break;
        }
        let version = policy.rego_version.as_ref().map(|version| version.value);
        match Rules::compile(rules, version) {
            Ok(made) => {
                patterns += made.patterns();
                compiled.push(Arc::new(Rule {
                    policy: policy.metadata.name.as_str().to_owned(),
                    text: rules.value.clone(),
                    version,
                    shadow: policy.shadow,
                    compiled: made,
                }));
            }
            Err(wrong) => faults.push(rules.place.clone().in_text(&rules.value, wrong.line).fault(wrong.message)),
        }
    }
    compiled
}

/// Joins policies: lists intersect, rules AND, PII the strictest, topics the union. What is in shadow restricts nothing.
pub(super) fn join(
    policies: &[GuardrailManifest],
    rules: &[Arc<Rule>],
    platform: &BTreeMap<String, TopicMatcher>,
    faults: &mut Vec<Fault>,
) -> Guardrails {
    let mut joined = Guardrails { rules: rules.to_vec(), ..Guardrails::default() };
    let mut content: Option<Asked> = None;
    let mut blocked = BTreeMap::new();
    for policy in policies {
        let name = policy.metadata.name.as_str().to_owned();
        let list = policy.tool_allowlist.as_ref().map(|list| list.iter().map(|name| name.value.clone()).collect::<BTreeSet<_>>());
        let topics = topics(policy, policies, platform, faults);
        if policy.shadow {
            let content = policy.content_filter.as_ref().map(|filter| Asked::of(filter).compiled(compiled(topics, filter, faults)));
            joined.shadow.push(ShadowPolicy {
                name,
                allowlist: list,
                rate_limit: policy.rate_limit.as_ref().map(|limit| limit.value),
                content,
            });
            continue;
        }
        if let Some(list) = list {
            joined.allowlist = Some(match joined.allowlist.take() {
                Some(other) => other.intersection(&list).cloned().collect(),
                None => list,
            });
        }
        if let Some(filter) = &policy.content_filter {
            let filter = Asked::of(filter);
            content = Some(content.map_or(filter.clone(), |content| content.stricter(filter)));
        }
        blocked.extend(topics);
    }
    if let Some(content) = content {
        let last = policies.iter().rev().filter(|policy| !policy.shadow).find_map(|policy| policy.content_filter.as_ref());
        let topics = last.map(|filter| compiled(blocked, filter, faults)).unwrap_or_default();
        joined.content = content.compiled(topics);
    }
    joined
}

/// The topics of one filter, or of several joined. Each phrase and pattern was judged where it stands; what is left to be wrong is all of them together.
fn compiled(
    topics: impl IntoIterator<Item = (String, TopicMatcher)>,
    filter: &At<ContentFilterManifest>,
    faults: &mut Vec<Fault>,
) -> Topics {
    Topics::compile(topics.into_iter().collect()).unwrap_or_else(|error| {
        faults.push(filter.fault(format!("the blocked topics together: {error}")));
        Topics::default()
    })
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
    for label in policy.content_filter.iter().flat_map(|filter| filter.blocked_topics.iter().take(MAX_TOPICS)) {
        let said = |in_shadow: bool| {
            let own = policies.iter().filter(move |policy| policy.shadow == in_shadow);
            own.filter_map(|policy| policy.content_filter.as_ref()?.topics.get(label.as_str())).map(|topic| &topic.value)
        };
        let known: Vec<_> = platform.get(label.as_str()).into_iter().chain(said(false)).collect();
        // What a policy in shadow adds denies nothing, unless nobody else says what the label means.
        let more = said(true).filter(|_| policy.shadow || known.is_empty());
        let meaning = known.iter().copied().chain(more).cloned().reduce(|mut one, two| {
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

/// What `contentFilter` of one policy, or of several, asks for.
#[derive(Clone)]
struct Asked {
    pii: PiiDetection,
    /// Empty: all.
    detectors: BTreeSet<Detector>,
    requests: bool,
    responses: bool,
    allow_unscannable: bool,
}

impl Asked {
    fn of(filter: &ContentFilterManifest) -> Self {
        Self {
            pii: filter.pii_detection.as_ref().map(|pii| pii.value).unwrap_or_default(),
            detectors: filter.detectors.clone(),
            requests: filter.apply.request,
            responses: filter.apply.response,
            allow_unscannable: filter.allow_unscannable,
        }
    }

    fn stricter(self, other: Self) -> Self {
        // No detector named means all of them.
        let every = self.detectors.is_empty() || other.detectors.is_empty();
        Self {
            pii: self.pii.max(other.pii),
            detectors: if every { BTreeSet::new() } else { self.detectors.union(&other.detectors).copied().collect() },
            requests: self.requests || other.requests,
            responses: self.responses || other.responses,
            allow_unscannable: self.allow_unscannable && other.allow_unscannable,
        }
    }

    fn compiled(self, topics: Topics) -> ContentFilter {
        let detectors = match self.pii {
            PiiDetection::Off => BTreeSet::new(),
            _ if self.detectors.is_empty() => Detector::ALL.into(),
            _ => self.detectors,
        };
        ContentFilter {
            pii: self.pii,
            filter: Filter::new(detectors, topics),
            requests: self.requests,
            responses: self.responses,
            allow_unscannable: self.allow_unscannable,
        }
    }
}
