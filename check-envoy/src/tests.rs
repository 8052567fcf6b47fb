//! The shipped files pass; each rule is broken once, and found at its line.

use super::{Finding, check};

mod around;
mod elsewhere;
mod spellings;

const OWN: &str = include_str!("../../envoy/envoy.yaml");
const ONE_HOP: &str = include_str!("../../envoy/one-hop.yaml");
const CONTRACT_ONE_HOP: &str = include_str!("../../envoy/contract-one-hop.yaml");
const CONTRACT: &str = include_str!("../../envoy/contract-routing.yaml");

#[test]
fn the_shipped_files_pass() {
    for (name, text) in
        [("envoy.yaml", OWN), ("one-hop.yaml", ONE_HOP), ("contract-routing.yaml", CONTRACT), ("contract-one-hop.yaml", CONTRACT_ONE_HOP)]
    {
        let found: Vec<_> = check(name, text).unwrap().findings.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
}

/// A shipped file with one text replaced, the rule that this breaks, and what is said of it.
#[track_caller]
pub(crate) fn broken(text: &str, from: &str, to: &str, rule: &str, says: &str) -> Finding {
    assert!(text.contains(from), "nothing to break: {from}");
    let changed = text.replacen(from, to, 1);
    let found = check("mine.yaml", &changed).unwrap().findings;
    let hit = found.iter().find(|finding| finding.rule == rule && finding.what.contains(says));
    let hit = hit.unwrap_or_else(|| panic!("{rule} {says:?} is not found: {found:#?}"));
    assert!(hit.line > 0 && !hit.mend.is_empty(), "{hit}");
    hit.clone()
}

#[test]
fn every_rule_is_found_broken_in_the_users_own_routes() {
    let filter = |name: &str| format!("          - name: envoy.filters.http.{name}\n");
    let lua =
        "          - name: mine\n            typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua }\n";
    let second = "          - name: again\n            typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz }\n";
    let set = "          - name: set\n            typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config }\n";
    let before = |name: &str, what: &str| (filter(name), format!("{what}{}", filter(name)));
    for (from, to, rule, says) in [
        // The connection manager.
        ("normalize_path: true", "normalize_path: false", "S6", "normalised"),
        ("merge_slashes: true", "merge_slashes: false", "S6", "merged"),
        ("path_with_escaped_slashes_action: REJECT_REQUEST", "path_with_escaped_slashes_action: KEEP_UNCHANGED", "S6", "escaped"),
        ("use_remote_address: true", "use_remote_address: false", "S5", "address"),
        ("headers_with_underscores_action: REJECT_REQUEST, ", "", "S8", "underscores"),
        ("early_header_mutation_extensions:", "nothing_like_it:", "S8", "before routes are matched"),
        ("prefix: \"x-bulkhead-\", ignore_case: true", "prefix: \"x-bulkhead-tenant\", ignore_case: true", "S8", "begin with"),
        ("prefix: \"x-bulkhead-\", ignore_case: true", "prefix: \"x-bulkhead-\"", "S8", "begin with"),
        ("- remove: x-tenant-id", "- remove: x-other", "S8", "x-tenant-id"),
        ("- remove: x-subscription-id", "- remove: bulkhead-hop", "S24", "loop"),
        // What it may hold.
        ("overload_manager:", "nothing_like_it:", "S4", "nothing watches the heap"),
        ("fixed_heap.v3.FixedHeapConfig", "injected_resource.v3.InjectedResourceConfig", "S4", "nothing watches the heap"),
        (
            "envoy.overload_actions.reset_high_memory_stream",
            "envoy.overload_actions.disable_http_keepalive",
            "S4",
            "no stream that holds much",
        ),
        (
            "stream, triggers: [ { name: envoy.resource_monitors.fixed_heap",
            "stream, triggers: [ { name: other",
            "S4",
            "no stream that holds much",
        ),
        ("buffer_factory_config:", "nothing_like_it:", "S4", "not tracked"),
        ("minimum_account_to_track_power_of_two: 12", "minimum_account_to_track_power_of_two: 20", "S4", "more than a body"),
        // ext_authz.
        ("failure_mode_allow: false", "failure_mode_allow: true", "S9", "fails open"),
        ("failure_mode_allow: false", "shadow_mode: true", "S9", "shadow_mode"),
        ("failure_mode_allow: false", "filter_enabled: { default_value: { numerator: 50 } }", "S9", "filter_enabled"),
        ("timeout: 0.25s\n", "timeout: 0s\n", "S9", "hung"),
        ("connect-failure,refused-stream,reset-before-request", "5xx", "S24", "judged already"),
        ("disallow_all: true", "disallow_all: false", "S1", "a route matches"),
        ("clear_route_cache: false", "clear_route_cache: true", "S1", "all three routing headers"),
        ("check_settings: { context_extensions: { tenant: acme, api: billing-api } }", "disabled: true", "S9", "switched off"),
        ("pack_as_bytes: true", "pack_as_bytes: false", "S14", "as text"),
        ("max_request_bytes: 1000000, ", "", "S14", "no bound"),
        // ratelimit.
        ("failure_mode_deny: true", "failure_mode_deny: false", "S9", "ratelimit fails open"),
        ("failure_mode_deny: true", "failure_mode_deny: true\n              request_type: external", "S9", "other kind"),
        ("              - actions:\n", "              - apply_on_stream_done: true\n                actions:\n", "S9", "when all is over"),
        ("failure_mode_deny: true ", "stage: 0 ", "S9", "ratelimit fails open"),
        ("timeout: 0.1s", "timeout: 0s", "S9", "ratelimit may take"),
        ("domain: bulkhead", "domain: mine", "S15", "domain"),
        ("{ cluster_name: ratelimit } }", "{ cluster_name: ratelimit }, retry_policy: { num_retries: 1 } }", "S24", "charges twice"),
        ("rate_limits:", "rate_limit_list:", "S15", "never asked"),
        (", default_value: __unresolved__", "", "S15", "default_value"),
        ("path: [ { key: tenant } ]", "path: [ { key: subject } ]", "S15", "`tenant`"),
        (
            "metadata_key: { key: envoy.filters.http.ext_authz, path: [ { key: api }",
            "metadata_key: { key: mine, path: [ { key: api }",
            "S15",
            "other metadata",
        ),
        (
            "- metadata: { descriptor_key: tenant, source: DYNAMIC",
            "- request_headers: { header_name: x-tenant-id }\n                - metadata: { descriptor_key: tenant, source: DYNAMIC",
            "S15",
            "not made of metadata",
        ),
        ("hits_addend:", "hits:", "S15", "cost"),
        // The chain and the clusters.
        (
            "- name: envoy.filters.http.ext_authz\n",
            "- name: envoy.filters.http.ext_authz\n            disabled: true\n",
            "S9",
            "does not switch it on",
        ),
        ("request_trailers_mutations:", "response_mutations:", "S15", "trailers"),
        (
            "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz\n",
            "envoy.extensions.filters.http.buffer.v3.Buffer\n",
            "S15",
            "ext_authz does not stand",
        ),
        (
            "envoy.extensions.filters.http.ratelimit.v3.RateLimit\n",
            "envoy.extensions.filters.http.buffer.v3.Buffer\n",
            "S15",
            "ratelimit does not stand",
        ),
        ("max_pending_requests: 100000, max_requests: 100000", "max_pending_requests: 100000", "S4", "max_requests"),
        ("address: 127.0.0.1, port_value: 9191", "address: 10.0.0.7, port_value: 9191", "S2", "clear text"),
        ("address: 127.0.0.1, port_value: 8081", "address: ratelimit.internal, port_value: 8081", "S2", "clear text"),
    ] {
        broken(OWN, from, to, rule, says);
    }
    for (what, rule, says) in [(lua, "S7", "Lua"), (second, "S7", "ExtAuthz"), (set, "S7", "may change the tenant")] {
        let (from, to) = before("ratelimit", what);
        broken(OWN, &from, &to, rule, says);
    }
    let (from, to) = before("ext_authz", lua);
    broken(OWN, &from, &to, "S15", "Lua");
    let (from, to) = before(
        "ratelimit",
        "          - name: envoy.filters.http.ext_proc\n            typed_config: { failure_mode_allow: true, processing_mode: { request_header_mode: SKIP, request_body_mode: BUFFERED_PARTIAL } }\n",
    );
    for (rule, says) in [("S15", "another order"), ("S9", "ext_proc fails open"), ("S14", "SKIP"), ("S14", "in part")] {
        broken(OWN, &from, &to, rule, says);
    }
}

#[test]
fn ext_proc_is_passed_by_for_ext_authzs_word_alone() {
    for (from, to) in [
        ("exact: none", "exact: read"),
        ("exact: none", "prefix: \"\""),
        ("exact: none", "exact: none, ignore_case: true"),
        ("{ string_match: { exact: none } }", "{ present_match: true }"),
        ("{ string_match: { exact: none } } }", "{ string_match: { exact: none } }, invert: true }"),
        ("- not_matcher:", "- and_matcher:"),
        ("{ present_match: true }", "{ string_match: { exact: none } }"),
        ("path: [ { key: process } ]", "path: [ { key: tenant } ]"),
        ("filter: envoy.filters.http.ext_authz, path: [ { key: process } ]", "filter: mine, path: [ { key: process } ]"),
        (
            "                      or_matcher:\n                        predicate:\n",
            "                      not_matcher:\n                        predicate:\n",
        ),
        (
            "              xds_matcher:\n",
            "              xds_matcher:\n                on_no_match: { action: { name: skip, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter } } }\n",
        ),
    ] {
        broken(OWN, from, to, "S14", "another reason");
    }
}

#[test]
fn a_key_that_is_there_twice_is_found() {
    let twice = "failure_mode_allow: false\n              failure_mode_allow: true";
    broken(OWN, "failure_mode_allow: false", twice, "S9", "`failure_mode_allow` is there twice");
}

#[test]
fn a_chain_without_ratelimit_says_on_every_route_that_check_charges_the_limits() {
    let says = "ratelimit does not stand";
    for (from, to) in [
        ("bulkhead.limits: \"on\"", "bulkhead.limits: \"off\""),
        ("bulkhead.limits: \"on\"", "bulkhead.limit: \"on\""),
        ("              envoy.filters.http.ext_authz:\n", "              ext_authz:\n"),
        ("- name: envoy.filters.http.ext_authz\n", "- name: mine\n"),
        ("route_config:", "rds:"),
    ] {
        broken(ONE_HOP, from, to, "S15", says);
    }
    // Said of a virtual host, it must be said of each.
    let said = "            typed_per_filter_config: { envoy.filters.http.ext_authz: { check_settings: { context_extensions: { bulkhead.limits: \"on\" } } } }\n";
    let hosts = "            virtual_hosts:\n            - name: all\n              domains: [\"*\"]\n";
    let host = |name: &str| format!("            - name: {name}\n              domains: [\"{name}.example.com\"]\n");
    let unsaid = ONE_HOP.replacen("bulkhead.limits: \"on\"", "", 1);
    assert!(unsaid.contains(hosts));
    let passes = unsaid.replacen(hosts, &format!("{hosts}  {said}"), 1);
    let found: Vec<_> = check("mine.yaml", &passes).unwrap().findings.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{found:#?}");
    let other = format!("            virtual_hosts:\n{}              routes: []\n            - name: all\n", host("other"));
    broken(&passes, "            virtual_hosts:\n            - name: all\n", &other, "S15", says);
}

#[test]
fn every_rule_is_found_broken_in_contract_routing() {
    for (from, to, rule, says) in [
        ("save_upstream_address: true", "save_upstream_address: false", "S3", "not kept"),
        ("address_prefix: 127.0.0.0", "address_prefix: 10.0.0.0", "S3", "this machine"),
        (
            "allow_dynamic_host_from_filter_state: true",
            "allow_dynamic_host_from_filter_state: false",
            "S3",
            "resolves the contracts' hosts itself",
        ),
        ("%REQ(x-bulkhead-address)%", "%REQ(x-bulkhead-upstream)%", "S3", "resolves the contracts' hosts itself"),
        ("object_key: envoy.upstream.dynamic_host", "object_key: mine", "S3", "resolves the contracts' hosts itself"),
        ("address_prefix: 169.254.0.0", "address_prefix: 10.0.0.0", "S3", "169.254.0.0/16"),
        ("address_prefix: 169.254.0.0, prefix_len: 16", "address_prefix: 169.254.0.0, prefix_len: 32", "S3", "169.254.0.0/16"),
        ("address_prefix: \"2002::\", prefix_len: 16", "address_prefix: \"2002::\", prefix_len: 128", "S3", "2002::/16"),
        (
            "address_prefix: 127.0.0.0, prefix_len: 8 }",
            "address_prefix: 127.0.0.0, prefix_len: 8 }, upstream_port_range: { start: 80, end: 81 }",
            "S3",
            "127.0.0.0/8",
        ),
        ("principals: [ { any: true } ]", "principals: [ { url_path: { path: { prefix: /a } } } ]", "S3", "127.0.0.0/8"),
        ("principals: [ { any: true } ]", "principals: [ { any: true } ]\n                    condition: {}", "S3", "127.0.0.0/8"),
        ("address: 127.0.0.1, port_value: 9191", "address: 10.0.0.7, port_value: 9191", "S3", "10.0.0.7"),
        ("action: DENY", "action: LOG", "S3", "this machine"),
        ("save_upstream_address: true", "save_upstream_address: true\n              sub_clusters_config: {}", "S3", "switches the check"),
        (", { name: x-bulkhead-address, present_match: true }", "", "S1", "all three routing headers"),
        (", { name: x-bulkhead-upstream, present_match: true }", "", "S1", "all three routing headers"),
        (
            "              - match: { prefix: \"/\" }\n",
            "              - { match: { prefix: /x }, route: { cluster: theirs } }\n              - match: { prefix: \"/\" }\n",
            "S1",
            "all three routing headers",
        ),
        ("per_host_thresholds: [ { max_connections: 128 } ]", "track_remaining: true", "S4", "bound of its own"),
        ("max_hosts: 100000", "max_hosts: 1024", "S4", "1024 hosts"),
        ("max_connections: 1000000, ", "", "S4", "max_connections"),
    ] {
        broken(CONTRACT, from, to, rule, says);
    }
}

#[test]
fn a_fragment_and_json_are_read_too_and_what_is_neither_is_an_error() {
    let fragment = "http_filters:\n- name: envoy.filters.http.router\n";
    assert!(check("fragment.yaml", fragment).unwrap().findings.iter().any(|finding| finding.rule == "S15" && finding.line == 2));
    let json = "{\n\t\"http_filters\": [\n\t\t{ \"name\": \"envoy.filters.http.router\" }\n\t]\n}";
    assert!(check("fragment.json", json).unwrap().findings.iter().any(|finding| finding.rule == "S15" && finding.line > 1));
    for nothing in ["", "a: 1", "[", "http_filters"] {
        assert!(check("no.yaml", nothing).is_err(), "{nothing:?}");
    }
}

#[test]
fn a_guard_that_a_route_switches_off_or_that_stands_in_the_wrong_place_is_found() {
    let routes = "                typed_per_filter_config:\n                  envoy.filters.http.dynamic_forward_proxy:\n";
    let of =
        |filter: &str, config: &str| routes.replacen(":\n", &format!(":\n                  envoy.filters.http.{filter}: {config}\n"), 1);
    let off = "{ \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true }";
    let replaced = "{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute }";
    for (filter, config) in
        [("rbac", replaced), ("rbac", off), ("set_filter_state", off), ("set_filter_state", "{ on_request_headers: [] }")]
    {
        broken(CONTRACT, routes, &of(filter, config), "S3", "a route sets envoy.filters.http");
    }
    let host = "              domains: [\"*\"]\n";
    let everywhere = format!("{host}              typed_per_filter_config: {{ envoy.filters.http.rbac: {replaced} }}\n");
    broken(CONTRACT, host, &everywhere, "S3", "envoy.filters.http.rbac");

    // What is told before ext-authz was asked is a client's.
    let place = |name: &str| CONTRACT.find(&format!("          - name: envoy.filters.http.{name}")).unwrap();
    let (judge, pin, proxy) = (place("ext_authz"), place("set_filter_state"), place("dynamic_forward_proxy"));
    let moved = [&CONTRACT[..judge], &CONTRACT[pin..proxy], &CONTRACT[judge..pin], &CONTRACT[proxy..]].concat();
    let found = check("mine.yaml", &moved).unwrap().findings;
    assert!(found.iter().any(|finding| finding.what.contains("resolves the contracts' hosts itself")), "{found:#?}");
}
