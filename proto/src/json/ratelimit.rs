//! `RateLimitRequest` in, `RateLimitResponse` out.

use serde_json::Value;

use super::{JsonError, header::write_header_value, parse, read::Fields, structure, write::Object};
use crate::pb::{
    envoy::{
        extensions::common::ratelimit::v3::{
            RateLimitDescriptor,
            rate_limit_descriptor::{Entry, RateLimitOverride},
        },
        service::ratelimit::v3::{
            RateLimitRequest, RateLimitResponse,
            rate_limit_response::{Code, DescriptorStatus, Quota, RateLimit, quota::ExpirationSpecifier, rate_limit::Unit},
        },
        r#type::v3::RateLimitUnit,
    },
    google::protobuf::UInt64Value,
};

/// Reads a RateLimitRequest.
///
/// # Errors
/// The text is not JSON, or not this message; it says where.
pub fn read_request(text: &str) -> Result<RateLimitRequest, JsonError> {
    Fields::whole(&parse(text)?, |fields| {
        Ok(RateLimitRequest {
            domain: fields.text("domain")?,
            descriptors: fields.messages("descriptors", descriptor)?,
            hits_addend: fields.integer("hits_addend")?.unwrap_or_default(),
        })
    })
}

fn descriptor(fields: &mut Fields<'_>) -> Result<RateLimitDescriptor, JsonError> {
    Ok(RateLimitDescriptor {
        entries: fields.messages("entries", |fields| Ok(Entry { key: fields.text("key")?, value: fields.text("value")? }))?,
        limit: fields.message("limit", |fields| {
            Ok(RateLimitOverride {
                requests_per_unit: fields.integer("requests_per_unit")?.unwrap_or_default(),
                unit: fields.choice("unit", unit)?,
            })
        })?,
        // A wrapper's JSON is the value it wraps.
        hits_addend: fields.integer("hits_addend")?.map(|value| UInt64Value { value }),
        is_negative_hits: fields.truth("is_negative_hits")?,
    })
}

/// A unit's number. WEEK is Envoy's since 1.40, and not yet in the generated enum.
fn unit(name: &str) -> Option<i32> {
    RateLimitUnit::from_str_name(name).map(i32::from).or_else(|| (name == "WEEK").then_some(7))
}

/// Writes a RateLimitResponse.
#[must_use]
pub fn write_response(response: &RateLimitResponse) -> Value {
    Object::default()
        .put("overall_code", write_code(response.overall_code))
        .list("statuses", &response.statuses, write_status)
        .list("response_headers_to_add", &response.response_headers_to_add, write_header_value)
        .list("request_headers_to_add", &response.request_headers_to_add, write_header_value)
        .bytes("raw_body", &response.raw_body)
        .put("dynamic_metadata", response.dynamic_metadata.as_ref().map(structure::write))
        .put("quota", response.quota.as_ref().map(write_quota))
        .finish()
}

/// The default (UNKNOWN) is left out.
fn write_code(code: i32) -> Option<Value> {
    (code != 0).then(|| Code::try_from(code).map_or_else(|_| Value::from(code), |code| Value::from(code.as_str_name())))
}

fn write_status(status: &DescriptorStatus) -> Value {
    let until_reset = status
        .duration_until_reset
        .as_ref()
        .map(|until| prost_types::Duration { seconds: until.seconds, nanos: until.nanos })
        .map(|until| Value::from(until.to_string()));
    Object::default()
        .put("code", write_code(status.code))
        .put("current_limit", status.current_limit.as_ref().map(write_limit))
        .put("limit_remaining", (status.limit_remaining != 0).then(|| Value::from(status.limit_remaining)))
        .put("duration_until_reset", until_reset)
        .put("quota", status.quota.as_ref().map(write_quota))
        .finish()
}

fn write_limit(limit: &RateLimit) -> Value {
    let unit =
        (limit.unit != 0).then(|| Unit::try_from(limit.unit).map_or(Value::from(limit.unit), |unit| Value::from(unit.as_str_name())));
    Object::default()
        .text("name", &limit.name)
        .put("requests_per_unit", (limit.requests_per_unit != 0).then(|| Value::from(limit.requests_per_unit)))
        .put("unit", unit)
        .finish()
}

fn write_quota(quota: &Quota) -> Value {
    let until = quota.expiration_specifier.as_ref().map(|ExpirationSpecifier::ValidUntil(time)| {
        Value::from(prost_types::Timestamp { seconds: time.seconds, nanos: time.nanos }.to_string())
    });
    Object::default()
        .put("requests", (quota.requests != 0).then(|| Value::from(quota.requests)))
        .put("valid_until", until)
        .text("id", &quota.id)
        .finish()
}
