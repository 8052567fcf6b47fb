//! What strangers can make Envoy hold: ext_authz keeps the beginning of every body until it may ask, so a client without any token fills the memory that all
//! tenants share, unless streams that hold much are reset before it is full (S4).

use bulkhead_tenancy::tree::Node;

use crate::{
    Findings, dump,
    view::{View, kind, type_of},
};

/// Streams that hold less than two to this power are not tracked: a body of `max_request_bytes` must be.
const LARGEST: u64 = 19;

const MEND: &str =
    "bound the heap in overload_manager (fixed_heap, reset_high_memory_stream, buffer_factory_config), as envoy/envoy.yaml does";

/// Judges what Envoy starts with, where the documents hold that and a filter that holds bodies.
pub(crate) fn judge(documents: &[&Node], findings: &mut Findings) {
    let mut bootstraps = Vec::new();
    let mut holds_bodies = false;
    dump::in_force(documents, &mut |node| {
        let is_bootstrap = ["static_resources", "dynamic_resources", "overload_manager"].iter().any(|field| node.get(field).is_some());
        bootstraps.extend(is_bootstrap.then_some(node));
        // At a route, too.
        holds_bodies |= kind(node) == "ExtAuthz" && crate::view::inner(node).get("typed_config.with_request_body").is_some();
        holds_bodies |= node.get("check_settings.with_request_body").is_some() || kind(node) == "Buffer";
    });
    // What Envoy started with may stand there more than once, as it is dumped: in parts.
    let judged = |bootstrap: &&Node| unbounded(bootstrap.get("overload_manager").unwrap_or(bootstrap));
    let Some(what) = bootstraps.iter().map(judged).reduce(Option::and).flatten().filter(|_| holds_bodies) else { return };
    let manager = bootstraps.iter().find_map(|bootstrap| bootstrap.get("overload_manager"));
    if let Some(at) = manager.or(bootstraps.first().copied()) {
        findings.add(at, "S4", format!("bodies of strangers fill the memory that all share: {what}"), MEND);
    }
}

/// What is missing of a bound.
fn unbounded(manager: &Node) -> Option<&'static str> {
    let items = |path| manager.get(path).map_or(&[][..], View::items);
    let name = |node: &Node| node.get("name").and_then(View::text).map(str::to_owned);
    let heap = |monitor: &&Node| {
        monitor.get("typed_config").is_some_and(|config| matches!(type_of(config), "FixedHeapConfig" | "CgroupMemoryConfig"))
    };
    let monitors: Vec<String> = items("resource_monitors").iter().filter(heap).filter_map(name).collect();
    if monitors.is_empty() {
        return Some("nothing watches the heap");
    }
    let watches = |trigger: &Node| name(trigger).is_some_and(|name| monitors.contains(&name));
    let resets = |action: &Node| {
        name(action).is_some_and(|name| name == "envoy.overload_actions.reset_high_memory_stream")
            && action.get("triggers").is_some_and(|triggers| triggers.items().iter().any(watches))
    };
    if !items("actions").iter().any(resets) {
        return Some("no stream that holds much is reset when the heap is nearly full");
    }
    let tracked = manager.get("buffer_factory_config.minimum_account_to_track_power_of_two").and_then(View::number);
    match tracked {
        None => Some("what streams hold is not tracked, so none is reset"),
        Some(power) if power > LARGEST => {
            Some("streams are tracked only when they hold more than a body of which ext_authz is shown the beginning")
        }
        Some(_) => None,
    }
}
