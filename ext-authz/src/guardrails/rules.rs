//! The tenant's rules in Rego: each policy's is judged alone, and every one must allow.
//!
//! They are judged off the I/O threads, in the tenant's own share of the places (S5), and each within its own budget. A rule that fails or
//! takes too much denies, as one that says no.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_rules::{By, Caller, Input, Prepared, Refused, Request, Resource};
use bulkhead_tenancy::guardrail::Rule;

use super::{Asked, Found};
use crate::{
    attributes::{Headers, understood_as},
    offload::{Offload, Undone},
    verdict::{Denial, Reason, ShadowMark},
};

#[cfg(test)]
mod tests;

/// What rules do not see: whoever reads a rule's input must not be able to act as the caller.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-api-key"];

/// Judges every rule of the tenant, and tells which in shadow would have denied.
///
/// # Errors
/// `rule`; `unavailable` where the tenant has too much in progress.
pub async fn judge(asked: &Asked<'_>, offload: &Offload, found: &mut Found) -> Result<(), Denial> {
    let rules = &asked.policy.guardrails().rules;
    if rules.is_empty() {
        return Ok(());
    }
    let input = prepared(asked);
    found.rule_input.clone_from(&input);
    let (shadow, strict): (Vec<_>, Vec<_>) = rules.iter().cloned().partition(|rule| rule.shadow);
    if let Some((rule, refused)) = refusals(asked, offload, strict, input.clone()).await?.into_iter().next() {
        found.findings.rule = Some(rule.policy.clone());
        return Err(Denial::new(Reason::Rule, format!("the rules of the policy {}: {refused}", rule.policy)));
    }
    let of = |rule: &Arc<Rule>, reason| ShadowMark { policy: rule.policy.clone(), reason };
    match refusals(asked, offload, shadow.clone(), input).await {
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
    input: Option<Prepared>,
) -> Result<Vec<(Arc<Rule>, Refused)>, Undone> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let judge = move || {
        let judged = rules.into_iter().map(|rule| {
            let passed = input.as_ref().ok_or(Refused::TooLarge).and_then(|input| rule.compiled.judge(input));
            (rule, passed)
        });
        judged.filter_map(|(rule, passed)| passed.err().map(|refused| (rule, refused))).collect()
    };
    offload.run(&asked.caller.tenant.uid, asked.until, judge).await
}

/// The input; absent where it is larger than a rule may be asked about.
fn prepared(asked: &Asked<'_>) -> Option<Prepared> {
    let Asked { caller, request, .. } = asked;
    let tenant = &caller.tenant;
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
            tool: None,
        },
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
