//! A configuration means what Envoy reads in it, however it is spelled: the words of YAML 1.1, enumerations by number, types in a `TypedStruct`.

use super::{CONTRACT, OWN, broken};
use crate::check;

#[test]
fn a_switch_is_found_in_every_word_that_envoy_takes() {
    for word in ["yes", "Yes", "on", "ON", "y", "\"true\""] {
        broken(OWN, "failure_mode_allow: false", &format!("failure_mode_allow: {word}"), "S9", "fails open");
        let passes = OWN.replace("normalize_path: true", &format!("normalize_path: {word}"));
        assert_eq!(check("mine.yaml", &passes).unwrap().findings, [], "{word}");
    }
    broken(OWN, "failure_mode_allow: false", "failure_mode_allow: false\n              failureModeAllow: true", "S9", "there twice");
}

#[test]
fn a_value_of_an_enumeration_is_found_by_its_number_and_in_any_case() {
    for (text, from, to, rule, says) in [
        (OWN, "route_cache_action: RETAIN", "route_cache_action: clear", "S1", "matched again"),
        (OWN, "route_cache_action: RETAIN", "route_cache_action: 1", "S1", "matched again"),
        (OWN, "status_on_error: { code: ServiceUnavailable }", "status_on_error: { code: found }", "S9", "success"),
        (OWN, "source: DYNAMIC", "source: 1", "S15", "other metadata"),
        (OWN, "source: DYNAMIC", "source: route_entry", "S15", "other metadata"),
        (OWN, "headers_with_underscores_action: REJECT_REQUEST", "headers_with_underscores_action: 0", "S8", "underscores"),
    ] {
        broken(text, from, to, rule, says);
    }
    for (from, to) in [
        ("path_with_escaped_slashes_action: REJECT_REQUEST", "path_with_escaped_slashes_action: reject_request"),
        ("headers_with_underscores_action: REJECT_REQUEST", "headers_with_underscores_action: 1"),
        ("action: DENY", "action: 1"),
    ] {
        assert!(CONTRACT.contains(from), "{from}");
        assert_eq!(check("mine.yaml", &CONTRACT.replace(from, to)).unwrap().findings, [], "{to}");
    }
}

#[test]
fn what_a_typed_struct_holds_is_judged_as_if_it_stood_there() {
    let lines = |of: &str, rest: &str| format!("\"@type\": type.googleapis.com/{of}\n                    {rest}");
    let per_route = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute";
    let own = lines(per_route, "check_settings: { context_extensions: { tenant: acme, api: billing-api } }");
    let held = format!("type_url: type.googleapis.com/{per_route}, value: {{ disabled: true }}");
    for of in ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"] {
        broken(OWN, &own, &lines(of, &held.replace(", value", "\n                    value")), "S9", "switched off");
        // In what is of another type itself.
        let inner = format!("config: {{ \"@type\": type.googleapis.com/{of}, {held} }}");
        broken(OWN, &own, &lines("envoy.config.route.v3.FilterConfig", &inner), "S9", "switched off");
    }
}
