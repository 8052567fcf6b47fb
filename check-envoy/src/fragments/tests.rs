//! Objects as they should be pass, with a word on what is not in them; each rule is broken once, and found at its line.

use crate::check;

const ISTIO: &str = include_str!("fixtures/istio.yaml");
const GATEWAY: &str = include_str!("fixtures/envoy-gateway.yaml");

#[test]
fn objects_as_they_should_be_pass_and_what_they_do_not_say_is_said() {
    for (text, kinds) in [
        (ISTIO, &["ConfigMap", "EnvoyFilter"][..]),
        (
            GATEWAY,
            &["SecurityPolicy", "ClientTrafficPolicy", "EnvoyExtensionPolicy", "EnvoyProxy", "EnvoyPatchPolicy", "BackendTrafficPolicy"],
        ),
    ] {
        let checked = check("objects.yaml", text).unwrap();
        assert!(checked.findings.is_empty(), "{:#?}", checked.findings);
        assert_eq!(checked.unjudged.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(), kinds);
    }
    let others = "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: ConfigMap\ndata: { mesh: 'a: 1', x: y }\n";
    assert!(check("others.yaml", others).is_err(), "nothing in it shapes an Envoy");
}

/// A fixture with one text replaced: the rule that this breaks is found, at the line of the change or, where something is missing, of what holds it.
#[track_caller]
fn broken(text: &str, from: &str, to: &str, rule: &str, says: &str) {
    let hit = crate::tests::broken(text, from, to, rule, says);
    let at = |text: &str| u32::try_from(text.matches('\n').count()).unwrap() + 1;
    let from = at(&text[..text.find(from).unwrap()]);
    assert!(hit.line.abs_diff(from) <= 12, "at {from}: {hit}");
}

#[test]
fn every_rule_is_found_broken_in_objects_of_istio() {
    for (from, to, rule, says) in [
        ("failOpen: false", "failOpen: true", "S9", "ext_authz fails open"),
        ("        timeout: 0.25s\n", "", "S9", "600 s"),
        ("clearRouteCache: false", "clearRouteCache: true", "S1", "not in this file"),
        (", packAsBytes: true", "", "S14", "as text"),
        ("maxRequestBytes: 1000000", "maxRequestBytes: 100000000", "S14", "no bound"),
        ("failure_mode_deny: true", "failure_mode_deny: false", "S9", "ratelimit fails open"),
        ("timeout: 0.1s", "timeout: 0s", "S9", "ratelimit may take"),
        ("domain: bulkhead", "domain: mine", "S15", "domain"),
        (", default_value: __unresolved__", "", "S15", "default_value"),
        ("hits_addend:", "hits:", "S15", "cost"),
        ("authority: ratelimit } }", "authority: ratelimit }, retry_policy: {} }", "S24", "charges twice"),
        ("operation: INSERT_BEFORE", "operation: INSERT_FIRST", "S15", "stands before it"),
        ("envoy.extensions.filters.http.ratelimit.v3.RateLimit", "envoy.extensions.filters.http.lua.v3.Lua", "S7", "Lua"),
        ("failOpen: false\n", "failOpen: false\n        statusOnError: \"200\"\n", "S9", "for a success"),
        ("failOpen: false\n", "failOpen: false\n        failOpen: true\n", "S9", "`failOpen` is there twice"),
        ("        failOpen: false\n", "        failOpen: [\n", "S9", "the mesh cannot be judged"),
        ("typed_config:\n", "disabled: true\n        typed_config:\n", "S9", "switched off"),
    ] {
        broken(ISTIO, from, to, rule, says);
    }
    let patch = |name: &str, what: &str| {
        format!(
            "  configPatches:\n  - applyTo: HTTP_FILTER\n    match: {{ listener: {{ filterChain: {{ filter: {{ subFilter: {{ name: {name} }} }} }} }} }}\n    patch: {{ {what} }}\n"
        )
    };
    for name in ["envoy.filters.http.ext_authz", "envoy.filters.http.ratelimit", "envoy.filters.http.ext_proc"] {
        broken(ISTIO, "  configPatches:\n", &patch(name, "operation: REMOVE"), "S9", "is removed");
        let other = "operation: REPLACE, value: { name: envoy.filters.http.buffer }";
        broken(ISTIO, "  configPatches:\n", &patch(name, other), "S9", "is removed");
        let part = "operation: MERGE, value: { typed_config: { failure_mode_allow: true } }";
        broken(ISTIO, "  configPatches:\n", &patch(name, part), "S9", "cannot be judged");
    }
    let raw = |what: &str| format!("  configPatches:\n  - {{ {what} }}\n");
    for (patch, rule, says) in [
        ("applyTo: HTTP_FILTER, patch: { operation: REMOVE }", "S9", "is removed"),
        ("applyTo: CLUSTER, patch: { operation: REMOVE }", "S9", "a cluster is removed"),
        (
            "applyTo: CLUSTER, match: { cluster: { name: outbound|9191||bulkhead-ext-authz.x } }, patch: { operation: REMOVE }",
            "S9",
            "a cluster is removed",
        ),
        (
            "applyTo: EXTENSION_CONFIG, patch: { operation: ADD, value: { name: a, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua } } }",
            "S7",
            "Lua",
        ),
        (
            "applyTo: EXTENSION_CONFIG, patch: { operation: ADD, value: { name: a, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit } } }",
            "S9",
            "ratelimit fails open",
        ),
    ] {
        broken(ISTIO, "  configPatches:\n", &raw(patch), rule, says);
    }
    for patch in [
        "applyTo: CLUSTER, match: { cluster: { service: shop.default.svc.cluster.local } }, patch: { operation: REMOVE }",
        "applyTo: EXTENSION_CONFIG, patch: { operation: ADD, value: { name: a, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors } } }",
    ] {
        passes(ISTIO, "  configPatches:\n", &raw(patch));
    }
    passes(ISTIO, "  configPatches:\n", &patch("envoy.filters.http.local_ratelimit", "operation: REMOVE"));
}

