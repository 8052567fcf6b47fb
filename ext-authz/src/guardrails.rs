//! Step 4: may this caller use this API? Subscription, roles, scopes, allowlist, and what a policy asks for that is not served yet.
//!
//! The order is SEMANTICS' Precedence; the first that denies answers.

use std::{collections::BTreeSet, sync::Arc};

use bulkhead_tenancy::{
    api::{Access, Api, Auth, Protocol},
    policy::TenantPolicy,
    subscription::Subscription,
};

use crate::verdict::{Caller, Denial, Reason, ShadowMark};

pub mod body;
#[cfg(test)]
mod tests;

/// The subscription of a caller: the API key's, else the token's client's.
///
/// # Errors
/// `invalid_token` where key and token name different ones (S19).
pub fn subscription(policy: &TenantPolicy, caller: &Caller) -> Result<Option<Arc<Subscription>>, Denial> {
    let of_client = caller.client.as_deref().and_then(|client| policy.subscription_of_client(client));
    match (&caller.by_key, of_client) {
        (Some(key), Some(client)) if key.name != client.name => {
            Err(Denial::new(Reason::InvalidToken, "the API key and the token belong to different subscriptions"))
        }
        (Some(key), _) => Ok(Some(key.clone())),
        (None, client) => Ok(client.cloned()),
    }
}

/// Refuses credentials of another kind than the API asks for.
///
/// # Errors
/// `no_credentials`.
pub fn credentials(api: &Api, caller: &Caller) -> Result<(), Denial> {
    let (enough, detail) = match api.auth {
        Auth::JwtKeycloak => (caller.by_token, "the API wants a token, and an API key alone is not enough"),
        Auth::ApiKey => (caller.by_key.is_some(), "the API wants an API key"),
        Auth::Any => (caller.by_token || caller.by_key.is_some(), "the API wants a token or an API key"),
    };
    if enough { Ok(()) } else { Err(Denial::new(Reason::NoCredentials, detail)) }
}

/// Refuses what a policy guards with something that this release does not serve: nothing is silently unguarded.
///
/// # Errors
/// `unavailable`, naming every such feature for the operator.
pub fn built(policy: &TenantPolicy, api: &Api) -> Result<(), Denial> {
    let features: Vec<&str> = policy.unbuilt_for(&api.name).map(|one| one.feature.as_str()).collect();
    if features.is_empty() {
        return Ok(());
    }
    Err(Denial::new(Reason::Unavailable, format!("the policy asks for what this release does not serve: {}", features.join(", "))))
}

/// Judges a caller at an API, and tells what policies in shadow would have denied. `now` is in seconds since 1970.
///
/// # Errors
/// `subscription`, `role` or `tool`.
pub fn judge(
    policy: &TenantPolicy,
    api: &Api,
    caller: &Caller,
    subscription: Option<&Subscription>,
    now: i64,
) -> Result<Vec<ShadowMark>, Denial> {
    subscribed(api, subscription, now)?;
    access(&api.access, caller)?;
    let guardrails = policy.guardrails();
    if !listed(policy, api, guardrails.allowlist.as_ref()) {
        return Err(Denial::new(Reason::Tool, "the tenant's toolAllowlist does not hold the API"));
    }
    let marked = guardrails.shadow.iter().filter(|shadow| !listed(policy, api, shadow.allowlist.as_ref()));
    Ok(marked.map(|shadow| ShadowMark { policy: shadow.name.clone(), reason: Reason::Tool }).collect())
}

/// An expired subscription, or one for other APIs, denies also where none is required.
fn subscribed(api: &Api, subscription: Option<&Subscription>, now: i64) -> Result<(), Denial> {
    let fault = match subscription {
        None if api.access.subscription_required => "the API requires a subscription, and the caller has none",
        Some(own) if own.expired(now) => "the subscription has expired",
        Some(own) if !own.covers(&api.name) => "the subscription does not cover the API",
        _ => return Ok(()),
    };
    Err(Denial::new(Reason::Subscription, fault))
}

/// Roles: any of; scopes: all of.
fn access(access: &Access, caller: &Caller) -> Result<(), Denial> {
    if !access.roles.is_empty() && !caller.roles.iter().any(|role| access.roles.contains(role)) {
        return Err(Denial::new(Reason::Role, "the caller has none of the roles that the API asks for"));
    }
    if !access.scopes.iter().all(|scope| caller.scopes.contains(scope)) {
        return Err(Denial::new(Reason::Role, "the caller lacks a scope that the API asks for"));
    }
    Ok(())
}

/// Whether an allowlist lets an API be reached: an http API by its own name, an mcp API also by one of its tools'.
fn listed(policy: &TenantPolicy, api: &Api, allowlist: Option<&BTreeSet<String>>) -> bool {
    let Some(allowlist) = allowlist else { return true };
    let tool =
        |protocol| protocol == Protocol::Mcp && policy.tools().any(|tool| tool.api == api.name && allowlist.contains(tool.name.as_str()));
    allowlist.contains(api.name.as_str()) || tool(api.protocol)
}
