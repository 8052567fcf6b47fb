//! Looking into a tree by the names of Envoy's fields.

use bulkhead_tenancy::tree::{Node, Scalar, Value};

pub(crate) trait View {
    /// A field, or a field of a field: `grpc_service.envoy_grpc`.
    fn get(&self, path: &str) -> Option<&Node>;
    /// The items of a list, or none.
    fn items(&self) -> &[Node];
    /// Its text.
    fn text(&self) -> Option<&str>;
    /// A whole number, also written as text (proto-JSON allows both).
    fn number(&self) -> Option<u64>;
    /// Whether it is `true`; a wrapped value (`{ value: true }`) too.
    fn is_true(&self) -> bool;
    /// Shows this node and everything under it.
    fn each<'n>(&'n self, see: &mut impl FnMut(&'n Node));
}

impl View for Node {
    fn get(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, name| {
            let Value::Mapping(entries) = &node.value else { return None };
            entries.iter().find(|entry| &*entry.key == name).map(|entry| &entry.node)
        })
    }

    fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match &self.value {
            Value::Scalar(Scalar::Integer(number)) => u64::try_from(*number).ok(),
            Value::Scalar(Scalar::Text(text)) => text.parse().ok(),
            _ => self.get("value").and_then(View::number),
        }
    }

    fn is_true(&self) -> bool {
        match &self.value {
            Value::Scalar(Scalar::Bool(value)) => *value,
            _ => self.get("value").is_some_and(View::is_true),
        }
    }

    fn each<'n>(&'n self, see: &mut impl FnMut(&'n Node)) {
        see(self);
        match &self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter().for_each(|item| item.each(see)),
            Value::Mapping(entries) => entries.iter().for_each(|entry| entry.node.each(see)),
        }
    }
}

/// Whether a field is `true`.
pub(crate) fn holds(node: &Node, path: &str) -> bool {
    node.get(path).is_some_and(View::is_true)
}

/// What a filter is: the last word of its type, else of its name (`envoy.filters.http.ext_authz`). Of a filter in a matcher, which not all requests go
/// through, it is the filter's.
pub(crate) fn kind(filter: &Node) -> &str {
    let filter = inner(filter);
    let typed = filter.get("typed_config.@type").and_then(View::text).and_then(|of| of.rsplit('.').next());
    typed.or_else(|| filter.get("name").and_then(View::text).and_then(|name| name.rsplit('.').next())).unwrap_or("")
}

/// A filter, out of the matcher that it may stand in (`ExtensionWithMatcher`).
pub(crate) fn inner(filter: &Node) -> &Node {
    filter.get("typed_config.extension_config").unwrap_or(filter)
}
