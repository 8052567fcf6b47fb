//! The ext_authz filter: it fails closed (S9), is asked again only where it cannot have judged (S24), sees whole bodies or none (S14), and
//! cannot choose a route that it should not (S1).

use bulkhead_proto::contract::header;
use bulkhead_tenancy::tree::Node;

use crate::{
    Findings,
    view::{View, holds, is_endless},
};

/// When Envoy may ask ext-authz again.
const RETRIES: [&str; 3] = ["connect-failure", "refused-stream", "reset-before-request"];

pub(crate) fn judge(filter: &Node, manager: &Node, findings: &mut Findings) {
    let Some(config) = filter.get("typed_config") else { return };
    if let Some(open) = config.get("failure_mode_allow").filter(|open| open.is_true()) {
        self::open(open, "set failure_mode_allow: false", findings);
    }
    findings.succeeds(config, "ext_authz");
    for field in ["filter_enabled", "filter_enabled_metadata", "shadow_mode"] {
        if let Some(part) = config.get(field).filter(|part| field != "shadow_mode" || part.is_true()) {
            findings.add(part, "S9", format!("{field}: not every request is judged"), "remove it");
        }
    }
    match config.get("grpc_service") {
        Some(service) => asked(service, findings),
        None => findings.add(config, "S15", "ext_authz is not asked over gRPC", "use grpc_service"),
    }
    if let Some(body) = config.get("with_request_body") {
        bodies(body, ["pack_as_bytes", "max_request_bytes"], findings);
    }
    for field in ["allowed_headers", "disallowed_headers"] {
        if let Some(some) = config.get(field) {
            let what = format!(
                "{field}: ext-authz does not see every header: a second credential, another spelling of ours or a loop may be hidden from it"
            );
            findings.add(some, "S8", what, "remove it");
        }
    }
    routes(config, manager, findings);
}

/// It fails open.
pub(crate) fn open(at: &Node, mend: &'static str, findings: &mut Findings) {
    findings.add(at, "S9", "ext_authz fails open: without an answer a request passes, with no tenant", mend);
}

/// It is asked again.
pub(crate) fn again(at: &Node, mend: &'static str, findings: &mut Findings) {
    let what = "ext_authz is asked again where it may have judged already: first-sight tokens and failures count twice";
    findings.add(at, "S24", what, mend);
}

/// Routes are matched again, and which they are is not known here.
pub(crate) fn cleared(at: &Node, mend: &'static str, findings: &mut Findings) {
    findings.add(at, "S1", "routes are matched again on what ext-authz wrote, and they are not in this file", mend);
}

fn asked(service: &Node, findings: &mut Findings) {
    if let Some(endless) = service.get("timeout").filter(|timeout| is_endless(timeout)) {
        findings.add(endless, "S9", "ext_authz may take as long as it likes: a hung service holds every request", "set a timeout: 0.25s");
    }
    let Some(retry) = service.get("retry_policy") else { return };
    let on = retry.get("retry_on").and_then(View::text).unwrap_or_default();
    if on.is_empty() || on.split(',').any(|when| !RETRIES.contains(&when.trim())) {
        again(retry, "set retry_on: \"connect-failure,refused-stream,reset-before-request\"", findings);
    }
}

/// What of a body is shown; `fields` is how the two of them are spelled.
pub(crate) fn bodies(body: &Node, [pack, most]: [&str; 2], findings: &mut Findings) {
    // A body in part is fine: Envoy marks it, and who must read it is answered 413.
    if !holds(body, pack) {
        findings.add(
            body,
            "S14",
            "bodies arrive as text, with what is not UTF-8 replaced: what is judged is not what is sent",
            "set pack_as_bytes: true",
        );
    }
    if body.get(most).and_then(View::number).is_none_or(|most| most > 8 << 20) {
        findings.add(body, "S14", "the size of a body has no bound, or one above 8 MiB: Envoy holds every one", "set max_request_bytes");
    }
}

/// Contract routing has one forwarding route; with the user's own routes, ext-authz touches nothing that a route matches (S1).
fn routes(config: &Node, manager: &Node, findings: &mut Findings) {
    if let Some(cleared) = config.get("clear_route_cache").filter(|cleared| cleared.is_true()) {
        let mut forwarding = Vec::new();
        if let Some(routes) = manager.get("route_config") {
            routes.each(&mut |node| forwarding.extend((node.get("match").is_some() && node.get("route").is_some()).then_some(node)));
        } else {
            self::cleared(cleared, "write the one route of contract routing here", findings);
        }
        let contract = |route: &Node| {
            // One that is not there must not match.
            let there = |one: &&Node| {
                let turned = ["invert_match", "treat_missing_header_as_empty"].into_iter().any(|field| holds(one, field));
                !turned && one.get("present_match").is_none_or(View::is_true)
            };
            let headers = route.get("match.headers").map_or(&[][..], View::items);
            let names: Vec<_> = headers.iter().filter(there).filter_map(|one| one.get("name")?.text()).collect();
            header::ROUTING.iter().all(|name| names.contains(name))
        };
        for route in forwarding.iter().filter(|route| !contract(route)) {
            let what = "routes are matched again on the rewritten path, and this one forwards without all three routing headers: a contract's path reaches it";
            findings.add(
                route,
                "S1",
                what,
                "give contract routing a listener of its own, with its one route; or set clear_route_cache: false",
            );
        }
        return;
    }
    let rules = config.get("decoder_header_mutation_rules");
    let anything = |rules: &Node| {
        let allowed = rules.get("allow_expression.regex").and_then(View::text).unwrap_or_default();
        let first = allowed.trim_start_matches(['^', '(']).trim_start_matches("?:");
        [".*", ".+"].iter().any(|any| first.starts_with(any))
    };
    if !rules.is_some_and(|rules| holds(rules, "disallow_all") && holds(rules, "disallow_system") && !anything(rules)) {
        let what = "with your own routes ext-authz could change a header that a route matches";
        findings.add(rules.unwrap_or(config), "S1", what, "set decoder_header_mutation_rules as envoy/envoy.yaml does");
    }
}
