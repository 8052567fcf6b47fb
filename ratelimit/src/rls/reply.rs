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
use serde::Serialize;

use super::request::Asked;
use crate::{
    bucket::Bucket,
    charge::Scope,
    outcome::{Denial, Standing},
};

/// Retry-After of the global level is a multiple of so many seconds: a finer one would tell of others' load (S22).
const COARSE_SECONDS: u64 = 5;

/// Admitted. No standings: admitted without a decision (`onStoreFailure: open`), and nothing is known to tell.
pub(super) fn ok(asked: &Asked, standings: &[Standing]) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: Code::Ok.into(),
        statuses: statuses(asked, standings),
        response_headers_to_add: limit_headers(standings),
        ..RateLimitResponse::default()
    }
}

/// Denied: Envoy answers 429 with these headers and this body.
pub(super) fn over_limit(asked: &Asked, standings: &[Standing], denial: Denial) -> RateLimitResponse {
    let mut headers = limit_headers(standings);
    headers.push(header("content-type", "application/problem+json"));
    if let Some(seconds) = retry_after(standings) {
        headers.push(header("retry-after", &seconds.to_string()));
    }
    RateLimitResponse {
        overall_code: Code::OverLimit.into(),
        statuses: statuses(asked, standings),
        response_headers_to_add: headers,
        raw_body: problem(asked, denial),
        ..RateLimitResponse::default()
    }
}

/// Seconds until every denying level would let the request pass; none if one never will.
fn retry_after(standings: &[Standing]) -> Option<u64> {
    let denying = standings.iter().filter(|one| !one.passed);
    denying
        .map(|one| {
            let seconds = one.wait_us?.div_ceil(1_000_000).max(1);
            Some(if one.scope == Scope::Global { seconds.next_multiple_of(COARSE_SECONDS) } else { seconds })
        })
        .try_fold(1, |most, seconds| Some(seconds?.max(most)))
}

/// The level with the fewest requests left, global left out: its numbers would tell of others' load (S22).
fn tightest(standings: &[Standing]) -> Option<&Standing> {
    standings.iter().filter(|one| one.scope != Scope::Global).min_by_key(|one| (one.passed, one.remaining))
}

fn limit_headers(standings: &[Standing]) -> Vec<HeaderValue> {
    let Some(one) = tightest(standings) else { return Vec::new() };
    vec![
        header("ratelimit-limit", &one.bucket.capacity().to_string()),
        header("ratelimit-remaining", &one.remaining.to_string()),
        header("ratelimit-reset", &one.reset_us.div_ceil(1_000_000).to_string()),
    ]
}

/// One status a descriptor. Envoy makes its own `x-ratelimit-*` headers of them, where it is told to.
fn statuses(asked: &Asked, standings: &[Standing]) -> Vec<DescriptorStatus> {
    let mut rest = standings;
    let status = |&levels: &usize| {
        let (own, after) = rest.split_at(levels.min(rest.len()));
        rest = after;
        let code = if own.iter().all(|one| one.passed) { Code::Ok } else { Code::OverLimit };
        let Some(one) = tightest(own) else { return DescriptorStatus { code: code.into(), ..DescriptorStatus::default() } };
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

/// A moment of RFC 3339 in UTC, rounded up to a whole second: not earlier than it is.
fn moment(us: u64) -> Option<String> {
    let seconds = i64::try_from(us.div_ceil(1_000_000)).ok()?;
    jiff::Timestamp::from_second(seconds).ok().map(|moment| moment.to_string())
}

/// The body of a 429 (RFC 9457).
fn problem(asked: &Asked, denial: Denial) -> Vec<u8> {
    #[derive(Serialize)]
    struct Problem<'p> {
        r#type: &'static str,
        title: &'static str,
        status: u16,
        scope: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        renews_at: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        decision_id: Option<&'p str>,
    }
    let problem = Problem {
        r#type: "urn:bulkhead:over_limit",
        title: "Too many requests",
        status: 429,
        scope: denial.scope.as_str(),
        renews_at: denial.renews_us.and_then(moment),
        decision_id: asked.decision(),
    };
    serde_json::to_vec(&problem).unwrap_or_default()
}

fn header(key: &str, value: &str) -> HeaderValue {
    HeaderValue { key: key.to_owned(), value: value.to_owned(), ..HeaderValue::default() }
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
