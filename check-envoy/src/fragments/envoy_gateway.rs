//! Envoy Gateway's own words (`gateway.envoyproxy.io/v1alpha1`) for what bears on the isolation of tenants.

use bulkhead_proto::contract::{METADATA_NAMESPACE, header};
use bulkhead_tenancy::tree::Node;

use crate::{Findings, authorizer, view::View};

/// `SecurityPolicy`: who is asked about a request.
pub(super) fn security(policy: &Node, findings: &mut Findings) {
    let Some(asked) = policy.get("spec.extAuth") else {
        // The more specific policy takes the place of the whole of the other, unless it is merged.
        if policy.get("spec.mergeType").is_none() {
            let what = "a SecurityPolicy without extAuth takes the gateway's away from what it targets";
            findings.add(policy.get("spec").unwrap_or(policy), "S9", what, "repeat extAuth in it, or set mergeType");
        }
        return;
    };
    if let Some(open) = asked.get("failOpen").filter(|open| open.is_true()) {
        authorizer::open(open, "set failOpen: false", findings);
    }
    findings.succeeds(asked, "ext_authz");
    if let Some(http) = asked.get("http") {
        findings.add(http, "S15", "ext_authz is not asked over gRPC", "use grpc");
    }
    if asked.get("timeout").is_none_or(|timeout| timeout.text() == Some("0s")) {
        let what = "ext_authz may take 10 s, Envoy Gateway's default, or as long as it likes: a hung service holds every request";
        findings.add(asked.get("timeout").unwrap_or(asked), "S9", what, "set timeout: 250ms");
    }
    if let Some(cleared) = asked.get("recomputeRoute").filter(|cleared| cleared.is_true()) {
        authorizer::cleared(cleared, "remove recomputeRoute", findings);
    }
    if let Some(most) = asked.get("bodyToExtAuth.maxRequestBytes").filter(|most| most.number().is_none_or(|most| most > 8 << 20)) {
        findings.add(most, "S14", "the size of a body has a bound above 8 MiB: Envoy holds every one", "lower maxRequestBytes");
    }
    if let Some(retry) = asked.get("grpc.backendSettings.retry") {
        let on = retry.get("retryOn.triggers").map_or(&[][..], View::items);
        let harmless = |trigger: &Node| matches!(trigger.text(), Some("connect-failure" | "refused-stream" | "reset-before-request"));
        if on.is_empty() || !on.iter().all(harmless) || retry.get("retryOn.httpStatusCodes").is_some() {
            authorizer::again(retry, "set retryOn.triggers: [connect-failure, refused-stream, reset-before-request]", findings);
        }
    }
}

/// `EnvoyExtensionPolicy`: what reads bodies, and strangers between ext_authz and the rate limit filter, where Envoy Gateway puts them.
pub(super) fn extensions(policy: &Node, findings: &mut Findings) {
    for stranger in ["lua", "wasm", "dynamicModule"] {
        if let Some(at) = policy.get("spec").and_then(|spec| spec.get(stranger)).filter(|list| !list.items().is_empty()) {
            let what =
                format!("{stranger} stands after ext_authz, before the last reader of our metadata, and may change the tenant in it");
            findings.add(at, "S7", what, "remove it, or attach it to routes that none of ours stands on");
        }
    }
    for processor in policy.get("spec.extProc").map_or(&[][..], View::items) {
        if let Some(open) = processor.get("failOpen").filter(|open| open.is_true()) {
            findings.add(open, "S9", "ext_proc fails open: what it should rewrite passes raw", "set failOpen: false");
        }
        let ours = |node: &&Node| node.text() == Some(METADATA_NAMESPACE);
        let namespaces = |field| processor.get("metadata").and_then(|metadata| metadata.get(field)).map_or(&[][..], View::items);
        if let Some(writes) = namespaces("writableNamespaces").iter().find(ours) {
            findings.add(writes, "S7", "ext_proc may change our metadata", "remove it from writableNamespaces");
        }
        // A processor that is not told of our metadata is not ours.
        if !namespaces("accessibleNamespaces").iter().any(|node| ours(&node)) {
            continue;
        }
        for side in ["request", "response"] {
            let mode = processor.get("processingMode").and_then(|modes| modes.get(side));
            let Some(mode) = mode else {
                let what = format!("without processingMode.{side} bodies were seen to pass ext_proc raw");
                findings.add(processor, "S14", what, "set processingMode.request and .response, each with body: Buffered");
                continue;
            };
            if mode.get("body").and_then(View::text) != Some("Buffered") {
                findings.add(mode, "S14", format!("bodies of the {side} are not shown whole"), "use body: Buffered");
            }
        }
    }
}

