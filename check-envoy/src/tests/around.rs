//! What stands around our filters and undoes them: their clusters, other writers, answers, the runtime.

use super::{CONTRACT, OWN, broken};

const HTTP: &str = "type.googleapis.com/envoy.extensions.filters.http.";

fn behind(text: &str, last: &str, filter: &str) -> String {
    let at = format!("          - name: envoy.filters.http.{last}\n");
    assert!(text.contains(&at), "{last}");
    text.replacen(&at, &format!("          - {filter}\n{at}"), 1)
}

#[test]
fn bodies_that_are_not_shown_are_told() {
    let said = "check_settings: { context_extensions: { tenant: acme, api: billing-api } }";
    for told in ["", "bulkhead.body: \"on\", "] {
        let hidden = format!(
            "check_settings: {{ disable_request_body_buffering: true, context_extensions: {{ {told}tenant: acme, api: billing-api }} }}"
        );
        broken(OWN, said, &hidden, "S14", "not told");
    }
}

#[test]
fn one_question_is_asked_and_charged_once() {
    let filter = |name: &str, of: &str| {
        let domain = if name == "ratelimit" { ", domain: bulkhead" } else { "" };
        format!("{{ name: again, typed_config: {{ \"@type\": {HTTP}{name}.v3.{of}{domain} }} }}")
    };
    for (name, of) in [("ratelimit", "RateLimit"), ("ext_authz", "ExtAuthz")] {
        let twice = behind(OWN, "router", &filter(name, of));
        broken(&twice, "normalize_path", "normalize_path", "S24", "a second");
    }
    let limits = "              rate_limits:";
    let spelled = OWN.lines().skip_while(|line| !line.starts_with(limits)).skip(1).take(5).map(|line| format!("{line}\n"));
    let list = spelled.collect::<String>();
    broken(OWN, &list, &format!("{list}{list}"), "S24", "a second limit");
    let tenant = list.lines().nth(1).unwrap();
    broken(OWN, tenant, &format!("{tenant}\n{}", tenant.replace("key: tenant }", "key: subject }")), "S15", "there twice");
    broken(OWN, "default_value: __unresolved__", "default_value: acme", "S15", "a tenant's own");
    broken(
        OWN,
        "rate_limits:  ",
        "enable_x_ratelimit_headers: DRAFT_VERSION_03\n              rate_limits:  ",
        "S22",
        "beside ratelimit's",
    );
    let cluster = "{ cluster_name: ext-authz }";
    let told = format!("{cluster}, initial_metadata: [ {{ key: x-envoy-max-retries, value: \"3\" }} ]");
    broken(OWN, &format!("{{ envoy_grpc: {cluster} }}"), &format!("{{ envoy_grpc: {told} }}"), "S24", "x-envoy-max-retries");
    for field in ["retry_policy: { retry_on: 5xx }", "request_mirror_policies: [ { cluster: ratelimit } ]"] {
        broken(OWN, "  - name: ratelimit\n", &format!("  - name: ratelimit\n    {field}\n"), "S24", "asked again");
    }
}

#[test]
fn nobody_else_writes_what_ext_authz_wrote() {
    let jwt = |said: &str| {
        format!("{{ name: jwt, typed_config: {{ \"@type\": {HTTP}jwt_authn.v3.JwtAuthentication, providers: {{ p: {{ {said} }} }} }} }}")
    };
    for (said, rule, says) in [
        ("claim_to_headers: [ { header_name: x-bulkhead-tenant, claim_name: t } ]", "S8", "x-bulkhead-tenant"),
        ("forward_payload_header: x-tenant-id", "S8", "x-tenant-id"),
        ("clear_route_cache: true", "S1", "matched again"),
    ] {
        broken(&behind(OWN, "router", &jwt(said)), "normalize_path", "normalize_path", rule, says);
    }
    for matcher in
        ["prefix: x-bulk", "suffix: -subject", "contains: tenant-i", "safe_regex: { regex: \"x.*\" }", "exact: bulkhead-hop", "custom: {}"]
    {
        let mutation = format!(
            "{{ name: mine, typed_config: {{ \"@type\": {HTTP}header_mutation.v3.HeaderMutation, mutations: {{ request_mutations: [ {{ remove_on_match: {{ key_matcher: {{ {matcher} }} }} }} ] }} }} }}"
        );
        broken(&behind(OWN, "router", &mutation), "normalize_path", "normalize_path", "S8", "removed behind");
    }
    let address = "object_key: envoy.upstream.dynamic_host";
    let line = CONTRACT.lines().find(|line| line.contains(address)).unwrap();
    for (from, to) in [("x-bulkhead-address", "x-mine"), ("dynamic_host", "dynamic_port")] {
        broken(CONTRACT, line, &format!("{line}\n{}", line.replace(from, to)), "S3", "another address");
    }
    broken(OWN, "route: { cluster: acme-billing", "route: { cluster_header: x-mine", "S1", "a header chooses");
}

