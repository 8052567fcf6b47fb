//! Objects in the canonical form: names in camel case, defaults left out.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::read::camel;

/// An object being written.
#[derive(Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// A field of any kind, if it is there.
    pub(super) fn put(mut self, name: &str, value: Option<Value>) -> Self {
        if let Some(value) = value {
            self.0.insert(camel(name), value);
        }
        self
    }

    /// A text, unless it is empty.
    pub(super) fn text(self, name: &str, text: &str) -> Self {
        self.put(name, (!text.is_empty()).then(|| Value::from(text)))
    }

    /// Bytes as base64, unless there are none.
    pub(super) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        self.put(name, (!bytes.is_empty()).then(|| Value::from(STANDARD.encode(bytes))))
    }

    /// A truth value, unless it is false.
    pub(super) fn truth(self, name: &str, truth: bool) -> Self {
        self.put(name, truth.then_some(Value::Bool(true)))
    }

    /// A list, unless it is empty.
    pub(super) fn list<T>(self, name: &str, list: &[T], write: impl Fn(&T) -> Value) -> Self {
        self.put(name, (!list.is_empty()).then(|| list.iter().map(write).collect()))
    }

    /// The object.
    pub(super) fn finish(self) -> Value {
        Value::Object(self.0)
    }
}
