//! What resources may ask for and this release does not serve. Whoever asks is denied (503) and told so by `validate`: nothing is silently
//! unguarded.

use super::draft::Draft;
use crate::{
    fault::Fault,
    guardrail::PiiDetection,
    name::ApiName,
    place::Place,
    policy::{TenantPolicy, Unbuilt},
    resource::guardrail::GuardrailManifest,
};

/// Lists what a policy asks for in vain, with a warning for each in the tenant's own files. What only a policy in shadow asks for denies
/// nothing, but its author should know that nothing is recorded either.
pub(super) fn list(draft: &Draft, policy: &TenantPolicy, faults: &mut Vec<Fault>) -> Vec<Unbuilt> {
    let mut list = Vec::new();
    let mut ask = |api: Option<&ApiName>, feature: String, place: &Place| {
        let unbuilt = Unbuilt { api: api.cloned(), feature };
        faults.push(place.warning(unbuilt.to_string()));
        list.push(unbuilt);
    };
    for (name, draft) in draft.apis.iter().filter(|(name, _)| policy.apis.contains_key(*name)) {
        let api = &draft.api;
        if api.openapi.is_some() {
            ask(Some(name), "openapi".to_owned(), &draft.place);
        }
    }
    for policy in draft.guardrails.iter().filter(|policy| !policy.shadow) {
        if let Some((feature, place)) = asks(policy) {
            ask(None, feature, &place);
        }
    }
    for policy in draft.guardrails.iter().filter(|policy| policy.shadow) {
        for (feature, place) in asks(policy).into_iter().chain(reads(policy)) {
            faults.push(place.warning(format!("{feature} is not served by this release: in shadow, nothing is recorded for it")));
        }
        if let Some(limit) = &policy.rate_limit {
            faults.push(limit.warning("a limit in shadow is not served by this release: nothing is recorded for it"));
        }
    }
    list
}

/// What one policy asks for, as field and value, with its place.
fn asks(policy: &GuardrailManifest) -> Option<(String, Place)> {
    policy.rules.as_ref().map(|rules| ("rules".to_owned(), rules.place.clone()))
}

/// What one policy reads bodies for: served, but not in shadow.
fn reads(policy: &GuardrailManifest) -> Vec<(String, Place)> {
    let Some(filter) = &policy.content_filter else { return Vec::new() };
    let pii = filter.pii_detection.as_ref().filter(|pii| pii.value != PiiDetection::Off).map(|pii| {
        let word = match pii.value {
            PiiDetection::Off => "off",
            PiiDetection::Detect => "detect",
            PiiDetection::Redact => "redact",
            PiiDetection::Block => "block",
        };
        (format!("contentFilter.piiDetection: {word}"), pii.place.clone())
    });
    let topic = filter.blocked_topics.first().map(|topic| ("contentFilter.blockedTopics".to_owned(), topic.place.clone()));
    pii.into_iter().chain(topic).collect()
}
