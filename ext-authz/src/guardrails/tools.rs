//! The tenant's `toolAllowlist`: the names of APIs and tools that may be used.

use std::collections::BTreeSet;

use bulkhead_tenancy::{
    api::{Api, Protocol},
    policy::TenantPolicy,
};

use super::Asked;
use crate::verdict::{Denial, Reason, ShadowMark};

/// Refuses an API outside the allowlist, and tells what policies in shadow would have refused.
///
/// # Errors
/// `tool`.
pub fn judge(asked: &Asked<'_>, shadow: &mut Vec<ShadowMark>) -> Result<(), Denial> {
    let guardrails = asked.policy.guardrails();
    if !listed(asked.policy, asked.api, guardrails.allowlist.as_ref()) {
        return Err(Denial::new(Reason::Tool, "the tenant's toolAllowlist does not hold the API"));
    }
    let marked = guardrails.shadow.iter().filter(|policy| !listed(asked.policy, asked.api, policy.allowlist.as_ref()));
    shadow.extend(marked.map(|policy| ShadowMark { policy: policy.name.clone(), reason: Reason::Tool }));
    Ok(())
}

/// Whether an allowlist lets an API be reached: an http API by its own name, an mcp API also by one of its tools'.
pub(super) fn listed(policy: &TenantPolicy, api: &Api, allowlist: Option<&BTreeSet<String>>) -> bool {
    let Some(allowlist) = allowlist else { return true };
    let tool =
        |protocol| protocol == Protocol::Mcp && policy.tools().any(|tool| tool.api == api.name && allowlist.contains(tool.name.as_str()));
    allowlist.contains(api.name.as_str()) || tool(api.protocol)
}
