//! Blocked topics: labels with the phrases and patterns that mean them. All phrases of a policy are one automaton, all patterns another.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::Range,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};
use regex::{RegexSet, RegexSetBuilder};

use crate::{
    Budget, Unscannable,
    text::{Marks, View, alike, folded, spoken},
};

mod window;

#[cfg(test)]
mod tests;

/// What a topic's label means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TopicMatcher {
    /// Phrases, matched as words.
    pub phrases: Vec<String>,
    /// Regular expressions.
    pub patterns: Vec<String>,
}

/// The blocked topics of one policy, compiled. Equal, and shown, by what they were made from.
#[derive(Clone, Default)]
pub struct Topics(Option<Arc<Compiled>>);

struct Compiled {
    source: BTreeMap<String, TopicMatcher>,
    labels: Vec<String>,
    phrases: AhoCorasick,
    /// A part of each phrase of ASCII; absent: there is none.
    parts: Option<AhoCorasick>,
    /// The label of each phrase, and whether its first and its last character must be the edge of a word.
    of_phrase: Vec<(usize, [bool; 2])>,
    patterns: RegexSet,
    /// The label of each pattern.
    of_pattern: Vec<usize>,
    /// Whether no pattern asks where the text begins or ends, or a line of it.
    unanchored: bool,
    light: bool,
    latin: bool,
}

/// What of the topics is in no piece of a document that is written there as it is, in ASCII, between quotes or the like.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Absent {
    phrases: bool,
    patterns: bool,
}

/// What is compiled and held by somebody, by what it was made from.
type Live = HashMap<BTreeMap<String, TopicMatcher>, Weak<Compiled>>;

/// Why topics cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// A phrase without a letter or digit: it would be found everywhere or nowhere.
    #[error("must hold a letter or a digit")]
    EmptyPhrase,
    /// A pattern that is no regular expression, or none that can be matched in linear time.
    #[error("is not a regular expression: {0}")]
    Pattern(String),
    /// A pattern that matches the empty text: it would be found everywhere.
    #[error("matches the empty text, so it would be found everywhere")]
    MatchesNothing,
    /// A pattern, or everything together, that is too much.
    #[error("takes more than {0} bytes when compiled")]
    TooLarge(usize),
}

/// The most that one pattern may take when compiled, in bytes: what is matched in linear time still takes the longer, the larger it is.
const MAX_PATTERN: usize = 64 << 10;
/// The most that all patterns of a policy may take when compiled, in bytes.
const MAX_PATTERNS: usize = 512 << 10;
/// The most bytes of all phrases of a policy; compiled they take about ten times that.
const MAX_PHRASES: usize = 256 << 10;
/// Of phrases, and of compiled patterns, so many bytes are light: the worst text takes some hundred steps a byte.
const LIGHT: usize = 8 << 10;
/// Where Latin letters end: Extended-B and IPA are behind them.
const LAST_LATIN: char = '\u{2b0}';
/// The longest part of a phrase that is looked for first, in bytes.
const PART: usize = 12;
/// So many parts are looked for a byte at a step; more would take too much memory so.
const FEW: usize = 100;
/// What a byte costs where phrases are looked for, in steps.
const SPOKEN: usize = 8;
/// What a byte costs where it is looked for letters that look like others, in steps.
const ALIKE: usize = 4;
/// What a phrase costs where its characters stand, in steps.
const HIT: usize = 8;
/// The most that the matcher of one policy's patterns may remember of its work, in bytes, in each thread that scans.
const MAX_REMEMBERED: usize = 512 << 10;

impl TopicMatcher {
    /// Whether one phrase can be looked for.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check_phrase(phrase: &str) -> Result<(), TopicError> {
        if spoken(&folded(phrase)).chars().any(char::is_alphanumeric) { Ok(()) } else { Err(TopicError::EmptyPhrase) }
    }

    /// Whether one pattern can be looked for.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check_pattern(pattern: &str) -> Result<(), TopicError> {
        let set = patterns(&[folded(pattern)], MAX_PATTERN)?;
        if set.is_match("") { Err(TopicError::MatchesNothing) } else { Ok(()) }
    }
}

