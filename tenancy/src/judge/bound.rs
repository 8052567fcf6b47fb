//! How much one partition may ask for (S16): a partition is hostile input, and what it makes us keep, compile or search is bounded.

use crate::{
    fault::{Fault, Severity},
    place::Place,
};

/// APIs of a tenant, over all its contracts.
pub const MAX_APIS: usize = 500;
/// Hosts of one API.
pub const MAX_HOSTS: usize = 32;
/// Distinct upstream hosts of a tenant (S4): each may become a DNS entry and a set of connections in Envoy.
pub const MAX_UPSTREAM_HOSTS: usize = 64;
/// Methods, roles or scopes in one list.
pub const MAX_NAMES: usize = 64;
/// Bytes of one role, scope or client id.
pub const MAX_NAME_BYTES: usize = 256;
/// GuardrailPolicies of a tenant.
pub const MAX_GUARDRAILS: usize = 32;
/// GuardrailPolicies of a tenant that state a limit in shadow: each is one more bucket for each of its requests.
pub const MAX_SHADOW_LIMITS: usize = 4;
/// GuardrailPolicies of a tenant that state a content filter in shadow: each reads every body once more.
pub const MAX_SHADOW_FILTERS: usize = 4;
/// Subscriptions of a tenant.
pub const MAX_SUBSCRIPTIONS: usize = 10_000;
/// Tools of a tenant, and sets of them.
pub const MAX_TOOLS: usize = 1_000;
/// Tools in a tenant's sets, each counted in each set: they are gone through for a list of tools.
pub const MAX_GRANTS: usize = 10_000;
/// Names in one allowlist, in one set of tools, in one subscription.
pub const MAX_LISTED: usize = 1_000;
/// Bytes of one tool's `inputSchema`.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// Regular expressions in the schemas of a tenant's tools, each counted where it is used: compiled, one takes up to 128 KiB.
pub const MAX_PATTERNS: usize = 256;
/// Schemas within the schemas of a tenant's tools, each counted where it is used.
pub const MAX_SCHEMAS: usize = 50_000;
/// Values of any kind in the schemas of a tenant's tools: compiled, one takes up to 600 bytes, for as long as the policy is kept.
pub const MAX_SCHEMA_VALUES: usize = 100_000;
/// Labels of topics in one policy.
pub const MAX_TOPICS: usize = 64;
/// Phrases and patterns of one topic.
pub const MAX_MATCHERS: usize = 256;
/// Patterns of `regex.match` in all rules of a tenant; with what one text more may have.
pub const MAX_RULE_PATTERNS: usize = 256;
/// Bytes of one phrase or pattern.
pub const MAX_MATCHER_BYTES: usize = 512;

/// So many faults of one partition are enough: who reads them mends these first, and hostile text may hold millions.
pub const ENOUGH_FAULTS: usize = 500;

/// Whether enough is wrong to look no further. That is an error of its own: what was not looked at must not be missed.
pub(crate) fn is_enough(place: &Place, faults: &mut Vec<Fault>) -> bool {
    // Warnings alone refuse nothing, however many they are.
    let enough = faults.len() > ENOUGH_FAULTS && faults.iter().any(|fault| fault.severity == Severity::Error);
    if enough {
        faults.push(place.fault("and what follows is not judged: too much is wrong in this partition"));
    }
    enough
}

/// Keeps enough of what is wrong, errors before warnings, and says how much more there is.
pub(crate) fn enough(faults: &mut Vec<Fault>) {
    if faults.len() <= ENOUGH_FAULTS {
        return;
    }
    let more = faults.len() - ENOUGH_FAULTS;
    faults.sort_by_key(|fault| fault.severity == Severity::Warning);
    faults.truncate(ENOUGH_FAULTS);
    if let Some(last) = faults.last().cloned() {
        faults.push(Fault { field: String::new(), message: format!("and {more} more faults in this partition"), ..last });
    }
}

/// An error where a partition asks for more than it may.
pub(super) fn at_most(most: usize, have: usize, what: &str, place: &Place, faults: &mut Vec<Fault>) {
    if have > most {
        faults.push(place.fault(format!("at most {most} {what}, not {have}")));
    }
}
