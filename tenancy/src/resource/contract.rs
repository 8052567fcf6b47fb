//! `kind: UniversalAPIContract`: what a tenant exposes.

use super::{Metadata, access, rate_limit};
use crate::{
    api::{Access, Audit, Auth, Methods, Protocol},
    decode::{Fields, Reader},
    host::HostPattern,
    limit::RateLimit,
    name::{ApiName, PlanName, ResourceName},
    place::At,
    upstream::UpstreamUrl,
};

/// A contract as written. A tenant may have several; they add up.
#[derive(Debug, Clone)]
pub struct ContractManifest {
    /// `metadata`
    pub metadata: Metadata<ResourceName>,
    /// `spec.version`: the author's own, not compared with anything.
    pub version: Option<String>,
    /// `spec.apis`
    pub apis: Vec<At<ApiManifest>>,
}

/// One entry of `spec.apis`. Defaults are filled in; a default's place is the entry's.
#[derive(Debug, Clone)]
pub struct ApiManifest {
    /// `name`
    pub name: At<ApiName>,
    /// `upstream`, canonical. Whether it is local or inside the tenant's list is judged later.
    pub upstream: At<UpstreamUrl>,
    /// `policies: [{ rateLimit: tier-<plan> }]`, by the plan's name: the plan must exist; if it is not the tenant's own, a warning.
    pub tier: Option<At<PlanName>>,
    /// `policies: [{ auth }]`; default `jwt-keycloak`.
    pub auth: At<Auth>,
    /// `policies: [{ audit }]`; default `denied`.
    pub audit: At<Audit>,
    /// `protocol`; default `http`.
    pub protocol: At<Protocol>,
    /// `methods`; default all.
    pub methods: Methods,
    /// `hosts`: inside the tenant's, judged later.
    pub hosts: Vec<At<HostPattern>>,
    /// `access`
    pub access: Access,
    /// `openapi`: a file name beside the contract (no directory, no leading dot).
    pub openapi: Option<At<String>>,
    /// `forwardCredentials`; default false.
    pub forward_credentials: bool,
    /// `rateLimit`: the fourth level.
    pub rate_limit: Option<At<RateLimit>>,
}

impl ContractManifest {
    pub(super) fn read(top: &mut Fields<'_>) -> Option<Self> {
        let metadata = Metadata::read(top);
        top.required("spec", |spec| {
            spec.object(|spec| {
                let version = spec.optional("version", |value| value.prose());
                let apis = spec.required("apis", |reader| reader.list(|api| api.at(ApiManifest::read)));
                Some(Self { metadata: metadata?, version, apis: apis? })
            })
        })
    }
}

impl ApiManifest {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.object(|fields| {
            let place = fields.place().clone();
            let name = fields.required("name", |reader| reader.at(|value| value.parse()));
            let upstream = fields.required("upstream", |reader| reader.at(|value| value.parse()));
            let policies = fields.optional("policies", Policies::read).unwrap_or_default();
            let protocol = fields
                .optional("protocol", |reader| reader.at(|reader| reader.one_of(&[("http", Protocol::Http), ("mcp", Protocol::Mcp)])));
            let methods = fields.optional("methods", |reader| reader.some(|method| method.parse_with(parse_method)));
            let hosts = fields.optional("hosts", |reader| reader.distinct(|value| value.parse()));
            let access = fields.optional("access", access::read);
            let openapi = fields.optional("openapi", |reader| reader.at(|reader| reader.parse_with(parse_file_name)));
            let forward_credentials = fields.optional("forwardCredentials", |value| value.flag());
            let rate_limit = fields.optional("rateLimit", rate_limit::read);
            Some(Self {
                name: name?,
                upstream: upstream?,
                tier: policies.tier,
                auth: policies.auth.unwrap_or_else(|| At::new(Auth::JwtKeycloak, place.clone())),
                audit: policies.audit.unwrap_or_else(|| At::new(Audit::Denied, place.clone())),
                protocol: protocol.unwrap_or_else(|| At::new(Protocol::Http, place)),
                methods: methods.map_or(Methods::All, |some| Methods::Only(some.into_iter().map(|one| one.value).collect())),
                hosts: hosts.unwrap_or_default(),
                access: access.unwrap_or_default(),
                openapi,
                forward_credentials: forward_credentials.unwrap_or(false),
                rate_limit,
            })
        })
    }
}

/// `policies`: a list of mappings with one key each, and each policy once.
#[derive(Default)]
struct Policies {
    tier: Option<At<PlanName>>,
    auth: Option<At<Auth>>,
    audit: Option<At<Audit>>,
}

impl Policies {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut all = Self::default();
        reader.list(|entry| {
            entry.object_of("policy", |fields| {
                if fields.written() != 1 {
                    fields.refuse::<()>("must name one policy: `- auth: jwt-keycloak`");
                }
                once(fields, "rateLimit", &mut all.tier, |reader| reader.parse_with(parse_tier));
                once(fields, "auth", &mut all.auth, |reader| {
                    reader.one_of(&[("jwt-keycloak", Auth::JwtKeycloak), ("api-key", Auth::ApiKey), ("any", Auth::Any)])
                });
                once(fields, "audit", &mut all.audit, |reader| {
                    reader.one_of(&[("full", Audit::Full), ("denied", Audit::Denied), ("none", Audit::None)])
                });
                Some(())
            })
        })?;
        Some(all)
    }
}

fn once<T>(fields: &mut Fields<'_>, name: &'static str, slot: &mut Option<At<T>>, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) {
    let stated = slot.is_some();
    let value = fields.optional(name, |reader| if stated { reader.refuse("is stated twice in this list") } else { reader.at(read) });
    if value.is_some() {
        *slot = value;
    }
}

/// `tier-<plan>`
fn parse_tier(text: &str) -> Result<PlanName, String> {
    let plan = text.strip_prefix("tier-").ok_or("must be `tier-` and the name of a plan")?;
    plan.parse().map_err(|error| format!("must be `tier-` and the name of a plan: that {error}"))
}

/// Methods are case sensitive (RFC 9110 section 9.1), and those that exist are upper case: `get` would never match.
fn parse_method(text: &str) -> Result<String, &'static str> {
    let fine = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    let method = !text.is_empty() && text.len() <= 32 && text.bytes().all(fine);
    if method { Ok(text.to_owned()) } else { Err("must be a method in upper case, as on the wire: `GET`") }
}

/// A file beside the contract: no directory, so that it cannot lead out of the partition (S16).
fn parse_file_name(text: &str) -> Result<String, &'static str> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let name = !text.is_empty() && text.len() <= 128 && !text.starts_with('.') && text.bytes().all(fine);
    if name { Ok(text.to_owned()) } else { Err("must be the name of a file beside this one: letters, digits and `-_.`, no directory") }
}
