//! The ext_proc filter: it fails closed (S9), sees every body whole (S14), and is passed by for ext-authz's word alone.

use bulkhead_proto::contract::{METADATA_NAMESPACE, metadata};
use bulkhead_tenancy::tree::{Node, Value};

use crate::{
    Findings,
    view::{View, holds, is_field},
};

/// ext_proc, if it is there, sees the headers and whole bodies, and does not fail open (S9, S14).
pub(crate) fn judge(filter: &Node, findings: &mut Findings) {
    let Some(config) = filter.get("typed_config") else { return };
    if let Some(matcher) = config.get("xds_matcher").or_else(|| config.get("matcher")) {
        skipped(matcher, findings);
    }
    let config = config.get("extension_config.typed_config").unwrap_or(config);
    what_it_reads(config, findings);
    let asks = |attributes: &Node| attributes.items().iter().any(|one| one.text() == Some("response.code_details"));
    if !config.get("response_attributes").is_some_and(asks) {
        let what = "ext_proc is not told whether an upstream gave an answer: with suppress_envoy_headers an upstream's error passes for Envoy's own";
        findings.add(config, "S14", what, "set response_attributes: [ response.code_details ]");
    }
    findings.succeeds(config, "ext_proc");
    for (field, what) in [
        ("observability_mode", "Envoy waits for no answer: every body passes raw"),
        ("disable_immediate_response", "a denial of ext_proc's is not carried out"),
    ] {
        if let Some(set) = config.get(field).filter(|set| set.is_true()) {
            findings.add(set, "S14", format!("{field}: {what}"), "remove it");
        }
    }
    if let Some(rules) = config.get("forward_rules") {
        findings.add(
            rules,
            "S14",
            "ext_proc does not see every header: what a body is, or that it is coded, may be hidden from it",
            "remove forward_rules",
        );
    }
    if let Some(cleared) = config.get("route_cache_action").filter(|action| action.is_one(("CLEAR", 1))) {
        findings.add(cleared, "S1", "routes are matched again after they were judged", "set route_cache_action: RETAIN");
    }
    if let Some(http) = config.get("http_service") {
        findings.add(http, "S14", "over HTTP ext_proc sees no bodies", "use grpc_service");
    }
}

/// What holds of the filter, and of what a route says in its place.
pub(crate) fn what_it_reads(config: &Node, findings: &mut Findings) {
    if let Some(open) = config.get("failure_mode_allow").filter(|open| open.is_true()) {
        findings.add(open, "S9", "ext_proc fails open: what it should rewrite passes raw", "set failure_mode_allow: false");
    }
    let mode = |field: &str| config.get("processing_mode").and_then(|modes| modes.get(field));
    if mode("request_header_mode").is_some_and(|mode| !(mode.is_one(("DEFAULT", 0)) || mode.is_one(("SEND", 1)))) {
        let what = "with request_header_mode: SKIP bodies were seen to pass ext_proc raw";
        findings.add(config, "S14", what, "set processing_mode.request_header_mode: SEND");
    }
    for mode in ["request_body_mode", "response_body_mode"].into_iter().filter_map(mode) {
        if ![("NONE", 0), ("STREAMED", 1), ("BUFFERED", 2), ("FULL_DUPLEX_STREAMED", 4)].into_iter().any(|whole| mode.is_one(whole)) {
            findings.add(mode, "S14", "a body that is too large is shown in part and passes whole", "use BUFFERED");
        }
    }
}

/// Whom ext_proc does not see is for ext-authz's metadata to say, and for nothing that a client or a route chooses: `process: none`, or no `process` at all.
pub(crate) fn skipped(matcher: &Node, findings: &mut Findings) {
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
            entries.iter().for_each(|entry| passed_by(&entry.node, negated != is_field(&entry.key, "not_matcher"), findings));
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
