//! What a caller is told of a denial: `application/problem+json` (RFC 9457) with the reason and the decision's id, nothing more.

use serde::Serialize;

use crate::{
    process::Side,
    verdict::{Denial, Reason},
};

/// The problem body. Its members are SEMANTICS' ("Names that tests will assert").
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    decision_id: &'a str,
}

pub(super) fn body(denial: &Denial, decision_id: &str) -> String {
    at(Side::Request, denial.reason, denial.status, decision_id)
}

/// The body of a denial because of a request, or of what the upstream answered.
pub(crate) fn at(side: Side, reason: Reason, status: u16, decision_id: &str) -> String {
    let title = match side {
        Side::Request => title(reason),
        Side::Response => title_of_response(reason),
    };
    let problem = Problem { r#type: format!("urn:bulkhead:{}", reason.name()), title, status, decision_id };
    // A struct of texts and a number always serialises.
    serde_json::to_string(&problem).unwrap_or_default()
}

/// Content type, and what the status asks for.
pub(crate) fn headers(denial: &Denial) -> Vec<(&'static str, String)> {
    let mut headers = vec![("content-type", "application/problem+json".to_owned()), ("cache-control", "no-store".to_owned())];
    if denial.status == 401 {
        headers.push(("www-authenticate", challenge(denial.reason).to_owned()));
    }
    if denial.reason == Reason::Method {
        headers.push(("allow", denial.allow.join(", ")));
    }
    headers.extend(denial.retry_after.map(|seconds| ("retry-after", seconds.to_string())));
    headers
}

/// RFC 6750 section 3.1: no error code where no credentials came; else one for all that can be wrong with them.
const fn challenge(reason: Reason) -> &'static str {
    match reason {
        Reason::NoCredentials => r#"Bearer realm="bulkhead""#,
        _ => r#"Bearer realm="bulkhead", error="invalid_token""#,
    }
}

/// One sentence for people. It tells no more than the reason does.
const fn title(reason: Reason) -> &'static str {
    match reason {
        Reason::BadPath => "The host or path of the request cannot be judged safely",
        Reason::TooManyFailures => "Too many failed authentications",
        Reason::NoCredentials => "Credentials are required",
        Reason::InvalidToken => "The credentials are not valid",
        Reason::WrongTenant => "The credentials do not belong to what the request addresses",
        Reason::Suspended => "The tenant is not served",
        Reason::UnknownApi => "The tenant's contract has no such API",
        Reason::Method => "The method is not allowed for this API",
        Reason::Subscription => "No valid subscription covers this API",
        Reason::Role => "A role or scope is missing",
        Reason::Rule => "A rule of the tenant denies the request",
        Reason::Tool => "The tool may not be used, or not like this",
        Reason::Topic => "The request touches a blocked topic",
        Reason::Pii => "The request holds personal data",
        Reason::TooLarge => "The body is too large to be judged",
        Reason::Unreadable => "The request cannot be read",
        Reason::Unavailable => "The request cannot be judged at this time",
        Reason::Loop => "The request has already passed through this gateway",
        Reason::OverLimit => "Too many requests",
    }
}

/// The same, where the answer of the upstream is why.
const fn title_of_response(reason: Reason) -> &'static str {
    match reason {
        Reason::Topic => "The answer touches a blocked topic",
        Reason::Pii => "The answer holds personal data",
        Reason::TooLarge => "The answer is too large to be judged",
        Reason::Unreadable => "The answer cannot be read",
        other => title(other),
    }
}
