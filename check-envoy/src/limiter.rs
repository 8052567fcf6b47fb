//! The ratelimit filter: it fails closed (S9), is asked once (S24), in our domain, with descriptors made of metadata alone (S15).

use bulkhead_proto::contract::{DOMAIN, METADATA_NAMESPACE, context, descriptor, metadata};
use bulkhead_tenancy::tree::{Node, Value};

use crate::{Findings, view::View};

const LIKE: &str = "write rate_limits as envoy/envoy.yaml does";

pub(crate) fn judge(filter: &Node, manager: &Node, findings: &mut Findings) {
    let Some(config) = filter.get("typed_config") else { return };
    if !config.get("failure_mode_deny").is_some_and(View::is_true) {
        findings.add(
            config.get("failure_mode_deny").unwrap_or(config),
            "S9",
            "ratelimit fails open: while it is away nothing bounds a tenant",
            "set failure_mode_deny: true",
        );
    }
    for field in ["filter_enabled", "filter_enforced"] {
        if let Some(part) = config.get(field) {
            findings.add(part, "S9", format!("{field}: not every request is charged"), "remove it");
        }
    }
    if let Some(retry) = config.get("rate_limit_service.grpc_service.retry_policy") {
        findings.add(retry, "S24", "ratelimit is asked again: a retry charges twice", "remove the retry_policy");
    }
    if let Some(endless) = config.get("timeout").filter(|timeout| timeout.text() == Some("0s")) {
        findings.add(endless, "S9", "ratelimit may take as long as it likes: a hung service holds every request", "set a timeout: 0.1s");
    }
    if config.get("domain").and_then(View::text) != Some(DOMAIN) {
        findings.add(
            config.get("domain").unwrap_or(config),
            "S15",
            "the domain is not ours: these limits are not the tenants'",
            "set domain: bulkhead",
        );
    }
    descriptors(config, manager, findings);
}

/// Whether every route tells ext-authz that nobody else charges limits: it then charges them in Check, or denies. Said of all routes, or of each virtual host;
/// what is said of a route is added to that, and unsays nothing.
pub(crate) fn left_to_check(manager: &Node) -> bool {
    let Some(routes) = manager.get("route_config") else { return false };
    let hosts = routes.get("virtual_hosts").map_or(&[][..], View::items);
    says(routes) || (!hosts.is_empty() && hosts.iter().all(says))
}

fn says(node: &Node) -> bool {
    let Some(config) = node.get("typed_per_filter_config") else { return false };
    let mut found = false;
    config.each(&mut |node| {
        if let Some(Value::Mapping(said)) = node.get("context_extensions").map(|said| &said.value) {
            found |= said.iter().any(|entry| &*entry.key == context::LIMITS && entry.node.text() == Some("on"));
        }
    });
    found
}

/// One list of four entries and the cost, in the filter or in every route.
fn descriptors(config: &Node, manager: &Node, findings: &mut Findings) {
    let mut lists: Vec<&Node> = config.get("rate_limits").into_iter().collect();
    if lists.is_empty()
        && let Some(routes) = manager.get("route_config")
    {
        routes.each(&mut |node| lists.extend(node.get("rate_limits")));
    }
    if lists.is_empty() {
        findings.add(config, "S15", "no descriptors are made: ratelimit is never asked", LIKE);
    }
    for limit in lists.into_iter().flat_map(View::items) {
        let actions = limit.get("actions").map_or(&[][..], View::items);
        actions.iter().for_each(|action| entry(action, findings));
        let wanted =
            [(descriptor::TENANT, metadata::TENANT), (descriptor::SUBSCRIPTION, metadata::SUBSCRIPTION), (descriptor::API, metadata::API)];
        for (key, from) in wanted {
            let has = |action: &Node| {
                let path = action.get("metadata.metadata_key.path").map_or(&[][..], View::items);
                let steps: Vec<_> = path.iter().filter_map(|step| step.get("key")?.text()).collect();
                action.get("metadata.descriptor_key").and_then(View::text) == Some(key) && steps == [from]
            };
            if !actions.iter().any(has) {
                findings.add(limit, "S15", format!("the descriptor has no entry `{key}` out of the metadata `{from}`"), LIKE);
            }
        }
        let cost = format!("%DYNAMIC_METADATA({METADATA_NAMESPACE}:{})%", metadata::COST);
        if limit.get("hits_addend.format").and_then(View::text) != Some(&cost) {
            let what = "the cost that ext-authz states is not charged";
            findings.add(
                limit.get("hits_addend").unwrap_or(limit),
                "S15",
                what,
                "set hits_addend.format to the metadata `cost`, as envoy/envoy.yaml does",
            );
        }
    }
}

fn entry(action: &Node, findings: &mut Findings) {
    let Some(entry) = action.get("metadata") else {
        findings.add(action, "S15", "an entry is not made of metadata: a client could choose whose limit it pays", LIKE);
        return;
    };
    let from = entry.get("metadata_key.key").and_then(View::text);
    if entry.get("source").and_then(View::text).is_some_and(|source| source != "DYNAMIC") || from != Some(METADATA_NAMESPACE) {
        findings.add(entry, "S15", "an entry is made of other metadata than ext-authz writes", LIKE);
    }
    if entry.get("default_value").and_then(View::text).is_none_or(str::is_empty) {
        findings.add(entry, "S15", "an entry has no default_value: Envoy drops the descriptor, and ratelimit is not asked", LIKE);
    }
}
