//! A document as a tree: scalars, lists and mappings, each with the line and column where it was written.
//!
//! YAML text becomes such a tree ([`crate::yaml`]), and so does JSON that has no positions (a Kubernetes object); one decoder reads both.

use serde_json::{Map, Number, Value as Json};

/// One node of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The line, from 1; 0 in JSON.
    pub line: u32,
    /// The column in characters, from 1; 0 in JSON.
    pub column: u32,
    /// What stands there.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of writing, with repeated keys if there are any: the decoder refuses those.
    Mapping(Vec<Entry>),
}

/// A key of a mapping and what it leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Box<str>,
    /// The key's line.
    pub line: u32,
    /// The key's column.
    pub column: u32,
    /// The value.
    pub node: Node,
}

/// A scalar in the core schema of YAML 1.2 (chapter 10.3): `off`, `yes` and `2027-01-01` are text, unlike in YAML 1.1.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Nothing: an empty value, `~`, `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number. It may be infinite, or none.
    Float(f64),
    /// Text: whatever is quoted, and whatever else is none of the above.
    Text(Box<str>),
}

impl Scalar {
    /// What an unquoted scalar means.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            _ => number(text).unwrap_or_else(|| Self::Text(text.into())),
        }
    }
}

fn number(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return i128::from_str_radix(octal, 8).ok().filter(|_| !octal.starts_with(['+', '-'])).map(Scalar::Integer);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return i128::from_str_radix(hexadecimal, 16).ok().filter(|_| !hexadecimal.starts_with(['+', '-'])).map(Scalar::Integer);
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(Scalar::Float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Scalar::Float(f64::NAN));
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        // Whole, but too long for an integer: still a number.
        return text.parse().map(Scalar::Integer).or_else(|_| text.parse().map(Scalar::Float)).ok();
    }
    let numeric = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    if unsigned.bytes().all(numeric) { text.parse().ok().map(Scalar::Float) } else { None }
}

impl Node {
    /// What it is, in words, for "must be ..., not ...".
    #[must_use]
    pub const fn described(&self) -> &'static str {
        match &self.value {
            Value::Scalar(Scalar::Null) => "empty",
            Value::Scalar(Scalar::Bool(_)) => "true or false",
            Value::Scalar(Scalar::Integer(_) | Scalar::Float(_)) => "a number",
            Value::Scalar(Scalar::Text(_)) => "text",
            Value::List(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// JSON has no positions; its strings are text, whatever they look like.
impl From<&Json> for Node {
    fn from(json: &Json) -> Self {
        let value = match json {
            Json::Null => Value::Scalar(Scalar::Null),
            Json::Bool(value) => Value::Scalar(Scalar::Bool(*value)),
            Json::Number(number) => Value::Scalar(Scalar::plain(&number.to_string())),
            Json::String(text) => Value::Scalar(Scalar::Text(text.as_str().into())),
            Json::Array(items) => Value::List(items.iter().map(Self::from).collect()),
            Json::Object(fields) => Value::Mapping(
                fields.iter().map(|(key, value)| Entry { key: key.as_str().into(), line: 0, column: 0, node: Self::from(value) }).collect(),
            ),
        };
        Self { line: 0, column: 0, value }
    }
}

/// Back to JSON, for what stays JSON (schemas, keys). The caller has refused repeated keys; numbers that JSON cannot hold become null.
impl From<&Node> for Json {
    fn from(node: &Node) -> Self {
        match &node.value {
            Value::Scalar(Scalar::Null) => Self::Null,
            Value::Scalar(Scalar::Bool(value)) => Self::Bool(*value),
            Value::Scalar(Scalar::Integer(value)) => Number::from_i128(*value).map_or(Self::Null, Self::Number),
            Value::Scalar(Scalar::Float(value)) => Number::from_f64(*value).map_or(Self::Null, Self::Number),
            Value::Scalar(Scalar::Text(text)) => Self::String(text.to_string()),
            Value::List(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Mapping(entries) => {
                Self::Object(entries.iter().map(|entry| (entry.key.to_string(), Self::from(&entry.node))).collect::<Map<_, _>>())
            }
        }
    }
}
