//! Where contract routing sends a request: the contract's upstream, and the path that was judged under the contract's base path.

use bulkhead_proto::contract::cluster;
use bulkhead_tenancy::{
    api::Api,
    platform::{Platform, Routing},
    upstream::Scheme,
};

use crate::verdict::{Denial, Reason, Upstream};

#[cfg(test)]
mod tests;

/// The upstream of an API under contract routing; nothing with the user's own routes, where no header may move a request to another
/// route (S1).
///
/// # Errors
/// `bad_path` if what would be sent does not lie under the contract's base path.
pub fn upstream(platform: &Platform, api: &Api, rest: &str, query: Option<&str>) -> Result<Option<Upstream>, Denial> {
    if platform.routing == Routing::Own {
        return Ok(None);
    }
    let contract = &api.upstream;
    let mapped = platform.upstreams.connect.get(&contract.origin);
    let origin = mapped.unwrap_or(&contract.origin);
    let cluster = match origin.scheme {
        Scheme::Http => cluster::HTTP,
        Scheme::Https => cluster::HTTPS,
    };
    let path = under(&contract.base_path, rest, query)?;
    // A host that is an address was judged when the contract was loaded.
    let (host, address) = (origin.host.clone(), origin.host.address());
    Ok(Some(Upstream { cluster, host, port: origin.port, address, mapped: mapped.is_some(), path }))
}

/// Joins base path, rest and query byte by byte. Nothing is decoded, and the result starts with the base path (S6).
fn under(base: &str, rest: &str, query: Option<&str>) -> Result<String, Denial> {
    let mut path = String::with_capacity(base.len() + rest.len() + 1 + query.map_or(0, str::len));
    path.push_str(base);
    path.push_str(rest);
    if path.is_empty() {
        path.push('/');
    }
    let inside = path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !inside || !path.starts_with('/') || path.starts_with("//") {
        return Err(Denial::new(Reason::BadPath, "the path to send would not lie under the contract's base path"));
    }
    if let Some(query) = query {
        // Envoy refuses a header value with these; a query is not judged otherwise.
        if query.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Denial::new(Reason::BadPath, "the query holds a control character"));
        }
        path.push('?');
        path.push_str(query);
    }
    Ok(path)
}
