//! Who may use an API: the kind of credentials, the subscription, roles and scopes.

use std::sync::Arc;

use bulkhead_tenancy::{
    api::{Access, Api, Auth},
    policy::TenantPolicy,
    subscription::Subscription,
};

use super::Asked;
use crate::verdict::{Caller, Denial, Reason};

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

/// Judges the subscription, the roles and the scopes of a caller.
///
/// # Errors
/// `subscription` or `role`.
pub fn judge(asked: &Asked<'_>) -> Result<(), Denial> {
    subscribed(asked.api, asked.subscription.map(|own| &**own), asked.now)?;
    passes(&asked.api.access, asked.caller)
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

/// Whether a caller has the roles (any of) and the scopes (all of) that something asks for.
///
/// # Errors
/// `role`.
pub fn passes(access: &Access, caller: &Caller) -> Result<(), Denial> {
    if !access.roles.is_empty() && !caller.roles.iter().any(|role| access.roles.contains(role)) {
        return Err(Denial::new(Reason::Role, "the caller has none of the roles that are asked for"));
    }
    if !access.scopes.iter().all(|scope| caller.scopes.contains(scope)) {
        return Err(Denial::new(Reason::Role, "the caller lacks a scope that is asked for"));
    }
    Ok(())
}
