//! Every Envoy file that we ship: Envoy takes it, and it says what `proto::contract` says (S15, S7, S9, S24, S4, S3).

use std::collections::BTreeSet;

use bulkhead_proto::contract::{DOMAIN, METADATA_NAMESPACE, cluster, context, descriptor, header, metadata};
use bulkhead_tenancy::address::FORBIDDEN_RANGES;
use bulkhead_tests::{
    envoy::{
        Envoy,
        shipped::{FILES, Shipped},
    },
    parts,
};
use serde_json::{Value, json};

/// Filters that write none of our metadata: the only ones that may stand in a shipped chain beside ours (S7).
const HARMLESS: [&str; 5] = ["local_ratelimit", "header_mutation", "set_filter_state", "dynamic_forward_proxy", "rbac"];

fn manager(file: &Value) -> &Value {
    &file["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

fn filter<'a>(file: &'a Value, name: &str) -> &'a Value {
    let filters = manager(file)["http_filters"].as_array().expect("HTTP filters");
    let name = format!("envoy.filters.http.{name}");
    &filters.iter().find(|filter| filter["name"] == name.as_str()).unwrap_or_else(|| panic!("no {name}"))["typed_config"]
}

/// Whether the limits are charged by Check, and no filter asks ratelimit.
fn is_one_hop(name: &str) -> bool {
    name.ends_with("one-hop.yaml")
}

/// The services that a file asks.
fn services(name: &str) -> &'static [&'static str] {
    if is_one_hop(name) { &["ext-authz"] } else { &["ext-authz", "ratelimit"] }
}

fn clusters(file: &Value) -> &Vec<Value> {
    file["static_resources"]["clusters"].as_array().expect("clusters")
}

/// The default of a service's flag, as its help says.
fn default_of(service: &str, flag: &str) -> String {
    let help = std::process::Command::new(parts::service(service)).args(["serve", "--help"]).output();
    let help = String::from_utf8(help.expect("its help").stdout).expect("text");
    let default = help.split_once(&format!("{flag} ")).and_then(|(_, about)| about.split_once("[default: ")?.1.split_once(']'));
    default.unwrap_or_else(|| panic!("{service} has no {flag}")).0.to_owned()
}

fn milliseconds(text: &str) -> u64 {
    let (number, unit) = text.strip_suffix("ms").map_or_else(|| (text.strip_suffix('s').expect("a unit"), 1000), |number| (number, 1));
    number.parse::<u64>().expect("a whole number") * unit
}

fn each_file(check: impl Fn(&str, &Value)) {
    for name in FILES {
        check(name, &Shipped::parse(name));
    }
}

