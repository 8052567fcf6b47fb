//! `requests.txt`: which limit each descriptor meets.

use std::collections::HashMap;

use bulkhead_ratelimit::dropin::{
    file,
    rules::{Configuration, Descriptor, Entry, Limit, Limits, Override, Rate, Unit, UnknownUnit},
};

const CONFIGS: [(&str, &str); 5] = [
    ("shop", include_str!("configs/shop.yaml")),
    ("stars", include_str!("configs/stars.yaml")),
    ("shared", include_str!("configs/shared.yaml")),
    ("metrics", include_str!("configs/metrics.yaml")),
    ("modes", include_str!("configs/modes.yaml")),
];

#[test]
fn each_descriptor_meets_its_limit() {
    let configs: HashMap<_, _> = CONFIGS.iter().map(|(name, text)| (*name, configuration(text))).collect();
    let mut failed = Vec::new();
    let mut cases = 0;
    for line in include_str!("requests.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        cases += 1;
        let [config, domain, descriptors, expected] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("not a case: {line}")
        };
        let descriptors: Vec<_> = descriptors.split(" ; ").map(descriptor).collect();
        let met = shown(&configs[config].limits(domain, &descriptors).unwrap(), expected);
        if met != expected {
            failed.push(format!("{line}\n    but: {met}"));
        }
    }
    assert!(failed.is_empty(), "{} of {cases} cases:\n{}", failed.len(), failed.join("\n"));
    assert!(cases > 100, "{cases}");
}

fn configuration(text: &str) -> Configuration {
    let parsed = file::parse("config.yaml", text).unwrap();
    assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
    Configuration::build(&[parsed.draft], false).unwrap()
}

fn descriptor(text: &str) -> Descriptor<'_> {
    let (entries, own) = match text.split_once('@') {
        Some((entries, own)) => (entries.trim(), Some(own)),
        None => (text, None),
    };
    let entries = entries.split(", ").filter(|entry| !entry.is_empty()).map(|entry| {
        let (key, value) = entry.split_once('=').unwrap();
        Entry { key, value }
    });
    let limit = own.map(|own| {
        let (requests, unit) = own.split_once('/').unwrap();
        Override { requests_per_unit: requests.parse().unwrap(), unit: Unit::from_word(unit).unwrap().number() }
    });
    Descriptor { entries: entries.collect(), limit }
}

/// The limits in the words of the table. Counters are shown where the table has one.
fn shown(limits: &Limits, expected: &str) -> String {
    let Limits::Known(limits) = limits else { return "?".to_owned() };
    let mut expected = expected.split(" ; ");
    let each = limits.iter().map(|limit| {
        let counter = expected.next().is_some_and(|expected| expected.contains("counter="));
        limit.as_ref().map_or_else(|| "-".to_owned(), |limit| one(limit, counter))
    });
    each.collect::<Vec<_>>().join(" ; ")
}

fn one(limit: &Limit, counter: bool) -> String {
    let rate = match limit.rate {
        Rate::Unlimited => "unlimited".to_owned(),
        Rate::Each { requests_per_unit, unit } => format!("{requests_per_unit}/{}", unit.name().to_lowercase()),
    };
    let mut words = vec![rate, limit.stat_key.to_string()];
    words.extend((!limit.name.is_empty()).then(|| format!("name={}", limit.name)));
    words.extend(limit.shadow.then(|| "shadow".to_owned()));
    words.extend(limit.quota.then(|| "quota".to_owned()));
    words.extend(limit.overridden.then(|| "own".to_owned()));
    words.extend(limit.metadata.is_some().then(|| "metadata".to_owned()));
    words.extend(counter.then(|| format!("counter={}", limit.counter)));
    words.join(" ")
}

#[test]
fn a_descriptors_own_limit_with_a_unit_that_is_none_is_an_error() {
    let rules = configuration(CONFIGS[0].1);
    let own = |unit| Descriptor { entries: Vec::new(), limit: Some(Override { requests_per_unit: 1, unit }) };
    let fine = Descriptor { entries: Vec::new(), limit: None };
    for unit in [0, -1, 8, i32::MAX] {
        assert_eq!(rules.limits("shop", &[fine.clone(), own(unit)]), Err(UnknownUnit { descriptor: 1, unit }));
        assert_eq!(rules.limits("nowhere", &[own(unit)]), Ok(Limits::UnknownDomain));
    }
}

#[test]
fn metadata_of_a_rule_comes_with_its_limit() {
    use bulkhead_ratelimit::dropin::rules::metadata::Value;
    let rules = configuration(CONFIGS[4].1);
    let Limits::Known(limits) = rules.limits("modes", &[descriptor("told=x")]).unwrap() else { panic!("known") };
    let metadata = limits[0].as_ref().unwrap().metadata.as_ref().unwrap();
    assert_eq!(metadata["owner"], Value::Text("team-a".into()));
    assert_eq!((&metadata["level"], &metadata["ratio"]), (&Value::Number(3.0), &Value::Number(0.5)));
    let inner = Value::Map([("y".to_owned(), Value::Null)].into());
    assert_eq!(metadata["tags"], Value::List(vec![Value::Text("x".into()), inner]));
}
