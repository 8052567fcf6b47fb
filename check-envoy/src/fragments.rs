//! What Istio and Envoy Gateway make Envoy's configuration of: Kubernetes objects that hold parts of it, or their own words for it. What is in them is judged;
//! what the gateway adds (the order of its filters, how it treats paths and headers, its clusters) shows in no object, but in what its Envoy says of itself:
//! `GET /config_dump` of Envoy's admin port, which can be checked as every other file.

use bulkhead_tenancy::tree::Node;

use crate::{Findings, authorizer, chain, clusters, limiter, view::View, view::kind};

mod envoy_gateway;
mod istio;
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
        ("gateway.envoyproxy.io", "EnvoyPatchPolicy") => {
            for patch in document.get("spec.jsonPatches").map_or(&[][..], View::items) {
                if let Some(value) = patch.get("operation.value") {
                    part(value, document, findings);
                }
            }
        }
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
        "ExternalProcessor" | "ext_proc" => chain::processing(value, findings),
        _ if value.get("load_assignment").is_some() => clusters::added(value, findings),
        _ => {}
    }
    chain::switched_off(value, findings);
}
