//! The resources of a response, as drafts of rules.

use bulkhead_proto::pb::{
    google::protobuf::{Any, ListValue, Struct, Value as Wire, value::Kind},
    ratelimit::config::ratelimit::v3::{RateLimitConfig, RateLimitDescriptor, RateLimitPolicy, RateLimitUnit},
};
use prost::{Message, Name};

use crate::dropin::rules::{
    draft::{Draft, RateDraft, RuleDraft},
    metadata::{Metadata, Value},
};

/// Reads resources.
///
/// # Errors
/// One that is of another type, or does not decode.
pub fn drafts(resources: &[Any]) -> Result<Vec<Draft>, String> {
    resources.iter().map(one).collect()
}

fn one(resource: &Any) -> Result<Draft, String> {
    let wanted = RateLimitConfig::full_name();
    // Whatever stands before the slash is whose type server it is.
    if resource.type_url.rsplit('/').next() != Some(&wanted) {
        return Err(format!("mismatched message type: got {:?}, want {wanted:?}", shown(&resource.type_url)));
    }
    let config = RateLimitConfig::decode(resource.value.as_slice()).map_err(|error| error.to_string())?;
    Ok(Draft { name: config.name, domain: config.domain, descriptors: config.descriptors.into_iter().map(rule).collect() })
}

fn rule(wire: RateLimitDescriptor) -> RuleDraft {
    RuleDraft {
        key: wire.key,
        value: wire.value,
        rate_limit: wire.rate_limit.map(rate),
        descriptors: wire.descriptors.into_iter().map(rule).collect(),
        shadow_mode: wire.shadow_mode,
        quota_mode: wire.quota_mode,
        detailed_metric: wire.detailed_metric,
        // The resource has no words for these two.
        value_to_metric: false,
        share_threshold: false,
        metadata: wire.metadata.map(map),
    }
}

fn rate(wire: RateLimitPolicy) -> RateDraft {
    RateDraft {
        unit: RateLimitUnit::try_from(wire.unit).map_or_else(|_| wire.unit.to_string(), |unit| unit.as_str_name().to_owned()),
        requests_per_unit: wire.requests_per_unit,
        unlimited: wire.unlimited,
        name: wire.name,
        replaces: wire.replaces.into_iter().map(|replaced| replaced.name).collect(),
    }
}

fn map(wire: Struct) -> Metadata {
    wire.fields.into_iter().map(|(name, wire)| (name, value(wire))).collect()
}

fn value(wire: Wire) -> Value {
    match wire.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::NumberValue(number)) => Value::Number(number),
        Some(Kind::StringValue(text)) => Value::Text(text),
        Some(Kind::ListValue(ListValue { values })) => Value::List(values.into_iter().map(value).collect()),
        Some(Kind::StructValue(wire)) => Value::Map(map(wire)),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(128).collect()
}
