//! Reads fields out of a tree and collects what is wrong with them, all of it: nothing stops at the first error.
//!
//! A reader gives `None` where it has complained. Whoever builds a struct asks for every field first and gives up (`?`) only then.

mod fields;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

pub use fields::Fields;

use crate::{
    fault::Fault,
    place::{At, Place},
    tree::{Node, Scalar, Value},
    yaml::Bounds,
};

/// The most faults that one file reports: an author reads no more, and hostile text may hold a million (S16).
const MAX_FAULTS: usize = 200;
/// The most values of an object that is kept as JSON: as many as 64 KiB of text hold.
const MAX_OBJECT: usize = 20_000;

/// Why a text is refused that somebody could read otherwise than it is.
pub(crate) const CONTROLS: &str = "must not hold control characters";

/// What is wrong with a file, as it is found.
#[derive(Debug)]
pub struct Faults {
    found: Vec<Fault>,
    more: usize,
    /// Regular expressions that may still be compiled to see whether they can be, and that were.
    patterns: (usize, usize),
}

impl Default for Faults {
    fn default() -> Self {
        Self { found: Vec::new(), more: 0, patterns: (Bounds::PARTITION.patterns, 0) }
    }
}

impl Faults {
    /// The same, for a file in which so many patterns may be compiled.
    #[must_use]
    pub fn compiling(self, patterns: usize) -> Self {
        Self { patterns: (patterns, 0), ..self }
    }

    /// How many patterns were compiled.
    #[must_use]
    pub fn compiled(&self) -> usize {
        self.patterns.1
    }

    /// One more.
    pub fn push(&mut self, fault: Fault) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.found.push(fault);
        }
    }

    /// Whether further ones are only counted: then nothing need be spent on saying them well.
    fn is_full(&self) -> bool {
        self.found.len() >= MAX_FAULTS
    }

    /// How many were found.
    #[must_use]
    pub fn count(&self) -> usize {
        self.found.len() + self.more
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn in_order(mut self) -> Vec<Fault> {
        self.found.sort_by_key(|fault| (fault.line, fault.column));
        if let Some(last) = self.found.last().filter(|_| self.more > 0) {
            let message = format!("has {} more errors", self.more);
            self.found.push(Fault { field: String::new(), message, ..last.clone() });
        }
        self.found
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(faults: Vec<Fault>) -> Self {
        let mut all = Self::default();
        faults.into_iter().for_each(|fault| all.push(fault));
        all
    }
}

/// One value that is being read.
pub struct Reader<'a> {
    node: &'a Node,
    place: Place,
    faults: &'a mut Faults,
}

impl<'a> Reader<'a> {
    /// Reads a node, whose field is `place`.
    pub fn new(node: &'a Node, place: Place, faults: &'a mut Faults) -> Self {
        Self { node, place: place.at(node.line, node.column), faults }
    }

    /// Complains about this value.
    pub fn refuse<T>(&mut self, message: impl Into<String>) -> Option<T> {
        self.faults.push(self.place.fault(message));
        None
    }

    fn unlike<T>(&mut self, wanted: &str) -> Option<T> {
        let hint = match &self.node.value {
            Value::Scalar(Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float(_)) if wanted == "text" => " (put it in quotes)",
            Value::Scalar(Scalar::Null) => " (leave the field out, if that is meant)",
            _ => "",
        };
        self.refuse(format!("must be {wanted}, not {}{hint}", self.node.described()))
    }

    /// What `read` makes of it, with its place.
    pub fn at<T>(&mut self, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<At<T>> {
        let place = self.place.clone();
        read(self).map(|value| At::new(value, place))
    }

    /// Any text, the empty one too, in lines.
    pub fn prose(&mut self) -> Option<String> {
        let is_wrong = |one: char| one.is_control() && !matches!(one, '\n' | '\r' | '\t');
        match &self.node.value {
            Value::Scalar(Scalar::Text(text)) if text.contains(is_wrong) => self.refuse(CONTROLS),
            Value::Scalar(Scalar::Text(text)) => Some(text.to_string()),
            _ => self.unlike("text"),
        }
    }

    /// Text that says something, in one line without control characters: whoever compares it, sends it or shows it reads the same (S16).
    pub fn text(&mut self, most: usize) -> Option<String> {
        let text = self.source(most)?;
        if text.contains(char::is_control) { self.refuse(CONTROLS) } else { Some(text) }
    }

    /// Text that says something in some language, at most so many bytes of it, in lines.
    pub fn source(&mut self, most: usize) -> Option<String> {
        match &self.node.value {
            Value::Scalar(Scalar::Text(text)) if text.trim().is_empty() => self.refuse("must not be empty"),
            Value::Scalar(Scalar::Text(text)) if text.len() > most => self.refuse(format!("must have at most {most} bytes")),
            Value::Scalar(Scalar::Text(text)) => Some(text.to_string()),
            _ => self.unlike("text"),
        }
    }

    /// Text that is something more: a name, a host, a URL. The complaint is the type's own, and never quotes the text.
    pub fn parse<T>(&mut self) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        self.parse_with(str::parse)
    }

