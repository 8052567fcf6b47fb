//! `HeaderValue`, which both services' messages hold.

use serde_json::Value;

use super::{JsonError, read::Fields, write::Object};
use crate::pb::envoy::config::core::v3::HeaderValue;

pub(super) fn read_header_value(fields: &mut Fields<'_>) -> Result<HeaderValue, JsonError> {
    Ok(HeaderValue { key: fields.text("key")?, value: fields.text("value")?, raw_value: fields.bytes("raw_value")? })
}

pub(super) fn write_header_value(header: &HeaderValue) -> Value {
    Object::default().text("key", &header.key).text("value", &header.value).bytes("raw_value", &header.raw_value).finish()
}
