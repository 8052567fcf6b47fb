//! The headers of an allow. Every contract header is set or removed, whatever Envoy stripped before (S8).

use std::{borrow::Cow, net::SocketAddr};

use bulkhead_proto::contract::header;

use super::claim;
use crate::{
    attributes::{self, understood_as, understood_below},
    verdict::{Allowed, Decision},
};

/// Credentials, which stop here unless the API wants them forwarded (S13).
const CREDENTIALS: [&str; 2] = ["authorization", header::API_KEY];

/// What a name of the contract is set to, or nothing where it is removed: so each is set or removed, and none is both. Envoy removes after it sets.
type Contract<'a> = [(&'static str, Option<Cow<'a, str>>); 10];

/// The headers of an allow.
pub(super) struct Headers<'a> {
    contract: Contract<'a>,
    /// `:path`, with contract routing.
    path: Option<&'a str>,
    /// The credentials that are not forwarded.
    stopped: &'static [&'static str],
}

impl<'a> Headers<'a> {
    /// Identity, our hop mark (S24), and where the request goes if the contract says so: a client's own would choose an upstream (S1).
    pub(super) fn of(decision: &'a Decision, allowed: &'a Allowed) -> Self {
        let Allowed { caller, api, subscription, obligations, .. } = allowed;
        let upstream = obligations.upstream.as_ref();
        let contract = [
            (header::TENANT, Some(caller.tenant.name.as_str().into())),
            (header::API, Some(api.name.as_str().into())),
            (header::DECISION, Some(decision.id.as_str().into())),
            (header::HOP, Some("1".into())),
            (header::SUBSCRIPTION, subscription.as_ref().map(|subscription| subscription.name.as_str().into())),
            (header::SUBJECT, caller.subject.as_deref().and_then(claim::visible)),
            (header::CONTEXT, obligations.context_token.as_ref().map(|token| token.as_str().into())),
            (header::CLUSTER, upstream.map(|upstream| upstream.cluster.into())),
            (header::UPSTREAM, upstream.map(|upstream| format!("{}:{}", upstream.host, upstream.port).into())),
            // Without it no route of Envoy's matches.
            (header::ADDRESS, upstream.and_then(|upstream| Some(SocketAddr::new(upstream.address?, upstream.port).to_string().into()))),
        ];
        let stopped: &[&str] = if obligations.forward_credentials { &[] } else { &CREDENTIALS };
        Self { contract, path: upstream.map(|upstream| upstream.path.as_str()), stopped }
    }

    /// What is set.
    pub(super) fn set(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let contract = self.contract.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        contract.chain(self.path.map(|path| (":path", path)))
    }

    /// What is removed: the rest of the contract and what is not to go on, also if it was not seen, because Envoy may be told to hide headers from us; and of what
    /// arrived whatever may be understood as one of these, in any case.
    pub(super) fn removed<'r>(&'r self, arrived: &'r attributes::Headers<'_>) -> impl Iterator<Item = &'r str> {
        let unset = self.contract.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| -> &str { name });
        // What asks for another method asks for one that nobody judged (S6).
        let seen = arrived.names().filter(|name| is_taken_for_ours(name)).chain(arrived.overriding_the_method());
        unset.chain(self.others()).chain(seen.filter(|seen| !self.knows(seen)))
    }

    /// What goes in any case.
    fn others(&self) -> impl Iterator<Item = &str> {
        header::FOREIGN.into_iter().chain(self.stopped.iter().copied())
    }

    fn knows(&self, name: &str) -> bool {
        self.contract.iter().any(|(own, _)| *own == name) || self.others().any(|other| other == name)
    }
}

/// Whether some server behind us could take a header for one of the contract, though it is spelt otherwise; or for a credential that
/// was not verified.
fn is_taken_for_ours(name: &str) -> bool {
    let credential = || CREDENTIALS.iter().chain([&header::HOP]).any(|ours| *ours != name && understood_as(name, ours));
    understood_below(name, header::PREFIX) || header::FOREIGN.iter().any(|ours| understood_as(name, ours)) || credential()
}
