use super::*;
use crate::text::{Eye, Layer};

fn topics(phrases: &[&str], patterns: &[&str]) -> Result<Topics, TopicError> {
    let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    Topics::compile([("label".to_owned(), TopicMatcher { phrases: owned(phrases), patterns: owned(patterns) })].into())
}

fn finds(topics: &Topics, text: &str) -> bool {
    let mut found = BTreeSet::new();
    let budget = Budget::default();
    let view = View::of(Layer::Plain, Eye::Person, text.as_bytes(), 0..text.len(), &budget).unwrap();
    topics.find(&view, Absent::default(), &mut found, &budget).unwrap();
    !found.is_empty()
}

#[test]
fn what_cannot_be_looked_for_is_refused() {
    assert_eq!(topics(&["--"], &[]), Err(TopicError::EmptyPhrase));
    assert_eq!(topics(&["\u{200b}"], &[]), Err(TopicError::EmptyPhrase));
    assert!(matches!(topics(&[], &["a("]), Err(TopicError::Pattern(why)) if why == "unclosed group"));
    assert!(matches!(topics(&[], &[r"(a)\1"]), Err(TopicError::Pattern(_))), "what needs backtracking is no pattern");
    assert_eq!(topics(&[], &["a*"]), Err(TopicError::MatchesNothing));
    assert!(matches!(topics(&[], &[r"(\w{500}){500}"]), Err(TopicError::TooLarge(_))));
    assert!(matches!(topics(&["long ".repeat(60_000).as_str()], &[]), Err(TopicError::TooLarge(_))));
}

#[test]
fn what_may_take_long_on_a_short_text_is_not_light() {
    assert!(Topics::default().are_light() && topics(&["Initech"], &[r"margin [0-9]+%"]).unwrap().are_light());
    let pattern = |at: usize| format!("x(?:a|b|ab){{1,60}}{at}");
    assert!(!topics(&[], &[&pattern(1), &pattern(2), &pattern(3)]).unwrap().are_light());
    let phrases: Vec<String> = (1..200).map(|length| "a".repeat(length)).collect();
    assert!(!topics(&phrases.iter().map(String::as_str).collect::<Vec<_>>(), &[]).unwrap().are_light());
}

#[test]
fn a_pattern_is_folded_as_the_text_is() {
    let topics = topics(&[], &[r"\bcafé\s+n°\d+"]).unwrap();
    assert!(finds(&topics, "Le CAFE\u{301} n°12") && finds(&topics, "cafe n°１２") && !finds(&topics, "café n°x"));
}

#[test]
fn punctuation_of_a_phrase_counts() {
    let topics = topics(&["C++", "node.js", "data-loss"], &[]).unwrap();
    assert!(
        finds(&topics, "we use c++, mostly") && finds(&topics, "Node.JS") && finds(&topics, "Data Loss") && finds(&topics, "data_loss")
    );
    assert!(!finds(&topics, "c plus") && !finds(&topics, "nodexjs") && !finds(&topics, "metadata loss"));
}

#[test]
fn equal_topics_are_compiled_once() {
    let (one, two) = (topics(&["Initech"], &[]).unwrap(), topics(&["Initech"], &[]).unwrap());
    assert!(Arc::ptr_eq(one.0.as_ref().unwrap(), two.0.as_ref().unwrap()));
    assert_eq!(one, two);
    assert_ne!(one, topics(&["Hooli"], &[]).unwrap());
    assert_eq!(format!("{one:?}"), r#"{"label": TopicMatcher { phrases: ["Initech"], patterns: [] }}"#);
}
