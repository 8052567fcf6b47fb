//! The table at the top of `rules.rs`, against the sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use bulkhead_tests::parts::workspace;

/// File (from the workspace's root) and the tests in it that carry a rule's number.
type Found = BTreeMap<String, Vec<String>>;

/// Every test of the tree that is named after a rule.
fn tests() -> Found {
    let mut found = Found::new();
    for member in ["audit", "content", "doors", "ext-authz", "proto", "ratelimit", "tenancy", "tests", "xtask"] {
        walk(&workspace().join(member), member, &mut found);
    }
    found
}

fn walk(directory: &Path, shown: &str, found: &mut Found) {
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{shown}: {error}")) {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let shown = format!("{shown}/{name}");
        if entry.path().is_dir() {
            walk(&entry.path(), &shown, found);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).unwrap_or_else(|error| panic!("{shown}: {error}"));
            let named: Vec<String> = text.lines().filter_map(function).filter(|name| !rules(name).is_empty()).collect();
            if !named.is_empty() {
                found.insert(shown, named);
            }
        }
    }
}

/// The function that a line begins.
fn function(line: &str) -> Option<String> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    Some(line.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect())
}

/// The rules that a test's name begins with, or names later on: `s15_the_order_..._and_s7_nothing_...`.
fn rules(name: &str) -> BTreeSet<u32> {
    let number = |word: &str| word.strip_prefix('s').filter(|digits| !digits.starts_with('0')).and_then(|digits| digits.parse().ok());
    if name.split('_').next().and_then(number).is_none() {
        return BTreeSet::new();
    }
    name.split('_').filter_map(number).filter(|rule| (1..=25).contains(rule)).collect()
}

/// One row of the table.
struct Row {
    here: BTreeSet<String>,
    elsewhere: BTreeSet<String>,
}

fn table() -> BTreeMap<u32, Row> {
    let cell = |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("//! | S")?.split(" | ").collect();
        let [rule, attack, here, elsewhere] = cells[..] else { panic!("not four cells: {line}") };
        assert!(attack.len() > 20, "S{rule} says what the attack is");
        Some((rule.trim().parse().expect("a number"), Row { here: cell(here), elsewhere: cell(elsewhere) }))
    };
    include_str!("../rules.rs").lines().filter_map(row).collect()
}

#[test]
fn every_rule_has_a_named_test_and_the_table_knows_them_all() {
    let (table, tests) = (table(), tests());
    let mut wrong = Vec::new();
    for rule in 1..=25 {
        let mut here = BTreeSet::new();
        let mut elsewhere = BTreeSet::new();
        for (file, names) in &tests {
            let own: Vec<&String> = names.iter().filter(|name| rules(name).contains(&rule)).collect();
            if file.starts_with("tests/tests/rules/") {
                here.extend(own.into_iter().cloned());
            } else if !own.is_empty() {
                elsewhere.insert(file.clone());
            }
        }
        if here.is_empty() && elsewhere.is_empty() {
            wrong.push(format!("S{rule} has no test"));
        }
        let Some(row) = table.get(&rule) else {
            wrong.push(format!("S{rule} has no row"));
            continue;
        };
        // Elsewhere files come and go with their code; a row must only name none that is gone.
        wrong.extend(here.difference(&row.here).map(|missing| format!("S{rule}: the table does not list {missing}")));
        wrong.extend(row.here.difference(&here).map(|gone| format!("S{rule}: {gone} is listed, and gone")));
        wrong.extend(row.elsewhere.difference(&elsewhere).map(|gone| format!("S{rule}: {gone} is listed, and holds no test of it")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_rules_number_is_read_out_of_a_name() {
    assert_eq!(rules("s7_a_filter"), [7].into());
    assert_eq!(rules("s15_the_order_and_s7_nothing"), [7, 15].into());
    assert!(rules("sends_7_requests").is_empty() && rules("a_s7_later").is_empty() && rules("s77").is_empty());
    assert_eq!(function("    pub fn public() {").as_deref(), None);
    assert_eq!(function("    async fn s7_test() {").as_deref(), Some("s7_test"));
}
