//! The chain of HTTP filters: which stand in it, in which order, and whether any can change what ours write (S7, S15, S3).

use bulkhead_proto::contract::{DOMAIN, header};
use bulkhead_tenancy::tree::Node;

use crate::{
    Findings, answers, authorizer, dump, guard, limiter,
    names::removes,
    processor, routes,
    view::{View, holds, inner, kind},
};

/// Filters that write no metadata of ours, by type and by name. Whatever is not here may: Lua, Wasm and a second ext_authz were seen to.
const HARMLESS: [&str; 42] = [
    "AdaptiveConcurrency",
    "adaptive_concurrency",
    "AdmissionControl",
    "admission_control",
    "BandwidthLimit",
    "bandwidth_limit",
    "Buffer",
    "buffer",
    "Compressor",
    "compressor",
    "Cors",
    "cors",
    "CorsPolicy",
    "CsrfPolicy",
    "csrf",
    "Decompressor",
    "decompressor",
    "FilterConfig",
    "dynamic_forward_proxy",
    "Fault",
    "HTTPFault",
    "fault",
    "GrpcStats",
    "grpc_stats",
    "GrpcWeb",
    "grpc_web",
    "HeaderMutation",
    "header_mutation",
    "HealthCheck",
    "health_check",
    "JwtAuthentication",
    "jwt_authn",
    "LocalRateLimit",
    "local_ratelimit",
    "RBAC",
    "rbac",
    "Router",
    "router",
    "OnDemand",
    "on_demand",
    "CustomResponse",
    "custom_response",
];

pub(crate) fn judge(manager: &Node, documents: &[&Node], findings: &mut Findings) {
    chain(manager, documents, findings);
    // Until a filter is discovered, and whenever it cannot be, Envoy runs what stands here in its place: that is a chain, too.
    if let Some(meanwhile) = dump::meanwhile(manager) {
        chain(&meanwhile, documents, findings);
    }
}

fn chain(manager: &Node, documents: &[&Node], findings: &mut Findings) {
    let filters = manager.get("http_filters").map_or(&[][..], View::items);
    let place = |kinds: [&str; 2]| filters.iter().position(|filter| kinds.contains(&kind(filter)));
    let authorizer = place(["ExtAuthz", "ext_authz"]);
    let limiter = place(["RateLimit", "ratelimit"]);
    let reader = place(["ExternalProcessor", "ext_proc"]);
    let list = manager.get("http_filters").unwrap_or(manager);

    let asked = authorizer.and_then(|at| filters.get(at));
    match asked {
        Some(filter) => authorizer::judge(inner(filter), manager, findings),
        None => findings.add(
            list,
            "S15",
            "ext_authz does not stand in this chain: nobody is asked whose a request is",
            "add it, as envoy/envoy.yaml does",
        ),
    }
    match limiter.and_then(|at| filters.get(at)) {
        Some(filter) => limiter::judge(inner(filter), manager, findings),
        None if asked.is_some_and(|authorizer| limiter::left_to_check(manager, authorizer)) => {}
        None => findings.add(
            list,
            "S15",
            "ratelimit does not stand in this chain, and nothing says that Check charges the limits: nothing bounds a tenant",
            "add it after ext_authz, as envoy/envoy.yaml does; or leave limits to ext-authz by `bulkhead.limits: \"on\"`, as envoy/one-hop.yaml does",
        ),
    }
    if let Some(filter) = reader.and_then(|at| filters.get(at)) {
        processor::judge(filter, findings);
    }
    let order: Vec<usize> = [authorizer, limiter, reader].into_iter().flatten().collect();
    order.iter().filter_map(|at| filters.get(*at)).for_each(|filter| {
        undisclosed(filter, findings);
        dormant(filter, manager, findings);
    });
    let always = [authorizer, limiter].into_iter().flatten().filter_map(|at| filters.get(at)?.get("typed_config.extension_config"));
    for sometimes in always {
        findings.add(
            sometimes,
            "S9",
            "one of our filters stands in a matcher: not every request is judged and charged",
            "take it out of the matcher",
        );
    }
    let charges =
        |filter: &&Node| matches!(kind(filter), "RateLimit" | "ratelimit") && !filter.get("typed_config.domain").is_some_and(is_anothers);
    for second in filters.iter().filter(|filter| matches!(kind(filter), "ExtAuthz" | "ext_authz")).skip(1) {
        findings.add(second, "S24", "a second ext_authz filter: each request is judged twice, and failures count twice", "leave one");
    }
    for second in filters.iter().filter(charges).skip(1) {
        findings.add(second, "S24", "a second ratelimit filter of our domain: each request is charged twice", "leave one");
    }
    if !order.is_sorted() {
        findings.add(list, "S15", "our filters stand in another order", "order them ext_authz, ratelimit, ext_proc, router");
    }
    strangers(filters, &order, authorizer, findings);
    trailers(manager, filters, authorizer, findings);
    answers::judge(manager, filters, findings);
    let guards = guard::judge(filters, authorizer, documents, findings);
    let ours: Vec<&str> = order.iter().filter_map(|at| filters.get(*at)?.get("name")?.text()).collect();
    routes::judge(manager, &ours, findings);
    routes::unguarded(manager, &guards, findings);
    filters.iter().skip(authorizer.unwrap_or(0)).for_each(|filter| routes::rewrites(filter, findings));
}

