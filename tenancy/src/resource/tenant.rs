//! `kind: Tenant`: what the operator grants one tenant.

use secrecy::SecretString;
use url::Url;

use super::{Metadata, audiences};
use crate::{
    decode::{Fields, Reader},
    host::HostPattern,
    issuer::{Algorithm, ClaimPath, DEFAULT_LEEWAY, TenantClaim},
    name::{Namespace, PlanName, Region, TenantName, TenantUid},
    place::At,
    platform::LimiterMode,
    tenant::{Status, StoreFailure},
};

/// A tenant as written.
#[derive(Debug, Clone)]
pub struct TenantManifest {
    /// `metadata`
    pub metadata: Metadata<TenantName>,
    /// `spec.namespace`; default `tenant-<name>`.
    pub namespace: Option<At<Namespace>>,
    /// `spec.plan`
    pub plan: At<PlanName>,
    /// `spec.region`; default `default`.
    pub region: Option<At<Region>>,
    /// `spec.status`; default active.
    pub status: Status,
    /// `spec.issuers`; absent: the platform's templates make one.
    pub issuers: Option<Vec<At<IssuerManifest>>>,
    /// `spec.hosts`
    pub hosts: Vec<At<HostPattern>>,
    /// `spec.upstreams`
    pub upstreams: Vec<At<HostPattern>>,
    /// `spec.limiter.onStoreFailure`; default local.
    pub on_store_failure: StoreFailure,
    /// `spec.limiter.mode`; absent: the platform's.
    pub limiter_mode: Option<LimiterMode>,
    /// `spec.store`: it may hold a password.
    pub store: Option<At<SecretString>>,
    /// `spec.uid`
    pub uid: Option<At<TenantUid>>,
}

/// One entry of `spec.issuers`.
#[derive(Debug, Clone)]
pub struct IssuerManifest {
    /// `issuer`
    pub issuer: At<String>,
    /// `jwksUri`
    pub jwks_uri: Option<At<String>>,
    /// `jwks`: the members of `keys`, each kept as it is. They are public keys, but nothing prints them.
    pub jwks: Option<At<Vec<serde_json::Value>>>,
    /// `audiences`
    pub audiences: Vec<String>,
    /// `algorithms`; absent: all.
    pub algorithms: Option<Vec<Algorithm>>,
    /// `tenantClaim`; default `tenant_id`, not required.
    pub tenant_claim: TenantClaim,
    /// `rolesClaims`; absent: `roles` and `realm_access.roles`.
    pub roles_claims: Option<Vec<ClaimPath>>,
    /// `leewaySeconds`; default 30.
    pub leeway_seconds: u64,
}

/// A URL longer than this is none.
const MAX_URL: usize = 1024;
/// An audience or the name of a claim longer than this is none.
const MAX_CLAIM: usize = 256;
/// The most leeway between clocks, in seconds: more would keep expired tokens alive.
const MAX_LEEWAY: u64 = 300;

impl TenantManifest {
    pub(super) fn read(top: &mut Fields<'_>) -> Option<Self> {
        let metadata = Metadata::read(top);
        top.required("spec", |spec| {
            spec.object(|spec| {
                let namespace = spec.optional("namespace", |reader| reader.at(|value| value.parse()));
                let plan = spec.required("plan", |reader| reader.at(|value| value.parse()));
                let region = spec.optional("region", |reader| reader.at(|value| value.parse()));
                let status = spec.optional("status", |reader| {
                    reader.one_of(&[("active", Status::Active), ("suspended", Status::Suspended), ("offboarding", Status::Offboarding)])
                });
                let issuers = spec.optional("issuers", read_issuers);
                let hosts = spec.optional("hosts", |reader| reader.distinct(|value| value.parse())).unwrap_or_default();
                let upstreams = spec.optional("upstreams", |reader| reader.distinct(|value| value.parse())).unwrap_or_default();
                let limiter = spec.optional("limiter", read_limiter);
                let store = spec.optional("store", |reader| reader.at(|reader| reader.parse_with(parse_store)));
                let uid = spec.optional("uid", |reader| reader.at(|value| value.parse()));
                Some(Self {
                    metadata: metadata?,
                    namespace,
                    plan: plan?,
                    region,
                    status: status.unwrap_or(Status::Active),
                    issuers,
                    hosts,
                    upstreams,
                    on_store_failure: limiter.and_then(|(failure, _)| failure).unwrap_or(StoreFailure::Local),
                    limiter_mode: limiter.and_then(|(_, mode)| mode),
                    store,
                    uid,
                })
            })
        })
    }
}

