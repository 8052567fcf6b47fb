//! Does a partition fit what the operator grants its tenant, as the operator's resources stand now (S10)? Then it becomes the policy that
//! decides.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use super::{
    draft::{Draft, DraftApi},
    guardrail, shadow,
};
use crate::{
    api::Api,
    catalog::{claim::template_label, standing::Standing},
    fault::{Fault, Severity},
    host::HostPattern,
    issuer::KeySource,
    limit::RateLimit,
    name::PlanName,
    platform::{Platform, Routing},
    policy::{PolicyHash, TenantPolicy},
    rendering::Rendering,
    tenant::Plan,
};

/// The operator's resources, as one tenant sees them.
pub(crate) struct Grounds<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) plans: &'a BTreeMap<PlanName, Arc<Plan>>,
    pub(crate) standing: &'a Standing,
}

/// A partition that fits.
pub(crate) struct Fitted {
    pub(crate) policy: TenantPolicy,
    /// The tenant's limit: its own guardrails' under its plan's.
    pub(crate) rate_limit: RateLimit,
}

impl Draft {
    /// The policy under these grounds; absent if an error stands in its way. Faults are added to `faults`, whether it fits or not.
    pub(crate) fn fit(&self, grounds: &Grounds<'_>, faults: &mut Vec<Fault>) -> Option<Fitted> {
        let before = faults.len();
        let mut apis = BTreeMap::new();
        for (name, draft) in &self.apis {
            grounds.tier(draft, faults);
            let reachable = grounds.upstream(draft, faults);
            let api = grounds.hosts(draft, faults);
            if reachable {
                apis.insert(name.clone(), api);
            }
        }
        let guardrails = guardrail::join(&self.guardrails, &self.rules, &grounds.platform.topics, faults);
        if faults.iter().skip(before).any(|fault| fault.severity == Severity::Error) {
            return None;
        }
        // Only after the last error: what is refused to a newcomer in a conflict closes that one thing, not the tenant (S17).
        grounds.contested(self, faults);
        let rate_limit = self.limit(grounds, faults);
        let mut policy = TenantPolicy {
            apis,
            guardrails,
            subscriptions: Arc::clone(&self.subscriptions),
            tools: Arc::clone(&self.tools),
            hash: PolicyHash::default(),
        };
        shadow::warn(self, faults);
        policy.hash = hash(&policy);
        Some(Fitted { policy, rate_limit })
    }

    /// The least of what the policies and the plan state.
    fn limit(&self, grounds: &Grounds<'_>, faults: &mut Vec<Fault>) -> RateLimit {
        let plan = grounds.standing.plan.rate_limit;
        for limit in self.guardrails.iter().filter_map(|policy| policy.rate_limit.as_ref()) {
            if limit.least(plan) != limit.value {
                faults.push(limit.warning("is above the plan's limit, which holds"));
            }
        }
        guardrail::least_limit(&self.guardrails).map_or(plan, |own| own.least(plan))
    }
}

