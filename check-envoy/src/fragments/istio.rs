//! Istio: `EnvoyFilter`, whose patches hold Envoy's own configuration, and the mesh's providers of authorization.

use std::sync::Arc;

use bulkhead_tenancy::{
    tree::Node,
    yaml::{self, Bounds},
};

use super::{is_ours, mentions_ours, part, partial, removed, stranger};
use crate::{
    Finding, Findings, authorizer,
    view::{View, kind},
};

/// Filters of ours that stand after ext_authz.
const LATER: [&str; 4] = ["RateLimit", "ratelimit", "ExternalProcessor", "ext_proc"];

/// An `EnvoyFilter`.
pub(super) fn filter(document: &Node, findings: &mut Findings) {
    for patch in document.get("spec.configPatches").map_or(&[][..], View::items) {
        let operation = patch.get("patch.operation").and_then(View::text).unwrap_or_default();
        let to = patch.get("applyTo").and_then(View::text).unwrap_or_default();
        // Without a name every filter is meant.
        let to_ours = to == "HTTP_FILTER"
            && patch.get("match.listener.filterChain.filter.subFilter.name").and_then(View::text).is_none_or(mentions_ours);
        let value = patch.get("patch.value");
        let replaced = operation == "REPLACE" && !value.is_some_and(|value| is_ours(kind(value)));
        if to_ours && (operation == "REMOVE" || replaced) {
            removed(patch, findings);
        }
        if to == "CLUSTER" && operation == "REMOVE" && !is_anothers(patch) {
            partial(patch, "a cluster is removed that may be the one in which one of our services is asked", findings);
        }
        let Some(value) = value else { continue };
        if to_ours && operation == "MERGE" && value.get("typed_config.@type").is_none() {
            partial(value, "a part is merged into one of our filters: what that leaves cannot be judged", findings);
            continue;
        }
        part(value, document, findings);
        if LATER.contains(&kind(value)) && operation == "INSERT_FIRST" {
            findings.add(
                value,
                "S15",
                "a filter that reads what ext_authz wrote stands before it",
                "insert it with INSERT_BEFORE and the subFilter envoy.filters.http.router",
            );
        }
        // What comes by discovery stands wherever a filter of its name does.
        if matches!(to, "HTTP_FILTER" | "EXTENSION_CONFIG") && operation != "REMOVE" {
            stranger(value, findings);
        }
    }
}

/// Whether a patch of clusters names one, and none that our services would be called.
fn is_anothers(patch: &Node) -> bool {
    let named: Vec<&str> = ["name", "service"].iter().filter_map(|field| patch.get("match.cluster")?.get(field)?.text()).collect();
    !named.is_empty() && !named.iter().any(|name| ["bulkhead", "authz", "ratelimit", "rate-limit"].iter().any(|ours| name.contains(ours)))
}

/// Istio's mesh, if it names providers of authorization. In a ConfigMap it is a text within the text.
pub(super) fn mesh(document: &Node, findings: &mut Findings) -> bool {
    let Some(text) = document.get("data.mesh").and_then(|mesh| Some((mesh.line, mesh.text()?))) else {
        return providers(document, findings);
    };
    let (line, text) = text;
    let (inner, faults) = yaml::documents(&Arc::from("mesh"), text, Bounds::OPERATOR);
    let mut found = Findings::default();
    let named = inner.iter().map(|document| providers(document, &mut found)).fold(!faults.is_empty(), |any, one| any | one);
    if named {
        inner.iter().for_each(|document| found.repeated(document));
    }
    for fault in faults {
        let what = format!("the mesh cannot be judged: it {}", fault.message);
        found.0.push(Finding { line: fault.line, rule: "S9", what, mend: "mend the text of data.mesh" });
    }
    // A block of text begins on the line below its key.
    findings.0.extend(found.0.into_iter().map(|finding| Finding { line: finding.line + line, ..finding }));
    named
}

fn providers(document: &Node, findings: &mut Findings) -> bool {
    let mut named = false;
    document.each(&mut |node| {
        let Some(provider) = node.get("envoyExtAuthzGrpc") else { return };
        named = true;
        if let Some(open) = provider.get("failOpen").filter(|open| open.is_true()) {
            authorizer::open(open, "set failOpen: false", findings);
        }
        findings.succeeds(provider, "ext_authz");
        if provider.get("timeout").is_none_or(|timeout| timeout.text() == Some("0s")) {
            let what = "ext_authz may take 600 s, Istio's default, or as long as it likes: a hung service holds every request";
            findings.add(provider.get("timeout").unwrap_or(provider), "S9", what, "set timeout: 0.25s");
        }
        if let Some(cleared) = provider.get("clearRouteCache").filter(|cleared| cleared.is_true()) {
            authorizer::cleared(cleared, "set clearRouteCache: false", findings);
        }
        if let Some(body) = provider.get("includeRequestBodyInCheck") {
            authorizer::bodies(body, ["packAsBytes", "maxRequestBytes"], findings);
        }
    });
    named
}
