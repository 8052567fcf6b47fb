//! What Envoy's runtime switches off without a word in any filter (S9): unless it says otherwise, the ratelimit filter minds `ratelimit.http_filter_enabled` and
//! `ratelimit.http_filter_enforcing`, and the
//! connection manager a key of its own for escaped slashes (S6).

use bulkhead_tenancy::tree::{Node, Value};

use crate::{Findings, dump, view::View};

pub(crate) fn judge(documents: &[&Node], findings: &mut Findings) {
    dump::in_force(documents, &mut |node| {
        for field in ["static_layer", "layered_runtime", "runtime"] {
            node.get(field).into_iter().for_each(|layer| keys(layer, "", findings));
        }
    });
}

/// A key may be written in one (`ratelimit.http_filter_enabled`) or as mappings in each other.
fn keys(layer: &Node, above: &str, findings: &mut Findings) {
    let Value::Mapping(entries) = &layer.value else { return };
    for entry in entries {
        let key = if above.is_empty() { entry.key.to_string() } else { format!("{above}.{}", entry.key) };
        if key.starts_with("ratelimit.") && (key.ends_with("http_filter_enabled") || key.ends_with("http_filter_enforcing")) {
            let whole = entry.node.number() == Some(100);
            if !whole {
                let what = format!("{key}: the runtime switches ratelimit off for some requests or all");
                findings.add(&entry.node, "S9", what, "remove it from the runtime");
            }
        } else if key == "http_connection_manager.path_with_escaped_slashes_action_enabled" {
            if entry.node.number() != Some(100) {
                findings.add(
                    &entry.node,
                    "S6",
                    format!("{key}: the runtime lets paths with escaped slashes pass"),
                    "remove it from the runtime",
                );
            }
        } else {
            keys(&entry.node, &key, findings);
        }
    }
}
