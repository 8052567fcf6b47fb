//! Values with a `*`: it stands for any text, also none, wherever it is and however often.

use std::sync::Arc;

/// What the wildcard rule of one level matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// The star is in the value alone: the key must be equal, and the value fit. The original matches the joined `key_value` here too, so
    /// that an entry `(user_a, x)` would meet the rule `user: a*`.
    Value { key: Arc<str>, value: Arc<str> },
    /// The star is in the key: the joined `key_value` must fit, as in the original.
    Joined(Arc<str>),
}

impl Pattern {
    /// The pattern of a rule; none if it has no `*`.
    pub(super) fn of(key: &str, value: &str) -> Option<Self> {
        if key.contains('*') {
            let joined = if value.is_empty() { key.to_owned() } else { format!("{key}_{value}") };
            return Some(Self::Joined(joined.into()));
        }
        value.contains('*').then(|| Self::Value { key: key.into(), value: value.into() })
    }

    /// Whether an entry fits.
    pub(super) fn fits(&self, key: &str, value: &str) -> bool {
        match self {
            Self::Value { key: own, value: pattern } => **own == *key && fits(pattern, &[value]),
            Self::Joined(pattern) => fits(pattern, &[key, "_", value]),
        }
    }

    /// What stands for the value where all values of the pattern count, or are shown, as one.
    pub(super) fn shared(&self, key: &str) -> &str {
        match self {
            Self::Value { value, .. } => value,
            Self::Joined(joined) => joined.strip_prefix(key).and_then(|rest| rest.strip_prefix('_')).unwrap_or(joined),
        }
    }
}

/// Whether a text (given in pieces) fits a pattern. Linear: between the first and the last literal, the leftmost place of each is enough.
fn fits(pattern: &str, pieces: &[&str]) -> bool {
    let joined;
    let text = if let [text] = pieces {
        *text
    } else {
        joined = pieces.concat();
        &joined
    };
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut text) = text.strip_suffix(last) else { return false };
    for literal in middle.split('*').filter(|literal| !literal.is_empty()) {
        let Some((_, after)) = text.split_once(literal) else { return false };
        text = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(pattern: &str, text: &str) -> bool {
        Pattern::of("k", pattern).is_some_and(|pattern| pattern.fits("k", text))
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*", "b", false),
            ("*z", "az", true),
            ("*z", "za", false),
            ("a*z", "az", true),
            ("a*z", "a-z", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*bc*c", "abc", false),
            ("a**c", "ac", true),
            ("/api/*/items", "/api/v1/items", true),
            ("/api/*/items", "/api/items", false),
            ("é*", "été", true),
        ] {
            assert_eq!(value(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_star_in_the_value_holds_the_key_fast() {
        let pattern = Pattern::of("user", "a*").unwrap();
        assert!(pattern.fits("user", "ab"));
        assert!(!pattern.fits("user_a", "b"));
        assert!(Pattern::of("user*", "").unwrap().fits("user_a", "b"));
        assert!(Pattern::of("user", "a").is_none());
    }

    proptest! {
        #[test]
        fn matching_agrees_with_a_plain_search(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            fn plain(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|at| plain(rest, &text[at..])),
                    Some((first, rest)) => text.split_first().is_some_and(|(t, after)| t == first && plain(rest, after)),
                }
            }
            prop_assert_eq!(fits(&pattern, &[&text]), plain(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn no_pattern_and_no_text_panics(key in ".*", pattern in ".*", text in ".*") {
            if let Some(pattern) = Pattern::of(&key, &pattern) {
                let _ = (pattern.fits(&key, &text), pattern.shared(&key).len());
            }
        }
    }
}
