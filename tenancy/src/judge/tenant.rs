//! The operator's Tenant under the Platform: its issuers, its partition, what it may claim.

use std::{collections::BTreeSet, sync::Arc};

use super::issuer;
use crate::{
    fault::{Fault, Severity},
    grant::TenantGrant,
    host::HostPattern,
    issuer::Issuer,
    name::Region,
    place::At,
    platform::Platform,
    resource::tenant::TenantManifest,
};

/// What a manifest grants under a platform; absent if an error stands in its way. Faults are added to `faults` in both cases. Whether its
/// plan exists, and what other tenants claim, is for whoever knows them; whether it fits its plan, [`super::plan::fits`] says.
pub fn judge(manifest: &TenantManifest, platform: &Platform, faults: &mut Vec<Fault>) -> Option<TenantGrant> {
    let before = faults.len();
    let name = &manifest.metadata.name;
    let uid = manifest.uid.clone().or_else(|| manifest.metadata.uid.clone());
    if uid.is_none() {
        faults.push(name.warning("has no uid: a tenant made anew under this name inherits its counters"));
    }
    if let Some(region) = &manifest.region
        && !platform.regions.is_empty()
        && !platform.regions.contains_key(region.as_str())
    {
        faults.push(region.fault("is not one of the platform's regions"));
    }
    let grant = TenantGrant {
        name: name.clone(),
        uid,
        namespace: manifest.namespace.clone().unwrap_or_else(|| At::new(name.default_namespace(), name.place.clone())),
        plan: manifest.plan.clone(),
        region: manifest.region.clone().unwrap_or_else(|| At::new(Region::default(), name.place.clone())),
        status: manifest.status,
        issuers: issuers(manifest, platform, faults),
        hosts: manifest.hosts.clone(),
        upstreams: manifest.upstreams.clone(),
        on_store_failure: manifest.on_store_failure,
        limiter_mode: manifest.limiter_mode,
        store: manifest.store.clone(),
    };
    upstreams(&grant.upstreams, platform, faults);
    let broken = faults.iter().skip(before).any(|fault| fault.severity == Severity::Error);
    (!broken).then_some(grant)
}

fn issuers(manifest: &TenantManifest, platform: &Platform, faults: &mut Vec<Fault>) -> Vec<At<Arc<Issuer>>> {
    let name = &manifest.metadata.name;
    let Some(written) = &manifest.issuers else {
        if platform.issuer_template.is_none() {
            faults.push(name.warning("has no issuer, and the platform has no `issuerTemplate`: only API keys can prove this tenant"));
        }
        let made = issuer::of_template(name, &name.place, platform, faults);
        return made.map(|issuer| At::new(Arc::new(issuer), name.place.clone())).into_iter().collect();
    };
    let mut seen = BTreeSet::new();
    let mut issuers = Vec::with_capacity(written.len());
    for entry in written {
        if !seen.insert(entry.issuer.as_str()) {
            faults.push(entry.issuer.fault("is listed twice"));
        } else if let Some(issuer) = issuer::judge(entry, platform, faults) {
            issuers.push(At::new(Arc::new(issuer), entry.issuer.place.clone()));
        }
    }
    issuers
}

/// A list that grants the machine itself would be refused in every contract later: said here, to whoever can change it (S3).
fn upstreams(granted: &[At<HostPattern>], platform: &Platform, faults: &mut Vec<Fault>) {
    if platform.upstreams.allow_loopback {
        return;
    }
    for pattern in granted {
        if let Some(what) = pattern.local() {
            faults.push(
                pattern.fault(format!("is {what}: no contract may point there unless the platform's `upstreams.allowLoopback` is true")),
            );
        }
    }
}
