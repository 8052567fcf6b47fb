//! What an operator sets far from the filter that it undoes: routes, upgrades, the runtime, discovery, and other spellings of a field.

use super::{CONTRACT, ONE_HOP, OWN, broken};
use crate::check;

#[track_caller]
fn passes(text: &str, from: &str, to: &str) {
    assert!(text.contains(from), "nothing to change: {from}");
    let found: Vec<_> = check("mine.yaml", &text.replacen(from, to, 1)).unwrap().findings.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{from} -> {to}: {found:#?}");
}

#[test]
fn a_field_is_found_by_either_of_its_names() {
    for (from, to, rule, says) in [
        ("failure_mode_allow: false", "failureModeAllow: true", "S9", "ext_authz fails open"),
        ("failure_mode_deny: true", "failureModeDeny: false", "S9", "ratelimit fails open"),
        ("clear_route_cache: false", "clearRouteCache: true", "S1", "all three routing headers"),
        ("normalize_path: true", "normalizePath: false", "S6", "normalised"),
        ("- not_matcher:", "- andMatcher:", "S14", "another reason"),
    ] {
        broken(OWN, from, to, rule, says);
    }
    passes(OWN, "merge_slashes: true", "mergeSlashes: true");
    passes(OWN, "- not_matcher:", "- notMatcher:");
    passes(OWN, "          http_filters:  ", "          httpFilters:  ");
}

/// What is said of a filter on the first route.
fn on_route(filter: &str, of: &str, says: &str) -> String {
    format!(
        "prefix_rewrite: /v1, timeout: 60s }}\n                typed_per_filter_config: {{ envoy.filters.http.{filter}: {{ \"@type\": type.googleapis.com/envoy.{of}, {says} }} }}\n"
    )
}

#[test]
fn what_a_route_says_of_our_filters_is_found() {
    const FROM: &str = "prefix_rewrite: /v1, timeout: 60s }\n";
    const AUTHZ: &str = "extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute";
    const PROC: &str = "extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
    const LIMIT: &str = "extensions.filters.http.ratelimit.v3.RateLimitPerRoute";
    const OFF: &str = "config.route.v3.FilterConfig";
    for (filter, of, says, rule, named) in [
        ("ext_authz", AUTHZ, "disabled: true", "S9", "switched off"),
        ("ext_authz", OFF, "disabled: true", "S9", "switched off"),
        ("ratelimit", OFF, "disabled: true", "S9", "switched off"),
        ("ext_authz", AUTHZ, "check_settings: { grpc_service: { envoy_grpc: { cluster_name: mine } } }", "S15", "another service"),
        ("ext_authz", AUTHZ, "check_settings: { http_service: { path_prefix: / } }", "S15", "another service"),
        ("ext_authz", AUTHZ, "check_settings: { with_request_body: { max_request_bytes: 10 } }", "S14", "as text"),
        ("ext_proc", PROC, "disabled: true", "S9", "switched off"),
        ("ext_proc", PROC, "overrides: { failure_mode_allow: true }", "S9", "ext_proc fails open"),
        ("ext_proc", PROC, "overrides: { processing_mode: { request_header_mode: SKIP } }", "S14", "SKIP"),
        ("ext_proc", PROC, "overrides: { processing_mode: { response_body_mode: BUFFERED_PARTIAL } }", "S14", "in part"),
        ("ext_proc", PROC, "overrides: { grpc_service: { envoy_grpc: { cluster_name: mine } } }", "S14", "another service"),
        (
            "ext_proc",
            "extensions.common.matching.v3.ExtensionWithMatcherPerRoute",
            "xds_matcher: { on_no_match: { action: { name: skip } } }",
            "S14",
            "another reason",
        ),
        ("ratelimit", LIMIT, "domain: mine", "S15", "domain"),
        ("ratelimit", LIMIT, "rate_limits: [ { actions: [ { remote_address: {} } ] } ]", "S15", "not made of metadata"),
        (
            "header_mutation",
            "extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
            "mutations: { request_mutations: [ { remove: x-bulkhead-tenant } ] }",
            "S8",
            "behind ext-authz",
        ),
    ] {
        broken(OWN, FROM, &on_route(filter, of, says), rule, named);
    }
    // Another filter than ours may be off.
    passes(OWN, FROM, &on_route("local_ratelimit", OFF, "disabled: true"));
    for (to, rule, says) in [
        ("timeout: 60s, internal_redirect_policy: {} }", "S24", "redirect"),
        ("timeout: 60s }\n                request_headers_to_remove: [ X-Tenant-Id ]", "S8", "x-tenant-id"),
        (
            "timeout: 60s }\n                request_headers_to_add: [ { header: { key: x_bulkhead_tenant, value: \"%REQ(x-mine)%\" } } ]",
            "S8",
            "x-bulkhead-tenant",
        ),
    ] {
        broken(OWN, "timeout: 60s }", to, rule, says);
    }
}

#[test]
fn what_a_filter_says_beside_its_obvious_switches_is_found() {
    for (from, to, rule, says) in [
        ("failure_mode_allow: false", "allowed_headers: { patterns: [ { exact: x-api-key } ] }", "S8", "every header"),
        ("failure_mode_allow: false", "disallowed_headers: { patterns: [ { exact: authorization } ] }", "S8", "every header"),
        ("timeout: 0.25s\n", "timeout: 0.000s\n", "S9", "hung"),
        ("timeout: 0.25s\n", "timeout: 600s\n", "S9", "hung"),
        ("allow_expression: { regex: \"^(?:authorization|", "allow_expression: { regex: \"^(?:.*|authorization|", "S1", "a route matches"),
        (
            "envoy_grpc: { cluster_name: ext-authz }\n",
            "google_grpc: { target_uri: ext-authz.internal:9191, stat_prefix: a }\n",
            "S2",
            "clear text",
        ),
        (
            "envoy_grpc: { cluster_name: ext-authz }\n",
            "google_grpc: { target_uri: ext-authz.internal:9191, channel_credentials: { ssl_credentials: { root_certs: { filename: ca.pem } } } }\n",
            "S2",
            "without a client certificate",
        ),
        (
            "failure_mode_deny: true",
            "failure_mode_deny: true\n              failure_mode_deny_percent: { numerator: 1 }",
            "S9",
            "failure_mode_deny_percent",
        ),
        ("              - actions:\n", "              - disable_key: mine\n                actions:\n", "S9", "runtime key"),
        ("hits_addend: { format", "hits_addend: { is_negative_hits: true, format", "S9", "gives back"),
        ("message_timeout: 1s", "observability_mode: true", "S14", "passes raw"),
        ("message_timeout: 1s", "disable_immediate_response: true", "S14", "not carried out"),
        (
            "message_timeout: 1s",
            "forward_rules: { disallowed_headers: { patterns: [ { exact: content-encoding } ] } }",
            "S14",
            "every header",
        ),
        ("message_timeout: 1s", "http_service: { http_service: {} }", "S14", "over HTTP"),
        ("route_cache_action: RETAIN", "route_cache_action: CLEAR", "S1", "matched again"),
        ("request_header_mode: SEND", "request_header_mode: 2", "S14", "SKIP"),
        (
            "use_remote_address: true",
            "upgrade_configs: [ { upgrade_type: websocket, filters: [ { name: envoy.filters.http.router } ] } ]",
            "S9",
            "an upgrade",
        ),
        (
            "- name: envoy.filters.http.ext_authz\n",
            "- name: envoy.filters.http.ext_authz\n            is_optional: true\n",
            "S9",
            "goes on without it",
        ),
        (
            "max_connections: 1024, max_pending_requests",
            "priority: HIGH, max_connections: 1024, max_pending_requests",
            "S4",
            "max_requests",
        ),
    ] {
        broken(OWN, from, to, rule, says);
    }
    let staged = "failure_mode_deny: true\n              stage: 1\n";
    let moved = OWN.replacen("failure_mode_deny: true", staged, 1).replacen("              rate_limits:  ", "              unused:  ", 1);
    assert_ne!(moved, OWN);
    broken(
        &moved,
        "            virtual_hosts:\n",
        "            virtual_hosts:\n            - { name: x, domains: [x], rate_limits: [ { stage: 2, actions: [] } ] }\n",
        "S9",
        "another stage",
    );
    for layer in [
        "layered_runtime: { layers: [ { name: a, static_layer: { ratelimit.http_filter_enabled: 0 } } ] }\n",
        "layered_runtime: { layers: [ { name: a, static_layer: { ratelimit: { http_filter_enforcing: 10 } } } ] }\n",
    ] {
        broken(OWN, "static_resources:\n", &format!("{layer}static_resources:\n"), "S9", "the runtime switches");
    }
}

#[test]
fn a_denial_that_looks_like_a_success_is_found_of_each_of_ours() {
    const OURS: &str = "status_on_error: { code: ServiceUnavailable }";
    let filters: Vec<&str> = OWN.split_inclusive(OURS).collect();
    assert_eq!(filters.len(), 4, "ext_authz, ratelimit and ext_proc");
    for nth in 0..3 {
        for code in ["200", "204", "OK", "\"302\"", "SeeOther"] {
            let (before, after) = (filters[..=nth].concat(), filters[nth + 1..].concat());
            let before = before.strip_suffix(OURS).unwrap();
            let end = after.find('\n').unwrap();
            let mine = format!("{before}status_on_error: {{ code: {code} }}{}", &after[..end]);
            let found = check("mine.yaml", &format!("{mine}{}", &after[end..])).unwrap().findings;
            let line = u32::try_from(mine.lines().count()).unwrap();
            assert!(
                found.iter().any(|one| one.line == line && one.rule == "S9" && one.what.contains("for a success")),
                "{nth} {code}: {found:#?}"
            );
        }
    }
    broken(OWN, OURS, "statusOnError: { code: 200 }", "S9", "ext_authz a caller");
    passes(OWN, OURS, "status_on_error: { code: 403 }");
}

#[test]
fn tls_that_verifies_nobody_is_found() {
    let cluster = "  - name: ext-authz\n    type: STATIC\n";
    let over = |socket: &str| format!("{cluster}    transport_socket: {socket}\n");
    let tls = |context: &str| {
        over(&format!(
            "{{ name: tls, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext{context} }} }}"
        ))
    };
    broken(OWN, cluster, &tls(""), "S2", "not verified");
    broken(
        OWN,
        cluster,
        &tls(", common_tls_context: { validation_context: { trust_chain_verification: ACCEPT_UNTRUSTED } }"),
        "S2",
        "not verified",
    );
    let anyone = "validation_context: { trusted_ca: { filename: ca.pem } }";
    broken(OWN, cluster, &tls(&format!(", common_tls_context: {{ {anyone} }}")), "S2", "any certificate of this authority");
    let verified = "validation_context: { trusted_ca: { filename: ca.pem }, match_typed_subject_alt_names: [ { san_type: DNS, matcher: { exact: ext-authz } } ] }";
    broken(OWN, cluster, &tls(&format!(", common_tls_context: {{ {verified} }}")), "S2", "without a client certificate");
    broken(
        OWN,
        cluster,
        &tls(&format!(", common_tls_context: {{ {verified}, tls_certificates: [] }}")),
        "S2",
        "without a client certificate",
    );
    for own in
        ["tls_certificates: [ { certificate_chain: { filename: c.pem } } ]", "tls_certificate_sds_secret_configs: [ { name: envoy } ]"]
    {
        passes(OWN, cluster, &tls(&format!(", common_tls_context: {{ {verified}, {own} }}")));
        passes(OWN, cluster, &tls(&format!(", auto_sni_san_validation: true, common_tls_context: {{ {anyone}, {own} }}")));
    }
    let raw = OWN.replacen(cluster, &over("{ name: envoy.transport_sockets.raw_buffer }"), 1);
    broken(&raw, "address: 127.0.0.1, port_value: 9191", "address: 10.0.0.7, port_value: 9191", "S2", "clear text");
}

#[test]
fn a_filter_that_comes_by_discovery_is_judged_by_its_type_and_named_where_it_is_ours() {
    let discovered = |name: &str, of: &str| {
        format!(
            "          - name: {name}\n            config_discovery: {{ config_source: {{ ads: {{}} }}, type_urls: [ type.googleapis.com/envoy.{of} ] }}\n"
        )
    };
    let limit = "          - name: envoy.filters.http.ratelimit\n";
    let lua = discovered("envoy.filters.http.cors", "extensions.filters.http.lua.v3.Lua");
    broken(OWN, limit, &format!("{lua}{limit}"), "S7", "Lua");
    passes(OWN, limit, &format!("{}{limit}", discovered("mine", "extensions.filters.http.cors.v3.Cors")));
    let ours = discovered("envoy.filters.http.ratelimit", "extensions.filters.http.ratelimit.v3.RateLimit");
    broken(OWN, limit, &format!("{ours}          - name: envoy.filters.http.buffer\n"), "S9", "from elsewhere");
    // What stands in its place until it comes is as good as what comes.
    let (of, stands_in) = ("extensions.filters.http.ratelimit.v3.RateLimit", "default_config: { domain: mine }");
    let until = discovered("mine", of).replace("type_urls:", &format!("{stands_in}, type_urls:"));
    broken(OWN, limit, &format!("{until}          - name: envoy.filters.http.buffer\n"), "S9", "ratelimit fails open");
    broken(OWN, limit, &format!("{until}          - name: envoy.filters.http.buffer\n"), "S15", "the domain is not ours");
    let cors = discovered("mine", "extensions.filters.http.cors.v3.Cors");
    let lua = "default_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua }, type_urls:";
    broken(OWN, limit, &format!("{}{limit}", cors.replace("type_urls:", lua)), "S7", "Lua");
}

#[test]
fn what_the_chain_has_off_must_be_on_for_each_route_that_forwards() {
    let off = "- name: envoy.filters.http.ext_authz\n            disabled: true\n";
    let chain = ONE_HOP.replacen("- name: envoy.filters.http.ext_authz\n", off, 1);
    // One hop names ext_authz for all routes, which switches it on.
    let found: Vec<_> = check("mine.yaml", &chain).unwrap().findings.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{found:#?}");
    let one = OWN.replacen("- name: envoy.filters.http.ext_authz\n", off, 1);
    let found = check("mine.yaml", &one).unwrap().findings;
    let routes: Vec<_> =
        found.iter().filter(|finding| finding.what.contains("does not switch it on")).map(|finding| finding.line).collect();
    let first = OWN.lines().position(|line| line.contains("/acme/billing-api }")).unwrap();
    assert_eq!(routes, [u32::try_from(first).unwrap() + 1], "the first; the other two switch it on: {found:#?}");
}

#[test]
fn filters_of_a_cluster_are_no_chain() {
    let options = "explicit_http_config: { http2_protocol_options: {} }, http_filters: [ { name: envoy.filters.http.upstream_codec } ]";
    let cluster = format!(
        "  clusters:\n  - name: other\n    typed_extension_protocol_options: {{ x: {{ \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, {options} }} }}\n"
    );
    passes(OWN, "  clusters:\n", &cluster);
    passes(CONTRACT, "  clusters:\n", &cluster);
}

#[test]
fn routes_that_come_from_elsewhere_are_said_to_be_missing() {
    let checked = check("mine.yaml", &CONTRACT.replacen("route_config:", "rds:", 1)).unwrap();
    assert!(checked.unjudged.iter().any(|one| one.kind.contains("RDS")), "{checked:?}");
    assert!(check("mine.yaml", CONTRACT).unwrap().unjudged.is_empty());
}

#[test]
fn what_an_envoy_dumps_apart_is_put_together() {
    // Routes by RDS, as they are dumped beside the listeners.
    let apart = |text: &str, name: &str| {
        let (own, rds) = ("          route_config:\n", format!("          rds: {{ route_config_name: {name} }}\n"));
        assert!(text.contains(own));
        let (before, after) = text.split_once(own).unwrap();
        let end = after.find("          http_filters:").unwrap();
        let routes = after[..end]
            .lines()
            .map(|line| line.strip_prefix("          ").unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        format!("dynamicRouteConfigs:\n- routeConfig:\n{routes}{before}{rds}{}", &after[end..])
    };
    let name = |text: &str| text.split_once("route_config:\n            name: ").unwrap().1.lines().next().unwrap().trim().to_owned();
    for text in [OWN, ONE_HOP, CONTRACT] {
        let dumped = apart(text, &name(text));
        let checked = check("dump.yaml", &dumped).unwrap();
        assert!(checked.findings.is_empty() && checked.unjudged.is_empty(), "{checked:#?}");
    }
    broken(&apart(OWN, &name(OWN)), "timeout: 60s }", "timeout: 60s, internal_redirect_policy: {} }", "S24", "redirect");
    let checked = check("dump.yaml", &apart(OWN, "another")).unwrap();
    assert!(checked.unjudged.iter().any(|one| one.kind.contains("RDS")));

    // A cluster for itself; and what is not in force any more.
    let cluster = "dynamic_active_clusters: [ { cluster: { name: ext-authz, type: EDS } } ]\nstatic_resources:\n";
    broken(OWN, "static_resources:\n", cluster, "S4", "max_requests");
    let old = "dynamic_listeners: [ { draining_state: { listener: { http_filters: [] } }, error_state: { failed_configuration: { http_filters: [] } } } ]\nstatic_resources:\n";
    passes(OWN, "static_resources:\n", old);

    // What Envoy started with: its listeners are dumped apart, its runtime is not.
    let dumped = "\
dumps:
- \"@type\": type.googleapis.com/envoy.admin.v3.BootstrapConfigDump
  bootstrap: { static_resources: { listeners: [ { http_filters: [] } ] }, layered_runtime: { layers: [ { name: own, static_layer: { ratelimit.http_filter_enabled: 100 } } ] } }
- { \"@type\": type.googleapis.com/envoy.admin.v3.ListenersConfigDump }
static_resources:
";
    passes(OWN, "static_resources:\n", dumped);
    broken(OWN, "static_resources:\n", &dumped.replace(": 100", ": 0"), "S9", "the runtime switches ratelimit off");

    // A filter by ECDS.
    let filter = "          - name: envoy.filters.http.ext_proc  ";
    let (before, after) = OWN.split_once(filter).unwrap();
    let (line, rest) = after.split_once('\n').unwrap();
    let end = rest.find("          - name: envoy.filters.http.router").unwrap();
    let config: String = rest[..end].lines().map(|line| format!("{}\n", line.strip_prefix("        ").unwrap_or(line))).collect();
    let discovery = "            config_discovery: { config_source: { ads: {} }, type_urls: [ type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher ] }\n";
    let dumped = format!(
        "ecds_filters:\n- ecds_filter:\n    name: envoy.filters.http.ext_proc\n{config}{before}{filter}{line}\n{discovery}{}",
        &rest[end..]
    );
    let checked = check("dump.yaml", &dumped).unwrap();
    assert!(checked.findings.is_empty(), "{checked:#?}");
    broken(&dumped, "message_timeout: 1s", "observability_mode: true", "S14", "passes raw");
}