/// `ClientTrafficPolicy`: what is done with a request before any filter.
pub(super) fn clients(policy: &Node, findings: &mut Findings) {
    let Some(spec) = policy.get("spec") else { return };
    if spec.get("path.escapedSlashesAction").and_then(View::text) != Some("RejectRequest") {
        let at = spec.get("path.escapedSlashesAction").unwrap_or(spec);
        findings.add(at, "S6", "paths with escaped slashes are not refused", "set path.escapedSlashesAction: RejectRequest");
    }
    if let Some(kept) = spec.get("path.disableMergeSlashes").filter(|kept| kept.is_true()) {
        findings.add(kept, "S6", "empty segments of paths are not merged", "remove disableMergeSlashes");
    }
    if let Some(passes) = spec.get("headers.withUnderscoresAction").filter(|action| action.text() == Some("Allow")) {
        let what = "headers with underscores pass: x_bulkhead_tenant is x-bulkhead-tenant to some servers";
        findings.add(passes, "S8", what, "set withUnderscoresAction: RejectRequest");
    }
    let early = spec.get("headers.earlyRequestHeaders");
    let listed = |field| early.and_then(|early| early.get(field)).map_or(&[][..], View::items);
    let prefix = |one: &Node| {
        let value = one.get("value").and_then(View::text).filter(|value| !value.is_empty());
        one.get("type").and_then(View::text) == Some("Prefix") && value.is_some_and(|value| header::PREFIX.starts_with(value))
    };
    let below = listed("removeOnMatch").iter().any(prefix);
    let removed = |name: &str| listed("remove").iter().any(|one| one.text().is_some_and(|text| text.eq_ignore_ascii_case(name)));
    let names = header::FOREIGN.iter().chain(&header::IDENTITY).chain([&header::CLUSTER, &header::UPSTREAM]);
    for name in names.filter(|name| !(removed(name) || (below && name.starts_with(header::PREFIX)))) {
        findings.add(
            early.unwrap_or(spec),
            "S8",
            format!("{name} of the client is not removed"),
            "list it in headers.earlyRequestHeaders.remove",
        );
    }
}

/// Where Envoy Gateway puts these by itself: before ext_authz.
const EARLY: [&str; 3] = ["envoy.filters.http.health_check", "envoy.filters.http.fault", "envoy.filters.http.cors"];

/// `EnvoyProxy`: where `filterOrder` moves one of ours past another. A filter that is moved stands next to the one that is named, wherever that is.
pub(super) fn order(proxy: &Node, findings: &mut Findings) {
    let ours = |name: &str| {
        ["envoy.filters.http.ext_authz", "envoy.filters.http.ratelimit", "envoy.filters.http.ext_proc"].iter().position(|one| *one == name)
    };
    for moved in proxy.get("spec.filterOrder").map_or(&[][..], View::items) {
        let Some(filter) = moved.get("name").and_then(View::text).and_then(ours) else { continue };
        let beside = |field| moved.get(field).and_then(View::text);
        let before = beside("before").is_some_and(|other| ours(other).map_or(filter > 0, |other| other < filter));
        let after = beside("after").is_some_and(|other| ours(other).map_or(filter == 0 || EARLY.contains(&other), |other| other > filter));
        if before || after {
            findings.add(moved, "S15", "our filters stand in another order", "order them ext_authz, ratelimit, ext_proc, router");
        }
    }
}
