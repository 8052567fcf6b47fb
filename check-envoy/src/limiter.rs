//! The ratelimit filter: it fails closed (S9), is asked once (S24), in our domain, with descriptors made of metadata alone (S15).

use std::collections::BTreeSet;

use bulkhead_proto::contract::{DOMAIN, METADATA_NAMESPACE, context, descriptor, metadata};
use bulkhead_tenancy::tree::{Node, Value};

use crate::{
    Findings,
    view::{View, is_endless, type_of},
};

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
    findings.succeeds(config, "ratelimit");
    for field in ["filter_enabled", "filter_enforced", "failure_mode_deny_percent"] {
        if let Some(part) = config.get(field) {
            findings.add(part, "S9", format!("{field}: not every request is charged"), "remove it");
        }
    }
    if let Some(part) = config.get("request_type").filter(|part| !matches!(part.text(), Some("both" | ""))) {
        findings.add(part, "S9", "request_type: requests of the other kind are not charged", "remove it");
    }
    if let Some(retry) = config.get("rate_limit_service.grpc_service.retry_policy") {
        findings.add(retry, "S24", "ratelimit is asked again: a retry charges twice", "remove the retry_policy");
    }
    if let Some(told) = config.get("enable_x_ratelimit_headers").filter(|told| !told.is_one(("OFF", 0))) {
        self::told(told, findings);
    }
    if let Some(endless) = config.get("timeout").filter(|timeout| is_endless(timeout)) {
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
/// what is said of a route is added to that, and unsays nothing. Hosts that come by VHDS are not in the file.
pub(crate) fn left_to_check(manager: &Node, authorizer: &Node) -> bool {
    let (Some(routes), Some(name)) = (manager.get("route_config"), authorizer.get("name").and_then(View::text)) else { return false };
    let hosts = routes.get("virtual_hosts").map_or(&[][..], View::items);
    let all = !hosts.is_empty() && routes.get("vhds").is_none();
    says(routes, name) || (all && hosts.iter().all(|host| says(host, name)))
}

/// Envoy finds what is meant for a filter by the name that it has in the chain: what stands under any other name, ext-authz is never told.
fn says(node: &Node, name: &str) -> bool {
    let Some(Value::Mapping(filters)) = node.get("typed_per_filter_config").map(|config| &config.value) else { return false };
    let mut found = false;
    for filter in filters.iter().filter(|entry| &*entry.key == name) {
        filter.node.each(&mut |node| {
            if let Some(Value::Mapping(said)) = node.get("context_extensions").map(|said| &said.value) {
                found |= said.iter().any(|entry| &*entry.key == context::LIMITS && entry.node.text() == Some("on"));
            }
        });
    }
    found
}

/// One list of four entries and the cost, in the filter or in every route.
fn descriptors(config: &Node, manager: &Node, findings: &mut Findings) {
    let mut lists: Vec<&Node> = config.get("rate_limits").into_iter().collect();
    let inline = !lists.is_empty();
    // Of a fragment, wherever they are. Those of the filter hold in place of the routes', and what a route says of the filter in place of both.
    manager.get("route_config").unwrap_or(manager).each(&mut |node| {
        lists.extend(node.get("rate_limits").filter(|_| !inline || type_of(node) == "RateLimitPerRoute"));
    });
    if lists.is_empty() {
        findings.add(config, "S15", "no descriptors are made: ratelimit is never asked", LIKE);
    }
    for second in lists.iter().filter_map(|list| list.items().get(1)) {
        findings.add(second, "S24", "a second limit of the list: a request is charged once for each", "leave one");
    }
    for limit in lists.into_iter().flat_map(View::items) {
        if let Some(late) = limit.get("apply_on_stream_done").filter(|late| late.is_true()) {
            findings.add(late, "S9", "apply_on_stream_done: it is charged when all is over, and denies nothing", "remove it");
        }
        if let Some(told) = limit.get("x_ratelimit_option").filter(|told| !told.is_one(("UNSPECIFIED", 0)) && !told.is_one(("OFF", 1))) {
            self::told(told, findings);
        }
        if let Some(key) = limit.get("disable_key") {
            findings.add(key, "S9", "disable_key: a runtime key switches this limit off", "remove it");
        }
        if let Some(negative) = limit.get("hits_addend.is_negative_hits").filter(|negative| negative.is_true()) {
            findings.add(negative, "S9", "is_negative_hits: each request gives back what it costs", "remove it");
        }
        let stage = |node: &Node| node.get("stage").and_then(View::number).unwrap_or(0);
        if let Some(other) = limit.get("stage").filter(|_| !inline && stage(limit) != stage(config)) {
            findings.add(other, "S9", "the limit is of another stage than the filter, which never asks for it", "remove `stage` from both");
        }
        let actions = limit.get("actions").map_or(&[][..], View::items);
        actions.iter().for_each(|action| entry(action, findings));
        let mut keys = BTreeSet::new();
        for action in actions {
            let key = action.get("metadata.descriptor_key").and_then(View::text).unwrap_or_default();
            if !keys.insert(key) {
                findings.add(
                    action,
                    "S15",
                    format!("the entry `{key}` is there twice: which of the two pays cannot be judged"),
                    "remove one",
                );
            }
        }
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
    if entry.get("source").is_some_and(|source| !source.is_one(("DYNAMIC", 0))) || from != Some(METADATA_NAMESPACE) {
        findings.add(entry, "S15", "an entry is made of other metadata than ext-authz writes", LIKE);
    }
    match entry.get("default_value").and_then(View::text) {
        None | Some("") => {
            findings.add(entry, "S15", "an entry has no default_value: Envoy drops the descriptor, and ratelimit is not asked", LIKE);
        }
        Some(descriptor::UNRESOLVED | descriptor::NONE) => {}
        Some(_) => {
            findings.add(entry, "S15", "an entry's default_value may be a tenant's own: it would pay for what is nobody's", LIKE);
        }
    }
}

/// Envoy's own headers are told to callers.
fn told(at: &Node, findings: &mut Findings) {
    let what = "Envoy writes headers of its own beside ratelimit's, and nobody keeps the global level out of them";
    findings.add(at, "S22", what, "remove it: ratelimit writes the headers");
}
