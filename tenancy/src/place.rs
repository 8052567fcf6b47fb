//! Where a value was written: what a later check needs in order to complain about it.

use std::{fmt, ops::Deref, sync::Arc};

use crate::fault::{Fault, Severity};

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T> At<T> {
    /// A value at its place.
    pub const fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }

    /// Another value at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), place: self.place }
    }

    /// An error about this value.
    #[must_use]
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        self.place.fault(message)
    }

    /// A warning about this value.
    #[must_use]
    pub fn warning(&self, message: impl Into<String>) -> Fault {
        self.place.warning(message)
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Equal values are equal wherever they stand.
impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// A place in a file: file, line, column, field. Cheap to clone; the field's text is made only when somebody complains.
#[derive(Clone)]
pub struct Place {
    path: Arc<Step>,
    line: u32,
    column: u32,
}

/// One step of a dotted path, and what it is a step from.
enum Step {
    /// The file itself.
    File(Arc<str>),
    /// A field that the schema knows.
    Field(Arc<Step>, &'static str),
    /// A field, or a key of a map, that the author named.
    Key(Arc<Step>, Box<str>),
    /// An entry of a list.
    Item(Arc<Step>, usize),
}

impl Place {
    /// The whole of a file, without a line: what cannot be read has none.
    #[must_use]
    pub fn file(file: &Arc<str>) -> Self {
        Self { path: Arc::new(Step::File(Arc::clone(file))), line: 0, column: 0 }
    }

    /// The same field at a line and a column, both from 1.
    #[must_use]
    pub fn at(mut self, line: u32, column: u32) -> Self {
        (self.line, self.column) = (line, column);
        self
    }

    /// A line, from 1, of the text that stands here; of a block scalar, the place is that of its first line that is
    /// not empty. Which column its lines begin in
    /// is not known.
    #[must_use]
    pub fn in_text(self, text: &str, line: u32) -> Self {
        match self.line {
            // JSON has no positions.
            0 => self,
            at if text.contains('\n') => {
                let empty = text.bytes().take_while(|byte| *byte == b'\n').count();
                let first = at.saturating_sub(u32::try_from(empty).unwrap_or(0));
                self.at(first.saturating_add(line.saturating_sub(1)), 1)
            }
            _ => self,
        }
    }

    /// A field inside this one, at the same line until [`Place::at`] says more.
    #[must_use]
    pub fn field(&self, name: &'static str) -> Self {
        Self { path: Arc::new(Step::Field(Arc::clone(&self.path), name)), ..*self }
    }

    /// A field inside this one, with a name that the author chose: shortened, and without control characters.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        Self { path: Arc::new(Step::Key(Arc::clone(&self.path), shown(name).into())), ..*self }
    }

    /// An entry of this list.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        Self { path: Arc::new(Step::Item(Arc::clone(&self.path), index)), ..*self }
    }

    /// An error here.
    #[must_use]
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        self.say(message.into(), Severity::Error)
    }

    /// A warning here.
    #[must_use]
    pub fn warning(&self, message: impl Into<String>) -> Fault {
        self.say(message.into(), Severity::Warning)
    }

    fn say(&self, message: String, severity: Severity) -> Fault {
        let mut field = String::new();
        let file = self.path.write(&mut field);
        Fault { file, line: self.line, column: self.column, field, message: one_line(message), severity }
    }
}

/// The longest message, in characters.
const MAX_MESSAGE: usize = 1_000;

/// A message in one line, whatever it quotes: a line feed in it would begin a line that we did not write (S11).
fn one_line(message: String) -> String {
    if message.len() <= MAX_MESSAGE && !message.contains(is_hidden) {
        return message;
    }
    let mut shown = message.chars().flat_map(visible);
    let mut line: String = shown.by_ref().take(MAX_MESSAGE).collect();
    if shown.next().is_some() {
        line.push_str(" ...");
    }
    line
}

/// A character as it is shown: what nobody sees is written out, so that two names look alike only if they are the same.
pub(crate) fn visible(one: char) -> impl Iterator<Item = char> {
    let escaped = is_hidden(one).then(|| one.escape_default());
    let plain = escaped.is_none().then_some(one);
    escaped.into_iter().flatten().chain(plain)
}

/// Controls, and characters that have no width, are blank, choose a variant, or turn the direction of what follows (Unicode's Default_Ignorable_Code_Point, and bidi controls).
fn is_hidden(one: char) -> bool {
    let ignorable = matches!(
        one,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    ignorable || one.is_control()
}

impl Step {
    /// Writes the dotted path and returns the file that it is a path in.
    fn write(&self, field: &mut String) -> Arc<str> {
        let (file, name) = match self {
            Self::File(file) => return Arc::clone(file),
            Self::Item(parent, index) => {
                let file = parent.write(field);
                field.push_str(&format!("[{index}]"));
                return file;
            }
            // A key with a dot in it would read as two.
            Self::Key(parent, name) if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) => {
                let file = parent.write(field);
                field.push_str(&format!("[\"{name}\"]"));
                return file;
            }
            Self::Field(parent, name) => (parent.write(field), *name),
            Self::Key(parent, name) => (parent.write(field), &**name),
        };
        if !field.is_empty() {
            field.push('.');
        }
        field.push_str(name);
        file
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { file, field, .. } = self.fault("");
        write!(f, "{file}:{}:{}: {field}", self.line, self.column)
    }
}

/// A text that a file's author chose, fit for one line of an error: at most 64 characters, what nobody sees written out (S16), and quotes, so that it ends
/// where it seems to.
pub(crate) fn shown(text: &str) -> String {
    // A URL in the place of a name may hold a password, which no error quotes.
    if let Some((scheme, _)) = text.split_once("://").filter(|(_, rest)| rest.contains('@')) {
        return format!("{}://...", shown(scheme));
    }
    // So may what a URL is without its scheme.
    if text.contains('@') {
        return "...".to_owned();
    }
    let plain = |one: char| !matches!(one, '"' | '\\');
    let escaped = |one: char| (!plain(one)).then_some('\\').into_iter().chain(visible(one));
    let mut shown: String = text.chars().take(64).flat_map(escaped).collect();
    if text.chars().nth(64).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The field of a fault at a key.
    fn field(key: &str) -> String {
        Place::file(&Arc::from("f")).key(key).fault("").field
    }

    #[test]
    fn s16_a_key_that_may_hold_a_secret_is_not_quoted() {
        for key in ["redis://u:hunter2@host", "u:hunter2@host", "hunter2@", "u:hunter2@redis://host", "a://b://hunter2@c", "://u:hunter2@h"]
        {
            assert!(!field(key).contains("hunter2"), "{key}: {}", field(key));
        }
    }

    #[test]
    fn s16_a_key_is_shown_so_that_no_other_looks_the_same() {
        assert_eq!(field("a\u{200b}b"), "[\"a\\u{200b}b\"]");
        assert_eq!(field("a\u{202e}b"), "[\"a\\u{202e}b\"]");
        assert_eq!(field("a\nb"), "[\"a\\nb\"]");
        assert_eq!(field("a\"].b[\"c"), "[\"a\\\"].b[\\\"c\"]");
        // What is written as such is not what it stands for.
        assert_eq!(field("a\\nb"), "[\"a\\\\nb\"]");
        assert_eq!(field("größe"), "[\"größe\"]");
    }
}