/// What the store's absence means, and how tokens are taken: each if it is stated.
fn read_limiter(reader: &mut Reader<'_>) -> Option<(Option<StoreFailure>, Option<LimiterMode>)> {
    reader.object(|fields| {
        let failure = fields.optional("onStoreFailure", |reader| {
            reader.one_of(&[("open", StoreFailure::Open), ("closed", StoreFailure::Closed), ("local", StoreFailure::Local)])
        });
        let mode = fields.optional("mode", |reader| reader.one_of(&[("exact", LimiterMode::Exact), ("leased", LimiterMode::Leased)]));
        Some((failure, mode))
    })
}

/// The URL of a store: one server, or several behind Sentinel or in a cluster, whose list of hosts only the limiter reads. It may hold a password, so nothing
/// of it is ever quoted.
fn parse_store(text: &str) -> Result<SecretString, &'static str> {
    // What nobody reads would be taken for something that holds: `#insecure`, another protocol.
    if text.contains(['?', '#']) {
        return Err("must not have `?` or `#`: a store's URL takes no options");
    }
    let several = ["redis-sentinel://", "rediss-sentinel://", "redis-cluster://", "rediss-cluster://"];
    if let Some(rest) = several.iter().find_map(|scheme| text.strip_prefix(scheme)) {
        return if rest.is_empty() || rest.starts_with('/') { Err("must name a host") } else { Ok(SecretString::from(text)) };
    }
    let url = Url::parse(text).map_err(|_| "must be a URL: `rediss://host:6379`")?;
    if !matches!(url.scheme(), "redis" | "rediss") {
        return Err("must start with `redis://` or `rediss://`, or either with -sentinel or -cluster before the `:`");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("must name a host");
    }
    Ok(SecretString::from(text))
}

fn read_issuers(reader: &mut Reader<'_>) -> Option<Vec<At<IssuerManifest>>> {
    if reader.is_empty_list() {
        return reader.refuse("must not be empty: leave the field out for the platform's template");
    }
    reader.list(|issuer| issuer.at(IssuerManifest::read))
}

impl IssuerManifest {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.object(|fields| {
            let url = |reader: &mut Reader<'_>| reader.at(|reader| reader.text(MAX_URL));
            let issuer = fields.required("issuer", url);
            let jwks_uri = fields.optional("jwksUri", url);
            let jwks = fields.optional("jwks", |reader| reader.at(read_jwks));
            if fields.has("jwksUri") && fields.has("jwks") {
                fields.refuse::<()>("must have `jwksUri` or `jwks`, not both");
            }
            let audiences = fields.optional("audiences", audiences::read).unwrap_or_default();
            let algorithms = fields.optional("algorithms", |reader| reader.some(read_algorithm));
            let tenant_claim = fields.optional("tenantClaim", read_tenant_claim).unwrap_or_default();
            let roles_claims = fields.optional("rolesClaims", |reader| reader.distinct(|value| value.parse()));
            let leeway_seconds = fields.optional("leewaySeconds", |reader| reader.whole(0, MAX_LEEWAY)).unwrap_or(DEFAULT_LEEWAY);
            Some(Self {
                issuer: issuer?,
                jwks_uri,
                jwks,
                audiences,
                algorithms: algorithms.map(|some| some.into_iter().map(|algorithm| algorithm.value).collect()),
                tenant_claim,
                roles_claims: roles_claims.map(|paths| paths.into_iter().map(|path| path.value).collect()),
                leeway_seconds,
            })
        })
    }
}

/// `{ keys: [...] }` (RFC 7517 section 5), each key kept apart so that one bad one spoils no other (S19). A secret has no place here.
fn read_jwks(reader: &mut Reader<'_>) -> Option<Vec<serde_json::Value>> {
    reader.object(|fields| {
        fields.required("keys", |reader| {
            if reader.is_empty_list() {
                return reader.refuse("must not be empty");
            }
            reader.list(|key| {
                let json = key.json_object()?;
                // `k` is a symmetric key, the others are private parts (RFC 7518 section 6).
                if ["k", "d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|secret| json.get(secret).is_some()) {
                    return key.refuse("must be a public key: this one holds a secret, which should be replaced now");
                }
                if json.get("kty").is_none_or(|kty| !kty.is_string()) {
                    return key.refuse("must be a JWK: it has no `kty`");
                }
                Some(json)
            })
        })
    })
}

fn read_algorithm(reader: &mut Reader<'_>) -> Option<Algorithm> {
    if reader.is_text_of(|text| text.eq_ignore_ascii_case("none") || text.to_ascii_uppercase().starts_with("HS")) {
        return reader.refuse("is never allowed: only signatures with a private key prove who signed");
    }
    reader.one_of(&Algorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm)))
}

fn read_tenant_claim(reader: &mut Reader<'_>) -> Option<TenantClaim> {
    reader.object(|fields| {
        let name = fields.optional("name", |reader| reader.text(MAX_CLAIM));
        let required = fields.optional("required", |value| value.flag());
        let default = TenantClaim::default();
        Some(TenantClaim { name: name.unwrap_or(default.name), required: required.unwrap_or(default.required) })
    })
}
