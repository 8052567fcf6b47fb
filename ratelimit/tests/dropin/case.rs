//! Calls and answers in short: `basic: key1=foo | key1=bar,key2=baz` is a call of two descriptors, `over ok4 -` its answer.

use bulkhead_proto::pb::{
    envoy::{
        extensions::common::ratelimit::v3::{
            RateLimitDescriptor,
            rate_limit_descriptor::{Entry, RateLimitOverride},
        },
        service::ratelimit::v3::{RateLimitRequest, RateLimitResponse, rate_limit_response::Code},
    },
    google::protobuf::UInt64Value,
};
use bulkhead_ratelimit::dropin::rules::Unit;

/// A call: `domain [!HITS]: descriptor | descriptor`. A descriptor is `key=value,key=value`, and may end in `+HITS` (its own) and `@5/YEAR` (its own
/// limit).
pub(crate) fn call(text: &str) -> RateLimitRequest {
    let (domain, descriptors) = text.split_once(": ").unwrap_or_else(|| panic!("{text}: no domain"));
    let (domain, hits) = domain.split_once(" !").unwrap_or((domain, "0"));
    RateLimitRequest {
        domain: domain.to_owned(),
        descriptors: descriptors.split(" | ").map(descriptor).collect(),
        hits_addend: hits.parse().unwrap(),
    }
}

fn descriptor(text: &str) -> RateLimitDescriptor {
    let (text, limit) = text.split_once('@').map_or((text, None), |(text, limit)| (text, Some(own_limit(limit))));
    let (text, hits) =
        text.split_once('+').map_or((text, None), |(text, hits)| (text, Some(UInt64Value { value: hits.trim().parse().unwrap() })));
    let entry = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Entry { key: key.to_owned(), value: value.to_owned() }
    };
    RateLimitDescriptor {
        entries: text.trim().split(',').filter(|pair| !pair.is_empty()).map(entry).collect(),
        hits_addend: hits,
        limit,
        ..RateLimitDescriptor::default()
    }
}

fn own_limit(text: &str) -> RateLimitOverride {
    let (requests, unit) = text.trim().split_once('/').unwrap();
    let unit = Unit::from_word(unit).unwrap_or_else(|| panic!("{unit} is no unit"));
    RateLimitOverride { requests_per_unit: requests.parse().unwrap(), unit: unit.number() }
}

/// An answer: the overall code, then for each descriptor its code and what is left (`ok4`, `over`), `max` where it is unlimited, `-` without a limit.
pub(crate) fn told(answer: &RateLimitResponse) -> String {
    let name = |code: i32| match Code::try_from(code) {
        Ok(Code::Ok) => "ok",
        Ok(Code::OverLimit) => "over",
        _ => "UNKNOWN",
    };
    let mut words = vec![name(answer.overall_code).to_owned()];
    for status in &answer.statuses {
        words.push(match (&status.current_limit, status.limit_remaining) {
            (None, u32::MAX) => "max".to_owned(),
            (None, 0) if status.code == i32::from(Code::Ok) => "-".to_owned(),
            (None, _) => "WRONG".to_owned(),
            (Some(_), 0) if status.code == i32::from(Code::OverLimit) => "over".to_owned(),
            (Some(_), left) => format!("{}{left}", name(status.code)),
        });
    }
    words.join(" ")
}
