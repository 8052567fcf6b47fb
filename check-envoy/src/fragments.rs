//! What Istio and Envoy Gateway make Envoy's configuration of: Kubernetes objects that hold parts of it, or their own words for it. What is in them is judged;
//! what the gateway adds (the order of its filters, how it treats paths and headers, its clusters) shows in no object, but in what its Envoy says of itself:
//! `GET /config_dump` of Envoy's admin port, which can be checked as every other file.

use bulkhead_tenancy::tree::Node;

use crate::{
    Findings, authorizer, chain, clusters, limiter, processor, routes,
    view::{View, kind},
};

mod envoy_gateway;
mod istio;
mod patch;
#[cfg(test)]
mod tests;

/// An object of which a part was judged, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    /// The line that it begins at, from 1.
    pub line: u32,
    /// Its kind.
    pub kind: String,
}

/// Judges a document if it is an object that shapes an Envoy, and says what it was.
pub(crate) fn judge(document: &Node, findings: &mut Findings) -> Option<Unjudged> {
    let kind = document.get("kind").and_then(View::text).unwrap_or("file");
    let version = document.get("apiVersion").and_then(View::text).unwrap_or_default();
    match (version.split_once('/').map_or("", |(group, _)| group), kind) {
        ("networking.istio.io", "EnvoyFilter") => istio::filter(document, findings),
        // Istio's mesh: of the operator or Helm, or a ConfigMap.
        ("install.istio.io" | "", "IstioOperator" | "ConfigMap" | "file") => {
            if !istio::mesh(document, findings) {
                return None;
            }
        }
        ("gateway.envoyproxy.io", "SecurityPolicy") => envoy_gateway::security(document, findings),
        ("gateway.envoyproxy.io", "EnvoyExtensionPolicy") => envoy_gateway::extensions(document, findings),
        ("gateway.envoyproxy.io", "ClientTrafficPolicy") => envoy_gateway::clients(document, findings),
        ("gateway.envoyproxy.io", "EnvoyProxy") => envoy_gateway::order(document, findings),
        ("gateway.envoyproxy.io", "EnvoyPatchPolicy") => patch::policy(document, findings),
        // What they say of limits, retries and clusters is about upstreams, and the gateway's own.
        ("gateway.envoyproxy.io", "BackendTrafficPolicy") => {}
        _ => return None,
    }
    Some(Unjudged { line: document.line, kind: kind.to_owned() })
}

/// A part of Envoy's own configuration that an object adds: a filter, or a cluster. `within` is all that it may refer to.
fn part(value: &Node, within: &Node, findings: &mut Findings) {
    match kind(value) {
        "ExtAuthz" | "ext_authz" => authorizer::judge(value, within, findings),
        "RateLimit" | "ratelimit" => limiter::judge(value, within, findings),
        "ExternalProcessor" | "ext_proc" => processor::judge(value, findings),
        _ if value.get("load_assignment").is_some() => clusters::added(value, findings),
        _ => {}
    }
    if is_ours(kind(value)) {
        chain::dormant(value, within, findings);
    }
    routes::judge(value, &[], findings);
}

/// What is inserted into a chain next to one of ours may stand between them.
fn stranger(filter: &Node, findings: &mut Findings) {
    let kind = kind(filter);
    if !is_ours(kind) && !chain::is_harmless(kind) {
        let named = if kind.is_empty() { "a filter without a name" } else { kind };
        let what = format!("{named} may change the tenant in our metadata, wherever it stands between ext_authz and the last of ours");
        findings.add(filter, "S7", what, "insert it before ext_authz (Istio: INSERT_FIRST), or nowhere");
    }
}

/// Whether a word is one of our filters: its type, or the end of its name.
fn is_ours(word: &str) -> bool {
    matches!(word, "ExtAuthz" | "ext_authz" | "RateLimit" | "ratelimit" | "ExternalProcessor" | "ext_proc")
}

/// Whether a path or a name mentions one of our filters. `local_ratelimit` is none.
pub(crate) fn mentions_ours(text: &str) -> bool {
    text.split(|one: char| !(one.is_ascii_alphanumeric() || one == '_')).any(is_ours)
}

/// One of ours is taken out, or something else put in its place.
fn removed(at: &Node, findings: &mut Findings) {
    findings.add(at, "S9", "one of our filters is removed: nobody is asked what it decides", "leave it in");
}

/// What a patch leaves of something shows in the whole only.
fn partial(at: &Node, what: &str, findings: &mut Findings) {
    findings.add(at, "S9", what, "patch a whole filter or cluster, and check what Envoy answers to GET /config_dump");
}