impl Grounds<'_> {
    /// `rateLimit: tier-<plan>` must name a plan that exists. Another than the tenant's own changes nothing.
    fn tier(&self, draft: &DraftApi, faults: &mut Vec<Fault>) {
        let Some(tier) = &draft.tier else { return };
        if !self.plans.contains_key(&tier.value) {
            faults.push(tier.fault("no such plan"));
        } else if tier.value != *self.standing.grant.plan {
            faults.push(tier.warning("is not the tenant's own plan, whose limit holds"));
        }
    }

    /// Whether the API may be in the contract: with contract routing, its upstream lies in the tenant's list, is nothing of the platform's
    /// own and not the machine itself (S3). An upstream inside the list, where the list's entry is contested, leaves the API out. With the
    /// operator's own routes nothing is refused, and the author is warned.
    fn upstream(&self, draft: &DraftApi, faults: &mut Vec<Fault>) -> bool {
        let own = self.platform.routing == Routing::Own;
        let origin = &draft.api.upstream.origin;
        let granted = HostPattern::Exact(origin.host.clone());
        let listed = &self.standing.grant.upstreams;
        let mut wrong = Vec::new();
        // Where the operator's own routes decide, a tenant needs no list; one that is there says what is meant.
        if !(listed.iter().any(|upstream| upstream.covers(&granted)) || own && listed.is_empty()) {
            wrong.push("is not inside the upstreams that the operator grants this tenant".to_owned());
        }
        if let Some(what) = origin.local().filter(|_| !self.platform.upstreams.allow_loopback) {
            wrong.push(format!("is {what}, which no contract may point at"));
        }
        if self.is_the_platforms(&draft.api) {
            wrong.push("is an endpoint of the platform itself, which no contract may point at".to_owned());
        }
        if own {
            // Nothing is sent there by this line; it is the audience of the context token.
            faults.extend(
                wrong.into_iter().map(|what| {
                    draft.upstream.warning(format!("{what}; with `routing: own` the operator's routes decide where requests go"))
                }),
            );
            return true;
        }
        faults.extend(wrong.into_iter().map(|what| draft.upstream.fault(what)));
        self.standing.upstreams.iter().any(|upstream| upstream.covers(&granted))
    }

    /// Whether an API points at the gateway, or at what it asks for keys: a request that loops, or reaches what trusts us (S3).
    fn is_the_platforms(&self, api: &Api) -> bool {
        let origin = &api.upstream.origin;
        let host = &origin.host;
        let gateway = self.platform.addressing.host.as_ref().is_some_and(|template| template_label(template, host.as_str()).is_some());
        let keys = self.standing.issuers.iter().any(|issuer| match &issuer.keys {
            KeySource::Discovery(url) | KeySource::JwksUri(url) => {
                url.host_str() == Some(host.as_str()) && url.port_or_known_default() == Some(origin.port)
            }
            KeySource::Inline(_) => false,
        });
        gateway
            || keys
            || self.platform.upstreams.own_hosts.iter().any(|own| own.matches(host))
            || self.standing.grant.hosts.iter().any(|own| own.matches(host))
    }

    /// The API with the hosts that it holds: each inside the tenant's own, contested ones left out.
    fn hosts(&self, draft: &DraftApi, faults: &mut Vec<Fault>) -> Arc<Api> {
        for (host, place) in draft.api.hosts.iter().zip(&draft.hosts) {
            if !self.standing.grant.hosts.iter().any(|granted| granted.covers(host)) {
                faults.push(place.fault("is not inside the hosts that the operator grants this tenant"));
            }
        }
        let held: Vec<_> = draft.api.hosts.iter().filter(|host| self.standing.hosts.iter().any(|own| own.covers(host))).cloned().collect();
        if held.len() == draft.api.hosts.len() { Arc::clone(&draft.api) } else { Arc::new(Api { hosts: held, ..Api::clone(&draft.api) }) }
    }

    /// Says what is closed because another tenant's claim stands against it. Not a word of whose (S16).
    fn contested(&self, draft: &Draft, faults: &mut Vec<Fault>) {
        let held = |list: &[HostPattern], thing: &HostPattern| list.iter().any(|own| own.covers(thing));
        for draft in draft.apis.values() {
            for (host, place) in draft.api.hosts.iter().zip(&draft.hosts).filter(|(host, _)| !held(&self.standing.hosts, host)) {
                faults.push(place.fault(format!("the operator's grant of {host} is contested: this host is closed")));
            }
            let upstream = HostPattern::Exact(draft.api.upstream.origin.host.clone());
            if self.platform.routing == Routing::Contract && !held(&self.standing.upstreams, &upstream) {
                faults.push(draft.upstream.fault("the operator's grant of this upstream is contested: this API is closed"));
            }
        }
    }
}

/// A hash of everything that a policy says. The rendering is the types' own `Debug`, which is made of sorted collections; key hashes, which
/// it does not show, are added.
fn hash(policy: &TenantPolicy) -> PolicyHash {
    let TenantPolicy { apis, guardrails, subscriptions, tools, hash: _ } = policy;
    let mut rendering = Rendering::default();
    // Writing into a hash cannot fail.
    let _ = write!(rendering, "{apis:?}\n{guardrails:?}\n{:?}\n{tools:?}\n", subscriptions.by_name);
    for (key, subscription) in &subscriptions.by_key {
        rendering.update(key.0);
        rendering.update(subscription.name.as_str());
    }
    PolicyHash(Arc::from(rendering.digest()))
}
