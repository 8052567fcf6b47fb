//! The tenant's rules in Rego: each policy's is judged alone, and every one must allow.
//!
//! They are judged off the I/O threads, in the tenant's own share of the places (S5), and each within its own budget. A rule that fails or
//! takes too much denies, as one that says no. Of MCP they are asked about each message by itself, and every message must pass.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_rules::{By, Caller, Input, Mcp, Prepared, Refused, Request, Resource};
use bulkhead_tenancy::guardrail::Rule;

use tokio::time::Instant;

use super::{Asked, Found, mcp::Said};
use crate::{
    attributes::{Headers, understood_as},
    offload::{Offload, Undone},
    verdict::{Denial, Reason, ShadowMark, Would},
};

#[cfg(test)]
mod tests;

/// What rules do not see: whoever reads a rule's input must not be able to act as the caller.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-api-key"];

/// Judges every rule of the tenant, and tells which in shadow would have denied. `said`: the messages, of an API that speaks MCP.
///
/// # Errors
/// `rule`; `unavailable` where the tenant has too much in progress.
pub async fn judge(asked: &Asked<'_>, said: Option<&[Said]>, offload: &Offload, found: &mut Found) -> Result<(), Denial> {
    let rules = &asked.policy.guardrails().rules;
    if rules.is_empty() {
        return Ok(());
    }
    let arguments = rules.iter().any(|rule| rule.compiled.reads_arguments());
    let inputs = match said {
        None => vec![prepared(asked, None, arguments)],
        Some(said) => said.iter().map(|said| prepared(asked, Some(said), arguments)).collect(),
    };
    found.rule_input = inputs.iter().flatten().cloned().collect();
    let (shadow, strict): (Vec<_>, Vec<_>) = rules.iter().cloned().partition(|rule| rule.shadow);
    if let Some((rule, refused)) = refusals(asked, offload, strict, inputs.clone()).await?.into_iter().next() {
        found.findings.rule = Some(rule.policy.clone());
        return Err(Denial::new(Reason::Rule, format!("the rules of the policy {}: {refused}", rule.policy)));
    }
    let of = |rule: &Arc<Rule>, reason| ShadowMark::new(&rule.policy, Would::Deny(reason));
    match refusals(asked, offload, shadow.clone(), inputs).await {
        Ok(refused) => found.shadow.extend(refused.iter().map(|(rule, _)| of(rule, Reason::Rule))),
        // That it could not be judged is what it would have answered.
        Err(_) => found.shadow.extend(shadow.iter().map(|rule| of(rule, Reason::Unavailable))),
    }
    Ok(())
}

/// The rules that refuse, with why.
async fn refusals(
    asked: &Asked<'_>,
    offload: &Offload,
    rules: Vec<Arc<Rule>>,
    inputs: Vec<Option<Prepared>>,
) -> Result<Vec<(Arc<Rule>, Refused)>, Undone> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let until = asked.until;
    let passes = move |rule: &Rule, input: &Option<Prepared>| match input {
        None => Err(Refused::TooLarge),
        // Nobody waits any more: what is left of a large batch is not judged, and denied.
        Some(_) if Instant::now() > until => Err(Refused::Spent),
        Some(input) => rule.compiled.judge(input),
    };
    let judge = move || {
        let judged = rules.into_iter().map(|rule| (inputs.iter().try_for_each(|input| passes(&rule, input)), rule));
        judged.filter_map(|(passed, rule)| passed.err().map(|refused| (rule, refused))).collect()
    };
    offload.run(&asked.caller.tenant.uid, until, judge).await
}

/// The input; absent where it is larger than a rule may be asked about. `arguments`: whether a rule may read those of a tool.
fn prepared(asked: &Asked<'_>, said: Option<&Said>, arguments: bool) -> Option<Prepared> {
    let Asked { caller, request, .. } = asked;
    let tenant = &caller.tenant;
    let tool = said.and_then(|said| said.tool.as_ref());
    let arguments = said.and_then(|said| said.arguments.as_ref()).filter(|_| arguments).map(|arguments| arguments.to_string());
    Input {
        caller: Caller {
            tenant: tenant.name.as_str(),
            tenant_namespace: tenant.namespace.as_str(),
            subject: caller.subject.as_deref(),
            client: caller.client.as_deref(),
            roles: &caller.roles,
            scopes: &caller.scopes,
            subscription: asked.subscription.map(|subscription| subscription.name.as_str()),
            by: match (caller.by_token, caller.by_key.is_some()) {
                (true, true) => By::Both,
                (false, true) => By::Key,
                _ => By::Token,
            },
        },
        resource: Resource {
            namespace: tenant.namespace.as_str(),
            api: asked.api.name.as_str(),
            path: asked.path,
            method: &request.method,
            tool: tool.map(|(name, _)| name.as_str()),
        },
        mcp: said.map(|said| Mcp {
            method: said.method.as_deref(),
            tool: tool.map(|(_, wire)| wire.as_str()),
            arguments: arguments.as_deref(),
        }),
        request: Request {
            method: &request.method,
            path: &request.path,
            query: request.query.as_deref(),
            host: &request.authority,
            scheme: &request.scheme,
            headers: headers(&request.headers),
        },
    }
    .prepare()
}

/// Names in lower case, equal ones joined by commas (RFC 9110, section 5.3); bytes that are no text become U+FFFD.
fn headers(all: &Headers) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for name in all.names() {
        let hidden = name.starts_with(':') || CREDENTIALS.iter().any(|credential| understood_as(name, credential));
        if !hidden && !headers.contains_key(name) {
            let values: Vec<_> = all.all(name).map(String::from_utf8_lossy).collect();
            headers.insert(name.to_owned(), values.join(","));
        }
    }
    headers
}
