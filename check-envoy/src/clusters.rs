//! The clusters: ours are reached on this machine or over TLS (S2) and have room for all tenants together (S4); those that contracts share
//! have a bound for each host (S4).

use std::net::IpAddr;

use bulkhead_proto::contract::cluster;
use bulkhead_tenancy::tree::{Node, Value};

use crate::{
    Findings, dump,
    view::{View, holds, kind},
};

/// Envoy's default bound, which all tenants together pass.
const DEFAULT: u64 = 1024;

const NAMELESS: &str = "a service of ours is asked over TLS without a client certificate: it refuses that, or answers whoever asks";

const CLEAR: &str = "a service of ours is asked in clear text on another machine: whoever stands between decides";

pub(crate) fn judge(documents: &[&Node], findings: &mut Findings) {
    let mut services = Vec::new();
    let mut clusters = Vec::new();
    dump::in_force(documents, &mut |node| {
        let asked = match kind(node) {
            "ExtAuthz" | "ext_authz" | "ExternalProcessor" | "ext_proc" => node.get("typed_config.grpc_service.envoy_grpc.cluster_name"),
            "RateLimit" | "ratelimit" => node.get("typed_config.rate_limit_service.grpc_service.envoy_grpc.cluster_name"),
            _ => None,
        };
        services.extend(asked.and_then(View::text));
        clusters.extend(node.get("clusters").map_or(&[][..], View::items));
        // As Envoy dumps them, one by one.
        clusters.extend(node.get("cluster").filter(|cluster| cluster.get("name").is_some()));
        if matches!(kind(node), "ExtAuthz" | "ExternalProcessor" | "RateLimit") {
            node.get("typed_config").into_iter().for_each(|config| {
                by_google(config, findings);
                told(config, findings);
            });
        }
    });
    // One that is made of others is reached where they are.
    let named = |name: &str| clusters.iter().find(|cluster| cluster.get("name").and_then(View::text) == Some(name));
    let mut next = 0;
    while let Some(name) = services.get(next) {
        let of = named(name).and_then(|cluster| cluster.get("cluster_type.typed_config.clusters")).map_or(&[][..], View::items);
        let others: Vec<&str> = of.iter().filter_map(View::text).filter(|other| !services.contains(other)).collect();
        services.extend(others);
        next += 1;
    }
    for node in clusters {
        let name = node.get("name").and_then(View::text).unwrap_or_default();
        if services.contains(&name) {
            reached(node, findings);
            sockets(node).into_iter().for_each(|socket| nameless(socket, findings));
            room(node, &["max_requests", "max_pending_requests"], findings);
            repeated(node, findings);
        }
        if matches!(name, cluster::HTTP | cluster::HTTPS) {
            shared(node, findings);
        }
    }
}

/// Questions that Envoy asks a service of ours twice, by what its cluster says of any request.
fn repeated(cluster: &Node, findings: &mut Findings) {
    cluster.each(&mut |node| {
        for field in ["retry_policy", "request_mirror_policies"] {
            if let Some(again) = node.get(field) {
                let what = format!("{field} of a cluster of ours: a question is asked again, and charged or judged twice");
                findings.add(again, "S24", what, "remove it: ext_authz has its retry_policy in its grpc_service, and ratelimit none");
            }
        }
    });
}

/// Headers of a question by which Envoy's own router would ask it again, or otherwise than the filter says.
fn told(config: &Node, findings: &mut Findings) {
    for service in ["grpc_service", "rate_limit_service.grpc_service"].into_iter().filter_map(|field| config.get(field)) {
        for header in service.get("initial_metadata").map_or(&[][..], View::items) {
            let name = header.get("key").and_then(View::text).unwrap_or_default().to_ascii_lowercase();
            if name.starts_with("x-envoy-") {
                findings.add(header, "S24", format!("{name} has Envoy ask a service of ours otherwise than the filter says"), "remove it");
            }
        }
    }
}

/// A service that is asked without a cluster: Google's client speaks clear text unless it is given credentials.
fn by_google(config: &Node, findings: &mut Findings) {
    let service = ["grpc_service", "rate_limit_service.grpc_service"].into_iter().find_map(|field| config.get(field)?.get("google_grpc"));
    let Some(service) = service else { return };
    let target = service.get("target_uri").and_then(View::text).unwrap_or_default();
    let here = ["127.0.0.1:", "localhost:", "[::1]:", "unix:"].iter().any(|start| target.starts_with(start));
    if here {
        return;
    }
    match service.get("channel_credentials.ssl_credentials") {
        None => findings.add(service, "S2", CLEAR, "add channel_credentials.ssl_credentials, or use envoy_grpc and a cluster with TLS"),
        Some(credentials) if ["cert_chain", "private_key"].iter().any(|part| credentials.get(part).is_none()) => {
            findings.add(credentials, "S2", NAMELESS, "add cert_chain and private_key, of a name of --grpc-tls-client-name");
        }
        Some(_) => {}
    }
}

