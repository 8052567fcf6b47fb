//! docker-compose.yml and the Dockerfile, as far as they can be judged without an engine: they start what the tests start, and open nothing.

use std::fs;

use bulkhead_tests::{compose, parts};
use serde_json::Value;

fn services() -> serde_json::Map<String, Value> {
    compose::file()["services"].as_object().expect("services").clone()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn compose_mounts_the_files_that_the_tests_run() {
    let services = services();
    let mounted = |service: &str, file: &str| {
        assert!(strings(&services[service]["volumes"]).iter().any(|volume| volume.starts_with(&format!("./{file}:"))), "{service}: {file}");
        assert!(parts::workspace().join(file).exists(), "{file}");
    };
    mounted("envoy", "envoy/contract-routing.yaml");
    mounted("ext-authz", "examples/config");
    mounted("ratelimit", "examples/config");
    mounted("keycloak", "compose/keycloak");
    for service in services.values() {
        let mut volumes = strings(&service["volumes"]).into_iter();
        assert!(volumes.all(|volume| volume.ends_with(":ro") || volume.starts_with("audit:")), "what is mounted is not written to");
    }
}

#[test]
fn every_origin_of_the_examples_is_a_container() {
    let platform = fs::read_to_string(parts::workspace().join("examples/config/platform.yaml")).expect("the platform");
    let platform: Value = serde_saphyr::from_str(&platform).expect("YAML");
    let services = services();
    for target in platform["spec"]["upstreams"]["connect"].as_object().expect("origins").values() {
        let host = target.as_str().and_then(|origin| origin.strip_prefix("http://")?.strip_suffix(":8080")).expect("http://NAME:8080");
        assert!(strings(&services[host]["command"]).contains(&"8080".to_owned()), "{host}");
    }
}

#[test]
fn s2_the_services_stay_on_envoys_loopback() {
    for (service, value) in services().into_iter().filter(|(name, _)| name == "ext-authz" || name == "ratelimit") {
        assert_eq!(value["network_mode"], "service:envoy", "{service}");
        let words = compose::command(&service);
        for flag in ["--grpc", "--admin"] {
            let address = words.iter().skip_while(|word| *word != flag).nth(1).expect("an address");
            assert!(address.starts_with("127.0.0.1:"), "{service} {flag} {address}");
        }
        assert!(!words.contains(&"--allow-plaintext".to_owned()));
    }
}

#[test]
fn ports_are_published_on_loopback_alone() {
    for (name, service) in services() {
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
    }
}

#[test]
fn a_tenants_upstreams_share_a_network_with_envoy_and_each_other_alone() {
    for (name, service) in services() {
        let networks = strings(&service["networks"]);
        match name.split_once('-') {
            Some((tenant @ ("acme" | "globex"), _)) => assert_eq!(networks, [tenant], "{name}"),
            _ if name == "envoy" => assert_eq!(networks, ["gateway", "acme", "globex"]),
            _ => assert!(!networks.iter().any(|network| network == "acme" || network == "globex"), "{name}"),
        }
    }
}

#[test]
fn images_are_pinned_and_ours_have_no_shell_and_no_root() {
    for (name, service) in services() {
        if let Some(image) = service["image"].as_str() {
            let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_default();
            assert!(tag.starts_with(|first: char| first.is_ascii_digit() || first == 'v'), "{name}: {image}");
        }
    }
    let dockerfile = fs::read_to_string(parts::workspace().join("Dockerfile")).expect("the Dockerfile");
    assert!(!dockerfile.contains("syntax="), "a syntax line would have to be pulled");
    let (_, service) = dockerfile.split_once(" AS service").expect("the stage that both services stand on");
    assert!(service.trim_start().starts_with("USER 65532"));
    assert!(dockerfile.contains("FROM gcr.io/distroless/cc-debian12:nonroot AS service"));
    for name in ["ext-authz", "ratelimit"] {
        assert!(dockerfile.contains(&format!("FROM service AS {name}")));
    }
}
