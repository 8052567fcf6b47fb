//! Envoy Gateway's `EnvoyPatchPolicy`: whole filters and clusters are judged as in a file of Envoy's own; of a patch of a part it is only known what it touches.

use bulkhead_tenancy::tree::Node;

use super::{is_ours, mentions_ours, part, partial, removed, stranger};
use crate::{
    Findings,
    view::{View, kind},
};

/// Parts of a listener that change nothing of what a request is, where it goes or who is asked about it.
const TOLD: [&str; 9] = [
    "access_log",
    "access_log_options",
    "connection_balance_config",
    "listener_filters_timeout",
    "per_connection_buffer_limit_bytes",
    "socket_options",
    "stat_prefix",
    "tcp_backlog_size",
    "tracing",
];

/// An `EnvoyPatchPolicy`.
pub(super) fn policy(document: &Node, findings: &mut Findings) {
    for patch in document.get("spec.jsonPatches").map_or(&[][..], View::items) {
        let Some(operation) = patch.get("operation") else { continue };
        let place = Place::of(operation);
        if place.is_elsewhere(patch) {
            continue;
        }
        match (operation.get("op").and_then(View::text).unwrap_or_default(), operation.get("value")) {
            ("test", _) => {}
            ("remove", _) if place.is_ours() => removed(operation, findings),
            // Another filter by its name is nothing of ours; a place in a list may be anything.
            ("remove", _) if place.is_filter() && place.is_named() && !place.is_field() => {}
            ("remove" | "move" | "copy", _) => partial(operation, "which parts a patch moves or removes cannot be judged", findings),
            (_, None) => {}
            (op, Some(value)) => {
                if op == "replace" && place.is_ours() && !place.is_field() && !is_ours(kind(value)) {
                    removed(operation, findings);
                } else if (place.is_ours() || place.is_field()) && !is_whole(value) {
                    partial(operation, "a patch of a part cannot be judged: what it leaves of the whole is not in this file", findings);
                }
                part(value, document, findings);
                if is_filter(value) || (place.is_filter() && value.get("name").is_some()) {
                    stranger(value, findings);
                }
            }
        }
    }
}

/// Where a patch applies: what `jsonPath` finds, and the JSON Pointer `path` from there.
struct Place {
    text: String,
    pointed: bool,
}

impl Place {
    fn of(operation: &Node) -> Self {
        let text = |field| operation.get(field).and_then(View::text).unwrap_or_default();
        let (found, pointer) = (text("jsonPath"), text("path"));
        Self { text: format!("{found}{pointer}"), pointed: !pointer.is_empty() }
    }

    fn is_ours(&self) -> bool {
        mentions_ours(&self.text)
    }

    /// Whether it decides nothing of what is judged here: a part of a cluster of somebody else, or what is told of requests and how long connections last.
    fn is_elsewhere(&self, patch: &Node) -> bool {
        let text = |field| patch.get(field).and_then(View::text).unwrap_or_default();
        if text("type").ends_with(".Cluster") {
            // The gateway names its clusters after what they are for: ours are those of its policies, or what a patch adds.
            return text("name").starts_with("httproute/") || text("name").starts_with("grpcroute/");
        }
        // What is moved or copied comes from a place that is not looked at here.
        let stays = matches!(patch.get("operation.op").and_then(View::text), Some("add" | "replace" | "remove"));
        let told = || steps(&self.text).split(['.', '/']).any(|step| TOLD.contains(&step));
        stays && !self.is_ours() && !self.is_filter() && told()
    }

    fn is_filter(&self) -> bool {
        self.text.contains("http_filters") || self.text.contains("filters.http.")
    }

    /// Whether it says by name which one is meant.
    fn is_named(&self) -> bool {
        self.text.contains("@.name==") && !self.text.contains("||")
    }

    /// Whether its last step is a field, and no item of a list nor the whole.
    fn is_field(&self) -> bool {
        if self.pointed {
            let step = self.text.rsplit('/').next().unwrap_or_default();
            return step != "-" && !step.bytes().all(|byte| byte.is_ascii_digit());
        }
        // An index or a condition: `[0]`, `[?(@.name=='x')]`; and not `['x']`.
        let item =
            self.text.strip_suffix(']').and_then(|text| text.rsplit_once('[')).is_some_and(|(_, step)| !step.starts_with(['\'', '"']));
        !self.text.is_empty() && !item
    }
}

/// The steps of a place, without what its conditions say: a listener that is found by its `stat_prefix` is not changed in it.
fn steps(text: &str) -> String {
    let mut depth = 0_usize;
    let outside = |one: &char| {
        match one {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    text.chars().filter(outside).collect()
}

/// Whether it is an HTTP filter by its own words.
fn is_filter(value: &Node) -> bool {
    ["typed_config.@type", "name"]
        .iter()
        .any(|field| value.get(field).and_then(View::text).is_some_and(|text| text.contains(".filters.http.")))
}

/// A filter, a cluster, or a connection manager, whose chain is judged where it stands.
fn is_whole(value: &Node) -> bool {
    let filter = value.get("name").is_some() && value.get("typed_config.@type").is_some();
    let mut chain = false;
    value.each(&mut |node| chain |= node.get("http_filters").is_some());
    filter || chain || value.get("load_assignment").is_some()
}
