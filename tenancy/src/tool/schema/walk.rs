//! A schema as its compiler and its validator will go through it: every subschema where it applies, references followed. A reference back
//! to a schema on the way ends there, for the validator remembers what it judged by one; any other is gone through each time that it
//! is used, which is how forty lines double forty times.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::SchemaError;
use crate::place::shown;

/// Schemas within schemas: each is some frames of a thread's stack, at each level of the arguments.
const MAX_DEPTH: usize = 64;
/// Schemas in all.
const MAX_SCHEMAS: usize = 10_000;

/// Regular expressions in all: compiled, each is memory before anybody counts a tenant's.
const MAX_PATTERNS: usize = 256;

/// Bytes of one: it is parsed before its compiled size is bounded, and 60 KiB of classes take half a gigabyte.
const MAX_PATTERN: usize = 1024;

/// Keywords whose value is a schema, or a list of them.
const SCHEMAS: [&str; 16] = [
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "items",
    "additionalItems",
    "prefixItems",
    "contains",
    "unevaluatedItems",
    "contentSchema",
];
/// Keywords whose value is a mapping of schemas. Those that hold definitions are gone through too: what is wrong there is an error now,
/// and not once somebody refers to it.
const MAPPINGS: [&str; 6] = ["properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"];
/// Keywords that change what a reference means.
const REFUSED: [&str; 6] = ["$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor", "$anchor", "$vocabulary"];

/// What was met on the way.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// The names under `properties`.
    pub(super) names: BTreeSet<String>,
    /// How many regular expressions there are, each counted where it is used.
    pub(super) patterns: usize,
    /// How many schemas, each counted where it is used.
    pub(super) schemas: usize,
}

/// Goes through a schema.
pub(super) fn walk(root: &Value) -> Result<Met, SchemaError> {
    let mut met = Met::default();
    met.schema(root, root, &mut Vec::new())?;
    Ok(met)
}

impl Met {
    fn schema<'a>(&mut self, schema: &'a Value, root: &'a Value, way: &mut Vec<&'a Value>) -> Result<(), SchemaError> {
        let Value::Object(keywords) = schema else { return Ok(()) };
        if way.iter().any(|before| std::ptr::eq(*before, schema)) {
            return Ok(());
        }
        self.schemas += 1;
        if self.schemas > MAX_SCHEMAS {
            return Err(SchemaError::Large(MAX_SCHEMAS));
        }
        if way.len() >= MAX_DEPTH {
            return Err(SchemaError::Deep(MAX_DEPTH));
        }
        let nested = !way.is_empty();
        if let Some(keyword) = REFUSED.iter().find(|keyword| keywords.contains_key(**keyword)) {
            return Err(SchemaError::Reference((*keyword).to_owned()));
        }
        if nested && keywords.contains_key("$id") {
            return Err(SchemaError::Reference("$id".to_owned()));
        }
        if nested && keywords.contains_key("$schema") {
            return Err(SchemaError::Dialect);
        }
        self.note(keywords)?;
        if self.patterns > MAX_PATTERNS {
            return Err(SchemaError::Patterns(MAX_PATTERNS));
        }
        way.push(schema);
        let within = keywords.iter().try_for_each(|(keyword, value)| self.keyword(keyword, value, root, way));
        way.pop();
        within
    }

    fn keyword<'a>(&mut self, keyword: &str, value: &'a Value, root: &'a Value, way: &mut Vec<&'a Value>) -> Result<(), SchemaError> {
        if keyword == "$ref" {
            return self.schema(referred(value, root)?, root, way);
        }
        match value {
            Value::Object(mapping) if MAPPINGS.contains(&keyword) => mapping.values().try_for_each(|value| self.schema(value, root, way)),
            Value::Array(list) if SCHEMAS.contains(&keyword) => list.iter().try_for_each(|value| self.schema(value, root, way)),
            _ if SCHEMAS.contains(&keyword) => self.schema(value, root, way),
            _ => Ok(()),
        }
    }

    fn note(&mut self, keywords: &Map<String, Value>) -> Result<(), SchemaError> {
        let members = |keyword| keywords.get(keyword).and_then(Value::as_object);
        self.names.extend(members("properties").into_iter().flat_map(Map::keys).cloned());
        let own = keywords.get("pattern").into_iter().filter_map(Value::as_str);
        let patterns = members("patternProperties").into_iter().flat_map(Map::keys).map(String::as_str).chain(own);
        for pattern in patterns {
            if pattern.len() > MAX_PATTERN {
                return Err(SchemaError::Pattern(MAX_PATTERN));
            }
            self.patterns += 1;
        }
        Ok(())
    }
}

/// The place that a reference leads to.
fn referred<'a>(reference: &Value, root: &'a Value) -> Result<&'a Value, SchemaError> {
    let Value::String(text) = reference else { return Err(SchemaError::Reference("$ref".to_owned())) };
    let pointer = text.strip_prefix('#').filter(|rest| (rest.is_empty() || rest.starts_with('/')) && !rest.contains('%'));
    let pointer = pointer.ok_or_else(|| SchemaError::Reference(format!("$ref: {}", shown(text))))?;
    root.pointer(pointer).ok_or_else(|| SchemaError::Dangling(shown(text)))
}
