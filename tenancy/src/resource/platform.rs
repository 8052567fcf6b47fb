//! `kind: Platform`: what the operator decides for everybody.

use std::path::{Component, PathBuf};

use super::{Metadata, audiences, rate_limit, topic, topic::Topics};
use crate::{
    decode::{CONTROLS, Fields, Reader},
    limit::{MAX_REQUESTS, RateLimit},
    name::{Region, ResourceName},
    place::At,
    platform::{AuthFailures, ContextToken, LimiterMode, LimiterSettings, PathTemplate, Routing},
    upstream::Origin,
};

/// The platform as written.
#[derive(Debug, Clone)]
pub struct PlatformManifest {
    /// `metadata`
    pub metadata: Metadata<ResourceName>,
    /// `spec.issuerTemplate`
    pub issuer_template: Option<At<String>>,
    /// `spec.jwksTemplate`
    pub jwks_template: Option<At<String>>,
    /// `spec.audiences`
    pub audiences: Vec<String>,
    /// `spec.routing`
    pub routing: Option<Routing>,
    /// `spec.addressing`
    pub addressing: Option<AddressingManifest>,
    /// `spec.rateLimit`: the global limit.
    pub rate_limit: At<RateLimit>,
    /// `spec.unresolved`
    pub unresolved: Option<At<RateLimit>>,
    /// `spec.authFailures`
    pub auth_failures: Option<AuthFailures>,
    /// `spec.topics`
    pub topics: Topics,
    /// `spec.allowInsecureIssuers`
    pub allow_insecure_issuers: bool,
    /// `spec.regions`
    pub regions: Vec<(At<Region>, PathBuf)>,
    /// `spec.limiter`
    pub limiter: Option<LimiterSettings>,
    /// `spec.contextToken`
    pub context_token: Option<ContextToken>,
    /// `spec.upstreams.allowLoopback`
    pub allow_loopback: bool,
    /// `spec.upstreams.connect`
    pub connect: Vec<Connect>,
}

/// `spec.addressing`
#[derive(Debug, Clone)]
pub struct AddressingManifest {
    /// `host`
    pub host: Option<At<String>>,
    /// `path`; absent: `/{tenant}/{api}`, or `/{api}` where a host template names the tenant.
    pub path: Option<At<PathTemplate>>,
}

/// A URL template, a host template or a path longer than this is none.
const MAX_BYTES: usize = 1024;

impl PlatformManifest {
    pub(super) fn read(top: &mut Fields<'_>) -> Option<Self> {
        let metadata = Metadata::read(top);
        top.required("spec", |spec| {
            spec.object(|spec| {
                let text = |reader: &mut Reader<'_>| reader.at(|reader| reader.text(MAX_BYTES));
                let issuer_template = spec.optional("issuerTemplate", text);
                let jwks_template = spec.optional("jwksTemplate", text);
                let audiences = spec.optional("audiences", audiences::read).unwrap_or_default();
                let routing = spec.optional("routing", |reader| reader.one_of(&[("own", Routing::Own), ("contract", Routing::Contract)]));
                let addressing = spec.optional("addressing", AddressingManifest::read);
                let rate_limit = spec.required("rateLimit", rate_limit::read);
                let unresolved = spec.optional("unresolved", rate_limit::read);
                let auth_failures = spec.optional("authFailures", read_auth_failures);
                let topics = spec.optional("topics", topic::read).unwrap_or_default();
                let allow_insecure_issuers = spec.optional("allowInsecureIssuers", |value| value.flag()).unwrap_or(false);
                let regions = spec.optional("regions", read_regions).unwrap_or_default();
                let limiter = spec.optional("limiter", read_limiter);
                let context_token = spec.optional("contextToken", read_context_token);
                let (allow_loopback, connect) = spec.optional("upstreams", read_upstreams).unwrap_or_default();
                Some(Self {
                    metadata: metadata?,
                    issuer_template,
                    jwks_template,
                    audiences,
                    routing,
                    addressing,
                    rate_limit: rate_limit?,
                    unresolved,
                    auth_failures,
                    topics,
                    allow_insecure_issuers,
                    regions,
                    limiter,
                    context_token,
                    allow_loopback,
                    connect,
                })
            })
        })
    }
}

impl AddressingManifest {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.object(|fields| {
            let host = fields.optional("host", |reader| reader.at(|reader| reader.text(MAX_BYTES)));
            let path = fields.optional("path", |reader| {
                reader.at(|reader| reader.one_of(&[("/{tenant}/{api}", PathTemplate::TenantApi), ("/{api}", PathTemplate::Api)]))
            });
            Some(Self { host, path })
        })
    }
}

fn read_auth_failures(reader: &mut Reader<'_>) -> Option<AuthFailures> {
    reader.object(|fields| {
        let source = fields.optional("perSourceMinute", |reader| reader.whole(1, MAX_REQUESTS));
        let tenant = fields.optional("perTenantMinute", |reader| reader.whole(1, MAX_REQUESTS));
        let default = AuthFailures::default();
        Some(AuthFailures {
            per_source_minute: source.unwrap_or(default.per_source_minute),
            per_tenant_minute: tenant.unwrap_or(default.per_tenant_minute),
        })
    })
}

fn read_regions(reader: &mut Reader<'_>) -> Option<Vec<(At<Region>, PathBuf)>> {
    reader.map(|name, reader| match name.parse() {
        Ok(region) => Some((At::new(region, name.place.clone()), reader.parse_with(parse_directory)?)),
        Err(error) => reader.refuse(format!("has a key that is no region: it {error}")),
    })
}

/// An absolute path that says where it is without `..`.
fn parse_directory(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if text.contains(char::is_control) {
        return Err(CONTROLS);
    }
    if path.is_absolute() && plain { Ok(path) } else { Err("must be an absolute path without `..`") }
}

fn read_limiter(reader: &mut Reader<'_>) -> Option<LimiterSettings> {
    reader.object(|fields| {
        let mode = fields.optional("mode", |reader| reader.one_of(&[("exact", LimiterMode::Exact), ("leased", LimiterMode::Leased)]));
        let replicas = fields.optional("replicas", |reader| reader.whole(1, 1000));
        let default = LimiterSettings::default();
        Some(LimiterSettings {
            mode: mode.unwrap_or(default.mode),
            replicas: replicas.and_then(|number| u32::try_from(number).ok()).unwrap_or(default.replicas),
        })
    })
}

fn read_context_token(reader: &mut Reader<'_>) -> Option<ContextToken> {
    reader.object(|fields| {
        let enabled = fields.optional("enabled", |value| value.flag());
        let ttl_seconds = fields.optional("ttlSeconds", |reader| reader.whole(1, 3600));
        let default = ContextToken::default();
        Some(ContextToken { enabled: enabled.unwrap_or(default.enabled), ttl_seconds: ttl_seconds.unwrap_or(default.ttl_seconds) })
    })
}

/// An origin of a contract, and where it is really reached.
type Connect = (At<Origin>, At<Origin>);

fn read_upstreams(reader: &mut Reader<'_>) -> Option<(bool, Vec<Connect>)> {
    reader.object(|fields| {
        let allow_loopback = fields.optional("allowLoopback", |value| value.flag()).unwrap_or(false);
        let connect = fields.optional("connect", |reader| {
            reader.map(|from, reader| match from.parse() {
                Ok(origin) => Some((At::new(origin, from.place.clone()), reader.at(|value| value.parse())?)),
                Err(error) => reader.refuse(format!("has a key that is no origin: it {error}")),
            })
        });
        Some((allow_loopback, connect.unwrap_or_default()))
    })
}
