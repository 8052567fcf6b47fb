//! Issuers: which URLs may say who somebody is, and where their keys may come from (S18, S19).

use std::{collections::BTreeSet, sync::Arc};

use url::Url;

use crate::{
    fault::Fault,
    host::HostName,
    issuer::{Algorithm, ClaimPath, DEFAULT_LEEWAY, Issuer, IssuerId, KeySource, TenantClaim},
    name::TenantName,
    place::{At, Place},
    platform::Platform,
    resource::tenant::IssuerManifest,
};

/// A provider signs for many services; without an audience a token that was meant for another of them passes here too (RFC 8725 section 3.9), and an ID token
/// can be told from an access token only by its claims.
pub(super) const FOR_ANYBODY: &str = "vouches for tokens that were meant for anybody: list `audiences` here or in the Platform";

/// An issuer that the operator wrote out.
pub(super) fn judge(manifest: &IssuerManifest, platform: &Platform, faults: &mut Vec<Fault>) -> Option<Issuer> {
    let mut check = |url: &At<String>, role: Role| {
        let checked = check(url, role, platform.allow_insecure_issuers);
        checked.map_err(|message| faults.push(url.fault(message))).ok()
    };
    let own = check(&manifest.issuer, Role::Issuer);
    let keys = match (&manifest.jwks, &manifest.jwks_uri) {
        (Some(keys), _) => Some(KeySource::Inline(keys.value.clone())),
        (None, Some(uri)) => check(uri, Role::KeySet).map(KeySource::JwksUri),
        (None, None) => own.clone().map(KeySource::Discovery),
    };
    own?;
    if manifest.audiences.is_empty() && platform.audiences.is_empty() {
        faults.push(manifest.issuer.warning(FOR_ANYBODY));
    }
    Some(Issuer {
        id: IssuerId(Arc::from(manifest.issuer.as_str())),
        keys: keys?,
        audiences: if manifest.audiences.is_empty() { platform.audiences.clone() } else { manifest.audiences.iter().cloned().collect() },
        algorithms: manifest.algorithms.as_ref().map_or_else(all_algorithms, |some| some.iter().copied().collect()),
        tenant_claim: manifest.tenant_claim.clone(),
        roles_claims: manifest.roles_claims.clone().unwrap_or_else(ClaimPath::default_roles),
        leeway_seconds: manifest.leeway_seconds,
    })
}

/// The issuer that the platform's templates make for a tenant that states none; absent if there is no template.
pub(super) fn of_template(tenant: &TenantName, place: &Place, platform: &Platform, faults: &mut Vec<Fault>) -> Option<Issuer> {
    let mut made = |template: &crate::platform::TenantTemplate, role: Role| {
        let text = At::new(template.for_tenant(tenant), place.clone());
        match check(&text, role, platform.allow_insecure_issuers) {
            Ok(url) => Some((text.value, url)),
            Err(message) => {
                faults.push(place.fault(format!("makes a wrong URL of the platform's template: it {message}")));
                None
            }
        }
    };
    let (id, own) = made(platform.issuer_template.as_ref()?, Role::Issuer)?;
    let keys = match &platform.jwks_template {
        Some(template) => KeySource::JwksUri(made(template, Role::KeySet)?.1),
        None => KeySource::Discovery(own),
    };
    Some(Issuer {
        id: IssuerId(Arc::from(id)),
        keys,
        audiences: platform.audiences.clone(),
        algorithms: all_algorithms(),
        tenant_claim: TenantClaim::default(),
        roles_claims: ClaimPath::default_roles(),
        leeway_seconds: DEFAULT_LEEWAY,
    })
}

fn all_algorithms() -> BTreeSet<Algorithm> {
    Algorithm::ALL.into_iter().collect()
}

/// What a URL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `iss`, and where discovery starts: without query and fragment (OpenID Connect Discovery 1.0 section 2).
    Issuer,
    /// Where a key set is.
    KeySet,
}

/// A URL that the operator wrote for an issuer or its keys. The message never quotes it: userinfo may hold a password.
pub(super) fn check(text: &str, role: Role, allow_insecure: bool) -> Result<Url, &'static str> {
    // The URL standard drops tabs and line feeds and encodes the rest; `iss` is compared byte by byte.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('\\') {
        return Err("must be a URL of visible ASCII characters, without backslashes");
    }
    let url = Url::parse(text).map_err(|_| "must be a URL: `https://host/path`")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must start with `https://`");
    }
    let host = url.host_str().and_then(|host| HostName::of_url(host).ok()).ok_or("must be a URL: `https://host/path`")?;
    // A `@` in the authority is userinfo, even where nothing stands before it.
    let authority = text.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    if authority.is_none_or(|authority| authority.contains('@')) {
        return Err("must not hold a user or a password");
    }
    if url.fragment().is_some() || (role == Role::Issuer && url.query().is_some()) {
        return Err(if role == Role::Issuer { "must not have a query or a fragment" } else { "must not have a fragment" });
    }
    if url.scheme() == "http" && !host.is_loopback() && !allow_insecure {
        return Err(
            "must start with `https://`: plain http is for loopback addresses, or for a Platform with `allowInsecureIssuers: true`",
        );
    }
    Ok(url)
}
