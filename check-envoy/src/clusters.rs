//! The clusters: ours are reached on this machine or over TLS (S2) and have room for all tenants together (S4); those that contracts share
//! have a bound for each host (S4).

use std::net::IpAddr;

use bulkhead_proto::contract::cluster;
use bulkhead_tenancy::tree::{Node, Value};

use crate::{
    Findings,
    view::{View, kind},
};

/// Envoy's default bound, which all tenants together pass.
const DEFAULT: u64 = 1024;

pub(crate) fn judge(documents: &[&Node], findings: &mut Findings) {
    let mut services = Vec::new();
    let mut clusters = Vec::new();
    for document in documents {
        document.each(&mut |node| {
            let asked = match kind(node) {
                "ExtAuthz" | "ext_authz" | "ExternalProcessor" | "ext_proc" => {
                    node.get("typed_config.grpc_service.envoy_grpc.cluster_name")
                }
                "RateLimit" | "ratelimit" => node.get("typed_config.rate_limit_service.grpc_service.envoy_grpc.cluster_name"),
                _ => None,
            };
            services.extend(asked.and_then(View::text));
            clusters.extend(node.get("clusters").map_or(&[][..], View::items));
        });
    }
    for node in clusters {
        let name = node.get("name").and_then(View::text).unwrap_or_default();
        if services.contains(&name) {
            reached(node, findings);
            room(node, &["max_requests", "max_pending_requests"], findings);
        }
        if matches!(name, cluster::HTTP | cluster::HTTPS) {
            shared(node, findings);
        }
    }
}

/// A cluster that a gateway is made to have besides its own: which are of ours is not known, and all are reached as ours are.
pub(crate) fn added(cluster: &Node, findings: &mut Findings) {
    reached(cluster, findings);
    room(cluster, &["max_requests", "max_pending_requests"], findings);
}

/// In clear text on this machine only.
fn reached(cluster: &Node, findings: &mut Findings) {
    if cluster.get("transport_socket").is_some() {
        return;
    }
    cluster.each(&mut |node| {
        let Some(address) = node.get("socket_address.address") else { return };
        let loopback = address.text().is_some_and(|text| text == "localhost" || text.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()));
        if !loopback {
            let what = "a service of ours is asked in clear text on another machine: whoever stands between decides";
            findings.add(address, "S2", what, "add a transport_socket with TLS and a client certificate");
        }
    });
}

fn room(cluster: &Node, bounds: &[&str], findings: &mut Findings) {
    let thresholds = cluster.get("circuit_breakers.thresholds").and_then(|all| all.items().first());
    for bound in bounds {
        if thresholds.and_then(|one| one.get(bound)).and_then(View::number).is_none_or(|most| most <= DEFAULT) {
            let what = format!("{bound} is at most {DEFAULT}: one tenant's slow requests use up what all share");
            findings.add(thresholds.unwrap_or(cluster), "S4", what, "set circuit_breakers.thresholds as envoy/envoy.yaml does");
        }
    }
}

/// The clusters of contract routing, which every tenant shares.
fn shared(cluster: &Node, findings: &mut Findings) {
    room(cluster, &["max_connections", "max_pending_requests", "max_requests"], findings);
    let host = cluster.get("circuit_breakers.per_host_thresholds").and_then(|all| all.items().first());
    if host.and_then(|one| one.get("max_connections")).and_then(View::number).is_none() {
        let what = "no upstream has a bound of its own: one that hangs takes the connections of all";
        findings.add(cluster.get("circuit_breakers").unwrap_or(cluster), "S4", what, "set per_host_thresholds.max_connections");
    }
    let hosts = cluster.get("cluster_type.typed_config.dns_cache_config.max_hosts");
    if hosts.and_then(View::number).is_none_or(|most| most <= DEFAULT) && !matches!(cluster.value, Value::Scalar(_)) {
        findings.add(
            hosts.unwrap_or(cluster),
            "S4",
            "past 1024 hosts new ones get no address",
            "set dns_cache_config.max_hosts above the number of contract hosts",
        );
    }
}
