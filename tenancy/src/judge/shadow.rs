//! What a policy in shadow asks for and nothing is recorded for: it denies nothing, but its author should know.

use super::draft::Draft;
use crate::fault::Fault;

/// Warns, in the tenant's own files, of what is asked for in shadow and not evaluated: answers, because reading them needs ext_proc, which could fail.
pub(super) fn warn(draft: &Draft, faults: &mut Vec<Fault>) {
    for policy in draft.guardrails.iter().filter(|policy| policy.shadow) {
        if let Some(filter) = policy.content_filter.as_ref().filter(|filter| filter.apply.response) {
            faults.push(filter.warning("apply: [response] is not served by this release in shadow: answers are not read for it"));
        }
    }
}
