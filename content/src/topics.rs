//! Blocked topics: labels with the phrases and patterns that mean them.

use std::collections::BTreeMap;

/// What a topic's label means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicMatcher {
    /// Phrases, matched as words.
    pub phrases: Vec<String>,
    /// Regular expressions.
    pub patterns: Vec<String>,
}

/// The blocked topics of one policy, compiled. Equal, and shown, by what they were made from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topics {
    source: BTreeMap<String, TopicMatcher>,
}

/// Why topics cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// A phrase without a letter or digit: it would be found everywhere or nowhere.
    #[error("a phrase must hold a letter or a digit")]
    EmptyPhrase,
    /// A pattern that is no regular expression, or none that can be matched in linear time.
    #[error("is not a regular expression: {0}")]
    Pattern(String),
    /// A pattern that matches the empty text: it would be found everywhere.
    #[error("matches the empty text, so it would be found everywhere")]
    MatchesNothing,
    /// Compiled, the pattern or all of them take too much memory.
    #[error("takes more than {0} bytes when compiled")]
    TooLarge(usize),
}

impl TopicMatcher {
    /// Whether one phrase can be looked for.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check_phrase(phrase: &str) -> Result<(), TopicError> {
        if phrase.chars().any(char::is_alphanumeric) { Ok(()) } else { Err(TopicError::EmptyPhrase) }
    }

    /// Whether one pattern can be looked for.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check_pattern(pattern: &str) -> Result<(), TopicError> {
        regex::Regex::new(pattern).map(|_| ()).map_err(|error| TopicError::Pattern(error.to_string()))
    }
}

impl Topics {
    /// Compiles topics, by label.
    ///
    /// # Errors
    /// [`TopicError::TooLarge`] where they are too much together, or what is wrong with one of them.
    pub fn compile(source: BTreeMap<String, TopicMatcher>) -> Result<Self, TopicError> {
        for matcher in source.values() {
            matcher.phrases.iter().try_for_each(|phrase| TopicMatcher::check_phrase(phrase))?;
            matcher.patterns.iter().try_for_each(|pattern| TopicMatcher::check_pattern(pattern))?;
        }
        Ok(Self { source })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.source.is_empty()
    }

    /// The labels.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.source.keys().map(String::as_str)
    }

    /// What a label means here.
    #[must_use]
    pub fn matcher(&self, label: &str) -> Option<&TopicMatcher> {
        self.source.get(label)
    }
}
