//! What the connection manager itself does before any filter: paths (S6), identity headers (S8), whose address is believed (S5).

use bulkhead_proto::contract::header;
use bulkhead_tenancy::tree::Node;

use crate::{
    Findings,
    names::removes,
    view::{View, holds},
};

pub(crate) fn judge(manager: &Node, findings: &mut Findings) {
    for (field, what) in [("normalize_path", "paths are not normalised"), ("merge_slashes", "empty segments of paths are not merged")] {
        if !holds(manager, field) {
            findings.add(at(manager, field), "S6", what, "set normalize_path: true and merge_slashes: true");
        }
    }
    let escaped = "path_with_escaped_slashes_action";
    if !manager.get(escaped).is_some_and(|action| action.is_one(("REJECT_REQUEST", 2))) {
        findings.add(
            at(manager, escaped),
            "S6",
            "paths with escaped slashes are not refused",
            "set path_with_escaped_slashes_action: REJECT_REQUEST",
        );
    }
    if !holds(manager, "use_remote_address") {
        let mend = "set use_remote_address: true (and xff_num_trusted_hops, if proxies of yours stand before)";
        findings.add(at(manager, "use_remote_address"), "S5", "a client may choose the address that its failures count against", mend);
    }
    for upgrade in manager.get("upgrade_configs").map_or(&[][..], View::items) {
        if let Some(filters) = upgrade.get("filters") {
            let what = "an upgrade goes through filters of its own, and not through ours";
            findings.add(filters, "S9", what, "remove `filters`: upgrades then go through the chain");
        }
    }
    underscores(manager, findings);
    early(manager, findings);
}

fn underscores(manager: &Node, findings: &mut Findings) {
    let field = "common_http_protocol_options.headers_with_underscores_action";
    if !manager.get(field).is_some_and(|action| action.is_one(("REJECT_REQUEST", 1)) || action.is_one(("DROP_HEADER", 2))) {
        let what = "headers with underscores pass: x_bulkhead_tenant is x-bulkhead-tenant to some servers";
        findings.add(at(manager, field), "S8", what, "set common_http_protocol_options.headers_with_underscores_action: REJECT_REQUEST");
    }
}

/// Identity headers that a client sent are removed before the first route match.
fn early(manager: &Node, findings: &mut Findings) {
    const MEND: &str =
        "remove the prefix x-bulkhead-, x-tenant-id and x-subscription-id in early_header_mutation_extensions, as envoy/envoy.yaml does";
    let Some(extensions) = manager.get("early_header_mutation_extensions") else {
        findings.add(manager, "S8", "identity headers of the client are not removed before routes are matched", MEND);
        return;
    };
    let mutations: Vec<&Node> =
        extensions.items().iter().filter_map(|extension| extension.get("typed_config.mutations")).flat_map(View::items).collect();
    let prefix = |mutation: &&Node| {
        let matcher = mutation.get("remove_on_match.key_matcher");
        matcher.is_some_and(|matcher| {
            let whole =
                matcher.get("prefix").and_then(View::text).is_some_and(|prefix| header::PREFIX.starts_with(prefix) && !prefix.is_empty());
            whole && holds(matcher, "ignore_case")
        })
    };
    if !mutations.iter().any(prefix) {
        findings.add(extensions, "S8", format!("headers that begin with {} are not all removed, in any case", header::PREFIX), MEND);
    }
    let removed = |name: &str| {
        mutations
            .iter()
            .any(|mutation| mutation.get("remove").and_then(View::text).is_some_and(|removed| removed.eq_ignore_ascii_case(name)))
    };
    for name in header::FOREIGN.iter().filter(|name| !removed(name)) {
        findings.add(extensions, "S8", format!("{name} of the client is not removed"), MEND);
    }
    if mutations.iter().any(|mutation| removes(mutation, header::HOP)) {
        findings.add(
            extensions,
            "S24",
            format!("{} is removed before ext-authz sees it: a loop is not noticed", header::HOP),
            "leave it alone",
        );
    }
}

/// Where a field stands, or would.
fn at<'n>(manager: &'n Node, field: &str) -> &'n Node {
    manager.get(field).unwrap_or(manager)
}