#[test]
fn headers_that_must_be_there_are() {
    let there = "name: x-bulkhead-address, present_match: true";
    for other in
        ["present_match: false", "present_match: true, invert_match: true", "present_match: true, treat_missing_header_as_empty: true"]
    {
        broken(CONTRACT, there, &format!("name: x-bulkhead-address, {other}"), "S1", "all three routing headers");
    }
}

#[test]
fn the_names_of_ours_are_taken_out_of_trailers_everywhere() {
    let filter = "          - name: envoy.filters.http.header_mutation";
    broken(OWN, filter, "          - disabled: true\n            name: envoy.filters.http.header_mutation", "S15", "trailers");
    let trailers = "request_trailers_mutations:\n                - remove_on_match: { key_matcher: { safe_regex: { regex: \"x[-._]bulkhead[-._].*\" } } }";
    let appends = "request_trailers_mutations:\n                - append: { header: { key: x-bulkhead-tenant, value: a } }";
    broken(OWN, trailers, appends, "S15", "trailers");
    let off = "route_config:\n            typed_per_filter_config: { envoy.filters.http.header_mutation: { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } }";
    broken(OWN, "route_config:", off, "S8", "is switched off");
}

#[test]
fn what_callers_are_told_is_what_was_decided() {
    let replies = "local_reply_config: { mappers: [ { filter: { status_code_filter: { comparison: { op: GE, value: { default_value: 400, runtime_key: x } } } }, status_code: 200 } ] }";
    broken(OWN, "normalize_path: true", &format!("normalize_path: true\n          {replies}"), "S9", "as a success");
    broken(OWN, "response_mutations:", "query_parameter_mutations:", "S8", "comes back");
}

#[test]
fn a_service_of_ours_is_reached_as_its_innermost_socket_says() {
    let address = "address: 127.0.0.1, port_value: 8081";
    assert!(OWN.contains(address), "{address}");
    let far = OWN.replace(address, "address: 10.0.0.9, port_value: 8081");
    let raw = "{ name: raw, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer } }";
    let bare = "{ name: tls, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: a } }";
    let inside = |socket: &str| {
        format!(
            "    transport_socket: {{ name: tap, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tap.v3.Tap, transport_socket: {socket} }} }}\n"
        )
    };
    let ours = "  - name: ratelimit\n";
    let wrapped = |socket: &str| far.replacen(ours, &format!("{ours}{}", inside(socket)), 1);
    broken(&wrapped(raw), "normalize_path", "normalize_path", "S2", "clear text");
    broken(&wrapped(bare), "normalize_path", "normalize_path", "S2", "not verified");
    let beside = far.replacen(
        ours,
        &format!(
            "{ours}    transport_socket: {bare}\n    transport_socket_matches: [ {{ name: x, match: {{}}, transport_socket: {raw} }} ]\n"
        ),
        1,
    );
    broken(&beside, "normalize_path", "normalize_path", "S2", "clear text");
    let made = far.replacen(
        ours,
        "  - name: ratelimit\n    cluster_type: { name: envoy.clusters.aggregate, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [ others ] } }\n  - name: others\n",
        1,
    );
    broken(&made, "normalize_path", "normalize_path", "S2", "clear text");
}

#[test]
fn what_strangers_make_envoy_hold_is_bounded_wherever_it_is_held() {
    let unbounded = OWN.replace("overload_manager:", "nothing_like_it:").replace("with_request_body:", "nothing_like_it:");
    let buffer = behind(
        &unbounded,
        "router",
        &format!("{{ name: hold, typed_config: {{ \"@type\": {HTTP}buffer.v3.Buffer, max_request_bytes: 1000 }} }}"),
    );
    broken(&buffer, "normalize_path", "normalize_path", "S4", "nothing watches the heap");
    let said = "check_settings: { context_extensions";
    let route = "check_settings: { with_request_body: { max_request_bytes: 1000, pack_as_bytes: true }, context_extensions";
    broken(&unbounded, said, route, "S4", "nothing watches the heap");
}

#[test]
fn the_runtime_lets_no_escaped_slash_pass() {
    let layer = "layered_runtime: { layers: [ { name: a, static_layer: { http_connection_manager.path_with_escaped_slashes_action_enabled: { numerator: 0 } } } ] }\n";
    broken(OWN, "static_resources:", &format!("{layer}static_resources:"), "S6", "escaped slashes");
}
