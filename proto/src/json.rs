//! Envoy's messages as proto-JSON (the JSON mapping of protobuf), for `explain` and `/json`: `envoy-types` has no serde.
//!
//! Reading takes what any protobuf library prints: names in both spellings (`raw_value`, `rawValue`), 64-bit integers as numbers or
//! strings, bytes as base64 of either alphabet, enums as names or numbers, `null` for absent. Unknown names are errors that say where.
//! Writing gives the canonical form: camel case, 64-bit integers as strings, defaults left out.

pub mod check;
mod header;
pub mod ratelimit;
mod read;
mod structure;
mod write;

/// Why a text is not the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// Where, as a dotted path from the message; empty for the whole of it.
    pub path: String,
    /// What is wrong there. It quotes no value: values may be credentials.
    pub message: String,
}

impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "message" } else { &self.path };
        write!(f, "{path}: {}", self.message)
    }
}

impl std::error::Error for JsonError {}

/// Parses a text and reads it as a message.
fn parse(text: &str) -> Result<serde_json::Value, JsonError> {
    serde_json::from_str(text).map_err(|error| {
        // serde_json's own message may quote the text.
        let message = format!("is not JSON (line {}, column {})", error.line(), error.column());
        JsonError { path: String::new(), message }
    })
}
