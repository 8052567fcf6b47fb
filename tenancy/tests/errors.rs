//! Every error that a file can have, one fixture each: `errors/NAME.yaml` says it, `errors/NAME.txt` is what `validate` must print, line by line.
//!
//! `BLESS=1` writes the `.txt` files anew; read what changed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot be read fails its test")]

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use bulkhead_tenancy::{
    fault::{Fault, Severity},
    judge,
    platform::Platform,
    resource::{self, Resource},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/errors")
}

/// A platform that states nothing but what it must.
fn plain_platform(faults: &mut Vec<Fault>) -> Platform {
    let text = "apiVersion: gostoa.dev/v1alpha1\nkind: Platform\nmetadata: { name: platform }\nspec: { audiences: [gateway], rateLimit: { requestsPerMinute: 600000 } }";
    let (resources, none) = resource::read(&Arc::from("plain"), text);
    assert_eq!(none, []);
    let Some(Resource::Platform(manifest)) = resources.first() else { panic!("no platform") };
    judge::platform::judge(manifest, faults).unwrap()
}

/// Reads a file and judges the operator's kinds in it, each under the others.
fn faults_of(file: &str, text: &str) -> Vec<Fault> {
    let (resources, mut faults) = resource::read(&Arc::from(file), text);
    let mut platform = plain_platform(&mut faults);
    let mut plans = Vec::new();
    for resource in &resources {
        match resource {
            Resource::Platform(manifest) => platform = judge::platform::judge(manifest, &mut faults).unwrap_or(platform),
            Resource::Plan(manifest) => plans.push(judge::plan::judge(manifest)),
            Resource::Tenant(manifest) => {
                let grant = judge::tenant::judge(manifest, &platform, &mut faults);
                if let Some((grant, plan)) = grant.as_ref().zip(plans.first()) {
                    judge::plan::fits(grant, plan, &mut faults);
                }
            }
            _ => {}
        }
    }
    faults
}

#[test]
fn every_error_is_told_with_file_line_column_and_field() {
    let mut checked = 0;
    let mut names: BTreeSet<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    for path in names {
        let file = path.file_name().unwrap().to_str().unwrap();
        let told: String = faults_of(file, &fs::read_to_string(&path).unwrap())
            .iter()
            .map(|fault| match fault.severity {
                Severity::Error => format!("{fault}\n"),
                Severity::Warning => format!("warning: {fault}\n"),
            })
            .collect();
        let expected = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        assert_eq!(told, fs::read_to_string(&expected).unwrap_or_default(), "{file}");
        assert!(!told.is_empty(), "{file} has no error");
        checked += 1;
    }
    assert!(checked > 150, "only {checked} fixtures were found");
}

#[test]
fn s16_errors_never_quote_a_secret() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let told = fs::read_to_string(&path).unwrap();
            for secret in ["hunter2", "my-plain-key", "c2VjcmV0", "cHJpdmF0ZS1w"] {
                assert!(!told.contains(secret), "{} quotes {secret}", path.display());
            }
        }
    }
}
