//! The two answers, written as Envoy reads them. Only `overall_code` decides in Envoy, and UNKNOWN is let through: it cannot be built here (S9).

use bulkhead_doors::grpc::Sayable;
use bulkhead_proto::{
    pb::envoy::service::ratelimit::v3::{
        RateLimitResponse,
        rate_limit_response::{Code, rate_limit::Unit},
    },
    wire::Written,
};
use bulkhead_tenancy::calendar::Per;
use prost::{DecodeError, Message as _};

use super::request::Asked;
use crate::{
    answer,
    bucket::Bucket,
    outcome::{Denial, Standing},
};

/// Room for an answer: most have 130 bytes.
const ROOM: usize = 256;

/// An answer (a `RateLimitResponse`: 1 overall_code, 2 statuses, 3 response_headers_to_add, 5 raw_body).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Written);

impl Reply {
    /// Admitted. No standings: admitted without a decision (`onStoreFailure: open`), and nothing is known to tell.
    pub(super) fn ok(asked: &Asked<'_>, standings: &[Standing]) -> Self {
        let mut reply = Self::begin(Code::Ok, asked, standings);
        for (name, number) in answer::state(standings) {
            header(&mut reply, name, itoa::Buffer::new().format(number));
        }
        Self(reply)
    }

    /// Denied: Envoy answers 429 with these headers and this body.
    pub(super) fn over_limit(asked: &Asked<'_>, standings: &[Standing], denial: Denial) -> Self {
        let mut reply = Self::begin(Code::OverLimit, asked, standings);
        answer::denied(standings).iter().for_each(|(name, value)| header(&mut reply, name, value));
        reply.text(5, &answer::problem(denial, asked.decision()));
        Self(reply)
    }

    fn begin(code: Code, asked: &Asked<'_>, standings: &[Standing]) -> Written {
        let mut reply = Written::with_room(ROOM);
        reply.number(1, code as u32);
        statuses(&mut reply, asked, standings);
        reply
    }

    /// What Envoy reads in it.
    ///
    /// # Errors
    /// Never: it was written as what it is read as.
    pub fn read(&self) -> Result<RateLimitResponse, DecodeError> {
        RateLimitResponse::decode(self.0.as_bytes())
    }
}

impl Sayable for Reply {
    fn length(&self) -> usize {
        self.0.as_bytes().len()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.0.as_bytes());
    }
}

/// One status a descriptor (a `DescriptorStatus`: 1 code, 2 current_limit, 3 limit_remaining, 4 duration_until_reset). Envoy makes its own `x-ratelimit-*`
/// headers of them, where it is told to.
fn statuses(reply: &mut Written, asked: &Asked<'_>, standings: &[Standing]) {
    let mut rest = standings;
    for levels in asked.shares() {
        let (own, after) = rest.split_at((*levels).min(rest.len()));
        rest = after;
        let code = if own.iter().all(|one| one.passed) { Code::Ok } else { Code::OverLimit };
        reply.message(2, |status| {
            status.number(1, code as u32);
            let Some(one) = answer::tightest(own) else { return };
            status.message(2, |limit| current_limit(limit, one));
            status.number(3, saturated(one.remaining));
            // Envoy cuts a fraction off: what is still missing would be told as there.
            status.message(4, |left| left.number(1, one.reset_us.div_ceil(1_000_000)));
        });
    }
}

/// A `RateLimit`: 1 requests_per_unit, 2 unit, 3 name.
fn current_limit(limit: &mut Written, one: &Standing) {
    let (requests_per_unit, unit) = rate(&one.bucket);
    limit.number(1, saturated(requests_per_unit));
    limit.number(2, unit as u32);
    limit.text(3, one.scope.as_str());
}

/// A `HeaderValue`: 1 key, 2 value.
fn header(reply: &mut Written, name: &str, value: &str) {
    reply.message(3, |header| {
        header.text(1, name);
        header.text(2, value);
    });
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

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