/// A fixture with one text replaced, in which nothing is found.
#[track_caller]
fn passes(text: &str, from: &str, to: &str) {
    assert!(text.contains(from), "nothing to change: {from}");
    let found = check("mine.yaml", &text.replacen(from, to, 1)).unwrap().findings;
    assert!(found.is_empty(), "{to}: {found:#?}");
}

#[test]
fn a_stranger_between_ours_is_found_whatever_brings_it() {
    for (text, family) in [(ISTIO, "Istio"), (GATEWAY, "Envoy Gateway")] {
        for (of, kind) in [
            ("lua.v3.Lua", "Lua"),
            ("json_to_metadata.v3.JsonToMetadata", "JsonToMetadata"),
            ("dynamic_modules.v3.DynamicModuleFilter", "DynamicModuleFilter"),
            ("composite.v3.Composite", "Composite"),
        ] {
            assert!(text.contains("ratelimit.v3.RateLimit"), "{family}");
            broken(text, "ratelimit.v3.RateLimit", of, "S7", kind);
        }
        let at = "name: envoy.filters.http.ratelimit\n";
        let (before, after) = text.split_once(at).unwrap();
        let harmless = after.replacen("ratelimit.v3.RateLimit", "buffer.v3.Buffer", 1);
        let found = check("mine.yaml", &format!("{before}name: envoy.filters.http.buffer\n{harmless}")).unwrap().findings;
        assert!(found.is_empty(), "{family}: {found:#?}");
    }
    // A filter whose type and name say nothing is one for where it is put.
    let named = "name: mine\n        typed_config:\n          \"@type\": type.googleapis.com/xds.type.v3.TypedStruct\n        other:\n";
    broken(GATEWAY, "name: envoy.filters.http.ratelimit\n        typed_config:\n", named, "S7", "TypedStruct");
}

