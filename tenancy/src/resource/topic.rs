//! `topics`: what labels mean, in a Platform and in a GuardrailPolicy.

use std::collections::BTreeMap;

use bulkhead_content::TopicError;

use crate::{
    decode::{CONTROLS, Reader},
    guardrail::TopicMatcher,
    place::At,
};

/// Labels with what they mean. Each phrase and pattern can be compiled; whether all of them together can is judged later.
pub type Topics = BTreeMap<String, At<TopicMatcher>>;

/// The longest label, in bytes.
pub(super) const MAX_LABEL: usize = 63;
/// The longest phrase, in bytes.
const MAX_PHRASE: usize = 256;
/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Topics> {
    let topics = reader.map(|label, reader| {
        if label.trim().is_empty() || label.len() > MAX_LABEL {
            return reader.refuse(format!("must have a label of 1 to {MAX_LABEL} bytes"));
        }
        if label.contains(char::is_control) {
            return reader.refuse(CONTROLS);
        }
        Some(((*label).to_owned(), reader.at(matcher)?))
    });
    topics.map(BTreeMap::from_iter)
}

fn matcher(reader: &mut Reader<'_>) -> Option<TopicMatcher> {
    reader.object(|fields| {
        let phrases = fields.optional("phrases", |reader| reader.some(|phrase| checked(phrase, MAX_PHRASE, TopicMatcher::check_phrase)));
        let patterns = fields.optional("patterns", |reader| reader.some(pattern));
        if !fields.has("phrases") && !fields.has("patterns") {
            return fields.refuse("must have `phrases` or `patterns`");
        }
        let values = |list: Option<Vec<At<String>>>| list.unwrap_or_default().into_iter().map(|one| one.value).collect();
        Some(TopicMatcher { phrases: values(phrases), patterns: values(patterns) })
    })
}

fn pattern(reader: &mut Reader<'_>) -> Option<String> {
    reader.may_compile().then(|| checked(reader, MAX_PATTERN, TopicMatcher::check_pattern))?
}

/// A phrase or pattern that can be looked for.
fn checked(reader: &mut Reader<'_>, most: usize, check: impl FnOnce(&str) -> Result<(), TopicError>) -> Option<String> {
    let text = reader.text(most)?;
    match check(&text) {
        Ok(()) => Some(text),
        Err(error) => reader.refuse(error.to_string()),
    }
}