#[test]
fn no_shipped_file_is_forgotten() {
    let mut found: Vec<String> = std::fs::read_dir(parts::workspace().join("envoy"))
        .expect("envoy/")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    found.sort();
    let mut known = FILES.map(str::to_owned).to_vec();
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn envoy_takes_every_shipped_file_as_it_is() {
    for name in FILES {
        let file = parts::workspace().join("envoy").join(name);
        Envoy::validate(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn s15_the_order_is_ext_authz_ratelimit_ext_proc_router_and_s7_nothing_beside_them_writes_metadata() {
    each_file(|name, file| {
        let chain: Vec<&str> = manager(file)["http_filters"]
            .as_array()
            .expect("HTTP filters")
            .iter()
            .map(|filter| filter["name"].as_str().and_then(|name| name.strip_prefix("envoy.filters.http.")).expect("a filter's own name"))
            .collect();
        let ours: Vec<&str> = chain.iter().copied().filter(|filter| !HARMLESS.contains(filter)).collect();
        let expected = ["ext_authz", "ratelimit", "ext_proc", "router"].into_iter().filter(|one| *one != "ratelimit" || !is_one_hop(name));
        assert_eq!(ours, expected.collect::<Vec<_>>(), "{name}");
        // Nothing stands between the writer and the last reader.
        let writer = chain.iter().position(|name| *name == "ext_authz").expect("ext_authz");
        assert_eq!(chain[writer..][..ours.len() - 1], ours[..ours.len() - 1], "{name}");
        assert_eq!(file["static_resources"]["listeners"].as_array().map(Vec::len), Some(1), "{name}: one listener, one chain");
    });
}

#[test]
fn s15_the_descriptor_is_the_contracts_and_every_entry_has_a_default() {
    each_file(|name, file| {
        if is_one_hop(name) {
            return;
        }
        let limiter = filter(file, "ratelimit");
        assert_eq!(limiter["domain"], DOMAIN, "{name}");
        let entry = |key: &str, from: &str, default: &str| {
            json!({ "metadata": {
                "descriptor_key": key,
                "source": "DYNAMIC",
                "metadata_key": { "key": METADATA_NAMESPACE, "path": [{ "key": from }] },
                "default_value": default,
            } })
        };
        let expected = json!([{
            "actions": [
                entry(descriptor::TENANT, metadata::TENANT, descriptor::UNRESOLVED),
                entry(descriptor::SUBSCRIPTION, metadata::SUBSCRIPTION, descriptor::NONE),
                entry(descriptor::API, metadata::API, descriptor::NONE),
                entry(descriptor::DECISION, metadata::DECISION_ID, descriptor::NONE),
            ],
            "hits_addend": { "format": format!("%DYNAMIC_METADATA({METADATA_NAMESPACE}:{})%", metadata::COST) },
        }]);
        assert_eq!(limiter["rate_limits"], expected, "{name}");
    });
}

#[test]
fn s14_ext_proc_reads_everything_unless_ext_authz_says_otherwise_and_believes_nobody_else() {
    each_file(|name, file| {
        let filter = filter(file, "ext_proc");
        let skipped = &filter["xds_matcher"]["matcher_list"]["matchers"];
        assert_eq!(skipped.as_array().map(Vec::len), Some(1), "{name}");
        let either = &skipped[0]["predicate"]["or_matcher"]["predicate"];
        let (none, absent) = (&either[0]["single_predicate"], &either[1]["not_matcher"]["single_predicate"]);
        assert_eq!(either.as_array().map(Vec::len), Some(2), "{name}");
        for predicate in [none, absent] {
            assert_eq!(predicate["input"]["typed_config"]["filter"], METADATA_NAMESPACE, "{name}");
            assert_eq!(predicate["input"]["typed_config"]["path"], json!([{ "key": metadata::PROCESS }]), "{name}");
        }
        assert_eq!(none["custom_match"]["typed_config"]["value"], json!({ "string_match": { "exact": "none" } }), "{name}");
        assert_eq!(absent["custom_match"]["typed_config"]["value"], json!({ "present_match": true }), "{name}");
        assert!(filter["xds_matcher"]["on_no_match"].is_null(), "{name}: every other word is asked about");

        let processor = &filter["extension_config"]["typed_config"];
        let mode = &processor["processing_mode"];
        assert_eq!((&mode["request_header_mode"], &mode["response_header_mode"]), (&json!("SEND"), &json!("SEND")), "{name}: fact 2");
        assert_eq!((&mode["request_body_mode"], &mode["response_body_mode"]), (&json!("BUFFERED"), &json!("BUFFERED")), "{name}");
        assert_eq!(processor["allow_mode_override"], true, "{name}");
        assert_eq!(processor["response_attributes"], json!(["response.code_details"]), "{name}");
        assert_eq!(processor["failure_mode_allow"], false, "{name}");
        assert_eq!(processor["route_cache_action"], "RETAIN", "{name}: S1");
        assert_eq!(processor["metadata_options"], json!({ "forwarding_namespaces": { "untyped": [METADATA_NAMESPACE] } }), "{name}: S7");
        for weak in ["observability_mode", "disable_immediate_response", "send_body_without_waiting_for_header_response"] {
            assert!(processor[weak].is_null(), "{name}: {weak}");
        }
        assert!(processor["grpc_service"]["timeout"].is_null(), "{name}: it would end the stream of a long request");
        let timeout = milliseconds(processor["message_timeout"].as_str().expect("a time-out"));
        assert!(
            timeout > milliseconds(&default_of("bulkhead-ext-authz", "--process-deadline")),
            "{name}: a late answer is our denial, not Envoy's 504"
        );
    });
}

#[test]
fn s14_check_sees_bodies_and_a_route_that_shows_none_says_so() {
    each_file(|name, file| {
        let shown = &filter(file, "ext_authz")["with_request_body"];
        assert_eq!((&shown["allow_partial_message"], &shown["pack_as_bytes"]), (&json!(true), &json!(true)), "{name}");
        let (most, held) = (&shown["max_request_bytes"], &file["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"]);
        assert!(most.as_u64() <= held.as_u64(), "{name}: what Check has seen whole, ext_proc can hold");
        let routes = manager(file)["route_config"]["virtual_hosts"][0]["routes"].as_array().expect("routes");
        for route in routes {
            let settings = &route["typed_per_filter_config"]["envoy.filters.http.ext_authz"]["check_settings"];
            if settings["disable_request_body_buffering"] == true {
                assert_eq!(settings["context_extensions"][context::BODY], "off", "{name}: else a body that is not shown counts as none");
            }
        }
    });
}

#[test]
fn s8_every_identity_header_of_a_client_is_removed_before_anything_else() {
    each_file(|name, file| {
        let early = manager(file)["early_header_mutation_extensions"].as_array().expect("early mutations");
        let mutations = early[0]["typed_config"]["mutations"].as_array().expect("mutations");
        let prefix = json!({ "remove_on_match": { "key_matcher": { "prefix": header::PREFIX, "ignore_case": true } } });
        assert!(mutations.contains(&prefix), "{name}");
        for foreign in header::FOREIGN {
            assert!(mutations.contains(&json!({ "remove": foreign })), "{name}: {foreign}");
        }
        // The hop marker must arrive at ext-authz, which answers 508 to it (S24).
        assert!(!mutations.contains(&json!({ "remove": header::HOP })), "{name}");
        let options = &manager(file)["common_http_protocol_options"];
        assert_eq!(options["headers_with_underscores_action"], "REJECT_REQUEST", "{name}");
        assert!(
            header::IDENTITY.iter().chain(&header::ROUTING).all(|ours| ours.starts_with(header::PREFIX)),
            "the prefix covers every header of ours"
        );
        let trailers = &filter(file, "header_mutation")["mutations"]["request_trailers_mutations"];
        assert!(trailers.as_array().is_some_and(|trailers| trailers.len() >= 2), "{name}: request trailers too");
    });
}

#[test]
fn s6_paths_are_normalised_and_escaped_slashes_refused() {
    each_file(|name, file| {
        assert_eq!(manager(file)["normalize_path"], true, "{name}");
        assert_eq!(manager(file)["merge_slashes"], true, "{name}");
        assert_eq!(manager(file)["path_with_escaped_slashes_action"], "REJECT_REQUEST", "{name}");
    });
}

#[test]
fn s9_both_services_fail_closed() {
    each_file(|name, file| {
        assert_eq!(filter(file, "ext_authz")["failure_mode_allow"], false, "{name}");
        let processor = &filter(file, "ext_proc")["extension_config"]["typed_config"];
        let mut asked = vec![filter(file, "ext_authz"), processor];
        if !is_one_hop(name) {
            asked.push(filter(file, "ratelimit"));
            assert_eq!(filter(file, "ratelimit")["failure_mode_deny"], true, "{name}");
        }
        for service in asked {
            assert_eq!(service["status_on_error"]["code"], "ServiceUnavailable", "{name}");
        }
    });
}

#[test]
fn s24_ratelimit_is_never_retried_and_ext_authz_only_where_it_cannot_have_judged() {
    each_file(|name, file| {
        if !is_one_hop(name) {
            let asked = &filter(file, "ratelimit")["rate_limit_service"]["grpc_service"];
            assert_eq!(asked.as_object().map(serde_json::Map::len), Some(1), "{name}");
        }
        let retry = &filter(file, "ext_authz")["grpc_service"]["retry_policy"]["retry_on"];
        assert_eq!(retry, "connect-failure,refused-stream,reset-before-request", "{name}");
    });
}

#[test]
fn s1_only_contract_routing_matches_routes_again_and_it_has_one_forwarding_route() {
    assert_eq!(filter(&Shipped::parse("envoy.yaml"), "ext_authz")["clear_route_cache"], false);
    let file = Shipped::parse("contract-routing.yaml");
    assert_eq!(filter(&file, "ext_authz")["clear_route_cache"], true);
    let hosts = manager(&file)["route_config"]["virtual_hosts"].as_array().expect("virtual hosts");
    assert_eq!(hosts.len(), 1);
    let routes = hosts[0]["routes"].as_array().expect("routes");
    let forwarding: Vec<&Value> = routes.iter().filter(|route| route["route"].is_object()).collect();
    assert_eq!(forwarding.len(), 1);
    let needed = json!(header::ROUTING.map(|name| json!({ "name": name, "present_match": true })));
    assert_eq!(forwarding[0]["match"]["headers"], needed);
    assert_eq!(forwarding[0]["route"]["cluster_header"], header::CLUSTER);
    assert_eq!(forwarding[0]["request_headers_to_remove"], json!(header::ROUTING));
}

#[test]
fn s9_one_hop_is_the_same_file_less_ratelimit_and_tells_ext_authz_so() {
    assert_eq!(Shipped::parse("one-hop.yaml"), less_ratelimit("envoy.yaml"));
    assert_eq!(Shipped::parse("contract-one-hop.yaml"), less_ratelimit("contract-routing.yaml"));
}

fn less_ratelimit(name: &str) -> Value {
    let mut expected = Shipped::parse(name);
    let manager = &mut expected["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    manager["route_config"]["typed_per_filter_config"] = json!({ "envoy.filters.http.ext_authz": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        "check_settings": { "context_extensions": { (context::LIMITS): "on" } },
    } });
    let filters = manager["http_filters"].as_array_mut().expect("HTTP filters");
    filters.retain(|filter| filter["name"] != "envoy.filters.http.ratelimit");
    let clusters = expected["static_resources"]["clusters"].as_array_mut().expect("clusters");
    clusters.retain(|cluster| cluster["name"] != "ratelimit");
    expected
}

#[test]
fn s3_the_guard_stands_after_the_proxy_and_denies_this_machine_and_its_link() {
    let file = Shipped::parse("contract-routing.yaml");
    assert_eq!(filter(&file, "dynamic_forward_proxy")["save_upstream_address"], true);
    let rules = &filter(&file, "rbac")["rules"];
    assert_eq!(rules["action"], "DENY");
    let denied: BTreeSet<String> = rules["policies"]["not-an-upstream"]["permissions"]
        .as_array()
        .expect("the guard's lines")
        .iter()
        .map(|line| &line["matcher"]["typed_config"]["upstream_ip"])
        .map(|range| format!("{}/{}", range["address_prefix"].as_str().expect("a prefix"), range["prefix_len"].as_u64().expect("a length")))
        .collect();
    assert_eq!(
        denied,
        FORBIDDEN_RANGES.into_iter().map(str::to_owned).collect(),
        "what no contract may name, no name of one may resolve to"
    );
    assert!(!file.to_string().contains("sub_clusters_config"), "it switches the guard off");
}

#[test]
fn s4_shared_clusters_have_room_and_each_contract_host_has_its_own_bound() {
    let file = Shipped::parse("contract-routing.yaml");
    for name in [cluster::HTTP, cluster::HTTPS] {
        let cluster = clusters(&file).iter().find(|cluster| cluster["name"] == name).unwrap_or_else(|| panic!("no cluster {name}"));
        let breakers = &cluster["circuit_breakers"];
        for bound in ["max_connections", "max_pending_requests", "max_requests"] {
            assert!(breakers["thresholds"][0][bound].as_u64() >= Some(100_000), "{name}: {bound}");
        }
        assert_eq!(breakers["per_host_thresholds"][0]["max_connections"], 128, "{name}");
        let dns = &cluster["cluster_type"]["typed_config"]["dns_cache_config"];
        assert!(dns["max_hosts"].as_u64() >= Some(100_000), "{name}");
        assert_eq!(dns, &filter(&file, "dynamic_forward_proxy")["dns_cache_config"], "filter and clusters share one cache");
    }
}

#[test]
fn envoy_looks_elsewhere_before_a_service_that_ends_closes_its_door() {
    let delay = milliseconds(&default_of("bulkhead-ratelimit", "--drain-delay"));
    each_file(|name, file| {
        for service in services(name) {
            let cluster = clusters(file).iter().find(|cluster| cluster["name"] == *service).expect("the service's cluster");
            let check = &cluster["health_checks"][0];
            let interval = milliseconds(check["interval"].as_str().expect("an interval"));
            let noticed = interval * check["unhealthy_threshold"].as_u64().expect("a threshold");
            assert!(noticed < delay, "{name}: {service} is noticed after {noticed} ms");
        }
    });
}

/// Envoy up to 1.38 refuses a file with an RE2 program of more than 100 instructions: of what we ship the largest has 95, where this counts 103.
#[test]
fn no_expression_is_larger_than_what_older_envoys_take() {
    fn each(node: &Value, name: &str) {
        match node {
            Value::Object(fields) => {
                let regex = fields.get("regex").and_then(Value::as_str);
                assert!(regex.is_none_or(|regex| steps(regex) <= 105), "{name}: {regex:?}");
                fields.values().for_each(|field| each(field, name));
            }
            Value::Array(items) => items.iter().for_each(|item| each(item, name)),
            _ => {}
        }
    }
    /// About one for each sign, and three for a class: a little more than RE2 makes.
    fn steps(regex: &str) -> usize {
        let mut plain = regex.replace("(?:", "").replace(['(', ')'], "");
        while let Some((before, rest)) = plain.split_once('[') {
            let (_, after) = rest.split_once(']').expect("the end of a class");
            plain = format!("{before}~~~{after}");
        }
        plain.len() + 3
    }
    each_file(|name, file| each(file, name));
}
