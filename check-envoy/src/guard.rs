//! The guard of contract routing: where a contract's upstream is resolved by name, the address that comes of it is checked (S3).

use std::net::IpAddr;

use bulkhead_proto::contract::header;
use bulkhead_tenancy::{
    address::FORBIDDEN_RANGES,
    tree::{Node, Value},
};
use ipnet::IpNet;

use crate::{
    Findings,
    view::{View, holds, kind},
};

/// Filter state by which Envoy connects to an address of its own, and to a port.
const HOST: &str = "envoy.upstream.dynamic_host";
const PORT: &str = "envoy.upstream.dynamic_port";

const MEND: &str = "deny it by an RBAC filter after dynamic_forward_proxy, as envoy/contract-routing.yaml does";

/// Judges the guard of a chain in which ext_authz stands at a place, and gives the names of the filters that it is made of; none where nothing is resolved.
pub(crate) fn judge<'n>(filters: &'n [Node], authorizer: Option<usize>, documents: &[&Node], findings: &mut Findings) -> Vec<&'n str> {
    let proxy = filters.iter().position(|filter| {
        let of = filter.get("typed_config.@type").and_then(View::text).unwrap_or_default();
        of.contains("dynamic_forward_proxy")
            || filter.get("name").and_then(View::text).is_some_and(|name| name.ends_with("dynamic_forward_proxy"))
    });
    let Some((at, filter)) = proxy.and_then(|at| filters.get(at).map(|filter| (at, filter))) else { return Vec::new() };
    if !holds(filter, "typed_config.save_upstream_address") {
        findings.add(
            filter,
            "S3",
            "the resolved address of an upstream is not kept, so nothing can check it",
            "set save_upstream_address: true",
        );
    }
    // What ext-authz judged is known once it was asked.
    let between = filters.get(authorizer.map_or(0, |authorizer| authorizer + 1)..at).unwrap_or_default();
    let pin = pinned(between, filter, findings);
    let after = filters.iter().skip(at + 1).filter(|filter| matches!(kind(filter), "RBAC" | "rbac") && !holds(filter, "disabled"));
    let guards: Vec<&Node> = after.filter(|filter| !denied(filter).is_empty()).collect();
    let denied: Vec<IpNet> = guards.iter().copied().flat_map(denied).collect();
    let open: Vec<&str> = FORBIDDEN_RANGES
        .into_iter()
        .filter(|range| range.parse::<IpNet>().is_ok_and(|range| !denied.iter().any(|denied| denied.contains(&range))))
        .collect();
    if !open.is_empty() {
        let what =
            format!("a contract's upstream may resolve to this machine, its link or its cloud's metadata service: {}", open.join(", "));
        findings.add(filter, "S3", what, MEND);
    }
    for document in documents {
        document.each(&mut |node| {
            if let Some(sub) = node.get("sub_clusters_config") {
                findings.add(sub, "S3", "sub_clusters_config switches the check of resolved addresses off", "use dns_cache_config");
            }
            own(node, &denied, findings);
            another(node, findings);
        });
    }
    let names = |filter: &'n Node| filter.get("name").and_then(View::text);
    guards.into_iter().chain(pin).chain([filter]).filter_map(names).collect()
}

/// The filter that has Envoy connect to the address that ext-authz judged, `between` ext_authz and the proxy. Of a name that Envoy resolves itself it shows the guard the first
/// address alone.
fn pinned<'n>(between: &'n [Node], proxy: &Node, findings: &mut Findings) -> Option<&'n Node> {
    let told = |filter: &Node| filter.get("typed_config.on_request_headers").map_or(&[][..], View::items).iter().any(tells);
    let pin = between.iter().find(|filter| !holds(filter, "disabled") && told(filter));
    if !holds(proxy, "typed_config.allow_dynamic_host_from_filter_state") || pin.is_none() {
        let what = "Envoy resolves the contracts' hosts itself: of a name with two addresses the guard is shown the first, and the second is connected to";
        findings.add(
            proxy,
            "S3",
            what,
            "set envoy.upstream.dynamic_host from x-bulkhead-address between ext_authz and it, and allow_dynamic_host_from_filter_state: true",
        );
    }
    pin
}

/// Whether a value of filter state is the address that ext-authz judged, for Envoy to connect to.
fn tells(value: &Node) -> bool {
    let text = |path| value.get(path).and_then(View::text).unwrap_or_default();
    let address = format!("%REQ({})%", header::ADDRESS);
    text("object_key") == HOST && text("format_string.text_format_source.inline_string").eq_ignore_ascii_case(&address)
}

/// Another address, or a port, that Envoy connects to in the place of what was judged: the last that was written holds.
fn another(node: &Node, findings: &mut Findings) {
    if node.get("object_key").and_then(View::text).is_some_and(|key| matches!(key, HOST | PORT)) && !tells(node) {
        findings.add(node, "S3", "Envoy connects to another address than ext-authz judged, or to another port", "remove it");
    }
}

/// What a filter denies to everybody, whatever else there is to say of the request.
fn denied(filter: &Node) -> Vec<IpNet> {
    let Some(rules) = filter.get("typed_config.rules").filter(|rules| rules.get("action").is_some_and(|action| action.is_one(("DENY", 1))))
    else {
        return Vec::new();
    };
    let Some(Value::Mapping(policies)) = rules.get("policies").map(|policies| &policies.value) else { return Vec::new() };
    let everybody = |policy: &&Node| {
        let conditional = ["condition", "checked_condition", "cel_config"].iter().any(|field| policy.get(field).is_some());
        !conditional && policy.get("principals").is_some_and(|all| all.items().iter().any(|one| holds(one, "any")))
    };
    let mut ranges = Vec::new();
    for policy in policies.iter().map(|entry| &entry.node).filter(everybody) {
        policy.get("permissions").map_or(&[][..], View::items).iter().for_each(|one| permitted(one, &mut ranges));
    }
    ranges
}

/// A permission, or those of which one is enough. What must hold besides, or must not, makes a range smaller.
fn permitted(permission: &Node, ranges: &mut Vec<IpNet>) {
    permission.get("or_rules.rules").map_or(&[][..], View::items).iter().for_each(|one| permitted(one, ranges));
    let Some(matcher) = permission.get("matcher.typed_config").filter(|matcher| matcher.get("upstream_port_range").is_none()) else {
        return;
    };
    let prefix = matcher.get("upstream_ip.address_prefix").and_then(View::text).and_then(|text| text.parse::<IpAddr>().ok());
    // Without a length it is 0: all addresses.
    let bits = matcher.get("upstream_ip.prefix_len").map_or(Some(0), View::number).and_then(|bits| u8::try_from(bits).ok());
    ranges.extend(prefix.zip(bits).and_then(|(prefix, bits)| IpNet::new(prefix, bits).ok()));
}

/// Where the services are that Envoy asks, if that is no name: no contract's upstream may be there either.
fn own(node: &Node, denied: &[IpNet], findings: &mut Findings) {
    let Some(endpoint) = node.get("endpoint.address.socket_address.address") else { return };
    let Some(address) = endpoint.text().and_then(|text| text.parse::<IpAddr>().ok()) else { return };
    if !address.is_unspecified() && !address.is_loopback() && !denied.iter().any(|range| range.contains(&address)) {
        let what = format!("a contract's upstream may resolve to {address}, which is a service of the platform's own");
        findings.add(endpoint, "S3", what, MEND);
    }
}
