//! The JSON Schema of a tool's arguments: compiled at load, and hostile until then (S16). Whoever writes it decides how long a judgement
//! of its arguments may take, so everything that makes one long is bounded before it is compiled.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, LazyLock},
};

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

mod walk;

#[cfg(test)]
mod tests;

/// Bytes of one compiled pattern. A text of 64 KiB that fits it worst takes about a second then.
const MAX_PATTERN_BYTES: usize = 128 * 1024;
/// Bytes of arguments times patterns of their schema that are looked at.
const MAX_MATCHING: usize = 4 * 1024 * 1024;
/// Schemas of a light schema.
const LIGHT: usize = 100;
/// Bytes of what the compiler says of a schema, at the most.
const MAX_MESSAGE_BYTES: usize = 300;

/// A schema that has been compiled. Equal, and shown, by the text that it was made from, so that a policy's hash is of what was written.
#[derive(Clone)]
pub struct InputSchema {
    source: Arc<Value>,
    compiled: Arc<Compiled>,
}

struct Compiled {
    validator: Validator,
    /// The names of members that the schema speaks of, and how a lax parser may read them.
    names: BTreeSet<String>,
    lax: BTreeSet<String>,
    patterns: usize,
    schemas: usize,
}

/// Why a schema is not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A dialect that is not known, or one of its own making.
    #[error("`$schema` must be one of JSON Schema's drafts 2020-12, 2019-09, 7 and 6")]
    Dialect,
    /// A reference that leads out of the document: nothing is ever fetched.
    #[error("`{0}` is refused: a `$ref` is `#` or `#/...`, to a place of the same schema")]
    Reference(String),
    /// A `$ref` to a place where there is nothing.
    #[error("`$ref: {0}` leads nowhere")]
    Dangling(String),
    /// Nested too deeply, references followed.
    #[error("is nested deeper than {0} schemas when its references are followed")]
    Deep(usize),
    /// Too many schemas, references followed.
    #[error("is more than {0} schemas when its references are followed")]
    Large(usize),
    /// Too many regular expressions.
    #[error("holds more than {0} patterns when its references are followed")]
    Patterns(usize),
    /// A regular expression that is too long.
    #[error("has a pattern of more than {0} bytes")]
    Pattern(usize),
    /// Not a JSON Schema; or a pattern that cannot be matched in linear time, or is too large.
    #[error("is not a JSON Schema: {0}")]
    Invalid(String),
}

/// Why arguments do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The schema does not permit them.
    #[error("the arguments do not fit the tool's inputSchema")]
    Schema,
    /// A member that is none of the schema's, and that a lax parser takes for one: it would be read unjudged.
    #[error("a member of the arguments differs from one of the inputSchema's in case or form alone")]
    Confusable,
    /// More text than the schema's patterns may be matched against.
    #[error("the arguments are too large for the patterns of the tool's inputSchema")]
    TooLarge,
}

impl InputSchema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(source: Value) -> Result<Self, SchemaError> {
        let found = walk::walk(&source)?;
        let validator = jsonschema::options()
            .with_draft(dialect(&source)?)
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES))
            // JSON Schema leaves `format` an annotation; checking some of them would compile what a caller sends.
            .should_validate_formats(false)
            .offline()
            .build(&source)
            .map_err(|error| SchemaError::Invalid(cut(format!("{} (at `{}`)", error.masked(), error.instance_path()))))?;
        let lax = found.names.iter().map(|name| as_lax(name)).collect();
        let compiled = Compiled { validator, names: found.names, lax, patterns: found.patterns, schemas: found.schemas };
        Ok(Self { source: Arc::new(source), compiled: Arc::new(compiled) })
    }

    /// Judges arguments. It takes time that depends on both; see `MAX_MATCHING` for the worst.
    ///
    /// # Errors
    /// Why they do not fit.
    pub fn fits(&self, arguments: &Value) -> Result<(), Misfit> {
        let size = self.compiled.measure(arguments)?;
        if size.saturating_mul(self.compiled.patterns) > MAX_MATCHING {
            return Err(Misfit::TooLarge);
        }
        // Only `is_valid` remembers what it has judged, and so stays short where a schema refers to itself twice.
        if self.compiled.validator.is_valid(arguments) { Ok(()) } else { Err(Misfit::Schema) }
    }

    /// Whether a few KiB of arguments are judged at once, whatever they are.
    #[must_use]
    pub fn is_light(&self) -> bool {
        self.compiled.patterns == 0 && self.compiled.schemas <= LIGHT
    }

    /// How many schemas it is made of, each counted where it is used.
    #[must_use]
    pub fn schemas(&self) -> usize {
        self.compiled.schemas
    }

    /// How many regular expressions it holds.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.compiled.patterns
    }
}

impl Compiled {
    /// The size of a value, if no member's name in it is nearly one of the schema's: Go's `encoding/json` takes `Amount`, and even
    /// `amount` with a long s, for `amount`.
    fn measure(&self, value: &Value) -> Result<usize, Misfit> {
        match value {
            Value::String(text) => Ok(text.len().saturating_add(1)),
            Value::Array(items) => items.iter().try_fold(1_usize, |sum, item| Ok(sum.saturating_add(self.measure(item)?))),
            Value::Object(members) => members.iter().try_fold(1_usize, |sum, (name, value)| {
                if !self.names.contains(name) && self.lax.contains(&as_lax(name)) {
                    return Err(Misfit::Confusable);
                }
                Ok(sum.saturating_add(name.len()).saturating_add(self.measure(value)?))
            }),
            _ => Ok(1),
        }
    }
}

/// A name as the laxest parser may read it: case, compatibility forms, spaces and what does not show make no difference.
fn as_lax(name: &str) -> String {
    let hidden = |char: char| matches!(char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    let shown = |char: &char| !char.is_whitespace() && !char.is_control() && !hidden(*char);
    name.nfkc().flat_map(char::to_lowercase).nfkc().filter(shown).collect()
}

fn dialect(schema: &Value) -> Result<Draft, SchemaError> {
    static DIALECTS: LazyLock<[(&str, Draft); 4]> = LazyLock::new(|| {
        [
            ("https://json-schema.org/draft/2020-12/schema", Draft::Draft202012),
            ("https://json-schema.org/draft/2019-09/schema", Draft::Draft201909),
            ("http://json-schema.org/draft-07/schema", Draft::Draft7),
            ("http://json-schema.org/draft-06/schema", Draft::Draft6),
        ]
    });
    match schema.get("$schema") {
        None => Ok(Draft::Draft202012),
        Some(Value::String(named)) => {
            let named = named.strip_suffix('#').unwrap_or(named);
            DIALECTS.iter().find(|(uri, _)| *uri == named).map(|(_, draft)| *draft).ok_or(SchemaError::Dialect)
        }
        Some(_) => Err(SchemaError::Dialect),
    }
}

/// The compiler quotes no values (a default may be a secret), but names places, which may be long.
fn cut(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        let end = (0..=MAX_MESSAGE_BYTES).rev().find(|end| message.is_char_boundary(*end)).unwrap_or_default();
        message.truncate(end);
        message.push_str("...");
    }
    message
}

impl PartialEq for InputSchema {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for InputSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}
