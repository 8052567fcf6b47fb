//! What one partition says, right in itself: everything that can be judged without the operator's resources.
//!
//! It is kept as long as it may be needed as the last good version (S10), so it keeps little: finished domain values, shared with every
//! policy made of them, and the places of what the operator's resources may yet prove wrong.

use std::{collections::BTreeMap, sync::Arc};

use super::{bound::is_enough, contract, contract::Documents, guardrail, subscription, tool, unread::Unread};
use crate::{
    api::Api,
    fault::{Fault, Severity},
    guardrail::Rule,
    name::{ApiName, PlanName},
    place::{At, Place},
    policy::{Subscriptions, Tools},
    resource::{Resource, guardrail::GuardrailManifest},
};

/// A partition's resources, right in themselves.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(super) apis: BTreeMap<ApiName, DraftApi>,
    pub(super) guardrails: Vec<GuardrailManifest>,
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) subscriptions: Arc<Subscriptions>,
    pub(super) tools: Arc<Tools>,
}

/// An API, with the places of what must fit the operator's grant.
#[derive(Debug, Clone)]
pub(super) struct DraftApi {
    pub(super) api: Arc<Api>,
    pub(super) upstream: Place,
    /// One for each of the API's hosts.
    pub(super) hosts: Vec<Place>,
    pub(super) tier: Option<At<PlanName>>,
}

impl Draft {
    /// Judges a partition's resources together; faults are added to `faults`. An error anywhere leaves no draft: half of a policy may
    /// permit what the whole denies.
    pub(crate) fn of(resources: Vec<Resource>, documents: &Documents, unread: &Unread, faults: &mut Vec<Fault>) -> Option<Self> {
        let (mut contracts, mut guardrails, mut subscriptions, mut tools, mut sets) = (vec![], vec![], vec![], vec![], vec![]);
        for resource in resources {
            match resource {
                Resource::Contract(one) => contracts.push(one),
                Resource::Guardrail(one) => guardrails.push(one),
                Resource::Subscription(one) => subscriptions.push(one),
                Resource::Tool(one) => tools.push(one),
                Resource::ToolSet(one) => sets.push(one),
                Resource::Platform(_) | Resource::Plan(_) | Resource::Tenant(_) if is_enough(resource.place(), faults) => break,
                Resource::Platform(_) | Resource::Plan(_) | Resource::Tenant(_) => {
                    faults.push(resource.place().fault(format!("{} is the operator's to write, not a tenant's", resource.kind().as_str())));
                }
            }
        }
        let apis = contract::judge(contracts, documents, faults);
        let tools = tool::judge(tools, sets, &apis, unread, faults);
        let subscriptions = subscription::judge(subscriptions, &apis, unread, faults);
        let guardrails = guardrail::judge(guardrails, &apis, &tools, unread, faults);
        let rules = guardrail::compile(&guardrails, faults);
        let broken = faults.iter().any(|fault| fault.severity == Severity::Error);
        (!broken).then(|| Self { apis, guardrails, rules, subscriptions: Arc::new(subscriptions), tools: Arc::new(tools) })
    }

    /// The plans that APIs name.
    pub(crate) fn tiers(&self) -> impl Iterator<Item = &PlanName> {
        self.apis.values().filter_map(|draft| draft.tier.as_ref()).map(|tier| &tier.value)
    }
}
