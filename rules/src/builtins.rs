//! The functions that a rule may call, and how large what they give may be. Whatever is not here is refused at load: what tells the time
//! or chance, what reads or writes anything, what makes much of little (`numbers.range` of 30 million under a limit of 5 ms took 2.9 s
//! and 710 MB: no clock interrupts a function). The few that build text are our own, because regorus' have no bound, and one that panics.

use std::sync::Arc;

use anyhow::{Result, bail};
use regex::RegexBuilder;
use regorus::{Engine, Value};

/// The longest text that a function builds, in bytes.
const MAX_BUILT_BYTES: usize = 4 << 10;
/// How large a compiled pattern of `regex.match` may be, in bytes.
const MAX_PATTERN_BYTES: usize = 64 << 10;

/// How large the value of a call is, by its arguments'.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    /// A number, a truth value, a bounded text.
    Scalar,
    /// Pieces of one text.
    Pieces,
    /// At most what the first argument is.
    First,
    /// The first argument's items, or the last argument.
    ItemOrLast,
    /// All arguments in one.
    Sum,
}

use Gives::{First, ItemOrLast, Pieces, Scalar, Sum};

/// Name, number of arguments, what it gives.
const LIST: &[(&str, usize, Gives)] = &[
    ("abs", 1, Scalar),
    ("array.concat", 2, Sum),
    ("array.reverse", 1, First),
    ("array.slice", 3, First),
    ("ceil", 1, Scalar),
    ("concat", 2, Scalar),
    ("contains", 2, Scalar),
    ("count", 1, Scalar),
    ("endswith", 2, Scalar),
    ("floor", 1, Scalar),
    ("format_int", 2, Scalar),
    ("indexof", 2, Scalar),
    ("intersection", 1, First),
    ("is_array", 1, Scalar),
    ("is_boolean", 1, Scalar),
    ("is_null", 1, Scalar),
    ("is_number", 1, Scalar),
    ("is_object", 1, Scalar),
    ("is_set", 1, Scalar),
    ("is_string", 1, Scalar),
    ("lower", 1, Scalar),
    ("max", 1, First),
    ("min", 1, First),
    ("object.filter", 2, First),
    ("object.get", 3, ItemOrLast),
    ("object.keys", 1, First),
    ("object.remove", 2, First),
    ("object.union", 2, Sum),
    ("regex.match", 2, Scalar),
    ("replace", 3, Scalar),
    ("round", 1, Scalar),
    ("sort", 1, First),
    ("split", 2, Pieces),
    ("sprintf", 2, Scalar),
    ("startswith", 2, Scalar),
    ("substring", 3, Scalar),
    ("sum", 1, Scalar),
    ("to_number", 1, Scalar),
    ("trim", 2, Scalar),
    ("trim_left", 2, Scalar),
    ("trim_prefix", 2, Scalar),
    ("trim_right", 2, Scalar),
    ("trim_space", 1, Scalar),
    ("trim_suffix", 2, Scalar),
    ("type_name", 1, Scalar),
    ("union", 1, First),
    ("upper", 1, Scalar),
];

/// A function's number of arguments and what it gives, if a rule may call it.
pub(crate) fn find(name: &str) -> Option<(usize, Gives)> {
    LIST.iter().find(|(listed, ..)| *listed == name).map(|(_, arguments, gives)| (*arguments, *gives))
}

/// Every name, for documents and tests.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    LIST.iter().map(|(name, ..)| *name)
}

/// Whether a rule of that name would hide a function, or part of the name of one.
pub(crate) fn is_taken(name: &str) -> bool {
    LIST.iter().any(|(listed, ..)| listed.split('.').next() == Some(name))
}

/// The pattern of a `regex.match`, as it will be compiled.
pub(crate) fn pattern(pattern: &str) -> Result<regex::Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES)
        .nest_limit(32)
        .build()
        .map_err(|_| "is no regular expression, or too large a one".to_owned())
}

