//! The metadata of a decision: what later filters, the limiter and access logs know of it. It stands on denials too.

use bulkhead_proto::{contract::metadata as key, wire::Written};
use bulkhead_tenancy::tenant::Policy;

use super::claim;
use crate::verdict::{Allowed, Decision, Facts, Obligations, Process};

/// Writes the fields of a `google.protobuf.Struct`. A tenant stands in it only once it is proven. Everything but `cost` is a string: Envoy drops a
/// descriptor whose metadata value is not one. Without `cost` it drops the whole descriptor: so what is charged already has none, and all else has one.
pub(super) fn write(decision: &Decision, fields: &mut Written) {
    let verdict = &decision.verdict;
    let Facts { tenant, api, subscription, subject, .. } = &verdict.facts;
    let (process, cost) = match &verdict.outcome {
        Ok(allowed) => (allowed.obligations.process, verdict.charged.is_none().then_some(allowed.cost)),
        Err(_) => (Process::None, Some(1)),
    };
    let mut text = |key: &str, text: &str| field(fields, key, |value| value.text(3, text));
    text(key::DECISION_ID, &decision.id);
    text(key::VERDICT, verdict.name());
    text(key::PROCESS, process.name());
    if let Ok(Allowed { obligations: Obligations { shown: Some(shown), .. }, .. }) = &verdict.outcome {
        text(key::TOOLS, &shown.to_string());
    }
    if let Some(generation) = decision.generation {
        text(key::GENERATION, &generation.to_string());
    }
    // Also where only the request is to be read: a policy that comes meanwhile may have the answer read, and that may be a stream.
    if let Some(Allowed { caller, subscription, .. }) = verdict.outcome.as_ref().ok().filter(|_| process != Process::None) {
        let of_subscription = subscription.as_ref().and_then(|subscription| subscription.expires_at);
        if let Some(expires) = caller.expires.into_iter().chain(of_subscription).min() {
            text(key::EXPIRES, &expires.to_string());
        }
        if let Some(signed_by) = &caller.signed_by {
            text(key::SIGNED_BY, &signed_by.to_string());
        }
    }
    if let Some(tenant) = tenant {
        text(key::TENANT, tenant.name.as_str());
        text(key::NAMESPACE, tenant.namespace.as_str());
        text(key::PLAN, tenant.plan.name.as_str());
        text(key::REGION, tenant.region.as_str());
        if let Policy::Ready(policy) = &tenant.policy {
            text(key::POLICY, policy.hash().as_str());
        }
    }
    if let Some(api) = api {
        text(key::API, api.name.as_str());
    }
    if let Some(subscription) = subscription {
        text(key::SUBSCRIPTION, subscription.name.as_str());
    }
    if let Some(subject) = subject.as_deref().and_then(claim::visible) {
        text(key::SUBJECT, &subject);
    }
    if let Some(cost) = cost {
        field(fields, key::COST, |value| value.double(2, u32::try_from(cost).unwrap_or(u32::MAX).into()));
    }
}

/// An entry of the map (1 key, 2 value), whose value is a `google.protobuf.Value` (2 number_value, 3 string_value).
fn field(fields: &mut Written, key: &str, value: impl FnOnce(&mut Written)) {
    fields.message(1, |entry| {
        entry.text(1, key);
        entry.message(2, value);
    });
}