/// A cluster that a gateway is made to have besides its own: which are of ours is not known. All are reached as ours are, but whoever is not ours needs no certificate
/// of Envoy's.
pub(crate) fn added(cluster: &Node, findings: &mut Findings) {
    reached(cluster, findings);
    room(cluster, &["max_requests", "max_pending_requests"], findings);
}

/// The sockets that a cluster may be reached by, out of those that they are wrapped in (`tap`, `tcp_stats`, `upstream_proxy_protocol`).
fn sockets(cluster: &Node) -> Vec<&Node> {
    let others = cluster.get("transport_socket_matches").map_or(&[][..], View::items).iter().filter_map(|one| one.get("transport_socket"));
    let innermost = |mut socket| {
        while let Some(inner) = View::get(socket, "typed_config.transport_socket") {
            socket = inner;
        }
        socket
    };
    cluster.get("transport_socket").into_iter().chain(others).map(innermost).collect()
}

/// In clear text on this machine only.
fn reached(cluster: &Node, findings: &mut Findings) {
    let sockets = sockets(cluster);
    let (clear, secured): (Vec<_>, Vec<_>) = sockets.into_iter().partition(|socket| matches!(kind(socket), "RawBuffer" | "raw_buffer"));
    for socket in secured {
        unverified(socket, findings);
        anyone(socket, cluster, findings);
    }
    if clear.is_empty() && cluster.get("transport_socket").is_some() {
        return;
    }
    cluster.each(&mut |node| {
        let Some(address) = node.get("socket_address.address") else { return };
        let loopback = address.text().is_some_and(|text| text == "localhost" || text.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()));
        if !loopback {
            findings.add(address, "S2", CLEAR, "add a transport_socket with TLS and a client certificate");
        }
    });
}

/// TLS to whoever answers: Envoy verifies no certificate without something to verify it by.
fn unverified(socket: &Node, findings: &mut Findings) {
    const BY: [&str; 4] = [
        "validation_context",
        "validation_context_sds_secret_config",
        "combined_validation_context",
        "validation_context_certificate_provider_instance",
    ];
    let Some(context) = socket.get("typed_config.common_tls_context").or_else(|| socket.get("typed_config")) else { return };
    let accepts_all = BY.iter().filter_map(|by| context.get(by)).any(|by| {
        let mut all = false;
        by.each(&mut |node| all |= node.get("trust_chain_verification").is_some_and(|one| one.is_one(("ACCEPT_UNTRUSTED", 1))));
        all
    });
    if kind(socket) == "UpstreamTlsContext" && (accepts_all || !BY.iter().any(|by| context.get(by).is_some())) {
        let what = "a service of ours is asked over TLS, and its certificate is not verified: whoever stands between decides";
        findings.add(socket, "S2", what, "add common_tls_context.validation_context with trusted_ca");
    }
}

/// TLS to whoever has a certificate of an authority: Envoy verifies no name that it is not told. An authority of a mesh signs for every tenant's workload.
fn anyone(socket: &Node, cluster: &Node, findings: &mut Findings) {
    const BY: [&str; 4] =
        ["match_typed_subject_alt_names", "match_subject_alt_names", "verify_certificate_hash", "verify_certificate_spki"];
    // What comes by SDS may say whom, too: nothing is known of that here.
    let context = socket.get("typed_config.common_tls_context.validation_context");
    let Some(context) = context.filter(|_| kind(socket) == "UpstreamTlsContext") else { return };
    let named = BY.iter().any(|by| context.get(by).is_some_and(|some| !some.items().is_empty()));
    let mut by_host = holds(socket, "typed_config.auto_sni_san_validation");
    cluster.each(&mut |node| by_host |= holds(node, "upstream_http_protocol_options.auto_san_validation"));
    if context.get("trusted_ca").is_some() && !named && !by_host {
        let what = "whoever has any certificate of this authority is taken for a service of ours";
        findings.add(context, "S2", what, "add match_typed_subject_alt_names with the name in the certificate of ours");
    }
}

/// TLS without a certificate of Envoy's own: ours let nobody in without one, and what would let Envoy in is not ours, or lets in everybody.
fn nameless(socket: &Node, findings: &mut Findings) {
    const BY: [&str; 4] =
        ["tls_certificates", "tls_certificate_sds_secret_configs", "tls_certificate_provider_instance", "custom_tls_certificate_selector"];
    let context = socket.get("typed_config.common_tls_context").or_else(|| socket.get("typed_config")).unwrap_or(socket);
    let shows = BY.iter().filter_map(|by| context.get(by)).any(|by| !matches!(&by.value, Value::List(none) if none.is_empty()));
    if kind(socket) == "UpstreamTlsContext" && !shows {
        findings.add(socket, "S2", NAMELESS, "add common_tls_context.tls_certificates with a name of --grpc-tls-client-name");
    }
}

fn room(cluster: &Node, bounds: &[&str], findings: &mut Findings) {
    let usual = |one: &&Node| one.get("priority").is_none_or(|one| one.is_one(("DEFAULT", 0)));
    let thresholds = cluster.get("circuit_breakers.thresholds").and_then(|all| all.items().iter().find(usual));
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