#[test]
fn what_a_patch_takes_from_ours_is_found() {
    let patch = |operation: &str| format!("  jsonPatches:\n  - {{ type: Listener, name: l, operation: {{ {operation} }} }}\n");
    let filter = |name: &str| format!("..http_filters[?(@.name=='envoy.filters.http.{name}')]");
    for name in ["ext_authz", "ratelimit", "ext_proc", "ext_authz/securitypolicy/default/bulkhead"] {
        let at = filter(name);
        for (operation, says) in [
            (format!("op: remove, jsonPath: \"{at}\""), "is removed"),
            (format!("op: replace, jsonPath: \"{at}\", value: {{ name: envoy.filters.http.buffer }}"), "is removed"),
            (format!("op: replace, jsonPath: \"{at}.typed_config.failure_mode_allow\", value: true"), "cannot be judged"),
            (format!("op: add, jsonPath: \"{at}\", path: /typed_config/failure_mode_allow, value: true"), "cannot be judged"),
            (format!("op: add, jsonPath: \"{at}['disabled']\", value: true"), "cannot be judged"),
            (format!("op: move, from: /0, jsonPath: \"{at}\""), "cannot be judged"),
        ] {
            broken(GATEWAY, "  jsonPatches:\n", &patch(&operation), "S9", says);
        }
    }
    for operation in [
        "op: remove, path: /default_filter_chain/filters/0/typed_config/http_filters/2",
        "op: remove, jsonPath: \"..typed_config.normalize_path\"",
        "op: replace, path: /default_filter_chain/filters/0/typed_config/merge_slashes, value: false",
        "op: replace, jsonPath: \"..http_filters\", value: [ { name: envoy.filters.http.router } ]",
    ] {
        broken(GATEWAY, "  jsonPatches:\n", &patch(operation), "S9", "cannot be judged");
    }
    passes(GATEWAY, "  jsonPatches:\n", &patch(&format!("op: remove, jsonPath: \"{}\"", filter("local_ratelimit"))));
    // What changes neither a request nor who is asked about it.
    for operation in [
        "op: add, path: /per_connection_buffer_limit_bytes, value: 1048576",
        "op: replace, jsonPath: \"..typed_config\", path: /stat_prefix, value: mine",
        "op: add, path: /default_filter_chain/filters/0/typed_config/access_log/0/typed_config/path, value: /dev/stdout",
        "op: remove, path: /default_filter_chain/filters/0/typed_config/tracing",
    ] {
        passes(GATEWAY, "  jsonPatches:\n", &patch(operation));
    }
    // A condition names what it does not change, and what is moved comes from somewhere.
    for operation in [
        "op: add, jsonPath: \"..[?(@.stat_prefix=='x')].route_config.virtual_hosts[0].routes[0]\", path: /typed_per_filter_config, value: {}",
        "op: remove, jsonPath: \"..[?(@.stat_prefix=='x')].early_header_mutation_extensions\"",
        "op: move, from: /default_filter_chain/filters/0/typed_config/http_filters/0, path: /access_log/-",
    ] {
        broken(GATEWAY, "  jsonPatches:\n", &patch(operation), "S9", "cannot be judged");
    }
    let cluster = |name: &str, operation: &str| {
        format!(
            "  jsonPatches:\n  - {{ type: type.googleapis.com/envoy.config.cluster.v3.Cluster, name: {name}, operation: {{ {operation} }} }}\n"
        )
    };
    let longer = "op: replace, path: /connect_timeout, value: 5s";
    passes(GATEWAY, "  jsonPatches:\n", &cluster("httproute/default/shop/rule/0", longer));
    broken(GATEWAY, "  jsonPatches:\n", &cluster("securitypolicy/default/bulkhead/extauth/0/grpc", longer), "S9", "cannot be judged");
    broken(GATEWAY, "  jsonPatches:\n", &cluster("bulkhead-ratelimit", longer), "S9", "cannot be judged");
}

