//! Subscriptions: each known by one key or one client, which is known to no other.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    bound::{MAX_LISTED, MAX_NAME_BYTES, MAX_SUBSCRIPTIONS, at_most, is_enough},
    draft::DraftApi,
    unread::Unread,
};
use crate::{
    fault::Fault,
    name::ApiName,
    place::At,
    policy::Subscriptions,
    resource::subscription::SubscriptionManifest,
    subscription::{Holder, Subscription},
};

/// Joins subscriptions: a key hash or a client that stands twice is an error, for then two answers would be right.
pub(super) fn judge(
    manifests: Vec<SubscriptionManifest>,
    contract: &BTreeMap<ApiName, DraftApi>,
    unread: &Unread,
    faults: &mut Vec<Fault>,
) -> Subscriptions {
    let mut subscriptions = Subscriptions::default();
    for (count, manifest) in manifests.into_iter().enumerate() {
        let name = &manifest.metadata.name;
        at_most(MAX_SUBSCRIPTIONS, count + 1, "subscriptions of a tenant", &name.place, faults);
        if count >= MAX_SUBSCRIPTIONS || is_enough(&name.place, faults) {
            break;
        }
        if let Some(apis) = &manifest.apis {
            at_most(MAX_LISTED, apis.len(), "APIs of a subscription", &name.place, faults);
            for api in apis.iter().take(MAX_LISTED).filter(|api| !contract.contains_key(&api.value)) {
                faults.push(unread.missing(api, api.fault("no such API in this tenant's contracts")));
            }
        }
        match &manifest.holder.value {
            Holder::Key(hash) if subscriptions.by_key.contains_key(hash) => {
                faults.push(manifest.holder.fault("another subscription of this tenant has the same key"));
            }
            Holder::Client(client) if subscriptions.by_client.contains_key(client) => {
                faults.push(manifest.holder.fault("another subscription of this tenant has the same client"));
            }
            Holder::Client(client) if client.is_empty() || client.len() > MAX_NAME_BYTES => {
                faults.push(manifest.holder.fault(format!("must have 1 to {MAX_NAME_BYTES} bytes")));
            }
            Holder::Key(_) | Holder::Client(_) => {}
        }
        subscriptions.add(Arc::new(manifest.into()));
    }
    subscriptions
}

impl From<SubscriptionManifest> for Subscription {
    fn from(manifest: SubscriptionManifest) -> Self {
        Self {
            name: manifest.metadata.name.value,
            apis: manifest.apis.map(|apis| apis.into_iter().map(|At { value, .. }| value).collect()),
            holder: manifest.holder.value,
            rate_limit: manifest.rate_limit.map(|limit| limit.value),
            quotas: manifest.quotas.into_iter().map(|quota| quota.value).collect(),
            expires_at: manifest.expires_at.map(|moment| moment.value),
        }
    }
}
