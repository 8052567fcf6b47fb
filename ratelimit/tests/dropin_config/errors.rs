//! `errors.txt`: configurations and what is said of them.

use bulkhead_ratelimit::dropin::{file, rules::Configuration};

#[test]
fn configurations_are_refused_in_the_originals_words() {
    let mut failed = Vec::new();
    let mut cases = 0;
    for line in include_str!("errors.txt").lines().filter(|line| !line.starts_with('#')) {
        let Some((files, expected)) = line.rsplit_once(" => ") else { continue };
        cases += 1;
        let (merge, files) = files.strip_prefix("merge: ").map_or((false, files), |files| (true, files));
        let said = load(files, merge).map_or_else(|error| error, |_| "ok".to_owned());
        let same = expected.strip_suffix("...").map_or(said == expected, |start| said.starts_with(start) && said.len() > start.len());
        if !same {
            failed.push(format!("{line}\n    but: {said}"));
        }
    }
    assert!(failed.is_empty(), "{} of {cases} cases:\n{}", failed.len(), failed.join("\n"));
    assert!(cases >= 80, "{cases}");
}

fn load(files: &str, merge: bool) -> Result<Configuration, String> {
    let mut drafts = Vec::new();
    for (text, name) in files.split(" --- ").zip(["a.yaml", "b.yaml", "c.yaml"]) {
        drafts.push(file::parse(name, text).map_err(|error| error.to_string())?.draft);
    }
    Configuration::build(&drafts, merge).map_err(|error| error.to_string())
}

#[test]
fn what_has_no_effect_where_it_stands_is_told() {
    let warnings = |text| file::parse("f", text).unwrap().warnings;
    assert_eq!(warnings("domain: d\nunit: day"), ["line 2: 'unit' has no effect here"]);
    assert_eq!(warnings("domain: d\n---\ndomain: e"), ["only the first document of the file is read"]);
    assert!(warnings("domain: d\ndescriptors:\n- key: a\n  metadata: {unit: x}").is_empty());
}

#[test]
fn a_wrong_value_is_told_with_its_line() {
    let error =
        file::parse("f", "domain: d\ndescriptors:\n- key: a\n  rate_limit:\n    unit: day\n    requests_per_unit: lots").unwrap_err();
    assert_eq!(
        error.to_string(),
        "f: error loading config file: line 6: requests_per_unit must be a whole number from 0 to 4294967295, not text"
    );
}

#[test]
fn s16_an_error_that_quotes_is_one_line_and_bounded() {
    let error = file::parse("f", "{domain: d, \"a\\nb\\u001b[31m\": 1}").unwrap_err();
    assert_eq!(error.to_string(), r"f: config error, unknown key 'a\nb\u{1b}[31m'");
    let error = file::parse("f", &format!("{{{}: 1}}", "k".repeat(900))).unwrap_err().to_string();
    assert!(error.len() < 1_100);
    let error = file::parse("f", &format!("domain: d\ndescriptors: [{}]", "x".repeat(5_000))).unwrap_err().to_string();
    assert!(error.len() < 1_100 && error.ends_with("..."), "{error}");
}
