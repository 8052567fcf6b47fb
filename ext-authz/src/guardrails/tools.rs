//! The tenant's `toolAllowlist`, the names of APIs and tools that may be used, and its ToolSets, which say by whom.

use std::collections::BTreeSet;

use bulkhead_tenancy::{
    api::{Access, Api, Protocol},
    name::ToolName,
    policy::TenantPolicy,
    tool::Tool,
};

use super::{Asked, access};
use crate::verdict::{Denial, Reason, ShadowMark, Would};

/// Refuses an API outside the allowlist, and tells what policies in shadow would have refused.
///
/// # Errors
/// `tool`.
pub fn judge(asked: &Asked<'_>, shadow: &mut Vec<ShadowMark>) -> Result<(), Denial> {
    let reached = |list: Option<&BTreeSet<String>>| listed(asked.policy, asked.api, list);
    by_lists(asked, shadow, "the tenant's toolAllowlist does not hold the API", reached)
}

/// Refuses what an mcp API has besides tools, where the allowlist holds only tools of it.
///
/// # Errors
/// `tool`.
pub fn judge_itself(asked: &Asked<'_>, shadow: &mut Vec<ShadowMark>) -> Result<(), Denial> {
    let held = |list: Option<&BTreeSet<String>>| list.is_none_or(|list| list.contains(asked.api.name.as_str()));
    by_lists(asked, shadow, "the tenant's toolAllowlist holds tools of the API, and not the API itself", held)
}

/// Refuses a tool outside the allowlist, and, where the tenant has any ToolSet, one that is in none which lets the
/// caller in.
///
/// # Errors
/// `tool`.
pub fn judge_tool(asked: &Asked<'_>, tool: &Tool, shadow: &mut Vec<ShadowMark>) -> Result<(), Denial> {
    let held = |list: Option<&BTreeSet<String>>| list.is_none_or(|list| list.contains(tool.name.as_str()));
    by_lists(asked, shadow, "the tenant's toolAllowlist does not hold the tool", held)?;
    let mut sets = asked.policy.tool_sets().peekable();
    if sets.peek().is_none() || sets.any(|set| set.tools.contains(&tool.name) && lets_in(&set.access, asked)) {
        Ok(())
    } else {
        Err(Denial::new(Reason::Tool, "no ToolSet that lets the caller in holds the tool"))
    }
}

/// The tools that a caller may use at this API: each that [`judge_tool`] passes.
pub fn usable<'a>(asked: &'a Asked<'_>) -> impl Iterator<Item = &'a Tool> {
    let mut sets = asked.policy.tool_sets().peekable();
    let granted: Option<BTreeSet<&ToolName>> =
        sets.peek().is_some().then(|| sets.filter(|set| lets_in(&set.access, asked)).flat_map(|set| &set.tools).collect());
    let is_granted = move |tool: &Tool| granted.as_ref().is_none_or(|granted| granted.contains(&tool.name));
    asked.policy.tools().filter(move |tool| is_held(asked.policy, asked.api, tool) && is_granted(tool))
}

/// Whether a tool is this API's and in the allowlist: what holds for every caller.
#[must_use]
pub fn is_held(policy: &TenantPolicy, api: &Api, tool: &Tool) -> bool {
    tool.api == api.name && policy.guardrails().allowlist.as_ref().is_none_or(|list| list.contains(tool.name.as_str()))
}

/// Whether a subscription is one that holds now has been judged before.
fn lets_in(wanted: &Access, asked: &Asked<'_>) -> bool {
    (!wanted.subscription_required || asked.subscription.is_some()) && access::passes(wanted, asked.caller).is_ok()
}

/// Refuses what the allowlist does not pass, and notes, once each, the policies in shadow that would have.
fn by_lists(
    asked: &Asked<'_>,
    shadow: &mut Vec<ShadowMark>,
    refusal: &'static str,
    passes: impl Fn(Option<&BTreeSet<String>>) -> bool,
) -> Result<(), Denial> {
    let guardrails = asked.policy.guardrails();
    if !passes(guardrails.allowlist.as_ref()) {
        return Err(Denial::new(Reason::Tool, refusal));
    }
    for policy in guardrails.shadow.iter().filter(|policy| !passes(policy.allowlist.as_ref())) {
        let mark = ShadowMark::new(&policy.name, Would::Deny(Reason::Tool));
        if !shadow.contains(&mark) {
            shadow.push(mark);
        }
    }
    Ok(())
}

/// Whether an allowlist lets an API be reached: an http API by its own name, an mcp API also by one of its tools'.
pub(super) fn listed(policy: &TenantPolicy, api: &Api, allowlist: Option<&BTreeSet<String>>) -> bool {
    let Some(allowlist) = allowlist else { return true };
    let tool =
        |protocol| protocol == Protocol::Mcp && policy.tools().any(|tool| tool.api == api.name && allowlist.contains(tool.name.as_str()));
    allowlist.contains(api.name.as_str()) || tool(api.protocol)
}
