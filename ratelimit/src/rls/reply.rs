//! The two answers. Only `overall_code` decides in Envoy, and UNKNOWN is let through: it cannot be built here (S9).

use std::time::Duration;

use bulkhead_proto::pb::{
    envoy::{
        config::core::v3::HeaderValue,
        service::ratelimit::v3::{
            RateLimitResponse,
            rate_limit_response::{Code, DescriptorStatus, RateLimit, rate_limit::Unit},
        },
    },
    google::protobuf,
};
use bulkhead_tenancy::calendar::Per;

use super::request::Asked;
use crate::{
    answer,
    bucket::Bucket,
    outcome::{Denial, Standing},
};

/// Admitted. No standings: admitted without a decision (`onStoreFailure: open`), and nothing is known to tell.
pub(super) fn ok(asked: &Asked, standings: &[Standing]) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: Code::Ok.into(),
        statuses: statuses(asked, standings),
        response_headers_to_add: headers(answer::allowed(standings)),
        ..RateLimitResponse::default()
    }
}

/// Denied: Envoy answers 429 with these headers and this body.
pub(super) fn over_limit(asked: &Asked, standings: &[Standing], denial: Denial) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: Code::OverLimit.into(),
        statuses: statuses(asked, standings),
        response_headers_to_add: headers(answer::denied(standings)),
        raw_body: answer::problem(denial, asked.decision()).into_bytes(),
        ..RateLimitResponse::default()
    }
}

/// One status a descriptor. Envoy makes its own `x-ratelimit-*` headers of them, where it is told to.
fn statuses(asked: &Asked, standings: &[Standing]) -> Vec<DescriptorStatus> {
    let mut rest = standings;
    let status = |&levels: &usize| {
        let (own, after) = rest.split_at(levels.min(rest.len()));
        rest = after;
        let code = if own.iter().all(|one| one.passed) { Code::Ok } else { Code::OverLimit };
        let Some(one) = answer::tightest(own) else { return DescriptorStatus { code: code.into(), ..DescriptorStatus::default() } };
        let (requests_per_unit, unit) = rate(&one.bucket);
        DescriptorStatus {
            code: code.into(),
            current_limit: Some(RateLimit {
                name: one.scope.as_str().to_owned(),
                requests_per_unit: saturated(requests_per_unit),
                unit: unit.into(),
            }),
            limit_remaining: saturated(one.remaining),
            duration_until_reset: Some(duration(Duration::from_micros(one.reset_us))),
            ..DescriptorStatus::default()
        }
    };
    asked.shares().iter().map(status).collect()
}

/// A limit as Envoy can say it: the nearest of its units.
fn rate(bucket: &Bucket) -> (u64, Unit) {
    let unit = match bucket {
        Bucket::Token(token) => return (token.per_minute(), Unit::Minute),
        Bucket::Calendar(quota) => match quota.calendar().per() {
            Per::Hour => Unit::Hour,
            Per::Day => Unit::Day,
            Per::Week => Unit::Week,
            Per::Month => Unit::Month,
        },
        Bucket::Window(window) => unit_of(window.length_us()),
        Bucket::Sliding(sliding) => unit_of(sliding.length_us()),
    };
    (bucket.capacity(), unit)
}

/// A length that has a name of its own; a month is one of 30 days.
fn unit_of(length_us: u64) -> Unit {
    const SECOND_US: u64 = 1_000_000;
    match length_us / SECOND_US {
        1 => Unit::Second,
        60 => Unit::Minute,
        3_600 => Unit::Hour,
        86_400 => Unit::Day,
        604_800 => Unit::Week,
        2_592_000 => Unit::Month,
        _ => Unit::Unknown,
    }
}

fn headers(told: answer::Headers) -> Vec<HeaderValue> {
    told.into_iter().map(|(key, value)| HeaderValue { key: key.to_owned(), value, ..HeaderValue::default() }).collect()
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn duration(duration: Duration) -> protobuf::Duration {
    protobuf::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}
