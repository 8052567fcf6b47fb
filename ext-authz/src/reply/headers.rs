//! The headers of an allow. Every contract header is set or removed, whatever Envoy stripped before (S8).

use std::borrow::Cow;

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

/// Headers by name.
pub(super) type Set<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// What is set: identity, our hop mark (S24), and where the request goes if the contract says so.
pub(super) fn set<'a>(decision: &'a Decision, allowed: &'a Allowed) -> Set<'a> {
    let Allowed { caller, api, subscription, obligations, .. } = allowed;
    let mut set: Set<'a> = Vec::with_capacity(10);
    set.extend([
        (header::TENANT, caller.tenant.name.as_str().into()),
        (header::API, api.name.as_str().into()),
        (header::DECISION, decision.id.as_str().into()),
        (header::HOP, "1".into()),
    ]);
    set.extend(subscription.as_ref().map(|subscription| (header::SUBSCRIPTION, subscription.name.as_str().into())));
    set.extend(caller.subject.as_deref().and_then(claim::visible).map(|subject| (header::SUBJECT, subject)));
    set.extend(obligations.context_token.as_ref().map(|token| (header::CONTEXT, token.as_str().into())));
    if let Some(upstream) = &obligations.upstream {
        set.push((header::CLUSTER, upstream.cluster.into()));
        set.push((header::UPSTREAM, format!("{}:{}", upstream.host, upstream.port).into()));
        set.push((":path", upstream.path.as_str().into()));
    }
    set
}

/// What is removed. Envoy removes after it sets, so a name that is set must never stand here, in any case.
pub(super) fn removed<'a>(set: &'a Set<'_>, forward_credentials: bool, arrived: &'a Headers<'_>) -> impl Iterator<Item = &'a str> {
    let absent = |name: &str| set.iter().all(|(own, _)| *own != name);
    let contract = header::IDENTITY.into_iter().chain(header::FOREIGN).chain(ROUTING);
    let stopped = CREDENTIALS.into_iter().filter(move |_| !forward_credentials);
    // These go even if they were not seen: Envoy may be told to hide headers from us.
    let always = contract.chain(stopped);
    let known = always.clone();
    // What asks for another method asks for one that nobody judged (S6).
    let seen = arrived.names().filter(|name| is_taken_for_ours(name)).chain(arrived.overriding_the_method());
    let seen = seen.filter(move |seen| known.clone().all(|name| name != *seen));
    always.chain(seen).filter(move |name| absent(name))
}

/// Whether some server behind us could take a header for one of the contract, though it is spelt otherwise; or for a credential that
/// was not verified.
fn is_taken_for_ours(name: &str) -> bool {
    let credential = || CREDENTIALS.iter().chain([&header::HOP]).any(|ours| *ours != name && understood_as(name, ours));
    understood_below(name, header::PREFIX) || header::FOREIGN.iter().any(|ours| understood_as(name, ours)) || credential()
}
