//! The chain of HTTP filters: which stand in it, in which order, and whether any can change what ours write (S7, S15, S3).

use bulkhead_proto::contract::{METADATA_NAMESPACE, metadata};
use bulkhead_tenancy::tree::{Node, Value};

use crate::{
    Findings, authorizer, limiter,
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
    let filters = manager.get("http_filters").map_or(&[][..], View::items);
    let place = |kinds: [&str; 2]| filters.iter().position(|filter| kinds.contains(&kind(filter)));
    let authorizer = place(["ExtAuthz", "ext_authz"]);
    let limiter = place(["RateLimit", "ratelimit"]);
    let processor = place(["ExternalProcessor", "ext_proc"]);
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
    if let Some(filter) = processor.and_then(|at| filters.get(at)) {
        processing(filter, findings);
    }
    let order: Vec<usize> = [authorizer, limiter, processor].into_iter().flatten().collect();
    order.iter().filter_map(|at| filters.get(*at)).for_each(|filter| dormant(filter, findings));
    let always = [authorizer, limiter].into_iter().flatten().filter_map(|at| filters.get(at)?.get("typed_config.extension_config"));
    for sometimes in always {
        findings.add(
            sometimes,
            "S9",
            "one of our filters stands in a matcher: not every request is judged and charged",
            "take it out of the matcher",
        );
    }
    if !order.is_sorted() {
        findings.add(list, "S15", "our filters stand in another order", "order them ext_authz, ratelimit, ext_proc, router");
    }
    strangers(filters, &order, authorizer, findings);
    trailers(list, filters, authorizer, findings);
    guard(filters, documents, findings);
    switched_off(manager, findings);
}

/// One of ours that stands there and does nothing.
pub(crate) fn dormant(filter: &Node, findings: &mut Findings) {
    if let Some(off) = filter.get("disabled").filter(|off| off.is_true()) {
        findings.add(off, "S9", "one of our filters is switched off wherever no route switches it on", "remove it");
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
fn trailers(list: &Node, filters: &[Node], authorizer: Option<usize>, findings: &mut Findings) {
    let before = filters.iter().take(authorizer.unwrap_or(filters.len()));
    let removes = |filter: &Node| {
        let mutations = filter.get("typed_config.mutations.request_trailers_mutations").map_or(&[][..], View::items);
        let mut found = false;
        mutations.iter().for_each(|one| one.each(&mut |node| found |= node.text().is_some_and(|text| text.contains("bulkhead"))));
        found
    };
    if !before.into_iter().any(removes) {
        let what = "identity names in HTTP/2 request trailers are not removed";
        findings.add(
            list,
            "S15",
            what,
            "add the header_mutation filter with request_trailers_mutations before ext_authz, as envoy/envoy.yaml does",
        );
    }
}

/// ext_proc, if it is there, sees the headers and whole bodies, and does not fail open (S9, S14).
pub(crate) fn processing(filter: &Node, findings: &mut Findings) {
    let Some(config) = filter.get("typed_config") else { return };
    if let Some(matcher) = config.get("xds_matcher").or_else(|| config.get("matcher")) {
        skipped(matcher, findings);
    }
    let config = config.get("extension_config.typed_config").unwrap_or(config);
    if let Some(open) = config.get("failure_mode_allow").filter(|open| open.is_true()) {
        findings.add(open, "S9", "ext_proc fails open: what it should rewrite passes raw", "set failure_mode_allow: false");
    }
    if config.get("processing_mode.request_header_mode").and_then(View::text) == Some("SKIP") {
        let what = "with request_header_mode: SKIP bodies were seen to pass ext_proc raw";
        findings.add(config, "S14", what, "set processing_mode.request_header_mode: SEND");
    }
    let asks = |attributes: &Node| attributes.items().iter().any(|one| one.text() == Some("response.code_details"));
    if !config.get("response_attributes").is_some_and(asks) {
        let what = "ext_proc is not told whether an upstream gave an answer: with suppress_envoy_headers an upstream's error passes for Envoy's own";
        findings.add(config, "S14", what, "set response_attributes: [ response.code_details ]");
    }
    for mode in ["request_body_mode", "response_body_mode"] {
        if let Some(mode) =
            config.get("processing_mode").and_then(|modes| modes.get(mode)).filter(|mode| mode.text() == Some("BUFFERED_PARTIAL"))
        {
            findings.add(mode, "S14", "a body that is too large is shown in part and passes whole", "use BUFFERED");
        }
    }
}

/// Whom ext_proc does not see is for ext-authz's metadata to say, and for nothing that a client or a route chooses: `process: none`, or no `process` at all.
fn skipped(matcher: &Node, findings: &mut Findings) {
    passed_by(matcher, false, findings);
}

/// `negated`: under an odd number of `not_matcher`.
fn passed_by(node: &Node, negated: bool, findings: &mut Findings) {
    let asks = node.get("input").is_none_or(|input| {
        let test = node.get("custom_match.typed_config");
        of_process(input) && test.is_some_and(|test| !holds(test, "invert") && says_none(test, negated))
    });
    // What nothing matched is passed by, too.
    if !asks || node.get("on_no_match.action").is_some() {
        let what = "ext_proc is passed by for another reason than ext-authz's `process: none`: bodies that it should read go on unread";
        findings.add(node, "S14", what, "match on the metadata `process` alone, as envoy/envoy.yaml does");
    }
    match &node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| passed_by(item, negated, findings)),
        Value::Mapping(entries) => {
            entries.iter().for_each(|entry| passed_by(&entry.node, negated != (&*entry.key == "not_matcher"), findings));
        }
    }
}

