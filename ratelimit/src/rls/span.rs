//! What a span says of a call: whose it is, what was decided, and nothing that a descriptor of another domain holds.

use bulkhead_doors::traces::Span;
use bulkhead_proto::pb::envoy::service::ratelimit::v3::{RateLimitResponse, rate_limit_response::Code as Overall};
use tonic::{Code, Response, Status};

use super::request::Asked;

/// The name of a call's span.
pub(crate) const NAME: &str = "ShouldRateLimit";

pub(super) const ALLOW: &str = "allow";
pub(super) const OVER_LIMIT: &str = "over_limit";

pub(super) fn asked(span: &mut Span, asked: &Asked<'_>) {
    span.tenant(asked.tenant());
    span.api(asked.api());
    span.decision(asked.decision());
}

/// What the caller is told.
pub(crate) fn ended(span: &mut Span, answered: &Result<Response<RateLimitResponse>, Status>) {
    match answered {
        Ok(answer) if answer.get_ref().overall_code() == Overall::OverLimit => span.verdict(OVER_LIMIT),
        Ok(_) => span.verdict(ALLOW),
        Err(status) => refused(span, status),
    }
}

/// Nothing was decided: an error of ours, unless nothing that was asked can be decided.
pub(super) fn refused(span: &mut Span, status: &Status) {
    if matches!(status.code(), Code::InvalidArgument | Code::PermissionDenied | Code::FailedPrecondition) {
        span.verdict("refused");
    } else {
        span.verdict("unavailable");
        span.failed();
    }
}
