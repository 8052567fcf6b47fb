//! The headers of an allow. Every contract header is set or removed, whatever Envoy stripped before (S8).

use bulkhead_proto::contract::header;

use super::claim;
use crate::{
    attributes::{Headers, understood_as, understood_below},
    verdict::{Allowed, Decision},
};

/// Credentials, which stop here unless the API wants them forwarded (S13).
const CREDENTIALS: [&str; 2] = ["authorization", header::API_KEY];

/// What contract routing alone sets. A client's own would choose an upstream (S1).
const ROUTING: [&str; 2] = [header::CLUSTER, header::UPSTREAM];

/// What is set, by name: identity, our hop mark (S24), and where the request goes if the contract says so.
pub(super) fn set(decision: &Decision, allowed: &Allowed) -> Vec<(&'static str, String)> {
    let Allowed { caller, api, subscription, obligations, .. } = allowed;
    let mut set = vec![
        (header::TENANT, caller.tenant.name.to_string()),
        (header::API, api.name.to_string()),
        (header::DECISION, decision.id.clone()),
        (header::HOP, "1".to_owned()),
    ];
    set.extend(subscription.as_ref().map(|subscription| (header::SUBSCRIPTION, subscription.name.to_string())));
    set.extend(caller.subject.as_deref().and_then(claim::visible).map(|subject| (header::SUBJECT, subject)));
    set.extend(obligations.context_token.as_ref().map(|token| (header::CONTEXT, token.as_str().to_owned())));
    if let Some(upstream) = &obligations.upstream {
        set.push((header::CLUSTER, upstream.cluster.to_owned()));
        set.push((header::UPSTREAM, format!("{}:{}", upstream.host, upstream.port)));
        set.push((":path", upstream.path.clone()));
    }
    set
}

/// What is removed. Envoy removes after it sets, so a name that is set must never stand here, in any case.
pub(super) fn removed(set: &[(&'static str, String)], forward_credentials: bool, arrived: &Headers) -> Vec<String> {
    let absent = |name: &str| set.iter().all(|(own, _)| *own != name);
    let contract = header::IDENTITY.into_iter().chain(header::FOREIGN).chain(ROUTING);
    let stopped = CREDENTIALS.into_iter().filter(|_| !forward_credentials);
    // These go even if they were not seen: Envoy may be told to hide headers from us.
    let mut removed: Vec<String> = contract.chain(stopped).filter(|name| absent(name)).map(str::to_owned).collect();
    for seen in arrived.names().filter(|name| is_taken_for_ours(name)) {
        if absent(seen) && removed.iter().all(|name| name != seen) {
            removed.push(seen.to_owned());
        }
    }
    removed
}

/// Whether some server behind us could take a header for one of the contract, though it is spelt otherwise; or for a credential that
/// was not verified.
fn is_taken_for_ours(name: &str) -> bool {
    let credential = || CREDENTIALS.iter().chain([&header::HOP]).any(|ours| *ours != name && understood_as(name, ours));
    understood_below(name, header::PREFIX) || header::FOREIGN.iter().any(|ours| understood_as(name, ours)) || credential()
}
