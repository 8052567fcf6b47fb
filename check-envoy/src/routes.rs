//! What routes say for themselves: filters that are switched off or set up otherwise for one of them, headers of ours that they write, redirects that come back.

use bulkhead_proto::contract::{context, header};
use bulkhead_tenancy::tree::{Entry, Node, Value};

use crate::{
    Findings, authorizer,
    names::removes,
    processor,
    view::{View, holds, type_of},
};

/// Routes that forward, by whether one of our filters is on there that the chain has off.
#[derive(Default)]
pub(crate) struct Switched<'n> {
    pub(crate) on: usize,
    pub(crate) off: Vec<&'n Node>,
}

/// Judges everything below a connection manager, or below an object; `ours` is how our filters are named there, if that is known.
pub(crate) fn judge(manager: &Node, ours: &[&str], findings: &mut Findings) {
    manager.each(&mut |node| {
        written(node, findings);
        if let Some(chosen) = node.get("cluster_header").filter(|name| !name.text().is_some_and(|name| name.eq_ignore_ascii_case(header::CLUSTER))) {
            findings.add(chosen, "S1", "a header chooses where a request goes, and clients set headers", "name the cluster");
        }
        if let Some(internal) = node.get("internal_redirect_policy").or_else(|| node.get("internal_redirect_action")) {
            let what = "Envoy follows an upstream's redirect through the whole chain again: ext-authz takes it for a loop (508), and failures count twice";
            findings.add(internal, "S24", what, "remove it: the client follows redirects");
        }
        if node.get("direct_response").is_some() || node.get("redirect").is_some() {
            return;
        }
        for Entry { key, node, .. } in per_filter(node) {
            let named = ours.contains(&&**key) || (ours.is_empty() && crate::fragments::mentions_ours(key));
            node.each(&mut |config| of_filter(config, named, findings));
        }
    });
}

/// What routes say in place of the guard of contract routing, or of what tells Envoy the address that was judged (S3).
pub(crate) fn unguarded(manager: &Node, guards: &[&str], findings: &mut Findings) {
    manager.each(&mut |node| {
        for Entry { key, node, .. } in per_filter(node).iter().filter(|entry| guards.contains(&&*entry.key)) {
            // Which header names the host is the proxy's to say at a route.
            if type_of(node) != "PerRouteConfig" || node.get("disabled").is_some_and(View::is_true) {
                let what =
                    format!("a route sets {key} up otherwise or switches it off: a contract's upstream may resolve to this machine there");
                findings.add(node, "S3", what, "remove it: the guard is one for all");
            }
        }
    });
}

/// Where a route, a host or all routes switch one of these filters off.
pub(crate) fn silenced(manager: &Node, names: &[&str], findings: &mut Findings) {
    manager.each(&mut |node| {
        for Entry { key, node, .. } in
            per_filter(node).iter().filter(|entry| names.contains(&&*entry.key) && holds(&entry.node, "disabled"))
        {
            let what = format!("{key} is switched off: what a client sends in the names of ours is not removed here");
            findings.add(node, "S8", what, "remove it");
        }
    });
}

/// Where a filter that the chain has off stays off.
pub(crate) fn left_off<'n>(routes: &'n Node, name: &str) -> Switched<'n> {
    let mut switched = Switched::default();
    let everywhere = is_on(routes, name);
    for host in routes.get("virtual_hosts").map_or(&[][..], View::items) {
        let here = is_on(host, name).or(everywhere);
        for route in host.get("routes").map_or(&[][..], View::items).iter().filter(|route| route.get("route").is_some()) {
            if is_on(route, name).or(here) == Some(true) {
                switched.on += 1;
            } else {
                switched.off.push(route);
            }
        }
    }
    switched
}

/// Whether a filter is on by what is said here; nothing if nothing is.
fn is_on(node: &Node, name: &str) -> Option<bool> {
    let said = per_filter(node).iter().find(|entry| &*entry.key == name)?;
    Some(!said.node.get("disabled").is_some_and(View::is_true))
}

fn per_filter(node: &Node) -> &[Entry] {
    match node.get("typed_per_filter_config").map(|config| &config.value) {
        Some(Value::Mapping(entries)) => entries,
        _ => &[],
    }
}

