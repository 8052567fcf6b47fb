//! What a request names: host, path and the route's `context_extensions` may each name a tenant and an API, and must then agree (S20).
//!
//! A name is not a proof: whether the caller belongs to the tenant that is named is judged with the credentials.

use std::net::Ipv6Addr;

use bulkhead_tenancy::{
    host::HostName,
    name::TenantName,
    platform::{HostTemplate, PathTemplate},
    snapshot::{HostClaim, Snapshot},
};

use crate::{
    attributes::Context,
    route::path::SafePath,
    verdict::{Denial, Reason},
};

#[cfg(test)]
mod tests;

/// What a request names, before anybody has proven anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address<'a> {
    /// The tenant that is named, existing or not.
    pub tenant: Option<&'a str>,
    /// The API that is named, existing or not.
    pub api: Option<&'a str>,
    /// Whether all that name something agree.
    pub consistent: bool,
    /// The path behind what named something in it: empty, or with its leading slash.
    pub rest: &'a str,
}

/// The host of a request, as far as it can name something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name, or a dotted quad.
    Name(HostName),
    /// An IPv6 literal: it names nothing, and reaches a gateway well enough.
    Literal,
}

impl Host {
    /// Reads an authority: lower-cased, one valid port stripped.
    ///
    /// # Errors
    /// `bad_path` (400) for whatever is no host: trailing dot, comma, userinfo, a byte outside letters, digits and hyphens (S20).
    pub fn of_authority(authority: &str) -> Result<Self, Denial> {
        if is_ipv6_literal(authority) {
            return Ok(Self::Literal);
        }
        HostName::of_authority(authority)
            .map(Self::Name)
            .map_err(|error| Denial::new(Reason::BadPath, format!("the host cannot be judged: it {error}")))
    }
}

/// `[::1]` or `[::1]:8080` (RFC 3986 section 3.2.2).
fn is_ipv6_literal(authority: &str) -> bool {
    let Some((address, port)) = authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) else { return false };
    // The port is read as any other host's.
    let port = port.is_empty() || HostName::of_authority(&format!("port{port}")).is_ok_and(|host| host.as_str() == "port");
    port && address.parse::<Ipv6Addr>().is_ok()
}

impl<'a> Address<'a> {
    /// Collects what host, path and context name.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot, host: &'a Host, path: SafePath<'a>, context: &Context<'a>) -> Self {
        let mut names = Names::default();
        names.tenant(context.tenant);
        names.api(context.api);
        if let Host::Name(host) = host {
            names.host(snapshot, host);
        }
        let rest = names.path(snapshot, path);
        let Names { tenant, api, consistent } = names;
        Self { tenant, api, consistent, rest }
    }
}

/// What was named so far.
struct Names<'a> {
    tenant: Option<&'a str>,
    api: Option<&'a str>,
    consistent: bool,
}

impl Default for Names<'_> {
    fn default() -> Self {
        Self { tenant: None, api: None, consistent: true }
    }
}

impl<'a> Names<'a> {
    fn tenant(&mut self, named: Option<&'a str>) {
        self.consistent &= agree(&mut self.tenant, named);
    }

    fn api(&mut self, named: Option<&'a str>) {
        self.consistent &= agree(&mut self.api, named);
    }

    /// A host names by the platform's template, and by the claims of contracts. One API alone can claim a host; if it were two, they
    /// would not agree.
    fn host(&mut self, snapshot: &'a Snapshot, host: &'a HostName) {
        let template = snapshot.platform().addressing.host.as_ref();
        self.tenant(template.and_then(|template| label(template, host)));
        for HostClaim { tenant, api, .. } in snapshot.host_claims(host) {
            self.tenant(Some(tenant.as_str()));
            self.api(Some(api.as_str()));
        }
    }

    /// A path names by the platform's template. Where the API is named already, an ordinary path must not name one by accident:
    /// it does so only if its tenant segment is the name of a Tenant.
    fn path(&mut self, snapshot: &Snapshot, path: SafePath<'a>) -> &'a str {
        let whole = path.as_str();
        let named = self.api.is_some();
        let Some((first, behind)) = path.split_first() else { return whole };
        match snapshot.platform().addressing.path {
            PathTemplate::Api if named => whole,
            PathTemplate::Api => {
                self.api(Some(first));
                behind.as_str()
            }
            PathTemplate::TenantApi => match behind.split_first() {
                Some((api, rest)) if !named || is_tenant(snapshot, first) => {
                    self.tenant(Some(first));
                    self.api(Some(api));
                    rest.as_str()
                }
                None if !named => {
                    self.tenant(Some(first));
                    behind.as_str()
                }
                _ => whole,
            },
        }
    }
}

/// Keeps what is named; false if something else was named before.
fn agree<'a>(known: &mut Option<&'a str>, named: Option<&'a str>) -> bool {
    match (*known, named) {
        (_, None) => true,
        (Some(known), Some(named)) => known == named,
        (None, Some(named)) => {
            *known = Some(named);
            true
        }
    }
}

fn is_tenant(snapshot: &Snapshot, segment: &str) -> bool {
    segment.parse::<TenantName>().is_ok() && snapshot.tenant(segment).is_some()
}

/// The one whole label in place of `{tenant}`.
fn label<'h>(template: &HostTemplate, host: &'h HostName) -> Option<&'h str> {
    let label = host.as_str().strip_prefix(template.prefix.as_str())?.strip_suffix(template.suffix.as_str())?;
    (!label.is_empty() && !label.contains('.')).then_some(label)
}
