//! Contracts: several add up to one list of APIs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    bound::{MAX_APIS, MAX_HOSTS, MAX_NAME_BYTES, MAX_NAMES, MAX_UPSTREAM_HOSTS, at_most, is_enough},
    draft::DraftApi,
};
use crate::{
    api::{Access, Api, Methods},
    catalog::claim::Tree,
    fault::{Fault, Severity},
    name::ApiName,
    openapi::OpenApi,
    place::{At, Place},
    resource::contract::{ApiManifest, ContractManifest},
};

/// A partition's OpenAPI documents, by path.
pub(crate) type Documents = BTreeMap<Arc<str>, Arc<OpenApi>>;

/// Joins contracts: a repeated API name is an error, as are two APIs that a host would name both.
pub(super) fn judge(contracts: Vec<ContractManifest>, documents: &Documents, faults: &mut Vec<Fault>) -> BTreeMap<ApiName, DraftApi> {
    let mut apis = BTreeMap::new();
    for manifest in contracts.into_iter().flat_map(|contract| contract.apis) {
        let name = manifest.name.clone();
        at_most(MAX_APIS, apis.len() + 1, "APIs in a tenant's contracts", &name.place, faults);
        if apis.len() >= MAX_APIS || is_enough(&name.place, faults) {
            break;
        }
        if apis.contains_key(&name.value) {
            faults.push(name.fault("another API of this tenant has this name"));
            continue;
        }
        apis.insert(name.value, api(manifest, documents, faults));
    }
    upstream_hosts(&apis, faults);
    overlapping_hosts(&apis, faults);
    apis
}

fn api(At { value: mut manifest, place }: At<ApiManifest>, documents: &Documents, faults: &mut Vec<Fault>) -> DraftApi {
    if let Methods::Only(methods) = &manifest.methods {
        at_most(MAX_NAMES, methods.len(), "methods", &place.field("methods"), faults);
    }
    at_most(MAX_HOSTS, manifest.hosts.len(), "hosts of an API", &place.field("hosts"), faults);
    // An error stands: what is over the bound is not looked at.
    manifest.hosts.truncate(MAX_HOSTS);
    access(&manifest.access, &place, faults);
    let (hosts, host_places) = manifest.hosts.into_iter().map(|At { value, place }| (value, place)).unzip();
    let openapi = manifest.openapi.as_ref().and_then(|file| {
        let document = documents.get(beside(file).as_str());
        if document.is_none() && !faults.iter().any(|fault| fault.severity == Severity::Error) {
            // Else every path would be reachable.
            faults.push(file.fault("is not a document that could be read"));
        }
        document.cloned()
    });
    let api = Api {
        name: manifest.name.value,
        upstream: manifest.upstream.value,
        auth: manifest.auth.value,
        audit: manifest.audit.value,
        protocol: manifest.protocol.value,
        methods: manifest.methods,
        hosts,
        access: manifest.access,
        openapi,
        forward_credentials: manifest.forward_credentials,
        rate_limit: manifest.rate_limit.map(|limit| limit.value),
    };
    DraftApi { api: Arc::new(api), upstream: manifest.upstream.place, hosts: host_places, tier: manifest.tier }
}

/// The path of the file that is named beside the one that names it.
pub(crate) fn beside(name: &At<String>) -> String {
    match name.fault("").file.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/{}", name.value),
        None => name.value.clone(),
    }
}

/// Bounds an access rule.
pub(super) fn access(access: &Access, place: &Place, faults: &mut Vec<Fault>) {
    for (names, what) in [(&access.roles, "roles"), (&access.scopes, "scopes")] {
        let place = place.field("access").field(what);
        at_most(MAX_NAMES, names.len(), what, &place, faults);
        if names.iter().any(|name| name.len() > MAX_NAME_BYTES) {
            faults.push(place.fault(format!("a name has more than {MAX_NAME_BYTES} bytes")));
        }
    }
}

/// Distinct upstream hosts are bounded, each port counted: Envoy keeps one for each (S4).
fn upstream_hosts(apis: &BTreeMap<ApiName, DraftApi>, faults: &mut Vec<Fault>) {
    let mut hosts = BTreeSet::new();
    for draft in apis.values() {
        hosts.insert((&draft.api.upstream.origin.host, draft.api.upstream.origin.port));
        if hosts.len() > MAX_UPSTREAM_HOSTS {
            let what = format!("at most {MAX_UPSTREAM_HOSTS} distinct upstream hosts and ports in a tenant's contracts");
            faults.push(draft.upstream.fault(what));
            return;
        }
    }
}

/// A host names at most one API of a tenant: overlap, not equality, is the test (S21).
fn overlapping_hosts(apis: &BTreeMap<ApiName, DraftApi>, faults: &mut Vec<Fault>) {
    let mut seen = Tree::default();
    for (name, draft) in apis {
        for (host, place) in draft.api.hosts.iter().zip(&draft.hosts) {
            if is_enough(place, faults) {
                return;
            }
            if seen.overlapped(host, name) {
                faults.push(place.fault("another API of this tenant claims this host, or one that overlaps it"));
            }
            seen.add(host, name);
        }
    }
}
