//! What one tenant wrote, checked and joined: the contract, the guardrails, the subscriptions and tools.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    api::Api,
    guardrail::Guardrails,
    name::{ApiName, SubscriptionName, ToolName, ToolSetName, WireName},
    subscription::{Holder, KeyHash, Subscription},
    tool::{Tool, ToolSet},
};

/// A tenant's own configuration, as one immutable value.
#[derive(Debug, Default)]
pub struct TenantPolicy {
    pub(crate) apis: BTreeMap<ApiName, Arc<Api>>,
    pub(crate) guardrails: Guardrails,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) tools: Arc<Tools>,
    pub(crate) hash: PolicyHash,
}

impl TenantPolicy {
    /// The API of that name in this contract, and nowhere else.
    #[must_use]
    pub fn api(&self, name: &str) -> Option<&Arc<Api>> {
        self.apis.get(name)
    }

    /// Every API, by name.
    pub fn apis(&self) -> impl Iterator<Item = &Arc<Api>> {
        self.apis.values()
    }

    /// The guardrails, joined.
    #[must_use]
    pub fn guardrails(&self) -> &Guardrails {
        &self.guardrails
    }

    /// The subscription of that name.
    #[must_use]
    pub fn subscription(&self, name: &str) -> Option<&Arc<Subscription>> {
        self.subscriptions.by_name.get(name)
    }

    /// Every subscription, by name.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.subscriptions.by_name.values()
    }

    /// The subscription that an API key belongs to, by the hash of the whole key.
    #[must_use]
    pub fn subscription_of_key(&self, key: &KeyHash) -> Option<&Arc<Subscription>> {
        self.subscriptions.by_key.get(key)
    }

    /// The subscription that a client (`azp`, else `client_id`) belongs to.
    #[must_use]
    pub fn subscription_of_client(&self, client: &str) -> Option<&Arc<Subscription>> {
        self.subscriptions.by_client.get(client)
    }

    /// The tool that an API's server calls by that name.
    #[must_use]
    pub fn tool(&self, api: &ApiName, wire: &str) -> Option<&Tool> {
        self.tools.tools.get(self.tools.by_wire.get(api)?.get(wire)?)
    }

    /// Every tool, by name.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.tools.tools.values()
    }

    /// Every set of tools, by name.
    pub fn tool_sets(&self) -> impl Iterator<Item = &ToolSet> {
        self.tools.sets.values()
    }

    /// What tells this content from another: `policy` in the metadata.
    #[must_use]
    pub fn hash(&self) -> &PolicyHash {
        &self.hash
    }
}

/// A tenant's subscriptions, by name and by what each is known by.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    pub(crate) by_name: BTreeMap<SubscriptionName, Arc<Subscription>>,
    pub(crate) by_key: BTreeMap<KeyHash, Arc<Subscription>>,
    pub(crate) by_client: BTreeMap<String, Arc<Subscription>>,
}

impl Subscriptions {
    /// Adds one. Its holder is known to no other; that has been checked.
    pub(crate) fn add(&mut self, subscription: Arc<Subscription>) {
        match &subscription.holder {
            Holder::Key(hash) => drop(self.by_key.insert(*hash, Arc::clone(&subscription))),
            Holder::Client(client) => drop(self.by_client.insert(client.clone(), Arc::clone(&subscription))),
        }
        self.by_name.insert(subscription.name.clone(), subscription);
    }
}

/// A tenant's tools and the sets that grant them, by name.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) tools: BTreeMap<ToolName, Tool>,
    pub(crate) by_wire: BTreeMap<ApiName, BTreeMap<WireName, ToolName>>,
    pub(crate) sets: BTreeMap<ToolSetName, ToolSet>,
}

impl Tools {
    /// Adds a tool, or gives the one of the same API that its server calls by the same name.
    pub(crate) fn add(&mut self, tool: Tool) -> Result<(), ToolName> {
        let of_api = self.by_wire.entry(tool.api.clone()).or_default();
        if let Some(other) = of_api.get(&tool.wire) {
            return Err(other.clone());
        }
        of_api.insert(tool.wire.clone(), tool.name.clone());
        self.tools.insert(tool.name.clone(), tool);
        Ok(())
    }
}

/// A hash of a policy's content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PolicyHash(pub(crate) Arc<str>);

impl PolicyHash {
    /// The hash, in hexadecimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