    /// Text that a function makes something of.
    pub fn parse_with<T, E: Display>(&mut self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match &self.node.value {
            Value::Scalar(Scalar::Text(text)) => match parse(text) {
                Ok(value) => Some(value),
                Err(error) => self.refuse(error.to_string()),
            },
            _ => self.unlike("text"),
        }
    }

    /// Whether it is `false`.
    #[must_use]
    pub fn is_false(&self) -> bool {
        self.node.value == Value::Scalar(Scalar::Bool(false))
    }

    /// Whether it is a list without entries.
    #[must_use]
    pub fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    /// Whether it is text of which something is so.
    #[must_use]
    pub fn is_text_of(&self, is_so: impl FnOnce(&str) -> bool) -> bool {
        matches!(&self.node.value, Value::Scalar(Scalar::Text(text)) if is_so(text))
    }

    /// `true` or `false`.
    pub fn flag(&mut self) -> Option<bool> {
        match &self.node.value {
            Value::Scalar(Scalar::Bool(value)) => Some(*value),
            _ => self.unlike("true or false"),
        }
    }

    /// A whole number inside bounds.
    pub fn whole(&mut self, least: u64, most: u64) -> Option<u64> {
        let value = match &self.node.value {
            Value::Scalar(Scalar::Integer(value)) => u64::try_from(*value).ok(),
            Value::Scalar(Scalar::Float(_)) => None,
            _ => return self.unlike("a whole number"),
        };
        match value {
            Some(value) if (least..=most).contains(&value) => Some(value),
            _ => self.refuse(format!("must be a whole number from {least} to {most}")),
        }
    }

    /// A number, whole or not.
    pub fn number(&mut self) -> Option<f64> {
        match &self.node.value {
            #[expect(clippy::cast_precision_loss, reason = "a factor, not a count: its bounds are checked by whoever reads it")]
            Value::Scalar(Scalar::Integer(value)) => Some(*value as f64),
            Value::Scalar(Scalar::Float(value)) => Some(*value),
            _ => self.unlike("a number"),
        }
    }

