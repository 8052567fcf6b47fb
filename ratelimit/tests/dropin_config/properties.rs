//! Whatever comes in: no panic, no memory beyond the bounds, no two counters that are one.

use std::collections::HashMap;

use bulkhead_ratelimit::dropin::{
    file,
    rules::{Configuration, Descriptor, Entry, Limits, Rate},
};
use proptest::prelude::*;

/// Text that is nearly a configuration.
fn nearly() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "domain: d",
        "domain",
        "descriptors:",
        "- key: a",
        "  value: b*",
        "rate_limit:",
        "unit: day",
        "unlimited: true",
        "replaces: [{name: x}]",
        "share_threshold: yes",
        "metadata: {a: [1, {b: 2}]}",
        "&x",
        "*x",
        "<<: *x",
        "{",
        "}",
        "[",
        "]",
        ": ",
        ", ",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "'",
        "\"",
        "|",
        ">",
        "#",
        "---\n",
        "...",
        "? ",
        "!!str ",
        "%YAML 1.1\n",
        "~",
        "0x",
        "1e9",
        "\u{feff}",
        "\t",
        "é",
        "\0",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

fn load(text: &str) -> Option<Configuration> {
    let draft = file::parse("f", text).ok()?.draft;
    Configuration::build(&[draft], false).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_panics(text in prop_oneof![nearly(), any::<String>(), "[\\x00-\\xff]{0,200}"]) {
        if let Some(rules) = load(&text) {
            let _ = rules.dump();
        }
    }

    #[test]
    fn no_request_panics(
        text in nearly(),
        domain in "d|[a-z]{0,3}",
        entries in prop::collection::vec(("a|.{0,4}", "b|.{0,8}"), 0..6),
        copies in 0usize..4,
    ) {
        let entries: Vec<_> = entries.iter().map(|(key, value)| Entry { key, value }).collect();
        let descriptors = vec![Descriptor { entries, limit: None }; copies];
        if let Some(rules) = load(&text) {
            let limits = rules.limits(&domain, &descriptors).unwrap();
            if let Limits::Known(limits) = limits {
                prop_assert_eq!(limits.len(), copies);
            }
        }
    }
}

/// Rules that take any key at all, one to three levels deep.
fn every_depth() -> Configuration {
    let rate = "rate_limit: {unit: minute, requests_per_unit: 1}";
    let text = format!(
        "{{domain: d, descriptors: [{{key: '*', {rate}, descriptors: [{{key: '*', {rate}, descriptors: [{{key: '*', {rate}}}]}}]}}]}}"
    );
    load(&text).unwrap()
}

fn counter(rules: &Configuration, entries: &[(String, String)]) -> String {
    let entries = entries.iter().map(|(key, value)| Entry { key, value }).collect();
    let Limits::Known(limits) = rules.limits("d", &[Descriptor { entries, limit: None }]).unwrap() else { panic!("known") };
    let limit = limits[0].as_ref().unwrap();
    assert!(matches!(limit.rate, Rate::Each { .. }));
    limit.counter.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn s12_two_lists_of_entries_never_share_a_counter(
        lists in prop::collection::vec(prop::collection::vec(("[a_:1*]{0,3}", "[a_:1*]{0,3}"), 1..4), 2..30),
    ) {
        let rules = every_depth();
        let mut seen: HashMap<String, &Vec<(String, String)>> = HashMap::new();
        for entries in &lists {
            let before = seen.insert(counter(&rules, entries), entries);
            prop_assert!(before.is_none_or(|before| before == entries), "{:?} and {:?}", before, entries);
        }
    }
}

#[test]
fn s12_the_originals_own_collision_is_none() {
    let rules = every_depth();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let two = counter(&rules, &[pair("tenant", "a"), pair("user", "b")]);
    assert_ne!(two, counter(&rules, &[pair("tenant", "a_user_b")]));
}

#[test]
fn s16_what_is_too_large_is_refused_before_it_is_built() {
    let refused = |text: String| file::parse("f", &text).unwrap_err().what;
    let deep = format!("domain: d\ndescriptors: {}{}", "[{key: a, descriptors: ".repeat(5_000), "]".repeat(5_000));
    assert!(refused(deep).starts_with("error loading config file: line "));
    let long = format!("domain: d\ndescriptors:\n{}", "- key: a\n".repeat(600_000));
    assert!(refused(long).contains("bytes"));
    let many = format!("domain: d\ndescriptors: [{}]", "{},".repeat(500_000));
    assert!(refused(many).contains("values"));
    // Each alias doubles: the billion laughs.
    let mut laughs = "domain: d\nmetadata: {a0: &a0 {x: y}".to_owned();
    for i in 1..60 {
        laughs.push_str(&format!(", a{i}: &a{i} {{x: *a{}, y: *a{}}}", i - 1, i - 1));
    }
    assert!(refused(laughs + "}").starts_with("error loading config file: line "));
}
