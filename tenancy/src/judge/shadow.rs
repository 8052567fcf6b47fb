//! What a policy in shadow asks for and nothing is recorded for: it denies nothing, but its author should know.

use super::draft::Draft;
use crate::{fault::Fault, guardrail::PiiDetection, place::Place, resource::guardrail::GuardrailManifest};

/// Warns, in the tenant's own files, of what is asked for in shadow and not evaluated.
pub(super) fn warn(draft: &Draft, faults: &mut Vec<Fault>) {
    for policy in draft.guardrails.iter().filter(|policy| policy.shadow) {
        for (feature, place) in reads(policy) {
            faults.push(place.warning(format!("{feature} is not served by this release: in shadow, nothing is recorded for it")));
        }
    }
}

/// What one policy reads bodies for: served, but not in shadow.
fn reads(policy: &GuardrailManifest) -> Vec<(String, Place)> {
    let Some(filter) = &policy.content_filter else { return Vec::new() };
    let pii = filter.pii_detection.as_ref().filter(|pii| pii.value != PiiDetection::Off);
    let pii = pii.map(|pii| (format!("contentFilter.piiDetection: {}", pii.value.name()), pii.place.clone()));
    let topic = filter.blocked_topics.first().map(|topic| ("contentFilter.blockedTopics".to_owned(), topic.place.clone()));
    pii.into_iter().chain(topic).collect()
}