    /// One of a few words.
    pub fn one_of<T: Copy>(&mut self, words: &[(&'static str, T)]) -> Option<T> {
        let Value::Scalar(Scalar::Text(text)) = &self.node.value else {
            let wanted = alternatives(words.iter().map(|(word, _)| *word));
            return self.unlike(&wanted);
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| **word == **text) {
            return Some(*value);
        }
        let wanted = alternatives(words.iter().map(|(word, _)| *word));
        let guess = words.len() > 1 && !self.faults.is_full();
        let hint = if guess { did_you_mean(text, words.iter().map(|(word, _)| *word)) } else { String::new() };
        self.refuse(format!("must be {wanted}{hint}"))
    }

    /// A list; entries that are wrong are left out, complained about.
    pub fn list<T>(&mut self, mut each: impl FnMut(&mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
        let Value::List(nodes) = &self.node.value else { return self.unlike("a list") };
        let mut items = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            items.extend(each(&mut Reader::new(node, self.place.item(index), self.faults)));
        }
        Some(items)
    }

    /// A list of which every entry stands once, with places.
    pub fn distinct<T: Ord + Clone>(&mut self, mut each: impl FnMut(&mut Reader<'_>) -> Option<T>) -> Option<Vec<At<T>>> {
        let mut seen = BTreeSet::new();
        self.list(|reader| {
            let (place, faults) = (reader.place.clone(), &mut *reader.faults);
            let value = each(&mut Reader { node: reader.node, place: place.clone(), faults })?;
            if seen.insert(value.clone()) {
                return Some(At::new(value, place));
            }
            faults.push(place.fault("is listed twice"));
            None
        })
    }

    /// A list of which every entry stands once, and that is not empty: an empty one could be meant as all or as none.
    pub fn some<T: Ord + Clone>(&mut self, each: impl FnMut(&mut Reader<'_>) -> Option<T>) -> Option<Vec<At<T>>> {
        match &self.node.value {
            Value::List(nodes) if nodes.is_empty() => self.refuse("must not be empty: leave the field out for its default"),
            _ => self.distinct(each),
        }
    }

    /// A mapping whose keys the author chose. A key that is not there twice reaches `each`, with its place.
    pub fn map<T>(&mut self, mut each: impl FnMut(At<&str>, &mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
        let Value::Mapping(entries) = &self.node.value else { return self.unlike("a mapping") };
        let mut seen = BTreeSet::new();
        let mut items = Vec::with_capacity(entries.len());
        for entry in entries {
            let place = self.place.key(&entry.key);
            let key = At::new(&*entry.key, place.clone().at(entry.line, entry.column));
            if seen.insert(&entry.key) {
                items.extend(each(key, &mut Reader::new(&entry.node, place, self.faults)));
            } else {
                self.faults.push(key.fault("is there twice"));
            }
        }
        Some(items)
    }

    /// A mapping whose keys the schema names. Keys that `read` does not ask for are refused.
    pub fn object<T>(&mut self, read: impl FnOnce(&mut Fields<'_>) -> Option<T>) -> Option<T> {
        self.object_of("field", read)
    }

    /// As [`Reader::object`], with another word for what a key is.
    pub fn object_of<T>(&mut self, noun: &'static str, read: impl FnOnce(&mut Fields<'_>) -> Option<T>) -> Option<T> {
        let Value::Mapping(entries) = &self.node.value else { return self.unlike("a mapping") };
        let mut fields = Fields::new(entries, self.place.clone(), self.faults, noun);
        let value = read(&mut fields);
        fields.finish();
        value
    }

    /// Whether one more regular expression may be compiled, which is complained of otherwise: many are told before time is spent on them (S16).
    pub fn may_compile(&mut self) -> bool {
        let (left, compiled) = self.faults.patterns;
        if left == 0 {
            self.refuse::<()>("comes after as many patterns as all files of a partition may hold");
            return false;
        }
        self.faults.patterns = (left - 1, compiled + 1);
        true
    }

    /// A JSON object that is kept as it is.
    pub fn json_object(&mut self) -> Option<serde_json::Value> {
        if !matches!(self.node.value, Value::Mapping(_)) {
            return self.unlike("a mapping");
        }
        // Before it is made: a map of one member takes half a KiB.
        if size(self.node) > MAX_OBJECT {
            return self.refuse(format!("holds more than {MAX_OBJECT} values, aliases expanded"));
        }
        let before = self.faults.count();
        refuse_what_json_lacks(self.node, &self.place, self.faults);
        (self.faults.count() == before).then(|| self.node.into())
    }
}

/// How many values a tree holds.
fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Mapping(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
    }
}

/// Repeated keys, and numbers that are infinite, none or too large: JSON cannot say them, or we cannot.
fn refuse_what_json_lacks(node: &Node, place: &Place, faults: &mut Faults) {
    match &node.value {
        Value::Scalar(Scalar::Float(value)) if !value.is_finite() => {
            faults.push(place.clone().at(node.line, node.column).fault("must be a finite number"));
        }
        // Made JSON, it would be null.
        Value::Scalar(Scalar::Integer(value)) if i64::try_from(*value).is_err() && u64::try_from(*value).is_err() => {
            faults.push(place.clone().at(node.line, node.column).fault("must be a whole number from -2^63 to 2^64 - 1"));
        }
        Value::Scalar(_) => {}
        Value::List(items) => {
            items.iter().enumerate().for_each(|(index, item)| refuse_what_json_lacks(item, &place.item(index), faults));
        }
        Value::Mapping(entries) => {
            let mut seen = BTreeSet::new();
            for entry in entries {
                let place = place.key(&entry.key);
                if !seen.insert(&entry.key) {
                    faults.push(place.clone().at(entry.line, entry.column).fault("is there twice"));
                }
                refuse_what_json_lacks(&entry.node, &place, faults);
            }
        }
    }
}

/// `a, b or c`.
fn alternatives(words: impl Iterator<Item = &'static str>) -> String {
    let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// `: did you mean ...?`, where a word is close to what was written; else nothing.
fn did_you_mean(written: &str, words: impl Iterator<Item = &'static str>) -> String {
    let near = words
        .filter(|_| written.len() <= 64)
        .map(|word| (strsim::damerau_levenshtein(&written.to_ascii_lowercase(), &word.to_ascii_lowercase()), word))
        .filter(|(distance, word)| *distance <= 2 && *distance * 2 < word.len())
        .min_by_key(|(distance, _)| *distance);
    near.map_or_else(String::new, |(_, word)| format!("; did you mean `{word}`?"))
}