/// What a route says in place of a filter's configuration; `named`: of one of ours.
fn of_filter(config: &Node, named: bool, findings: &mut Findings) {
    let of = type_of(config);
    let off = matches!(of, "ExtAuthzPerRoute" | "ExtProcPerRoute") || (named && of == "FilterConfig");
    if let Some(off) = config.get("disabled").filter(|disabled| off && disabled.is_true()) {
        let mend = "remove it, or answer that route directly";
        findings.add(off, "S9", "one of our filters is switched off for a route that forwards", mend);
    }
    match of {
        "RateLimitPerRoute" => {
            if let Some(domain) = config.get("domain") {
                findings.add(domain, "S15", "a route has a rate limit domain of its own", "remove it: there is one domain");
            }
        }
        "ExtAuthzPerRoute" => {
            for service in ["check_settings.grpc_service", "check_settings.http_service"] {
                if let Some(other) = config.get(service) {
                    findings.add(
                        other,
                        "S15",
                        "another service than the chain's is asked about this route",
                        "remove it: one ext-authz judges all",
                    );
                }
            }
            unread(config, findings);
            if let Some(body) = config.get("check_settings.with_request_body") {
                authorizer::bodies(body, ["pack_as_bytes", "max_request_bytes"], findings);
            }
        }
        "ExtProcPerRoute" => {
            let Some(overrides) = config.get("overrides") else { return };
            processor::what_it_reads(overrides, findings);
            if let Some(other) = overrides.get("grpc_service") {
                findings.add(other, "S14", "another service than the chain's reads the bodies of this route", "remove it");
            }
        }
        "ExtensionWithMatcherPerRoute" => {
            if let Some(matcher) = config.get("xds_matcher").filter(|_| named) {
                processor::skipped(matcher, findings);
            }
        }
        "HeaderMutationPerRoute" => rewritten(config, findings),
        _ => {}
    }
}

/// A route whose bodies ext-authz is not shown, and is not told so: over HTTP/2 it cannot see that there is one.
fn unread(config: &Node, findings: &mut Findings) {
    let Some(off) = config.get("check_settings.disable_request_body_buffering").filter(|off| off.is_true()) else { return };
    // Its own keys have dots in them.
    let said = match config.get("check_settings.context_extensions").map(|said| &said.value) {
        Some(Value::Mapping(said)) => said.iter().find(|entry| &*entry.key == context::BODY).and_then(|entry| entry.node.text()),
        _ => None,
    };
    if said != Some("off") {
        let what = "ext-authz is not shown the bodies of this route, and not told so: what it should find in them passes";
        findings.add(off, "S14", what, "write context_extensions: { bulkhead.body: \"off\" } beside it");
    }
}

/// A filter behind ext_authz that writes or removes what ext-authz said.
pub(crate) fn rewrites(filter: &Node, findings: &mut Findings) {
    let Some(config) = filter.get("typed_config") else { return };
    match type_of(config) {
        // It is judged by itself.
        "ExtAuthz" => return,
        "HeaderMutation" => rewritten(config, findings),
        "JwtAuthentication" => config.each(&mut |node| {
            // In claim_to_headers, and of a provider.
            ["header_name", "forward_payload_header"].into_iter().filter_map(|field| node.get(field)).for_each(|name| said(name, findings));
        }),
        _ => {}
    }
    config.each(&mut |node| {
        if let Some(cleared) = node.get("clear_route_cache").filter(|cleared| cleared.is_true()) {
            findings.add(cleared, "S1", "routes are matched again after they were judged", "set clear_route_cache: false");
        }
    });
}

fn rewritten(config: &Node, findings: &mut Findings) {
    for mutation in config.get("mutations.request_mutations").map_or(&[][..], View::items) {
        let name = mutation.get("remove").or_else(|| mutation.get("append.header.key"));
        name.into_iter().for_each(|name| said(name, findings));
        let ours = || header::IDENTITY.iter().chain(&header::ROUTING).chain(&header::FOREIGN).chain([&header::HOP]);
        if let Some(matcher) = mutation.get("remove_on_match").filter(|_| ours().any(|name| removes(mutation, name))) {
            findings.add(
                matcher,
                "S8",
                "headers are removed behind ext-authz that it wrote, or by which it knows a loop",
                "leave them to ext-authz",
            );
        }
    }
}

/// Headers that a route, a host or all routes add or remove, behind every filter.
fn written(node: &Node, findings: &mut Findings) {
    for added in node.get("request_headers_to_add").map_or(&[][..], View::items) {
        added.get("header.key").into_iter().for_each(|name| said(name, findings));
    }
    // Those that choose the upstream are ours to take away, behind the route that they matched.
    let routing = |name: &&Node| name.text().is_some_and(|name| header::ROUTING.contains(&name));
    let removed = node.get("request_headers_to_remove").map_or(&[][..], View::items);
    removed.iter().filter(|name| !routing(name)).for_each(|name| said(name, findings));
}

fn said(name: &Node, findings: &mut Findings) {
    let spelled = name.text().unwrap_or_default().to_ascii_lowercase().replace(['_', '.'], "-");
    if spelled == header::HOP {
        let what = format!("{spelled} is written or removed behind ext-authz, which knows a loop by it");
        findings.add(name, "S24", what, "leave it alone");
    }
    if spelled.starts_with(header::PREFIX) || header::FOREIGN.contains(&&*spelled) {
        let what = format!("{spelled} is written or removed behind ext-authz: upstreams believe what stands in it");
        findings.add(name, "S8", what, "leave it to ext-authz, which sets or removes every one of them");
    }
}
