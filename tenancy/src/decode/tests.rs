use std::sync::Arc;

use super::*;
use crate::resource::read;

#[test]
fn s16_a_file_reports_a_bounded_number_of_errors_and_how_many_more() {
    let tools = "name_ , ".repeat(1000);
    let text = format!("apiVersion: gostoa.dev/v1alpha1\nkind: ToolSet\nmetadata: {{ name: x }}\nspec: {{ tools: [{tools}] }}\n");
    let (resources, faults) = read(&Arc::from("f.yaml"), &text);
    assert!(resources.is_empty());
    assert_eq!(faults.len(), MAX_FAULTS + 1);
    assert_eq!(faults.last().unwrap().message, "has 800 more errors");
}

#[test]
fn s16_a_key_that_the_author_chose_is_shown_short_and_on_one_line() {
    let key = format!("\\e[2J\\n{}", "k".repeat(500));
    let text = format!("apiVersion: gostoa.dev/v1alpha1\nkind: Tool\nmetadata: {{ name: x }}\nspec: {{ api: a, \"{key}\": 1 }}\n");
    let (_, faults) = read(&Arc::from("f.yaml"), &text);
    let told = faults[0].to_string();
    assert!(told.len() < 200 && !told.contains(char::is_control), "{told}");
}

#[test]
fn a_hint_is_given_only_for_what_is_near() {
    let words = || ["upstream", "hosts", "name"].into_iter();
    assert_eq!(did_you_mean("upstrem", words()), "; did you mean `upstream`?");
    assert_eq!(did_you_mean("Hosts", words()), "; did you mean `hosts`?");
    assert_eq!(did_you_mean("ab", words()), "");
    assert_eq!(did_you_mean(&"x".repeat(100_000), words()), "");
}
