//! The metadata of a decision: what later filters, the limiter and access logs know of it. It stands on denials too.

use bulkhead_proto::{
    contract::metadata as key,
    pb::google::protobuf::{Struct, Value, value::Kind},
};
use bulkhead_tenancy::tenant::Policy;

use super::claim;
use crate::verdict::{Allowed, Decision, Facts, Obligations, Process};

/// The metadata of a decision. A tenant stands in it only once it is proven. Everything but `cost` is a string: Envoy drops a
/// descriptor whose metadata value is not one. Without `cost` it drops the whole descriptor: so what is charged already has none, and all else has one.
#[must_use]
pub fn metadata(decision: &Decision) -> Struct {
    let verdict = &decision.verdict;
    let Facts { tenant, api, subscription, subject, .. } = &verdict.facts;
    let (process, cost) = match &verdict.outcome {
        Ok(allowed) => (allowed.obligations.process, verdict.charged.is_none().then_some(allowed.cost)),
        Err(_) => (Process::None, Some(1)),
    };
    let mut texts =
        vec![(key::DECISION_ID, decision.id.clone()), (key::VERDICT, verdict.name().to_owned()), (key::PROCESS, process.name().to_owned())];
    if let Ok(Allowed { obligations: Obligations { shown: Some(shown), .. }, .. }) = &verdict.outcome {
        texts.push((key::TOOLS, shown.to_string()));
    }
    let expires = verdict.outcome.as_ref().ok().and_then(|allowed| allowed.caller.expires);
    texts.extend(expires.filter(|_| process.responses()).map(|expires| (key::EXPIRES, expires.to_string())));
    texts.extend(decision.generation.map(|generation| (key::GENERATION, generation.to_string())));
    if let Some(tenant) = tenant {
        texts.push((key::TENANT, tenant.name.to_string()));
        texts.push((key::NAMESPACE, tenant.namespace.to_string()));
        texts.push((key::PLAN, tenant.plan.name.to_string()));
        texts.push((key::REGION, tenant.region.to_string()));
        if let Policy::Ready(policy) = &tenant.policy {
            texts.push((key::POLICY, policy.hash().as_str().to_owned()));
        }
    }
    texts.extend(api.as_ref().map(|api| (key::API, api.name.to_string())));
    texts.extend(subscription.as_ref().map(|subscription| (key::SUBSCRIPTION, subscription.name.to_string())));
    texts.extend(subject.as_deref().and_then(claim::visible).map(|subject| (key::SUBJECT, subject)));
    let texts = texts.into_iter().map(|(key, text)| (key.to_owned(), value(Kind::StringValue(text))));
    let cost = cost.map(|cost| (key::COST.to_owned(), value(Kind::NumberValue(f64::from(u32::try_from(cost).unwrap_or(u32::MAX))))));
    Struct { fields: texts.chain(cost).collect() }
}

const fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}