#[test]
fn a_security_policy_without_ext_auth_takes_the_gateways_away() {
    let begin = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nspec:\n";
    let checked = check("mine.yaml", &format!("{begin}  cors: {{}}\n")).unwrap();
    assert!(checked.findings.iter().any(|finding| finding.rule == "S9" && finding.what.contains("takes the gateway's away")));
    let merged = check("mine.yaml", &format!("{begin}  mergeType: StrategicMerge\n  cors: {{}}\n")).unwrap();
    assert!(merged.findings.is_empty(), "{:#?}", merged.findings);
}

#[test]
fn our_filters_are_moved_in_their_order_only() {
    let moved = "{ name: envoy.filters.http.ratelimit, before: envoy.filters.http.ext_proc }";
    let to = |name: &str, side: &str, other: &str| format!("{{ name: envoy.filters.http.{name}, {side}: envoy.filters.http.{other} }}");
    for (name, side, other) in [
        ("ratelimit", "before", "cors"),
        ("ratelimit", "before", "ext_authz"),
        ("ext_proc", "before", "jwt_authn"),
        ("ext_proc", "before", "ratelimit"),
        ("ratelimit", "after", "ext_proc"),
        ("ratelimit", "after", "cors"),
        ("ext_authz", "after", "rbac"),
        ("ext_authz", "after", "ratelimit"),
    ] {
        broken(GATEWAY, moved, &to(name, side, other), "S15", "another order");
    }
    for (name, side, other) in [("ext_proc", "after", "ratelimit"), ("ext_authz", "before", "cors"), ("cors", "before", "ext_authz")] {
        passes(GATEWAY, moved, &to(name, side, other));
    }
}

#[test]
fn every_rule_is_found_broken_in_objects_of_envoy_gateway() {
    for (from, to, rule, says) in [
        ("failOpen: false\n    timeout", "failOpen: true\n    timeout", "S9", "ext_authz fails open"),
        ("timeout: 250ms", "timeout: 0s", "S9", "10 s"),
        ("    timeout: 250ms\n", "", "S9", "10 s"),
        ("includeRouteMetadata: true", "recomputeRoute: true", "S1", "not in this file"),
        ("    grpc:\n", "    http:\n", "S15", "over gRPC"),
        ("maxRequestBytes: 1000000", "maxRequestBytes: 100000000", "S14", "8 MiB"),
        ("triggers: [connect-failure]", "triggers: [connect-failure, 5xx]", "S24", "judged already"),
        ("escapedSlashesAction: RejectRequest", "escapedSlashesAction: KeepUnchanged", "S6", "escaped"),
        ("path: {", "path: { disableMergeSlashes: true,", "S6", "merged"),
        ("withUnderscoresAction: RejectRequest", "withUnderscoresAction: Allow", "S8", "underscores"),
        ("[x-tenant-id, ", "[", "S8", "x-tenant-id"),
        ("x-bulkhead-context, ", "", "S8", "x-bulkhead-context"),
        ("failOpen: false\n    messageTimeout", "failOpen: true\n    messageTimeout", "S9", "ext_proc fails open"),
        ("request: { body: Buffered }, ", "", "S14", "processingMode.request"),
        ("response: { body: Buffered", "response: { body: Streamed", "S14", "the response are not shown whole"),
        (
            "metadata: { accessible",
            "metadata: { writableNamespaces: [envoy.filters.http.ext_authz], accessible",
            "S7",
            "may change our metadata",
        ),
        ("  extProc:\n", "  lua: [ { type: Inline } ]\n  extProc:\n", "S7", "lua stands after"),
        ("before: envoy.filters.http.ext_proc", "before: envoy.filters.http.ext_authz", "S15", "another order"),
        ("failure_mode_deny: true", "failure_mode_deny: false", "S9", "ratelimit fails open"),
        ("address: 127.0.0.1", "address: ratelimit.tenancy-system.svc", "S2", "clear text"),
        ("max_requests: 100000", "max_requests: 100", "S4", "max_requests"),
    ] {
        broken(GATEWAY, from, to, rule, says);
    }
}
