//! The answer to one call: a status for each descriptor, the overall code, headers.
//!
//! Only `overall_code` decides in Envoy, and UNKNOWN is let through there: no code but the two is ever written (S9).

use bulkhead_proto::pb::{
    envoy::{
        config::core::v3::HeaderValue,
        service::ratelimit::v3::{
            RateLimitResponse,
            rate_limit_response::{Code, DescriptorStatus, RateLimit, rate_limit::Unit as PbUnit},
        },
    },
    google::protobuf::Duration,
};

use super::{rules::Unit, settings::HeaderNames};

/// What became of one descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Met {
    /// No limit: no rule matched, another replaced it, or the domain is not known.
    Nothing,
    /// A limit that lets everything through.
    Unlimited,
    /// A limit with a window.
    Limit(Standing),
}

/// How a descriptor stands at its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) name: String,
    pub(super) requests: u32,
    pub(super) unit: Unit,
    /// Whether it is over, and its rule is not in shadow mode.
    pub(super) over: bool,
    /// Whether it is over only together with all others of quota mode.
    pub(super) quota: bool,
    pub(super) remaining: u32,
    /// Whole seconds to the window's end, at least 1.
    pub(super) reset: u64,
}

/// Whether a call is over: a limit that decides alone is, or there are limits in quota mode and every one of them is.
pub(super) fn is_over(met: &[Met]) -> bool {
    let standings = || met.iter().filter_map(Met::standing);
    let alone = standings().any(|one| one.over && !one.quota);
    let mut quota = standings().filter(|one| one.quota).peekable();
    alone || (quota.peek().is_some() && quota.all(|one| one.over))
}

/// The answer.
pub(super) fn answer(met: &[Met], over: bool, headers: Option<&HeaderNames>) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: code(over).into(),
        statuses: met.iter().map(Met::status).collect(),
        response_headers_to_add: headers.zip(tightest(met)).map_or_else(Vec::new, |(names, standing)| written(names, standing)),
        ..RateLimitResponse::default()
    }
}

impl Met {
    pub(super) fn standing(&self) -> Option<&Standing> {
        match self {
            Self::Limit(standing) => Some(standing),
            Self::Nothing | Self::Unlimited => None,
        }
    }

    fn status(&self) -> DescriptorStatus {
        let passed = DescriptorStatus { code: Code::Ok.into(), ..DescriptorStatus::default() };
        match self {
            Self::Nothing => passed,
            Self::Unlimited => DescriptorStatus { limit_remaining: u32::MAX, ..passed },
            Self::Limit(standing) => DescriptorStatus {
                code: code(standing.over).into(),
                current_limit: Some(RateLimit {
                    name: standing.name.clone(),
                    requests_per_unit: standing.requests,
                    unit: PbUnit::try_from(standing.unit.number()).unwrap_or(PbUnit::Unknown).into(),
                }),
                limit_remaining: standing.remaining,
                duration_until_reset: Some(Duration { seconds: i64::try_from(standing.reset).unwrap_or(i64::MAX), nanos: 0 }),
                ..passed
            },
        }
    }
}

fn code(over: bool) -> Code {
    if over { Code::OverLimit } else { Code::Ok }
}

/// The descriptor that headers speak of: the last one over a limit that decides alone, else the first with the least left.
fn tightest(met: &[Met]) -> Option<&Standing> {
    let standings = || met.iter().filter_map(Met::standing);
    standings().rfind(|one| one.over && !one.quota).or_else(|| standings().min_by_key(|one| one.remaining))
}

fn written(names: &HeaderNames, standing: &Standing) -> Vec<HeaderValue> {
    let header = |key: &str, value: String| HeaderValue { key: key.to_owned(), value, ..HeaderValue::default() };
    vec![
        header(&names.limit, standing.requests.to_string()),
        header(&names.remaining, standing.remaining.to_string()),
        header(&names.reset, standing.reset.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(requests: u32, remaining: u32, over: bool, quota: bool) -> Met {
        Met::Limit(Standing { name: String::new(), requests, unit: Unit::Minute, over, quota, remaining, reset: 7 })
    }

    #[test]
    fn a_call_is_over_if_a_limit_is_or_every_quota() {
        let (ok, over) = (limit(1, 1, false, false), limit(1, 0, true, false));
        let (quota, quota_over) = (limit(1, 1, false, true), limit(1, 0, true, true));
        for (met, expected) in [
            (vec![], false),
            (vec![Met::Nothing, Met::Unlimited], false),
            (vec![ok.clone()], false),
            (vec![ok.clone(), over.clone()], true),
            (vec![ok.clone(), quota_over.clone(), quota.clone()], false),
            (vec![ok, quota_over.clone(), quota_over.clone()], true),
            (vec![quota_over], true),
            (vec![over, quota], true),
        ] {
            assert_eq!(is_over(&met), expected, "{met:?}");
        }
    }

    #[test]
    fn headers_speak_of_the_last_one_over_else_of_the_least_left() {
        let tightest = |met: &[Met]| tightest(met).map(|one| one.requests);
        assert_eq!(tightest(&[limit(1, 9, false, false), limit(2, 3, false, false), limit(3, 3, false, false)]), Some(2));
        assert_eq!(tightest(&[limit(1, 0, true, false), limit(2, 0, true, false), limit(3, 0, false, false)]), Some(2));
        assert_eq!(tightest(&[Met::Nothing, Met::Unlimited]), None);
    }
}
