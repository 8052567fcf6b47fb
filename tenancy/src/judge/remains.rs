//! What is left of the last good version while the newest does not decide (S10): what the tenant takes away applies at once, what it gives
//! waits until the newest is good.
//!
//! Only what grants is taken away: APIs, subscriptions, tools and sets of tools. A guardrail restricts, so it stays.

use std::{collections::BTreeMap, sync::Arc};

use super::draft::{Draft, DraftApi};
use crate::{
    catalog::traces::{Thing, Traces},
    name::ApiName,
    policy::{Subscriptions, Tools},
    subscription::{Holder, Subscription},
};

impl Draft {
    /// Whether a thing is in this version.
    pub(crate) fn holds(&self, thing: &Thing) -> bool {
        match thing {
            Thing::Api(name) => self.apis.contains_key(name),
            Thing::Subscription(name) => self.subscriptions.by_name.contains_key(name),
            Thing::Tool(name) => self.tools.tools.contains_key(name),
            Thing::ToolSet(name) => self.tools.sets.contains_key(name),
        }
    }

    /// This version without what was deleted or narrowed since. What named a deleted thing names what is left of it, even if that is
    /// nothing.
    pub(crate) fn remains(&self, traces: &Traces) -> Self {
        let apis = kept(&self.apis, |name, _| traces.has(&Thing::Api(name.clone())));
        let mut subscriptions = Subscriptions::default();
        for old in self.subscriptions.by_name.values() {
            let narrowed = traces.subscription(&old.name).and_then(|newest| old.narrowed_to(newest));
            if let Some(mut left) = narrowed.or_else(|| withdrawn(old, &apis)) {
                left.apis.iter_mut().for_each(|listed| listed.retain(|api| apis.contains_key(api)));
                subscriptions.add(Arc::new(left));
            }
        }
        let mut tools = Tools { sets: kept(&self.tools.sets, |name, _| traces.has(&Thing::ToolSet(name.clone()))), ..Tools::default() };
        for tool in self.tools.tools.values().filter(|tool| traces.has(&Thing::Tool(tool.name.clone())) && apis.contains_key(&tool.api)) {
            // What was good together stays so in part.
            let _ = tools.add(tool.clone());
        }
        let Tools { tools: left, sets, .. } = &mut tools;
        sets.values_mut().for_each(|set| set.tools.retain(|tool| left.contains_key(tool)));
        let (guardrails, rules) = (self.guardrails.clone(), self.rules.clone());
        Self { apis, guardrails, rules, subscriptions: Arc::new(subscriptions), tools: Arc::new(tools) }
    }
}

fn kept<N: Ord + Clone, T: Clone>(all: &BTreeMap<N, T>, keep: impl Fn(&N, &T) -> bool) -> BTreeMap<N, T> {
    all.iter().filter(|(name, one)| keep(name, one)).map(|(name, one)| (name.clone(), one.clone())).collect()
}

/// What is left of a subscription that was deleted, or has another holder now. A key proves nothing any more. A client proves itself
/// without it, and it bounds that client: it stays for what the client may reach without a subscription.
fn withdrawn(old: &Subscription, apis: &BTreeMap<ApiName, DraftApi>) -> Option<Subscription> {
    if matches!(old.holder, Holder::Key(_)) {
        return None;
    }
    let free = |(name, draft): (&ApiName, &DraftApi)| (!draft.api.access.subscription_required && old.covers(name)).then(|| name.clone());
    Some(Subscription { apis: Some(apis.iter().filter_map(free).collect()), ..old.clone() })
}
