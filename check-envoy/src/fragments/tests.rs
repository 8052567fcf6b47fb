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
    assert!(text.contains(from), "nothing to break: {from}");
    let changed = text.replacen(from, to, 1);
    let found = check("mine.yaml", &changed).unwrap().findings;
    let hit = found.iter().find(|finding| finding.rule == rule && finding.what.contains(says));
    let hit = hit.unwrap_or_else(|| panic!("{rule} {says:?} is not found: {found:#?}"));
    let at = |text: &str| u32::try_from(text.matches('\n').count()).unwrap() + 1;
    let from = at(&text[..text.find(from).unwrap()]);
    assert!(hit.line.abs_diff(from) <= 12 && !hit.mend.is_empty(), "at {from}: {hit}");
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
    ] {
        broken(ISTIO, from, to, rule, says);
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
