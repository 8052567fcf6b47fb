//! Step 3: which API of the caller's own contract is meant, and where its requests go.

use std::sync::Arc;

use bulkhead_tenancy::{
    api::{Api, Methods},
    policy::TenantPolicy,
    snapshot::Snapshot,
    tenant::{Policy, Status, Tenant},
};

use crate::{
    attributes::{Context, RouteOwner},
    verdict::{Denial, Reason},
};

pub mod address;
pub mod forward;
pub mod path;

/// The policy of a proven tenant. That it has none is told only to a caller that is proven (S22).
///
/// # Errors
/// `unavailable` if no policy of it was ever good.
pub fn policy(tenant: &Tenant) -> Result<&Arc<TenantPolicy>, Denial> {
    match &tenant.policy {
        Policy::Ready(policy) => Ok(policy),
        Policy::Unavailable(why) => Err(Denial::new(Reason::Unavailable, format!("the tenant has no policy: {why}"))),
    }
}

/// Refuses a tenant that is not served. This too is told only to a caller that is proven (S22).
///
/// # Errors
/// `suspended`.
pub fn served(tenant: &Tenant) -> Result<(), Denial> {
    match tenant.status {
        Status::Active => Ok(()),
        Status::Suspended => Err(Denial::new(Reason::Suspended, "the tenant is suspended")),
        Status::Offboarding => Err(Denial::new(Reason::Suspended, "the tenant is offboarding")),
    }
}

/// Refuses a caller on a route that another namespace owns: on a shared gateway a tenant may write routes and their
/// `context_extensions` in its own namespace, and may catch nobody else's requests with them (S13).
///
/// # Errors
/// `wrong_tenant`.
pub fn owned(snapshot: &Snapshot, tenant: &Tenant, context: &Context<'_>, route: &RouteOwner) -> Result<(), Denial> {
    let RouteOwner::Namespaces(namespaces) = route else { return Ok(()) };
    let own = |namespace: &String| namespace == tenant.namespace.as_str();
    let another = |namespace: &String| snapshot.by_namespace(namespace).is_some();
    let bound = if context.names_something() {
        !namespaces.is_empty() && namespaces.iter().all(own)
    } else {
        namespaces.iter().all(|namespace| own(namespace) || !another(namespace))
    };
    if bound { Ok(()) } else { Err(Denial::new(Reason::WrongTenant, "the route belongs to another namespace than the caller's")) }
}

/// The API in the tenant's contract, and nowhere else.
///
/// # Errors
/// `unknown_api`, the same whether or not another tenant has one of that name.
pub fn api<'a>(policy: &'a TenantPolicy, named: Option<&str>) -> Result<&'a Arc<Api>, Denial> {
    let named = named.ok_or_else(|| Denial::new(Reason::UnknownApi, "the request names no API"))?;
    policy.api(named).ok_or_else(|| Denial::new(Reason::UnknownApi, "the tenant's contract has no API of that name"))
}

/// Refuses what the API's OpenAPI document does not hold: a path that is none of its own, and a method that its path has not.
///
/// # Errors
/// `unknown_api`, or `method` with what both the document and the contract allow.
pub fn documented(api: &Api, path: &str, method: &str) -> Result<(), Denial> {
    let Some(document) = &api.openapi else { return Ok(()) };
    match document.methods(path) {
        None => Err(Denial::new(Reason::UnknownApi, "the API's OpenAPI document has no such path")),
        Some(methods) if methods.contains(method) => Ok(()),
        Some(methods) => {
            let allow = methods.iter().filter(|method| api.methods.allow(method)).cloned().collect();
            Err(Denial { allow, ..Denial::new(Reason::Method, "the API's OpenAPI document does not list this method for the path") })
        }
    }
}

/// Refuses a method that the contract does not list, and TRACE unless it does: whoever serves it sends the head of the request back (RFC 9110 section 9.3.8), and in it
/// what is set for upstreams alone.
///
/// # Errors
/// `method` with the methods that are allowed.
pub fn method(api: &Api, method: &str) -> Result<(), Denial> {
    match &api.methods {
        Methods::Only(methods) if !api.methods.allow(method) => {
            let allow = methods.iter().cloned().collect();
            Err(Denial { allow, ..Denial::new(Reason::Method, "the contract does not list this method for the API") })
        }
        Methods::All if method == "TRACE" => Err(Denial::new(Reason::Method, "TRACE is only allowed where the contract lists it")),
        _ => Ok(()),
    }
}
