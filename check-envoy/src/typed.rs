//! `TypedStruct`: a configuration whose type stands in a field of its own. Envoy takes it wherever it takes the type itself, and so is it judged.

use bulkhead_tenancy::tree::{Entry, Node, Value};

use crate::view::{View, type_of};

/// Puts in the place of each `TypedStruct` of a document what it holds.
pub(crate) fn unwrap(node: &mut Node) {
    while let Some(held) = held(node) {
        node.value = held;
    }
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter_mut().for_each(unwrap),
        Value::Mapping(entries) => entries.iter_mut().for_each(|entry| unwrap(&mut entry.node)),
    }
}

/// What a `TypedStruct` holds, as if it had been written without: smaller than the node in any case. Without a value it holds nothing but its type.
fn held(node: &Node) -> Option<Value> {
    if type_of(node) != "TypedStruct" {
        return None;
    }
    let of = node.get("type_url")?;
    let mut entries = vec![Entry { key: "@type".into(), line: of.line, column: of.column, node: of.clone() }];
    if let Some(Value::Mapping(fields)) = node.get("value").map(|value| &value.value) {
        entries.extend(fields.iter().filter(|field| &*field.key != "@type").cloned());
    }
    Some(Value::Mapping(entries))
}