fn is_anothers(domain: &Node) -> bool {
    domain.text() != Some(DOMAIN)
}

/// One of ours that stands there and does nothing, but where routes switch it on: Envoy Gateway has it so.
pub(crate) fn dormant(filter: &Node, manager: &Node, findings: &mut Findings) {
    let Some(off) = filter.get("disabled").filter(|off| off.is_true()) else { return };
    let name = filter.get("name").and_then(View::text).unwrap_or_default();
    let forwarding = manager.get("route_config").map(|routes| routes::left_off(routes, name));
    match forwarding {
        None => findings.add(off, "S9", "one of our filters is switched off wherever no route switches it on", "remove it"),
        // Bodies are read for some; ext-authz denies where they should be and nobody says that they are.
        Some(routes) if matches!(kind(filter), "ExternalProcessor" | "ext_proc") && routes.on > 0 => {}
        Some(routes) => routes.off.into_iter().for_each(|route| {
            let what = format!("{name} is switched off in the chain, and this route that forwards does not switch it on");
            findings.add(route, "S9", what, "remove `disabled` from the chain, or switch it on for this route");
        }),
    }
}

/// One of ours of which this file says nothing but its name.
fn undisclosed(filter: &Node, findings: &mut Findings) {
    if filter.get("typed_config").is_none() {
        let what = format!("{} has its configuration from elsewhere (config_discovery): what it does cannot be judged", kind(filter));
        findings.add(filter, "S9", what, "write it here, or check what Envoy answers to GET /config_dump");
    }
    if let Some(optional) = filter.get("is_optional").filter(|optional| optional.is_true()) {
        findings.add(optional, "S9", "an Envoy that cannot load one of our filters goes on without it", "remove is_optional");
    }
}

/// Whether a filter of this kind writes no metadata of ours.
pub(crate) fn is_harmless(kind: &str) -> bool {
    HARMLESS.contains(&kind)
}

/// Whatever is not known to be harmless, before the last of ours.
fn strangers(filters: &[Node], ours: &[usize], authorizer: Option<usize>, findings: &mut Findings) {
    let last = ours.iter().max().copied().unwrap_or(0);
    for (at, filter) in filters.iter().enumerate().take(last) {
        let kind = kind(filter);
        if ours.contains(&at) || is_harmless(kind) {
            continue;
        }
        let (rule, mend) = match authorizer {
            Some(authorizer) if at > authorizer => ("S7", "move it after the last of ours: Envoy protects our metadata from ext_proc only"),
            _ => ("S15", "move it after the last of ours, unless it writes nothing into envoy.filters.http.ext_authz"),
        };
        findings.add(filter, rule, format!("{kind} stands before the last reader of our metadata and may change the tenant in it"), mend);
    }
}

/// Our names in request trailers, which early mutations do not reach.
fn trailers(manager: &Node, filters: &[Node], authorizer: Option<usize>, findings: &mut Findings) {
    let before = filters.iter().take(authorizer.unwrap_or(filters.len()));
    let cleans = |filter: &&Node| {
        let mutations = filter.get("typed_config.mutations.request_trailers_mutations").map_or(&[][..], View::items);
        let removed = |name: &str| mutations.iter().any(|mutation| removes(mutation, name));
        // An upstream may take the one sign for the other; nothing refuses either in trailers.
        let mut names = header::IDENTITY.iter().chain(&header::FOREIGN);
        !holds(filter, "disabled") && names.all(|name| removed(name) && removed(&name.replace('-', "_")))
    };
    let names: Vec<&str> = before.filter(cleans).filter_map(|filter| filter.get("name")?.text()).collect();
    routes::silenced(manager, &names, findings);
    if names.is_empty() {
        findings.add(
            manager.get("http_filters").unwrap_or(manager),
            "S15",
            "identity names in HTTP/2 request trailers are not removed",
            "add the header_mutation filter with request_trailers_mutations before ext_authz, as envoy/envoy.yaml does",
        );
    }
}
