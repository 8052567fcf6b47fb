//! What a service starts with, and what `validate` says of it.

use std::{fs, sync::Arc};

use bulkhead_tenancy::{
    clock::ManualClock,
    loader::{self, StartError, validate},
};

use crate::{PLATFORM, contract, folder, write};

fn start(path: &std::path::Path) -> Result<loader::Loader, StartError> {
    loader::start(path, Arc::new(ManualClock::at_us(crate::NOW)))
}

#[test]
fn a_missing_folder_is_no_start() {
    let (_temp, path) = folder();
    let error = start(&path.join("missing")).unwrap_err().to_string();
    assert_eq!(error, "no valid Platform\n.:0:0: -: the configuration folder does not exist, or is a symbolic link that leads nowhere");
}

#[test]
fn an_invalid_platform_is_no_start_and_names_file_line_and_field() {
    let (_temp, path) = folder();
    write(&path.join("platform.yaml"), &PLATFORM.replace("requestsPerMinute: 60000", "requestsPerMinute: many"));
    let error = start(&path).unwrap_err().to_string();
    assert!(error.contains("\nplatform.yaml:6:35: spec.rateLimit.requestsPerMinute: "), "{error}");
}

#[test]
fn a_broken_tenant_is_no_reason_not_to_start() {
    let (_temp, path) = folder();
    write(&path.join("namespaces/tenant-acme/contract.yaml"), "nonsense");
    let loader = start(&path).unwrap();
    assert_eq!(loader.report().faults.len(), 1);
    assert_eq!(loader.live().load().unwrap().tenants().count(), 2);
}

#[test]
fn a_folder_is_read_once_for_explain() {
    let (_temp, path) = folder();
    let snapshot = loader::read(&path, Arc::new(ManualClock::at_us(crate::NOW))).unwrap();
    assert!(snapshot.tenant("acme").is_some());
}

#[test]
fn validate_is_content_with_a_good_folder() {
    let (_temp, path) = folder();
    let validation = validate(&path).unwrap();
    assert_eq!((validation.exit_status(), validation.to_string().as_str()), (0, ""));
}

#[test]
fn validate_says_one_line_an_error() {
    let (_temp, path) = folder();
    write(&path.join("namespaces/tenant-acme/contract.yaml"), &contract("acme", &["billing"]).replace("upstream:", "upstraem:"));
    fs::write(path.join("namespaces/tenant-globex/latin.yaml"), b"\xe9").unwrap();
    fs::create_dir_all(path.join("namespaces/No_Namespace")).unwrap();
    let validation = validate(&path).unwrap();
    assert_eq!(validation.exit_status(), 2);
    let text = validation.to_string();
    let starts = [
        "namespaces/No_Namespace:0:0: -: ",
        "namespaces/tenant-acme/contract.yaml:7:",
        "namespaces/tenant-globex/latin.yaml:1:1: -: is not UTF-8",
    ];
    for start in starts {
        assert!(text.lines().any(|line| line.starts_with(start)), "{start} is missing in {text}");
    }
}

#[test]
fn validate_says_what_is_not_served_yet_and_finds_no_error_in_it() {
    let (_temp, path) = folder();
    let guardrails = "apiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: { name: g }\nspec:\n  shadow: true\n  contentFilter: { piiDetection: block, apply: [request, response] }\n";
    write(&path.join("namespaces/tenant-acme/guardrails.yaml"), guardrails);
    let validation = validate(&path).unwrap();
    assert_eq!((validation.exit_status(), validation.to_string().as_str()), (0, ""));
    let lines: Vec<_> = validation.warning_lines().collect();
    let nothing = "apply: [response] is not served by this release in shadow: answers are not read for it";
    let expected = [format!("namespaces/tenant-acme/guardrails.yaml:6:18: spec.contentFilter: warning: {nothing}")];
    assert_eq!(lines, expected);
}

#[test]
fn validate_of_a_missing_folder_is_an_error_and_no_panic() {
    let (_temp, path) = folder();
    assert_eq!(validate(&path.join("missing")).unwrap().exit_status(), 2);
}