impl Topics {
    /// Compiles topics, by label. Equal ones are compiled once, for as long as somebody holds them.
    ///
    /// # Errors
    /// [`TopicError::TooLarge`] where they are too much together, or what is wrong with one of them.
    pub fn compile(source: BTreeMap<String, TopicMatcher>) -> Result<Self, TopicError> {
        static LIVE: OnceLock<Mutex<Live>> = OnceLock::new();
        if source.is_empty() {
            return Ok(Self(None));
        }
        let live = LIVE.get_or_init(Mutex::default);
        if let Some(compiled) = live.lock().unwrap_or_else(PoisonError::into_inner).get(&source).and_then(Weak::upgrade) {
            return Ok(Self(Some(compiled)));
        }
        let compiled = Arc::new(Compiled::of(source)?);
        let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
        if live.len() == live.capacity() {
            live.retain(|_, compiled| compiled.strong_count() > 0);
        }
        live.insert(compiled.source.clone(), Arc::downgrade(&compiled));
        Ok(Self(Some(compiled)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether they cost little, whatever the text: a large pattern is matched in linear time and still takes tens of thousands of steps a byte.
    #[must_use]
    pub fn are_light(&self) -> bool {
        self.0.as_ref().is_none_or(|compiled| compiled.light)
    }

    /// Whether there are patterns, whose work is not counted by what it takes.
    #[must_use]
    pub fn have_patterns(&self) -> bool {
        self.0.as_ref().is_some_and(|compiled| !compiled.of_pattern.is_empty())
    }

    /// The labels.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|compiled| compiled.source.keys().map(String::as_str))
    }

    /// What a label means here.
    #[must_use]
    pub fn matcher(&self, label: &str) -> Option<&TopicMatcher> {
        self.0.as_ref()?.source.get(label)
    }

    /// Whether every phrase and pattern is of Latin letters, as far as it is of letters.
    pub(crate) fn are_latin(&self) -> bool {
        self.0.as_ref().is_none_or(|compiled| compiled.latin)
    }

    /// Looks at a document as a whole, which takes less than to look at each of many short pieces.
    ///
    /// # Errors
    /// It takes more than the budget.
    pub(crate) fn absent(&self, document: &[u8], budget: &Budget<'_>) -> Result<Absent, Unscannable> {
        match (self.0.as_ref(), str::from_utf8(document)) {
            (Some(compiled), Ok(document)) if document.is_ascii() => compiled.absent(document, budget),
            _ => Ok(Absent::default()),
        }
    }

    /// Adds the labels that folded text speaks of, as it is written and as it looks.
    ///
    /// # Errors
    /// It takes more than the budget.
    pub(crate) fn find(
        &self,
        view: &View<'_>,
        absent: Absent,
        found: &mut BTreeSet<String>,
        budget: &Budget<'_>,
    ) -> Result<(), Unscannable> {
        let Some(compiled) = self.0.as_ref().filter(|compiled| found.len() < compiled.labels.len()) else { return Ok(()) };
        let text = view.text.as_ref();
        if !view.marks.any(Marks::BEYOND) {
            let absent = if view.is_written_so() { absent } else { Absent::default() };
            if !absent.phrases && compiled.may_speak(text, budget)? {
                compiled.phrases(text, found, budget)?;
            }
            return if absent.patterns && text.len() <= window::PART { Ok(()) } else { compiled.patterns(text, found, budget) };
        }
        compiled.phrases(text, found, budget)?;
        compiled.patterns(text, found, budget)?;
        // What letters look like is never longer than they are.
        budget.spend(ALIKE * text.len())?;
        budget.hold(text.len())?;
        if let Some(alike) = alike(text) {
            compiled.phrases(&alike, found, budget)?;
            compiled.patterns(&alike, found, budget)?;
        }
        budget.release(text.len());
        Ok(())
    }
}

/// Whether a phrase is a part of a longer word, where its first and its last character must be the edge of one.
fn goes_on(text: &str, at: Range<usize>, [first, last]: [bool; 2]) -> bool {
    let before = || text.get(..at.start).and_then(|before| before.chars().next_back());
    let after = || text.get(at.end..).and_then(|after| after.chars().next());
    (first && before().is_some_and(is_of_a_word)) || (last && after().is_some_and(is_of_a_word))
}

impl Compiled {
    fn of(source: BTreeMap<String, TopicMatcher>) -> Result<Self, TopicError> {
        let (mut phrases, mut of_phrase, mut expressions, mut of_pattern) = (vec![], vec![], vec![], vec![]);
        for (label, matcher) in source.values().enumerate() {
            for phrase in &matcher.phrases {
                TopicMatcher::check_phrase(phrase)?;
                let phrase = spoken(&folded(phrase)).trim().to_owned();
                of_phrase.push((label, [phrase.chars().next(), phrase.chars().next_back()].map(|edge| edge.is_some_and(is_of_a_word))));
                phrases.push(phrase);
            }
            for pattern in &matcher.patterns {
                TopicMatcher::check_pattern(pattern)?;
                expressions.push(folded(pattern));
                of_pattern.push(label);
            }
        }
        let length = phrases.iter().map(String::len).sum::<usize>();
        if length > MAX_PHRASES {
            return Err(TopicError::TooLarge(MAX_PHRASES * 10));
        }
        let words = phrases.iter().chain(&expressions).map(String::as_str).collect::<String>();
        let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&phrases);
        let parts = parts(&phrases).map_err(|_| TopicError::TooLarge(MAX_PHRASES * 10))?;
        let phrases = automaton.map_err(|_| TopicError::TooLarge(MAX_PHRASES * 10))?;
        let unanchored = expressions.iter().all(|pattern| is_unanchored(pattern));
        let light = length <= LIGHT && patterns(&expressions, LIGHT).is_ok();
        let latin = words.chars().all(|one| !one.is_alphabetic() || one < LAST_LATIN);
        Ok(Self {
            labels: source.keys().cloned().collect(),
            source,
            phrases,
            parts,
            of_phrase,
            patterns: patterns(&expressions, MAX_PATTERNS)?,
            of_pattern,
            unanchored,
            light,
            latin,
        })
    }

    fn absent(&self, document: &str, budget: &Budget<'_>) -> Result<Absent, Unscannable> {
        let phrases = !self.may_speak(document, budget)?;
        let patterns = self.unanchored && !window::may_match(&self.patterns, document, self.light, budget)?;
        Ok(Absent { phrases, patterns })
    }

    /// Whether a phrase may stand in a text of ASCII: only where its part does.
    fn may_speak(&self, text: &str, budget: &Budget<'_>) -> Result<bool, Unscannable> {
        let Some(parts) = &self.parts else { return Ok(false) };
        budget.spend(text.len())?;
        Ok(parts.is_match(text))
    }

    fn phrases(&self, text: &str, found: &mut BTreeSet<String>, budget: &Budget<'_>) -> Result<(), Unscannable> {
        if self.of_phrase.is_empty() {
            return Ok(());
        }
        budget.spend(SPOKEN * text.len())?;
        budget.hold(text.len())?;
        let spoken = spoken(text);
        budget.hold(spoken.capacity().saturating_sub(text.len()))?;
        for hit in self.phrases.find_overlapping_iter(&spoken) {
            budget.spend(HIT)?;
            let Some((label, edges)) = self.of_phrase.get(hit.pattern().as_usize()) else { continue };
            let Some(label) = self.labels.get(*label).filter(|label| !found.contains(*label)) else { continue };
            if !goes_on(&spoken, hit.range(), *edges) {
                found.insert(label.clone());
            }
        }
        budget.release(text.len().max(spoken.capacity()));
        Ok(())
    }

    fn patterns(&self, text: &str, found: &mut BTreeSet<String>, budget: &Budget<'_>) -> Result<(), Unscannable> {
        if !self.of_pattern.is_empty() && found.len() < self.labels.len() {
            let labels =
                window::matches(&self.patterns, text, self.light, budget)?.into_iter().filter_map(|index| self.of_pattern.get(index));
            found.extend(labels.filter_map(|label| self.labels.get(*label).cloned()));
        }
        Ok(())
    }
}

/// Whether a pattern asks nowhere where the text, or a line of it, begins or ends.
fn is_unanchored(pattern: &str) -> bool {
    let outside = pattern.replace("[^", "[");
    !outside.contains(['^', '$']) && ["\\A", "\\z"].iter().all(|anchor| !outside.contains(anchor))
}

/// The longest word of each phrase of ASCII, or its beginning: wherever the phrase stands in a text of ASCII, that stands in it as it is but for case.
fn parts(phrases: &[String]) -> Result<Option<AhoCorasick>, BuildError> {
    let words = phrases.iter().filter(|phrase| phrase.is_ascii()).filter_map(|phrase| phrase.split(' ').max_by_key(|word| word.len()));
    let parts: BTreeSet<&str> = words.filter_map(|word| word.get(..word.len().min(PART))).collect();
    if parts.is_empty() {
        return Ok(None);
    }
    let kind = if parts.len() <= FEW { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(kind)).build(parts).map(Some)
}

fn patterns(patterns: &[String], most: usize) -> Result<RegexSet, TopicError> {
    let set = RegexSetBuilder::new(patterns).case_insensitive(true).size_limit(most).dfa_size_limit(MAX_REMEMBERED).nest_limit(50).build();
    set.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => TopicError::TooLarge(most),
        // The last line says what is wrong; those before draw the pattern.
        error => {
            let whole = error.to_string();
            let said = whole.lines().last().unwrap_or_default();
            TopicError::Pattern(said.strip_prefix("error: ").unwrap_or(said).to_owned())
        }
    })
}

/// Whether a character beside a phrase makes it a part of a longer word. Scripts that put no spaces between words have no such edges.
fn is_of_a_word(one: char) -> bool {
    let unspaced = matches!(u32::from(one),
        0xe00..=0xeff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x2e80..=0x30ff | 0x3100..=0x312f | 0x31a0..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff);
    one.is_alphanumeric() && !unspaced
}

impl PartialEq for Topics {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().map(|one| &one.source) == other.0.as_ref().map(|other| &other.source)
    }
}

impl Eq for Topics {}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().flat_map(|compiled| &compiled.source)).finish()
    }
}
