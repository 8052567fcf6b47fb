//! `google.protobuf.Struct`: JSON is its own form.

use serde_json::{Map, Number, Value as Json};

use crate::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};

pub(super) fn read(object: &Map<String, Json>) -> Struct {
    Struct { fields: object.iter().map(|(key, value)| (key.clone(), read_value(value))).collect() }
}

fn read_value(value: &Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(*truth),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(values) => Kind::ListValue(ListValue { values: values.iter().map(read_value).collect() }),
        Json::Object(object) => Kind::StructValue(read(object)),
    };
    Value { kind: Some(kind) }
}

pub(super) fn write(structure: &Struct) -> Json {
    Json::Object(structure.fields.iter().map(|(key, value)| (key.clone(), write_value(value))).collect())
}

fn write_value(value: &Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(truth)) => Json::Bool(*truth),
        Some(Kind::NumberValue(number)) => write_number(*number),
        Some(Kind::StringValue(text)) => Json::String(text.clone()),
        Some(Kind::ListValue(list)) => Json::Array(list.values.iter().map(write_value).collect()),
        Some(Kind::StructValue(structure)) => write(structure),
    }
}

/// A whole number without its `.0`, as protobuf libraries print it.
fn write_number(number: f64) -> Json {
    #[expect(clippy::cast_possible_truncation, reason = "exact inside 2^53, and only taken where it is")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "exact inside 2^53, and only taken where it is")]
    let exact = number.abs() <= 9_007_199_254_740_992.0 && (whole as f64 - number).abs() == 0.0;
    if exact { Json::from(whole) } else { Number::from_f64(number).map_or(Json::Null, Json::Number) }
}
