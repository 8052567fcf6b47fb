//! What resources may ask for and this release does not serve. Whoever asks is denied (503) and told so by `validate`: nothing is silently
//! unguarded.

use super::draft::Draft;
use crate::{fault::Fault, guardrail::PiiDetection, place::Place, policy::Unbuilt, resource::guardrail::GuardrailManifest};

/// Lists what a policy asks for in vain: nothing in this release. What is asked for in shadow and not recorded denies nothing, but its author
/// should know.
pub(super) fn list(draft: &Draft, faults: &mut Vec<Fault>) -> Vec<Unbuilt> {
    for policy in draft.guardrails.iter().filter(|policy| policy.shadow) {
        for (feature, place) in reads(policy) {
            faults.push(place.warning(format!("{feature} is not served by this release: in shadow, nothing is recorded for it")));
        }
        if let Some(limit) = &policy.rate_limit {
            faults.push(limit.warning("a limit in shadow is not served by this release: nothing is recorded for it"));
        }
    }
    Vec::new()
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
