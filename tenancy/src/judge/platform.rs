//! The operator's Platform: its templates, its addressing and its defaults.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use super::issuer::{FOR_ANYBODY, Role, check};
use crate::{
    fault::{Fault, Severity},
    host::{HostName, HostPattern},
    limit::RateLimit,
    name::TenantName,
    place::At,
    platform::{Addressing, HostTemplate, PathTemplate, Platform, Routing, TenantTemplate, UpstreamSettings},
    resource::platform::{AddressingManifest, PlatformManifest},
};

/// `unresolved` of a platform that states none.
const UNRESOLVED_A_MINUTE: u64 = 600;

/// The platform that a manifest states; absent if an error stands in its way. Faults are added to `faults` in both cases.
pub fn judge(manifest: &PlatformManifest, faults: &mut Vec<Fault>) -> Option<Platform> {
    let before = faults.len();
    let insecure = manifest.allow_insecure_issuers;
    let issuer_template = url_template(manifest.issuer_template.as_ref(), Role::Issuer, insecure, faults);
    let jwks_template = url_template(manifest.jwks_template.as_ref(), Role::KeySet, insecure, faults);
    if let (None, Some(template)) = (&manifest.issuer_template, &manifest.jwks_template) {
        faults.push(template.fault("has a meaning only beside `issuerTemplate`"));
    }
    if let (Some(_), Some(written), true) = (&issuer_template, &manifest.issuer_template, manifest.audiences.is_empty()) {
        faults.push(written.warning(FOR_ANYBODY));
    }
    let addressing = addressing(manifest.addressing.as_ref(), faults);
    let routing = manifest.routing.unwrap_or(Routing::Own);
    if let (Routing::Own, None, Some(path)) = (routing, &addressing.host, api_alone(manifest)) {
        // A tenant may give one of its own APIs the name that another tenant's route is reached by (S20).
        faults.push(path.warning("names no tenant: with `routing: own`, bind every route of one tenant to it by `context_extensions`"));
    }
    let upstreams = upstreams(manifest, &[&issuer_template, &jwks_template], faults);
    let platform = Platform {
        issuer_template,
        jwks_template,
        audiences: manifest.audiences.iter().cloned().collect(),
        routing,
        addressing,
        rate_limit: manifest.rate_limit.value,
        unresolved: manifest.unresolved.as_ref().map_or_else(|| RateLimit::per_minute(UNRESOLVED_A_MINUTE, 1.0), |limit| limit.value),
        auth_failures: manifest.auth_failures.unwrap_or_default(),
        topics: manifest.topics.iter().map(|(label, topic)| (label.clone(), topic.value.clone())).collect(),
        allow_insecure_issuers: insecure,
        regions: manifest.regions.iter().map(|(region, directory)| (region.value.clone(), directory.clone())).collect(),
        limiter: manifest.limiter.unwrap_or_default(),
        context_token: manifest.context_token.unwrap_or_default(),
        upstreams,
    };
    let broken = faults.iter().skip(before).any(|fault| fault.severity == Severity::Error);
    (!broken).then_some(platform)
}

fn parse<T: FromStr<Err: Display>>(text: &At<String>, faults: &mut Vec<Fault>) -> Option<T> {
    text.parse().map_err(|error: T::Err| faults.push(text.fault(error.to_string()))).ok()
}

/// A template that makes an allowed URL of a tenant's name. Without `{tenant}` all tenants would have one issuer, or the keys of one.
fn url_template(text: Option<&At<String>>, role: Role, insecure: bool, faults: &mut Vec<Fault>) -> Option<TenantTemplate> {
    let text = text?;
    let template: TenantTemplate = parse(text, faults)?;
    match check(&sample(&template)?, role, insecure) {
        Ok(_) => Some(template),
        Err(message) => {
            faults.push(text.fault(message));
            None
        }
    }
}

/// What a template makes of some tenant's name.
fn sample(template: &TenantTemplate) -> Option<String> {
    "tenant".parse().ok().map(|name: TenantName| template.for_tenant(&name))
}

fn addressing(manifest: Option<&AddressingManifest>, faults: &mut Vec<Fault>) -> Addressing {
    let Some(manifest) = manifest else { return Addressing { host: None, path: PathTemplate::TenantApi } };
    let host: Option<HostTemplate> = manifest.host.as_ref().and_then(|host| parse(host, faults));
    // Where hosts name tenants, paths need not.
    let default = if manifest.host.is_some() { PathTemplate::Api } else { PathTemplate::TenantApi };
    Addressing { host, path: manifest.path.as_ref().map_or(default, |path| path.value) }
}

/// The addressing path where it names an API alone.
fn api_alone(manifest: &PlatformManifest) -> Option<&At<PathTemplate>> {
    manifest.addressing.as_ref()?.path.as_ref().filter(|path| path.value == PathTemplate::Api)
}

fn upstreams(manifest: &PlatformManifest, templates: &[&Option<TenantTemplate>], faults: &mut Vec<Fault>) -> UpstreamSettings {
    let mut connect = BTreeMap::new();
    for (from, to) in &manifest.connect {
        if connect.insert(from.value.clone(), to.value.clone()).is_some() {
            faults.push(from.fault("is an origin that is listed twice"));
        }
    }
    // Where everybody's keys come from is the platform's own, whatever the port. On a laptop it shares an address with everything else:
    // there only the catalog's check of each issuer's port holds.
    let hosts = templates.iter().filter_map(|template| key_host(template.as_ref()?));
    let own_hosts = hosts.filter(|pattern| pattern.local().is_none()).collect();
    UpstreamSettings { allow_loopback: manifest.allow_loopback, connect, own_hosts }
}

/// The host of a URL template; where the tenant's name is part of it, every host below the first label that does not depend on it.
fn key_host(template: &TenantTemplate) -> Option<HostPattern> {
    let host = url::Url::parse(&sample(template)?).ok()?.host_str().and_then(|host| HostName::of_url(host).ok())?;
    let (_, rest) = template.as_str().split_once("://")?;
    let written = rest.split(['/', ':', '?']).next()?;
    match written.rsplit_once("{tenant}") {
        None => Some(HostPattern::Exact(host)),
        Some((_, tail)) => tail.split_once('.')?.1.parse().ok().map(HostPattern::Below),
    }
}
