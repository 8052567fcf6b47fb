//! The tenant's rules in Rego: each policy's is judged alone, and every one must allow.
//!
//! They are judged off the I/O threads, in the tenant's own share of the places (S5), and each within its own budget. A rule that fails or
//! takes too much denies, as one that says no. Of MCP they are asked about each message by itself, and every message must pass.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_rules::{self as rules, By, Input, Mcp, Prepared, Refused, Request, Resource};
use bulkhead_tenancy::{api::Api, guardrail::Rule, subscription::Subscription};
use tokio::time::Instant;

use super::{Asked, Found, mcp::Said};
use crate::{
    attributes::{Headers, understood_as},
    offload::{Offload, Undone},
    route::path,
    verdict::{Caller, Denial, Reason, ShadowMark, Would},
};

#[cfg(test)]
mod tests;

/// What rules do not see: whoever reads a rule's input must not be able to act as the caller.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-api-key"];

/// Judges every rule of the tenant, and tells which in shadow would have denied. `said`: the messages, of an API that speaks MCP.
///
/// # Errors
/// `rule`; `unavailable` where the tenant has too much in progress.
pub async fn judge(asked: &Asked<'_>, said: Option<Vec<Said>>, offload: &Offload, found: &mut Found) -> Result<(), Denial> {
    let rules = &asked.policy.guardrails().rules;
    if rules.is_empty() {
        return Ok(());
    }
    let question = Arc::new(Question::of(asked, said));
    // Each kind is asked by itself: what only a rule in shadow reads may be too large to be asked about, and must not deny.
    let (shadow, strict): (Vec<_>, Vec<_>) = rules.iter().cloned().partition(|rule| rule.shadow);
    let Judged { refused, inputs } = Box::pin(judged(asked, offload, strict, &question)).await?;
    found.rule_input = inputs;
    if let Some((rule, refused)) = refused.into_iter().next() {
        found.findings.rule = Some(rule.policy.clone());
        return Err(Denial::new(Reason::Rule, format!("the rules of the policy {}: {refused}", rule.policy)));
    }
    let of = |rule: &Arc<Rule>, reason| ShadowMark::new(&rule.policy, Would::Deny(reason));
    match Box::pin(judged(asked, offload, shadow.clone(), &question)).await {
        Ok(Judged { refused, inputs }) => {
            found.shadow.extend(refused.iter().map(|(rule, _)| of(rule, Reason::Rule)));
            if found.rule_input.is_empty() {
                found.rule_input = inputs;
            }
        }
        // That it could not be judged is what it would have answered.
        Err(_) => found.shadow.extend(shadow.iter().map(|rule| of(rule, Reason::Unavailable))),
    }
    Ok(())
}

/// What came of asking rules.
#[derive(Default)]
struct Judged {
    /// The rules that refuse, with why.
    refused: Vec<(Arc<Rule>, Refused)>,
    /// What they were asked about, as far as they could be.
    inputs: Vec<Prepared>,
}

/// Asks rules, off the I/O threads: also what they are asked about is as large as the caller made it.
async fn judged(asked: &Asked<'_>, offload: &Offload, rules: Vec<Arc<Rule>>, question: &Arc<Question>) -> Result<Judged, Undone> {
    if rules.is_empty() {
        return Ok(Judged::default());
    }
    let (until, question) = (asked.until, Arc::clone(question));
    let passes = move |rule: &Rule, input: &Option<Prepared>| match input {
        None => Err(Refused::TooLarge),
        // Nobody waits any more: what is left of a large batch is not judged, and denied.
        Some(_) if Instant::now() > until => Err(Refused::Spent),
        Some(input) => rule.compiled.judge(input),
    };
    let judge = move || {
        let inputs = question.inputs(rules.iter().any(|rule| rule.compiled.reads_arguments()));
        let judged = rules.into_iter().map(|rule| (inputs.iter().try_for_each(|input| passes(&rule, input)), rule));
        let refused = judged.filter_map(|(passed, rule)| passed.err().map(|refused| (rule, refused))).collect();
        Judged { refused, inputs: inputs.into_iter().flatten().collect() }
    };
    offload.run(&asked.caller.tenant.uid, until, judge).await
}

/// What rules are asked about, away from the request that it is a part of.
struct Question {
    caller: Caller,
    subscription: Option<Arc<Subscription>>,
    api: Arc<Api>,
    /// The path below the API, with its escapes undone: to a rule that denies `/admin`, `/%61dmin` is no other path.
    below: String,
    method: String,
    path: String,
    query: Option<String>,
    host: String,
    scheme: String,
    headers: BTreeMap<String, String>,
    said: Option<Vec<Said>>,
}

impl Question {
    fn of(asked: &Asked<'_>, said: Option<Vec<Said>>) -> Self {
        let request = asked.request;
        Self {
            caller: asked.caller.clone(),
            subscription: asked.subscription.cloned(),
            api: Arc::clone(asked.api),
            below: path::read(asked.path).into_owned(),
            method: request.method.to_owned(),
            path: path::read(request.path).into_owned(),
            query: request.query.map(str::to_owned),
            host: request.authority.to_owned(),
            scheme: request.scheme.to_owned(),
            headers: headers(&request.headers),
            said,
        }
    }

    /// An input for each message, absent where it is larger than a rule may be asked about. `arguments`: whether a rule may read those of a tool.
    fn inputs(&self, arguments: bool) -> Vec<Option<Prepared>> {
        match &self.said {
            None => vec![self.input(None, arguments)],
            Some(said) => said.iter().map(|said| self.input(Some(said), arguments)).collect(),
        }
    }

    fn input(&self, said: Option<&Said>, arguments: bool) -> Option<Prepared> {
        let tenant = &self.caller.tenant;
        let tool = said.and_then(|said| said.tool.as_ref());
        let arguments = said.and_then(|said| said.arguments.as_ref()).filter(|_| arguments).map(|arguments| arguments.to_string());
        Input {
            caller: rules::Caller {
                tenant: tenant.name.as_str(),
                tenant_namespace: tenant.namespace.as_str(),
                subject: self.caller.subject.as_deref(),
                client: self.caller.client.as_deref(),
                roles: &self.caller.roles,
                scopes: &self.caller.scopes,
                subscription: self.subscription.as_ref().map(|subscription| subscription.name.as_str()),
                by: match (self.caller.by_token, self.caller.by_key.is_some()) {
                    (true, true) => By::Both,
                    (false, true) => By::Key,
                    _ => By::Token,
                },
            },
            resource: Resource {
                namespace: tenant.namespace.as_str(),
                api: self.api.name.as_str(),
                path: &self.below,
                method: &self.method,
                tool: tool.map(|(name, _)| name.as_str()),
            },
            mcp: said.map(|said| Mcp {
                method: said.method.as_deref(),
                tool: tool.map(|(_, wire)| wire.as_str()),
                arguments: arguments.as_deref(),
            }),
            request: Request {
                method: &self.method,
                path: &self.path,
                query: self.query.as_deref(),
                host: &self.host,
                scheme: &self.scheme,
                headers: self.headers.clone(),
            },
        }
        .prepare()
    }
}

/// Names in lower case, equal ones joined by commas (RFC 9110, section 5.3); bytes that are no text become U+FFFD.
fn headers(all: &Headers<'_>) -> BTreeMap<String, String> {
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