fn of_process(input: &Node) -> bool {
    let config = input.get("typed_config");
    let path = config.and_then(|config| config.get("path")).map_or(&[][..], View::items);
    let path: Vec<_> = path.iter().filter_map(|step| step.get("key")?.text()).collect();
    config.and_then(|config| config.get("filter")).and_then(View::text) == Some(METADATA_NAMESPACE) && path == [metadata::PROCESS]
}

fn says_none(test: &Node, negated: bool) -> bool {
    let field = if negated { "value.present_match" } else { "value.string_match" };
    let Some(leaf) = test.get(field) else { return false };
    if negated {
        return leaf.is_true();
    }
    matches!(&leaf.value, Value::Mapping(entries) if entries.len() == 1) && leaf.get("exact").and_then(View::text) == Some("none")
}

/// Where upstreams are resolved for contracts, the resolved address is checked (S3).
fn guard(filters: &[Node], documents: &[&Node], findings: &mut Findings) {
    let proxy = filters.iter().position(|filter| {
        let of = filter.get("typed_config.@type").and_then(View::text).unwrap_or_default();
        of.contains("dynamic_forward_proxy")
            || filter.get("name").and_then(View::text).is_some_and(|name| name.ends_with("dynamic_forward_proxy"))
    });
    let Some((at, filter)) = proxy.and_then(|at| filters.get(at).map(|filter| (at, filter))) else { return };
    if !holds(filter, "typed_config.save_upstream_address") {
        findings.add(
            filter,
            "S3",
            "the resolved address of an upstream is not kept, so nothing can check it",
            "set save_upstream_address: true",
        );
    }
    let after = filters.iter().skip(at + 1).filter(|filter| matches!(kind(filter), "RBAC" | "rbac"));
    let denies = |range: &str| {
        after.clone().filter(|filter| filter.get("typed_config.rules.action").and_then(View::text) == Some("DENY")).any(|filter| {
            let mut found = false;
            filter.each(&mut |node| found |= node.get("upstream_ip.address_prefix").and_then(View::text) == Some(range));
            found
        })
    };
    for (range, what) in
        [("127.0.0.0", "this machine"), ("169.254.0.0", "the link, and with it the metadata service"), ("::ffff:0:0", "mapped addresses")]
    {
        if !denies(range) {
            let mend = "deny it by an RBAC filter after dynamic_forward_proxy, as envoy/contract-routing.yaml does";
            findings.add(filter, "S3", format!("a contract's upstream may resolve to {what} ({range})"), mend);
        }
    }
    for document in documents {
        document.each(&mut |node| {
            if let Some(sub) = node.get("sub_clusters_config") {
                findings.add(sub, "S3", "sub_clusters_config switches the check of resolved addresses off", "use dns_cache_config");
            }
        });
    }
}

/// Routes on which one of ours is switched off.
pub(crate) fn switched_off(manager: &Node, findings: &mut Findings) {
    manager.each(&mut |route| {
        let Some(per_filter) = route.get("typed_per_filter_config") else { return };
        if route.get("direct_response").is_some() || route.get("redirect").is_some() {
            return;
        }
        per_filter.each(&mut |config| {
            let of = config.get("@type").and_then(View::text).and_then(|of| of.rsplit('.').next()).unwrap_or("");
            let off = config.get("disabled").filter(|off| off.is_true());
            if let Some(off) = off.filter(|_| matches!(of, "ExtAuthzPerRoute" | "ExtProcPerRoute" | "FilterConfig")) {
                findings.add(
                    off,
                    "S9",
                    "one of our filters is switched off for a route that forwards",
                    "remove it, or answer that route directly",
                );
            }
            if let Some(domain) = config.get("domain").filter(|_| of == "RateLimitPerRoute") {
                findings.add(domain, "S15", "a route has a rate limit domain of its own", "remove it: there is one domain");
            }
        });
    });
}
