//! `metadata`: whatever a `google.protobuf.Struct` can hold.

use bulkhead_tenancy::tree::{Node, Scalar, Value as Yaml};

use super::{Source, loading};
use crate::dropin::rules::metadata::{Metadata, Value};

pub(super) fn read(source: &Source<'_>, node: &Node) -> Result<Metadata, String> {
    match value(source, node) {
        Value::Map(metadata) => Ok(metadata),
        _ => Err(loading(format!("line {}: metadata must be a mapping, not {}", node.line, node.described()))),
    }
}

fn value(source: &Source<'_>, node: &Node) -> Value {
    match &node.value {
        Yaml::Scalar(Scalar::Null) => Value::Null,
        Yaml::Scalar(Scalar::Bool(value)) => Value::Bool(*value),
        // The word parses as a float exactly where the number does; a Struct holds floats alone.
        Yaml::Scalar(Scalar::Integer(number)) => Value::Number(number.to_string().parse().unwrap_or(f64::NAN)),
        Yaml::Scalar(Scalar::Float(number)) if number.is_finite() => Value::Number(*number),
        Yaml::Scalar(Scalar::Float(_)) => Value::Text(source.word(node).to_owned()),
        Yaml::Scalar(Scalar::Text(text)) => Value::Text(text.to_string()),
        Yaml::List(items) => Value::List(items.iter().map(|item| value(source, item)).collect()),
        Yaml::Mapping(entries) => Value::Map(entries.iter().map(|entry| (entry.key.to_string(), value(source, &entry.node))).collect()),
    }
}