/// Puts our own functions in the place of regorus'. `patterns` are all that the module matches with, compiled.
pub(crate) fn install(engine: &mut Engine, patterns: Arc<Vec<(String, regex::Regex)>>) -> Result<()> {
    engine.add_extension("concat".to_owned(), 2, Box::new(|given: Vec<Value>| concat(&given)))?;
    engine.add_extension("replace".to_owned(), 3, Box::new(|given: Vec<Value>| replace(&given)))?;
    engine.add_extension("sprintf".to_owned(), 2, Box::new(|given: Vec<Value>| sprintf(&given)))?;
    engine.add_extension("to_number".to_owned(), 1, Box::new(|given: Vec<Value>| to_number(&given)))?;
    let matched = move |given: Vec<Value>| {
        let [Value::String(pattern), Value::String(text)] = given.as_slice() else { bail!("regex.match wants two texts") };
        match patterns.iter().find(|(known, _)| **known == **pattern) {
            Some((_, regex)) => Ok(Value::from(regex.is_match(text))),
            None => bail!("regex.match wants a pattern that stands in the rule"),
        }
    };
    engine.add_extension("regex.match".to_owned(), 2, Box::new(matched))
}

/// Text that is built piece by piece within the bound.
#[derive(Default)]
struct Built(String);

impl Built {
    fn push(&mut self, piece: &str) -> Result<()> {
        if self.0.len() + piece.len() > MAX_BUILT_BYTES {
            bail!("builds more than {MAX_BUILT_BYTES} bytes of text");
        }
        self.0.push_str(piece);
        Ok(())
    }
}

fn concat(given: &[Value]) -> Result<Value> {
    let mut built = Built::default();
    let mut first = true;
    let mut add = |delimiter: &str, item: &Value| {
        let Value::String(text) = item else { bail!("concat wants a list or set of texts") };
        if !std::mem::take(&mut first) {
            built.push(delimiter)?;
        }
        built.push(text)
    };
    match given {
        [Value::String(delimiter), Value::Array(items)] => items.iter().try_for_each(|item| add(delimiter, item))?,
        [Value::String(delimiter), Value::Set(items)] => items.iter().try_for_each(|item| add(delimiter, item))?,
        _ => bail!("concat wants a text and a list or set of texts"),
    }
    Ok(Value::from(built.0))
}

fn replace(given: &[Value]) -> Result<Value> {
    let [Value::String(text), Value::String(old), Value::String(new)] = given else { bail!("replace wants three texts") };
    let mut built = Built::default();
    for (number, piece) in text.split(&**old).enumerate() {
        if number > 0 {
            built.push(new)?;
        }
        built.push(piece)?;
    }
    Ok(Value::from(built.0))
}

/// `%s`, `%d` and `%v` of texts, numbers and truth values, and `%%`.
fn sprintf(given: &[Value]) -> Result<Value> {
    let [Value::String(format), Value::Array(items)] = given else { bail!("sprintf wants a text and a list") };
    let (mut built, mut items) = (Built::default(), items.iter());
    let mut rest = &**format;
    while let Some((before, after)) = rest.split_once('%') {
        built.push(before)?;
        let mut verb = after.chars();
        match verb.next() {
            Some('%') => built.push("%")?,
            Some('s' | 'd' | 'v') => match items.next() {
                Some(Value::String(text)) => built.push(text)?,
                Some(Value::Number(number)) => built.push(&number.format_decimal())?,
                Some(Value::Bool(truth)) => built.push(if *truth { "true" } else { "false" })?,
                Some(_) => bail!("sprintf writes texts, numbers and truth values"),
                None => bail!("sprintf wants an item for every verb"),
            },
            _ => bail!("sprintf knows %s, %d, %v and %%"),
        }
        rest = verb.as_str();
    }
    built.push(rest)?;
    if items.next().is_some() {
        bail!("sprintf wants a verb for every item");
    }
    Ok(Value::from(built.0))
}

/// A number of 64 bits: a text of many digits, or of a large exponent, would be a number of as many bytes as it likes.
fn to_number(given: &[Value]) -> Result<Value> {
    match given {
        [Value::Null | Value::Bool(false)] => Ok(Value::from(0_i64)),
        [Value::Bool(true)] => Ok(Value::from(1_i64)),
        [Value::Number(number)] => Ok(Value::from(number.clone())),
        [Value::String(text)] => {
            if let Ok(whole) = text.parse::<i64>() {
                return Ok(Value::from(whole));
            }
            let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
            match text.parse::<f64>() {
                Ok(number) if numeric && number.is_finite() => Ok(Value::from(number)),
                _ => bail!("to_number: the text is no number"),
            }
        }
        _ => bail!("to_number wants a scalar"),
    }
}
